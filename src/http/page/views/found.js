// Lines that have a text, of what runs have printed: the newest run's first, as far back as has been looked.

import {get} from '../api.js';
import {moment, plural} from '../format.js';
import {empty, since, trouble} from '../parts.js';
import {html, nothing} from '../html.js';

/** Lines of a page. */
const PAGE = 50;
/** Pages that are asked for one after another while nothing is found. */
const PAGES = 4;

export class FoundLines {
  #filters;
  #changed;
  #hits = [];
  #next;
  #lookedBackTo = null;
  #error = null;
  #isLooking = false;
  #hasLeft = false;

  constructor(filters, changed) {
    [this.#filters, this.#changed] = [filters, changed];
    const query = new URLSearchParams({...filters.parameters, text: filters.given.text, limit: PAGE});
    this.#next = `/v1/search?${query}`;
  }

  enter() {
    this.#hasLeft = false;
    if (!this.#hits.length) this.#look();
  }

  leave() {
    this.#hasLeft = true;
  }

  #look = async () => {
    if (this.#isLooking) return;
    [this.#isLooking, this.#error] = [true, null];
    this.#changed();
    try {
      const had = this.#hits.length;
      for (let pages = 0; this.#next && pages < PAGES && this.#hits.length === had && !this.#hasLeft; pages += 1) {
        const {hits, next, looked_back_to: lookedBackTo} = await get(this.#next);
        this.#hits = [...this.#hits, ...hits];
        [this.#next, this.#lookedBackTo] = [next, lookedBackTo];
        this.#changed();
      }
    } catch (error) {
      this.#error = error;
    }
    this.#isLooking = false;
    this.#changed();
  };

  render() {
    const {text} = this.#filters.given, hits = this.#hits;
    return html`${trouble(this.#error)}
      ${hits.length || this.#isLooking || this.#next ? nothing : empty('No line has it', html`Nothing that is kept of what was printed has “${text}”.`)}
      <ol class="found">${hits.map(hit => html`<li>
        <a href="#/runs/${hit.run}?${new URLSearchParams({find: text})}"><span class="id">${hit.run}</span> ${hit.name ?? ''}</a>
        <code class=${hit.stream}>${marked(hit.line, text)}${hit.cut ? ' …' : ''}</code>
        <span class="age">${since(hit.at)}</span></li>`)}</ol>
      <p class="more" role="status">${this.#isLooking ? 'Looking …' : this.#next
        ? html`${plural(hits.length, 'line')}${this.#lookedBackTo ? `; looked back to ${moment(this.#lookedBackTo).slice(0, -4)}` : ''}.
          <button type="button" @click=${this.#look}>Go on</button>`
        : hits.length ? `${plural(hits.length, 'line')}: all that there are.` : nothing}</p>`;
  }
}

/** A line in which a text stands out; letters of ASCII are found in either case, as the daemon does. */
function marked(line, text) {
  const lower = said => said.replace(/[A-Z]/g, letter => letter.toLowerCase());
  const wanted = lower(text), there = lower(line), parts = [];
  let from = 0;
  for (let at = there.indexOf(wanted); at >= 0; at = there.indexOf(wanted, from)) {
    parts.push(line.slice(from, at), html`<mark>${line.slice(at, at + text.length)}</mark>`);
    from = at + text.length;
  }
  return [...parts, line.slice(from)].map(part => html`${part}`);
}
