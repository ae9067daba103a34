// One run: what it printed, live; what happened to it; what it is; and what can be done with it.

import {ask, may, patch, post} from '../api.js';
import {RunFeed} from '../feed.js';
import {bytes, capital, command, duration, moment, number, outcome, runTook, title, words} from '../format.js';
import {badge, confirm, empty, progress, since} from '../parts.js';
import {html, nothing} from '../html.js';
import {edit} from './edit.js';
import {events, SHOWN} from './events.js';
import {OutputView} from './output.js';

const PARTS = [['', 'Output'], ['events', 'Events'], ['details', 'Details']];

export class RunView {
  title = '';
  #page;
  #id;
  #part;
  #feed;
  #output;
  #entries = SHOWN;
  #isWholeCommand = false;

  constructor(page, {id, part, query}) {
    [this.#page, this.#id, this.#part] = [page, id, part];
    this.#feed = new RunFeed(id, this.#changed);
    this.#output = new OutputView(page, this.#feed, query);
  }

  go({part, query}) {
    this.#part = part;
    // A look at another part forgets nothing.
    if (!part && query) this.#output.go(query);
  }

  leave() {
    this.#feed.close();
    this.#output.leave();
  }

  get ticks() {
    return this.#feed.run?.status === 'running' || this.#feed.run?.status === 'queued';
  }

  #status = null;

  #changed = () => {
    this.#output?.changed();
    const {run} = this.#feed;
    if (run && this.#status && run.status !== this.#status) this.#page.say(`Run ${run.id}: ${words(run.status)}.`);
    this.#status = run?.status ?? this.#status;
    this.#page.update();
  };

  rendered(root) {
    this.#output.rendered(root);
  }

  render() {
    const {run, gone} = this.#feed;
    if (gone) return this.#goneView(gone);
    this.title = run ? `${run.id} ${words(run.status)}: ${title(run).slice(0, 60)}` : `Run ${this.#id}`;
    // The heading stays the same element when the run has come: somebody's focus may be on it.
    return html`<section class="head">
        <div class="line1"><h1 tabindex="-1"><span class="id">${this.#id}</span> <bdi>${run?.name ?? 'Run'}</bdi></h1>
          ${run ? this.#state(run) : nothing}</div>
        ${run ? this.#head(run) : nothing}
      </section>
      ${run ? this.#body(run) : nothing}`;
  }

  #state = run => html`${badge(run.status)}
    ${run.cancel_requested_at && !run.ended_at ? html`<span class="said">being canceled</span>` : nothing}
    ${this.#deeds(run)}`;

  #body = run => html`<nav class="parts" aria-label="Of this run">${PARTS.map(([part, label]) => html`
      <a href="#/runs/${run.id}${part ? `/${part}` : ''}" aria-current=${part === this.#part ? 'true' : nothing}>${label}</a>`)}
    </nav>
    ${this.#part === 'events' ? events(this.#feed, this.#entries, this.#moreEvents) : this.#part === 'details' ? details(run) : nothing}
    ${this.#output.render(run, this.#part !== '')}`;

  #goneView(gone) {
    this.title = `Run ${this.#id}`;
    return html`<h1 tabindex="-1">Run ${this.#id}</h1>
      ${gone.status === 404 ? empty('There is no such run', 'No run has had this number yet.') : gone.status === 410
        ? empty('It was deleted', 'The run and its events are gone: somebody deleted it, or its time was up.')
        : empty('It cannot be shown', gone.message)}
      <p class="more"><a class="button" href="#/runs">To the runs</a></p>`;
  }

  #moreEvents = () => {
    this.#entries += 2_000;
    this.#page.update();
  };

  #head(run) {
    const took = runTook(run), why = run.ended_at ? outcome(run) : '';
    const isLong = command(run).length > 160 || command(run).includes('\n');
    const isWhole = this.#isWholeCommand || !isLong;
    return html`<p class="facts">
        ${why ? html`<span class="why">${capital(why)}</span>` : nothing}
        ${took === null ? nothing : html`<span>${duration(took)}</span>`}
        <span>queue <a href="#/runs?queue=${run.queue}">${run.queue}</a></span>
        ${run.attempt > 1 ? html`<span>attempt ${run.attempt}</span>` : nothing}
        <span>submitted ${since(run.created_at)}</span>
        ${run.status === 'queued' && run.not_before ? html`<span>starts not before ${moment(run.not_before)}</span>` : nothing}
        ${run.retry_of ? html`<span>retry of <a href="#/runs/${run.retry_of}">${run.retry_of}</a></span>` : nothing}
        ${run.tags.map(tag => html`<a class="tag" href="#/runs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}
      </p>
      <pre class="command ${isWhole ? '' : 'cut'}" tabindex=${isWhole ? 0 : nothing} role="region" aria-label="Command"><code>${command(run)}</code></pre>
      ${isLong ? html`<button type="button" class="quiet small" aria-expanded=${String(isWhole)} @click=${this.#unfold}>${isWhole ? 'Less' : 'All of it'}</button>` : nothing}
      ${run.ended_at ? nothing : progress(run)}`;
  }

  #unfold = () => {
    this.#isWholeCommand = !this.#isWholeCommand;
    this.#page.update();
  };

  /** What can be done with it by somebody of this role. */
  #deeds(run) {
    if (!may('operator')) return nothing;
    return html`<div class="deeds" role="group" aria-label="Actions">
      ${run.ended_at ? html`<button type="button" @click=${this.#retry}>Retry …</button>
          <button type="button" class="grave" @click=${this.#delete}>Delete …</button>`
        : html`${run.status === 'queued' ? html`<button type="button" @click=${this.#edit}>Change …</button>` : nothing}
          <button type="button" class="grave" ?disabled=${Boolean(run.cancel_requested_at)} @click=${this.#cancel}>Cancel …</button>`}
      <button type="button" aria-pressed=${String(run.keep)} @click=${this.#keep}
        title="A run that is kept is not removed when its time is up">${run.keep ? 'Kept' : 'Keep'}</button>
    </div>`;
  }

  #cancel = () => this.#do({
    title: `Cancel run ${this.#id}?`,
    text: this.#feed.run.status === 'queued'
      ? 'It will not be started. Its place in the queue is lost.'
      : 'The command and everything it started are told to end (SIGTERM), and killed if they have not within the grace time. What it printed stays.',
    action: 'Cancel the run',
    isGrave: true,
  }, () => post(`/v1/runs/${this.#id}/cancel`, {}), `The cancel of run ${this.#id} was asked for.`);

  #edit = () => this.#try(async () => {
    if (await edit(this.#feed.run)) this.#page.say(`Run ${this.#id} is changed.`);
  });

  #retry = () => this.#do({
    title: `Retry run ${this.#id}?`,
    text: `The same command is queued again in “${this.#feed.run.queue}” as a new run. This one stays as it is.`,
    action: 'Queue it again',
  }, async () => {
    const made = await post(`/v1/runs/${this.#id}/retry`, {});
    location.hash = `#/runs/${made.id}`;
  });

  #delete = () => this.#do({
    title: `Delete run ${this.#id}?`,
    text: 'The run, everything it printed and all its events are removed for everybody. This cannot be undone.',
    action: 'Delete for ever',
    isGrave: true,
  }, async () => {
    await ask('DELETE', `/v1/runs/${this.#id}`);
    location.hash = '#/runs';
  });

  #keep = async () => {
    const keep = !this.#feed.run.keep;
    await this.#try(() => patch(`/v1/runs/${this.#id}`, {keep}),
      keep ? `Run ${this.#id} is kept: it is not removed when its time is up.` : `Run ${this.#id} is removed when its time is up.`);
  };

  async #do(question, deed, said) {
    if (await confirm(question)) await this.#try(deed, said);
  }

  async #try(deed, said) {
    try {
      await deed();
      if (said) this.#page.say(said);
      if (!this.#feed.gone) await this.#feed.refresh();
    } catch (error) {
      this.#page.say(error.message);
    }
  }
}

/** All that is known of a run, but for what its head says. */
function details(run) {
  const rows = [
    ['Command', run.script === null ? html`<ol class="argv">${run.command.map(word => html`<li><code>${word}</code></li>`)}</ol>` : html`<pre><code>${run.script}</code></pre>`],
    ['Directory', run.cwd ?? 'the home of the user it runs as'],
    ['Environment', run.env_keys.length ? run.env_keys.join(', ') : null],
    ['Queue', run.queue], ['Priority', run.priority],
    ['Timeout', run.timeout_s === null ? 'none' : duration(run.timeout_s * 1_000)],
    ['If the daemon stops', run.on_interrupt === 'requeue' ? 'it is queued again' : 'it ends as interrupted'],
    ['Attempt', run.attempt],
    ['Submitted', moment(run.created_at)], ['Not before', moment(run.not_before)],
    ['Started', moment(run.started_at)], ['Ended', moment(run.ended_at)],
    ['Reason', run.reason && words(run.reason)], ['Exit code', run.exit_code], ['Signal', run.signal], ['Error', run.error],
    ['Process', run.pid], ['Output', bytes(run.output_bytes)], ['Events', number(run.last_seq)],
    ['Kept', run.keep ? 'yes: it is not removed when its time is up' : 'until its time is up'],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return html`<dl class="details">${known.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}
