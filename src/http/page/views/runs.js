// The runs, newest first: what they are, how they are, and how to find one among them.

import {get} from '../api.js';
import {bytes, capital, command, duration, outcome, plural, runTook, title, words} from '../format.js';
import {RunList} from '../live.js';
import {badge, empty, progress, since, STATES, trouble} from '../parts.js';
import {html, nothing} from '../html.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';
import {strip} from './strip.js';

/** Characters of a name or a command that fit into any row. */
const SHOWN_CHARS = 200;

export class RunsView {
  title = 'Runs';
  ticks = true;
  #page;
  #filter;
  #list;
  #queues = [];

  constructor(page, {query}) {
    this.#page = page;
    const given = new URLSearchParams(query);
    this.#filter = {
      status: (given.get('status') ?? '').split(',').filter(state => STATES.includes(state)),
      queue: given.get('queue') ?? '',
      tag: given.get('tag') ?? '',
      name: given.get('name') ?? '',
    };
    this.#list = new RunList(this.#filter, mayInsert, page.update);
  }

  enter() {
    this.#list.enter();
    get('/v1/queues').then(({queues}) => {
      this.#queues = queues.map(queue => queue.name);
      this.#page.update();
    }).catch(() => {});
  }

  leave() {
    this.#list.leave();
  }

  #isReset = false;

  /** What was typed into the filter of another list does not stand in this one's. */
  rendered(root) {
    if (!this.#isReset) root.querySelector('form.filters').reset();
    this.#isReset = true;
  }

  get #isFiltered() {
    return Object.values(this.#filter).some(value => value.length);
  }

  #narrow = event => {
    event.preventDefault();
    const given = new FormData(event.currentTarget.closest('form')), query = new URLSearchParams();
    const status = given.getAll('status');
    if (status.length) query.set('status', status.join(','));
    for (const name of ['queue', 'tag', 'name']) if (given.get(name).trim()) query.set(name, given.get(name).trim());
    location.hash = `#/runs${String(query) && `?${query}`}`;
  };

  #letIn = () => {
    this.#list.letIn();
    scrollTo({top: 0});
  };

  render() {
    const list = this.#list, runs = list.shown.map(id => list.runs.get(id));
    const running = [...list.runs.values()].filter(run => run.status === 'running').length;
    this.title = running ? `Runs (${running} running)` : 'Runs';
    return html`<h1 tabindex="-1" class="unseen">Runs</h1>
      ${strip(list.recent.map(id => list.runs.get(id)))}
      ${this.#filters()}
      ${trouble(list.error)}
      <div class="fresh" role="status">${list.fresh.length
        ? html`<button type="button" class="first" @click=${this.#letIn}>${plural(list.fresh.length, 'new run')}</button>` : nothing}</div>
      ${list.isLoaded && !runs.length ? this.#nothing() : html`<ol class="runs">${repeat(runs, run => run.id, row)}</ol>`}
      ${list.next ? html`<p class="more"><button type="button" ?disabled=${list.isLoading} @click=${() => list.more()}>Older runs</button></p>` : nothing}`;
  }

  #filters() {
    const {status, queue, tag, name} = this.#filter;
    const queues = [...new Set([...this.#queues, queue])].filter(Boolean);
    return html`<form class="filters" aria-label="Filter" @submit=${this.#narrow} @change=${this.#narrow}>
      <fieldset><legend class="unseen">State</legend>${STATES.map(state => html`<label class="chip">
        <input type="checkbox" name="status" value=${state} ?checked=${status.includes(state)}>${capital(words(state))}</label>`)}
      </fieldset>
      <label><span>Queue</span><select name="queue"><option value="" ?selected=${!queue}>any</option>
        ${queues.map(one => html`<option value=${one} ?selected=${one === queue}>${one}</option>`)}</select></label>
      <label><span>Tag</span><input name="tag" type="text" size="8" autocapitalize="off" value=${tag}></label>
      <label><span>Name</span><input name="name" type="text" size="10" autocapitalize="off" value=${name}></label>
      ${this.#isFiltered ? html`<a class="button quiet" href="#/runs">Show all</a>` : nothing}
      <button class="unseen">Filter</button>
    </form>`;
  }

  #nothing() {
    return this.#isFiltered
      ? empty('Nothing fits', html`No run is like that. <a href="#/runs">Show all</a>`)
      : empty('No runs yet', html`<a href="#/submit">Submit one</a>, or on the machine: <code>runabout run -- echo hello</code>`);
  }
}

/** Nothing is pushed away under somebody's eyes or hands. */
function mayInsert() {
  const list = document.querySelector('ol.runs');
  return scrollY < 40 && !list?.matches(':hover, :focus-within');
}

function row(run) {
  const took = runTook(run), why = run.status === 'running' || run.status === 'queued' ? '' : outcome(run);
  const isCanceled = run.cancel_requested_at && !run.ended_at;
  return html`<li class="run">
    ${badge(run.status)}
    <a class="what" href="#/runs/${run.id}"><span class="id">${run.id}</span> <span class="name">${title(run).slice(0, SHOWN_CHARS)}</span></a>
    <span class="note">${isCanceled ? html`<span class="said">being canceled</span>` : nothing}
      ${run.status === 'running' ? progress(run) : nothing}
      ${why ? html`<span class="said">${why}</span>` : nothing}
      ${run.name ? html`<code class="cut">${command(run).slice(0, SHOWN_CHARS)}</code>` : nothing}</span>
    <span class="tags">${run.tags.map(tag => html`<a class="tag" href="#/runs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}</span>
    <span class="queue"><span class="unseen">Queue</span> ${run.queue}</span>
    <span class="took" title=${run.output_bytes ? `${bytes(run.output_bytes)} of output` : ''}>${took === null ? '' : duration(took)}</span>
    <span class="age">${since(run.created_at)}</span>
  </li>`;
}
