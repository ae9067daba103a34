// A long list of rows that are all as high, of which those that are seen are in the page, and some on either side. What is
// not there takes up its room, so that nothing else knows of it; a row that has the focus stays. A short list is there
// as a whole, also for the browser's own search.

import {html} from './html.js';
import {repeat} from './vendor/lit-html/directives/repeat.js';

/** A list of up to so many rows is in the page as a whole. */
const WHOLE = 200;
/** Rows that are there on either side of what is seen. */
const BESIDE = 30;
/** Rows on paper. */
const PRINTED = 1_000;

export class LongList {
  #place = null;
  #changed;
  #first = 0;
  #last = WHOLE;
  #height = 40;
  #isPrinted = false;
  #focused = null;

  /** `selector` finds the list in the page; `changed` has it described again. */
  constructor(selector, changed) {
    [this.selector, this.#changed] = [selector, changed];
  }

  enter() {
    addEventListener('scroll', this.#look, {passive: true});
    addEventListener('resize', this.#resized);
    addEventListener('beforeprint', this.#print);
    addEventListener('afterprint', this.#print);
  }

  leave() {
    removeEventListener('scroll', this.#look);
    removeEventListener('resize', this.#resized);
    removeEventListener('beforeprint', this.#print);
    removeEventListener('afterprint', this.#print);
  }

  /** The rows of these ids; `row` describes one, with the attributes of its place in the list. */
  describe(ids, row, isAll) {
    const parts = this.#parts(ids);
    let from = 0;
    const items = parts.flatMap(([first, end]) => {
      const before = first > from ? [{room: first - from, key: `room ${from === 0}`}] : [];
      from = end;
      return [...before, ...ids.slice(first, end).map((id, nth) => ({id, key: id, place: first + nth + 1}))];
    });
    if (from < ids.length) items.push({room: ids.length - from, key: 'room after'});
    const size = isAll ? ids.length : -1;
    return repeat(items, item => item.key, item => (item.room
      ? html`<li class="room" aria-hidden="true" .style=${`height:${item.room * this.#height}px`}></li>` : row(item.id, item.place, size)));
  }

  /** Learns where the list is and how high a row is. */
  rendered(root) {
    this.#place = root.querySelector(this.selector);
    // A row that is moved in the page loses it.
    if (this.#focused?.isConnected && document.activeElement === document.body) this.#focused.focus({preventScroll: true});
    this.#focused = null;
    const [one, other] = this.#place?.querySelectorAll(':scope > li[data-id]') ?? [];
    const height = other && other.getBoundingClientRect().top - one.getBoundingClientRect().top;
    // The first two are neighbours unless a row is kept for its focus.
    if (height > 0 && height < 500 && other.previousElementSibling === one) this.#height = height;
    this.#look();
  }

  /** What is in the page, as pairs of the first and the one after the last. */
  #parts(ids) {
    if (ids.length <= WHOLE) return [[0, ids.length]];
    if (this.#isPrinted) return [[0, Math.min(ids.length, PRINTED)]];
    const first = Math.min(this.#first, Math.max(0, ids.length - 1)), end = Math.min(ids.length, Math.max(this.#last, first + 1));
    const row = document.activeElement?.closest(`${this.selector} > li[data-id]`);
    const at = row ? ids.indexOf(Number(row.dataset.id)) : -1;
    this.#focused = row && document.activeElement;
    const parts = [[first, end]];
    if (at >= 0 && at < first) parts.unshift([at, at + 1]);
    if (at >= end) parts.push([at, at + 1]);
    return parts;
  }

  #look = () => {
    if (!this.#place?.isConnected) return;
    const above = -this.#place.getBoundingClientRect().top / this.#height, seen = innerHeight / this.#height;
    // A step at a time: not each line that one scrolls changes the page.
    const first = Math.max(0, Math.floor((above - BESIDE) / 10) * 10), last = Math.ceil((above + seen + BESIDE) / 10) * 10;
    if (first === this.#first && last === this.#last) return;
    [this.#first, this.#last] = [first, last];
    this.#changed();
  };

  /** Rows may be higher in another window. */
  #resized = () => this.#changed();

  #print = event => {
    this.#isPrinted = event.type === 'beforeprint';
    this.#changed(this.#isPrinted);
  };
}

/** Whether somebody reads or works in the list at this selector: then nothing in it comes or goes by itself. */
export function isInUse(selector) {
  const list = document.querySelector(selector);
  return scrollY >= 40 || Boolean(list?.matches(':hover, :focus-within'));
}
