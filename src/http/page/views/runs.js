// The runs, newest first: what they are, how they are, and how to find one among them.

import {get, may} from '../api.js';
import {bytes, capital, command, duration, moment, now, number, outcome, plural, runTook, title} from '../format.js';
import {RunList, ROWS_MAX} from '../live.js';
import {badge, empty, progress, since, trouble} from '../parts.js';
import {isInUse, LongList} from '../long_list.js';
import {html, nothing} from '../html.js';
import {waitsText} from '../why.js';
import {deedsFor, toAll} from './bulk.js';
import {Filters} from './filters.js';
import {FoundLines} from './found.js';
import {strip} from './strip.js';

/** Characters of a name or a command that fit into any row. */
const SHOWN_CHARS = 200;
/** Runs that the strip shows. */
const RECENT = 100;
/** A list in which nothing runs is described again after this, in milliseconds: what was a minute ago is two. */
const TICK_MS = 20_000;

export class RunsView {
  title = 'Runs';
  #page;
  #filters;
  #list;
  #rows;
  /** The lines that have a text, where one is looked for. */
  #found = null;

  constructor(page, {query}) {
    this.#page = page;
    this.#filters = new Filters(query);
    this.#list = new RunList(this.#filters.parameters, {mayChange: () => !isInUse('ol.runs'), changed: page.update});
    if (this.#filters.given.text) this.#found = new FoundLines(this.#filters, page.update);
    this.#rows = new LongList('ol.runs', isNow => (isNow ? page.draw() : page.update()));
  }

  /** What is asked for first. */
  static first({query}) {
    const filters = new Filters(query);
    // A span of time is another one each time that it is asked for.
    return filters.given.since || filters.given.text ? null : RunList.first(filters.parameters);
  }

  enter() {
    if (this.#found) this.#found.enter();
    else this.#list.enter();
    this.#rows.enter();
    get('/v1/queues').then(({queues}) => {
      this.#filters.queues = queues.map(queue => queue.name);
      this.#page.update();
    }).catch(() => {});
  }

  leave() {
    this.#found?.leave();
    this.#list.leave();
    this.#rows.leave();
  }

  rendered(root) {
    this.#filters.rendered(root);
    this.#rows.rendered(root);
  }

  #drawn = 0;

  /** Seconds pass for what runs and what is new; the rest is told in minutes. */
  get ticks() {
    const {shown, runs, fresh, gone} = this.#list, newest = runs.get(shown[0]);
    const isYoung = newest && now() - Date.parse(newest.created_at) < 120_000;
    return isYoung || this.#running > 0 || fresh.length > 0 || gone.size > 0 || Date.now() - this.#drawn > TICK_MS;
  }

  #running = 0;

  #letIn = () => {
    this.#list.letIn();
    scrollTo({top: 0});
  };

  render() {
    const list = this.#list;
    if (this.#found) return html`<h1 tabindex="-1" class="unseen">Lines of output</h1>${this.#filters.render()}${this.#found.render()}`;
    list.calm();
    this.#drawn = Date.now();
    this.#running = [...list.runs.values()].filter(run => run.status === 'running').length;
    this.title = this.#running ? `Runs (${this.#running} running)` : 'Runs';
    return html`<h1 tabindex="-1" class="unseen">Runs</h1>
      ${strip(list.shown.slice(0, RECENT).map(id => list.runs.get(id)))}
      ${this.#filters.render()}
      ${this.#deeds()}
      ${trouble(list.error)}
      <div class="fresh" role="status">${list.fresh.length
        ? html`<button type="button" class="first" @click=${this.#letIn}>${plural(list.fresh.length, 'new run')}</button>` : nothing}</div>
      ${list.isLoaded && !list.shown.length ? list.next ? nothing : this.#nothing()
        : html`<ol class="runs">${this.#rows.describe(list.shown, (id, place, size) => row(list.runs.get(id), place, size, list.gone.get(id)), !list.next)}</ol>`}
      ${this.#more(list)}`;
  }

  /** What can be done to all that the filter finds. */
  #deeds() {
    if (this.#filters.isEmpty || !may('operator')) return nothing;
    const {parameters} = this.#filters, labels = {cancel: 'Cancel all that fit …', retry: 'Retry all that fit …'};
    return html`<p class="bulk" role="group" aria-label="With all that fit">${deedsFor(parameters).map(deed => html`
      <button type="button" class="small ${deed === 'cancel' ? 'grave' : ''}" ?disabled=${this.#page.doing !== null} aria-busy=${String(this.#page.doing === 'all')} @click=${() => this.#toAll(deed, parameters)}>${labels[deed]}</button>`)}</p>`;
  }

  #toAll = (deed, parameters) => this.#page.deed('all', async () => {
    const said = await toAll(deed, parameters);
    if (said) this.#page.say(said);
  });

  #more(list) {
    if (!list.next) return nothing;
    if (list.lookedBackTo) {
      return html`<p class="more">Looked back to ${moment(list.lookedBackTo).slice(0, -4)}.
        <button type="button" ?disabled=${list.isLoading} @click=${() => list.more()}>Go on</button></p>`;
    }
    if (list.isFull) return html`<p class="more hint">Of the older ones, a filter finds those that you look for: ${number(ROWS_MAX)} are shown at most.</p>`;
    return html`<p class="more"><button type="button" ?disabled=${list.isLoading} @click=${() => list.more()}>Older runs</button></p>`;
  }

  #nothing() {
    return this.#filters.isEmpty
      ? empty('No runs yet', html`<a href="#/submit">Submit one</a>, or on the machine: <code>runabout run -- echo hello</code>`)
      : empty('Nothing fits', html`Looked for: ${this.#filters.words}. <a href="#/runs">Show all</a>`);
  }
}

function row(run, place, size, gone) {
  const took = runTook(run), why = run.status === 'queued' ? capital(waitsText(run)) : run.status === 'running' ? '' : outcome(run);
  const isCanceled = run.cancel_requested_at && !run.ended_at;
  return html`<li class="run ${gone ? 'is-gone' : ''}" data-id=${run.id} aria-posinset=${place} aria-setsize=${size}>
    ${badge(run.status)}
    <a class="what" href="#/runs/${run.id}"><span class="id">${run.id}</span> <span class="name">${title(run).slice(0, SHOWN_CHARS)}</span></a>
    <span class="note">${gone === 'deleted' ? html`<span class="said">deleted</span>` : nothing}
      ${isCanceled ? html`<span class="said">being canceled</span>` : nothing}
      ${run.status === 'running' ? progress(run) : nothing}
      ${why ? html`<span class="said">${why}</span>` : nothing}
      ${run.name ? html`<code class="cut">${command(run).slice(0, SHOWN_CHARS)}</code>` : nothing}</span>
    <span class="tags">${run.tags.map(tag => html`<a class="tag" href="#/runs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}</span>
    <span class="queue"><span class="unseen">Queue</span> ${run.queue}</span>
    <span class="took" title=${run.output_bytes ? `${bytes(run.output_bytes)} of output` : ''}>${took === null ? '' : duration(took)}</span>
    <span class="age">${since(run.created_at)}</span>
  </li>`;
}
