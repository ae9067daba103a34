// Finds the lines that hold a text, a slice at a time, so that a million of them do not stop the page; and goes on with
// what is printed meanwhile.

import {plain} from './ansi.js';

/** How long one slice may take, in milliseconds. */
const SLICE_MS = 8;
/** Lines that are found at most. */
const HITS_MAX = 100_000;

export class Search {
  /** Numbers of the lines that were found, rising. */
  hits = [];
  /** Which of them is looked at; -1 before any is. */
  current = -1;
  #lines;
  #changed;
  #needle = '';
  #next = 0;
  #timer = 0;
  /** Lines that were looked at while they were unfinished. */
  #unfinished = new Set();

  constructor(lines, changed) {
    [this.#lines, this.#changed] = [lines, changed];
  }

  get isOn() {
    return this.#needle !== '';
  }

  get isDone() {
    return this.#next >= this.#lines.count || this.hits.length >= HITS_MAX;
  }

  /** Looks for another text; none for the empty one. */
  find(text) {
    [this.#needle, this.hits, this.current, this.#next] = [text.toLowerCase(), [], -1, this.#lines.first];
    this.#unfinished.clear();
    this.goOn();
    this.#changed();
  }

  /** Looks through what has come since. */
  goOn() {
    if (this.isOn && !this.#timer && (!this.isDone || this.#unfinished.size)) this.#timer = setTimeout(() => this.#slice(), 0);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #slice() {
    this.#timer = 0;
    const end = performance.now() + SLICE_MS;
    this.#next = Math.max(this.#next, this.#lines.first);
    while (!this.isDone && performance.now() < end) {
      for (const until = this.#next + 200; this.#next < until && !this.isDone; this.#next += 1) {
        const line = this.#lines.line(this.#next);
        if (!line) continue;
        if (this.#holds(line)) this.hits.push(this.#next);
        else if (this.#lines.isOpen(line)) this.#unfinished.add(line);
      }
    }
    this.#lookAgain();
    if (!this.isDone) this.goOn();
    this.#changed();
  }

  #lookAgain() {
    for (const line of this.#unfinished) {
      const isFound = this.#holds(line);
      if (isFound) this.#insert(line.number);
      if (isFound || !this.#lines.isOpen(line)) this.#unfinished.delete(line);
    }
  }

  #insert(number) {
    const after = this.hits.findIndex(hit => hit > number), at = after < 0 ? this.hits.length : after;
    this.hits.splice(at, 0, number);
    if (this.current >= at) this.current += 1;
  }

  #holds = line => this.ranges(plain(line.text)).length > 0;

  /** The number of the next line that was found, or the one before; from `line` on the first time. */
  step(by, line) {
    if (!this.hits.length) return null;
    if (this.current < 0) {
      const after = this.hits.findIndex(hit => hit >= line);
      this.current = by > 0 ? (after < 0 ? 0 : after) : (after < 0 ? this.hits.length : after) - 1;
    } else {
      this.current += by;
    }
    this.current = (this.current + this.hits.length) % this.hits.length;
    return this.hits[this.current];
  }

  /** Where in a text it stands: `[[start, end]]`. */
  ranges(text) {
    if (!this.isOn) return [];
    const lower = text.toLowerCase(), found = [];
    // A few letters grow when they are lowered; then nothing is marked rather than the wrong thing.
    if (lower.length !== text.length) return lower.includes(this.#needle) ? [[0, 0]] : [];
    for (let at = lower.indexOf(this.#needle); at >= 0 && found.length < 1_000;) {
      found.push([at, at + this.#needle.length]);
      at = lower.indexOf(this.#needle, at + this.#needle.length);
    }
    return found;
  }
}
