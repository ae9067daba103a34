// One run: what it printed, live; what happened to it; what it is; and what can be done with it.

import {ask, may, patch, post} from '../api.js';
import {RunFeed} from '../feed.js';
import {bytes, capital, command, duration, moment, number, outcome, plural, runTook, title, words} from '../format.js';
import {badge, confirm, copyButton, empty, progress, reading, since, trouble} from '../parts.js';
import {html, nothing} from '../html.js';
import {ArtifactsView} from './artifacts.js';
import {edit} from './edit.js';
import {waits} from '../why.js';
import {events, SHOWN} from './events.js';
import {OutputView} from './output.js';
import {TerminalView} from './terminal.js';

/** How often a run that waits is asked what for, in milliseconds: that changes by what happens to others. */
const WAITS_MS = 5_000;

const PARTS = [['', 'Output'], ['files', 'Files'], ['events', 'Events'], ['details', 'Details']];

/** Those of a run: files where it left some, or may leave some. */
const partsOf = run => PARTS.filter(([part]) => part !== 'files' || run.artifacts || run.status === 'running');

export class RunView {
  title = '';
  #page;
  #id;
  #part;
  #feed;
  #output;
  #terminal;
  #artifacts;
  #entries = SHOWN;
  #isWholeCommand = false;
  #timer = setInterval(() => {
    if (this.#feed.run?.status === 'queued' && !document.hidden) this.#feed.refresh();
  }, WAITS_MS);

  constructor(page, {id, part, query}) {
    [this.#page, this.#id, this.#part] = [page, id, part];
    this.#feed = new RunFeed(id, this.#changed);
    this.#output = new OutputView(page, this.#feed, query);
    this.#terminal = new TerminalView(page, this.#feed);
    this.#artifacts = new ArtifactsView(page, id);
  }

  go({part, query}) {
    this.#part = part;
    // A look at another part forgets nothing.
    if (!part && query) this.#output.go(query);
  }

  leave() {
    clearInterval(this.#timer);
    this.#feed.close();
    this.#output.leave();
    this.#terminal.leave();
  }

  /** The daemon answers again. */
  again() {
    this.#feed.refresh();
  }

  get state() {
    return this.#feed.gone ? null : this.#feed.run?.status;
  }

  get ticks() {
    return this.#feed.run?.status === 'running' || this.#feed.run?.status === 'queued';
  }

  #status = null;

  #changed = () => {
    this.#output?.changed();
    this.#terminal?.changed();
    const {run} = this.#feed;
    if (run && this.#status && run.status !== this.#status) this.#page.say(`Run ${run.id}: ${words(run.status)}.`);
    this.#status = run?.status ?? this.#status;
    this.#page.update();
  };

  rendered(root) {
    this.#output.rendered(root);
    this.#terminal.rendered(root);
  }

  render() {
    const {run, gone, unread} = this.#feed;
    if (gone) return this.#goneView(gone);
    this.title = run ? `${run.id} ${words(run.status)}: ${title(run).slice(0, 60)}` : `Run ${this.#id}`;
    // The heading stays the same element when the run has come: somebody's focus may be on it.
    return html`<section class="head">
        <div class="line1"><h1 tabindex="-1"><span class="id">${this.#id}</span> <bdi>${run?.name ?? 'Run'}</bdi></h1>
          ${copyButton(this.#page, `${location.origin}/#/runs/${this.#id}`, 'the link to this run')}
          ${run ? this.#state(run) : nothing}</div>
        ${run ? this.#head(run) : nothing}
      </section>
      ${run ? this.#body(run) : unread ? trouble(unread) : reading}`;
  }

  #state = run => html`${badge(run.status)}
    ${run.cancel_requested_at && !run.ended_at ? html`<span class="said">being canceled</span>` : nothing}
    ${this.#deeds(run)}`;

  #body = run => html`<nav class="parts" aria-label="Of this run">${partsOf(run).map(([part, label]) => html`
      <a href="#/runs/${run.id}${part ? `/${part}` : ''}" aria-current=${part === this.#part ? 'true' : nothing}>${label}</a>`)}
    </nav>
    ${this.#part === 'files' ? this.#artifacts.render(run) : nothing}
    ${this.#part === 'events' ? events(this.#feed, this.#entries, this.#moreEvents) : this.#part === 'details' ? details(run) : nothing}
    ${run.pty ? this.#terminal.render(run, this.#part !== '') : this.#output.render(run, this.#part !== '')}`;

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
    const took = runTook(run), why = run.ended_at ? outcome(run) : '', waiting = waits(run, id => html`run <a href="#/runs/${id}">${id}</a>`);
    const isLong = command(run).length > 160 || command(run).includes('\n');
    const isWhole = this.#isWholeCommand || !isLong;
    return html`<p class="facts">
        ${why ? html`<span class="why">${capital(why)}</span>` : nothing}
        ${took === null ? nothing : html`<span>${duration(took)}</span>`}
        <span>queue <a href="#/runs?queue=${run.queue}">${run.queue}</a></span>
        ${run.attempt > 1 ? html`<span>attempt ${run.attempt}</span>` : nothing}
        <span>submitted ${since(run.created_at)}</span>
        ${waiting.map((one, nth) => html`<span class="why">${nth ? one : capitalized(one)}</span>`)}
        ${run.status === 'queued' && run.not_before ? html`<span>not before ${moment(run.not_before)}</span>` : nothing}
        ${run.waits_for_runs ? html`<span>waits for run ${links(run.waits_for_runs)}</span>` : nothing}
        ${run.needed_by ? html`<span>needed by run ${links(run.needed_by)}</span>` : nothing}
        ${run.retry_of ? html`<span>retry of <a href="#/runs/${run.retry_of}">${run.retry_of}</a></span>` : nothing}
        ${run.tags.map(tag => html`<a class="tag" href="#/runs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}
      </p>
      <div class="command-line"><pre class="command ${isWhole ? '' : 'cut'}" tabindex=${isWhole ? 0 : nothing} role="region" aria-label="Command"><code>${command(run)}</code></pre>
        ${copyButton(this.#page, command(run), 'the command')}</div>
      ${isLong ? html`<button type="button" class="quiet small" aria-expanded=${String(isWhole)} @click=${this.#unfold}>${isWhole ? 'Less' : 'All of it'}</button>` : nothing}
      ${run.ended_at ? nothing : progress(run)}`;
  }

  #unfold = () => {
    this.#isWholeCommand = !this.#isWholeCommand;
    this.#page.update();
  };

  /** What can be done with it by somebody of this role. */
  #deeds(run) {
    const {notices} = this.#page, isTold = notices.has(run.id);
    return html`<div class="deeds" role="group" aria-label="Actions">
      ${may('operator') ? run.ended_at ? this.#deedsOfEnded(run) : this.#stop(run) : nothing}
      ${may('operator') ? this.#button('keep', run.keep ? 'Kept' : 'Keep', this.#keep, {pressed: run.keep, title: 'A run that is kept is not removed when its time is up'}) : nothing}
      ${run.ended_at || !may('viewer') ? nothing : html`<button type="button" aria-pressed=${String(isTold)} @click=${() => notices.toggleRun(run.id)}
        title="A notification when it ends, while this page is open">Tell me</button>`}
    </div>`;
  }

  #deedsOfEnded = run => html`${this.#button('retry', 'Retry …', this.#retry)}
    <a class="button" href="#/submit?from=${run.id}">Run again, changed …</a>
    ${this.#button('delete', 'Delete …', this.#delete, {isGrave: true})}`;

  /** A cancel gives the command time; who cannot wait for that kills it. */
  #stop = run => (run.cancel_requested_at && run.status === 'running'
    ? this.#button('cancel', 'Kill now …', this.#kill, {isGrave: true})
    : html`${run.status === 'queued' ? this.#button('change', 'Change …', this.#edit) : nothing}
      ${this.#button('cancel', 'Cancel …', this.#cancel, {isGrave: true, isOff: Boolean(run.cancel_requested_at)})}`);

  /** A button for a deed, which shows that it is under way. */
  #button(what, label, click, {isGrave = false, isOff = false, pressed, title} = {}) {
    const {doing} = this.#page;
    return html`<button type="button" class=${isGrave ? 'grave' : ''} ?disabled=${isOff || doing !== null}
      aria-busy=${String(doing === `${what} ${this.#id}`)} aria-pressed=${pressed === undefined ? nothing : String(pressed)}
      title=${title ?? nothing} @click=${click}>${label}</button>`;
  }

  #cancel = () => this.#do('cancel', {
    title: `Cancel run ${this.#id}?`,
    text: this.#feed.run.status === 'queued'
      ? 'It will not be started. Its place in the queue is lost.'
      : 'The command and everything it started are told to end (SIGTERM), and killed if they have not within the grace time. What it printed stays.',
    action: 'Cancel the run',
    isGrave: true,
  }, () => post(`/v1/runs/${this.#id}/cancel`, {}), `The cancel of run ${this.#id} was asked for.`);

  /** Kills what a cancel that was asked for waits for. */
  #kill = () => this.#do('cancel', {
    title: `Kill run ${this.#id} now?`,
    text: 'It was told to end and has time for that left. The command and everything it started are killed at once (SIGKILL): what they would still have written or put away is lost. What it printed stays.',
    action: 'Kill it now',
    isGrave: true,
  }, () => post(`/v1/runs/${this.#id}/cancel`, {now: true}), `Run ${this.#id} is killed.`);

  #edit = async () => {
    try {
      if (await edit(this.#feed.run)) this.#page.say(`Run ${this.#id} is changed.`);
    } catch (error) {
      this.#page.fail(error, `change ${this.#id}`);
    }
    await this.#feed.refresh();
  };

  #retry = () => this.#do('retry', {
    title: `Retry run ${this.#id}?`,
    text: `The same command is queued again in “${this.#feed.run.queue}” as a new run. This one stays as it is.`,
    action: 'Queue it again',
  }, async () => {
    const made = await post(`/v1/runs/${this.#id}/retry`, {});
    location.hash = `#/runs/${made.id}`;
  });

  #delete = () => this.#do('delete', {
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
    await this.#try('keep', () => patch(`/v1/runs/${this.#id}`, {keep}),
      keep ? `Run ${this.#id} is kept: it is not removed when its time is up.` : `Run ${this.#id} is removed when its time is up.`);
  };

  async #do(what, question, task, said) {
    if (await confirm(question)) await this.#try(what, task, said);
  }

  async #try(what, task, said) {
    await this.#page.deed(`${what} ${this.#id}`, task, said);
    if (!this.#feed.gone) await this.#feed.refresh();
  }
}

/** A piece of a sentence, or the pieces of one, as its beginning. */
const capitalized = said => (Array.isArray(said) ? [capital(said[0]), ...said.slice(1)] : capital(said));

/** Runs, each with its link. */
const links = ids => ids.map((id, nth) => html`${nth ? ', ' : ''}<a href="#/runs/${id}">${id}</a>`);

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
    ['Tried again', run.retry ? `at most ${plural(run.retry.attempts, 'attempt')}, when it ${run.retry.on.map(words).join(' or ')}` : null],
    ['After', run.after ? run.after.map(({run: id, when}) => html`<a href="#/runs/${id}">${id}</a> ${words(when)} `) : null],
    ['Key', run.key], ['Comes from', run.cause === 'submit' ? null : words(run.cause)], ['Job', run.job],
    ['Submitted', moment(run.created_at)], ['Not before', moment(run.not_before)], ['Start before', moment(run.start_before)],
    ['Started', moment(run.started_at)], ['Not heard of since', moment(run.detached_since)], ['Ended', moment(run.ended_at)],
    ['Reason', run.reason && words(run.reason)], ['Exit code', run.exit_code], ['Signal', run.signal], ['Error', run.error],
    ['Terminal', run.pty ? `${run.pty.columns} columns, ${run.pty.rows} lines` : null], ['Standard input', run.stdin],
    ['Process', run.pid], ['Used', usedText(run.usage)], ['Output', bytes(run.output_bytes)], ['Events', number(run.last_seq)],
    ['Kept', run.keep ? 'yes: it is not removed when its time is up' : 'until its time is up'],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return html`<dl class="details">${known.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What a run has used; nothing where nobody knows. */
function usedText(usage) {
  if (!usage) return null;
  const memory = usage.memory_peak_bytes === null ? '' : `, ${bytes(usage.memory_peak_bytes)} of memory at most`;
  return `${duration(usage.user_ms)} of processor time, ${duration(usage.system_ms)} in the kernel${memory}`;
}
