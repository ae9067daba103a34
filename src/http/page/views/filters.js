// What narrows a list of runs: by state, and by what one remembers of a run. The address holds it, so that a filter can be
// kept, sent to somebody and gone back from.

import {capital, words} from '../format.js';
import {STATES} from '../parts.js';
import {html, nothing} from '../html.js';

/** What is looked for most often. */
const SHORTCUTS = [['All', ''], ['Active', 'queued,running'], ['Problems', 'failed,timed_out,interrupted']];
/** Spans of time up to now, in milliseconds. */
const SPANS = [['1h', 'last hour', 3_600_000], ['1d', 'last day', 86_400_000], ['7d', 'last week', 604_800_000], ['30d', 'last month', 2_592_000_000]];

/** What an address can say, in the order of the form; `text` is looked for in what runs have printed. */
const NAMES = ['q', 'status', 'queue', 'since', 'until', 'exit', 'tag', 'name', 'job', 'text'];
/** Of these the rarer ones, which are folded away. */
const RARE = ['until', 'exit', 'tag', 'name', 'job', 'text'];

export class Filters {
  /** As the address has them; none is empty. */
  given = {};
  queues = [];

  constructor(query) {
    const given = new URLSearchParams(query);
    for (const name of NAMES) {
      const value = name === 'status' ? (given.get('status') ?? '').split(',').filter(state => STATES.includes(state)).join(',') : given.get(name)?.trim();
      if (value) this.given[name] = value;
    }
  }

  get isEmpty() {
    return !Object.keys(this.given).length;
  }

  /** The parameters of `GET /v1/runs`. */
  get parameters() {
    const parameters = {...this.given};
    delete parameters.text;
    for (const name of ['since', 'until']) if (parameters[name]) parameters[name] = time(parameters[name]);
    return parameters;
  }

  /** What of it is shown, in words. */
  get words() {
    const {status, queue, q, since, until, exit, tag, name, job} = this.given;
    const span = SPANS.find(([word]) => word === since)?.[1];
    return [status && status.split(',').map(words).join(' or '), q && `with “${q}”`, queue && `in the queue ${queue}`, tag && `with the tag ${tag}`,
      name && `named ${name}`, job && `of the job ${job}`, exit && `with exit code ${exit}`, since && (span ? `of the ${span}` : `since ${since}`), until && `until ${until}`].filter(Boolean).join(', ');
  }

  #narrow = event => {
    event.preventDefault();
    const given = new FormData(event.currentTarget.closest('form')), query = new URLSearchParams();
    for (const name of NAMES) {
      const value = given.getAll(name).map(value => value.trim()).filter(Boolean).join(',');
      if (value) query.set(name, value);
    }
    location.hash = hashOf(query);
  };

  #isReset = false;

  /** What was typed into the filter of another list does not stand in this one's. */
  rendered(root) {
    if (!this.#isReset) root.querySelector('form.filters')?.reset();
    this.#isReset = true;
  }

  render() {
    const {given} = this, status = (given.status ?? '').split(',');
    const queues = [...new Set([...this.queues, given.queue ?? ''])].filter(Boolean);
    return html`<form class="filters" role="search" aria-label="Runs" @submit=${this.#narrow} @change=${this.#narrow}>
      <input name="q" type="search" class="find" aria-label="Find by name, command or tag" placeholder="Find by name, command or tag" autocapitalize="off" autocomplete="off" spellcheck="false" value=${given.q ?? ''}>
      <nav class="shortcuts" aria-label="Shortcuts">${SHORTCUTS.map(([label, states]) => html`<a href=${this.#with(states)} aria-current=${(given.status ?? '') === states ? 'true' : nothing}>${label}</a>`)}</nav>
      <fieldset><legend class="unseen">State</legend>${STATES.map(state => html`<label class="chip">
        <input type="checkbox" name="status" value=${state} ?checked=${status.includes(state)}>${capital(words(state))}</label>`)}
      </fieldset>
      <label><span>Queue</span><select name="queue"><option value="" ?selected=${!given.queue}>any</option>
        ${queues.map(one => html`<option value=${one} ?selected=${one === given.queue}>${one}</option>`)}</select></label>
      <label><span>Time</span><select name="since"><option value="" ?selected=${!given.since}>any</option>
        ${SPANS.map(([word, label]) => html`<option value=${word} ?selected=${word === given.since}>${label}</option>`)}
        ${given.since && !SPANS.some(([word]) => word === given.since) ? html`<option value=${given.since} selected>since ${given.since}</option>` : nothing}</select></label>
      <details class="rare" ?open=${RARE.some(name => given[name])}><summary>More</summary><div>
        ${this.#input('text', 'Text in its output', 'search')}
        ${this.#input('tag', 'Tag, exactly', 'text')}
        ${this.#input('name', 'Name, exactly', 'text')}
        ${this.#input('job', 'Job', 'text')}
        ${this.#input('exit', 'Exit code', 'text', 'numeric')}
        ${this.#input('until', 'Submitted before', 'datetime-local')}
      </div></details>
      ${this.isEmpty ? nothing : html`<a class="button quiet" href="#/runs">Show all</a>`}
      <button class="unseen">Filter</button>
    </form>`;
  }

  #input = (name, label, type, mode) => html`<label><span>${label}</span><input name=${name} type=${type} inputmode=${mode ?? nothing}
    autocapitalize="off" autocomplete="off" spellcheck="false" value=${this.given[name] ?? ''}></label>`;

  /** The address of the same with other states. */
  #with(states) {
    const query = new URLSearchParams(this.given);
    if (states) query.set('status', states);
    else query.delete('status');
    return hashOf(query);
  }
}

const hashOf = query => `#/runs${String(query) && `?${query}`}`;

/** A span up to now, or a time, as the daemon takes it; what cannot be read is the daemon's to refuse. */
function time(given) {
  const span = SPANS.find(([word]) => word === given)?.[2], at = span ? new Date(Date.now() - span) : new Date(given);
  return Number.isNaN(at.getTime()) ? given : at.toISOString();
}
