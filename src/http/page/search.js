// Finds the lines that hold a text, or fit an expression, a slice at a time, so that a million of them do not stop the
// page; and goes on with what is printed meanwhile. What the page itself says among the output is not looked at.

import {plain, SHOWN_CHARS_MAX} from './ansi.js';
import {Lines} from './lines.js';
import {firstNotBelow} from './rows.js';

/** How long one slice may take, in milliseconds. */
const SLICE_MS = 8;
/** An expression that takes this long for one line would stop the page. */
const LINE_MS_MAX = 250;
/** Places that are marked in one line. */
const RANGES_MAX = 1_000;

export class Search {
  /** Numbers of the lines that were found, rising. */
  hits = [];
  /** Which of them is looked at; -1 before any is. */
  current = -1;
  /** What is wrong with the expression. */
  error = '';
  /** Rises whenever `hits` became others, but for what came behind them. */
  version = 0;
  #lines;
  #changed;
  #needle = '';
  /** Of an expression; null where a text is looked for. */
  #expression = null;
  #next = 0;
  #timer = 0;
  /** Lines that were looked at while they were unfinished. */
  #unfinished = new Set();

  constructor(lines, changed) {
    [this.#lines, this.#changed] = [lines, changed];
  }

  get isOn() {
    return this.#needle !== '' && !this.error;
  }

  get isDone() {
    return this.#next >= this.#lines.count;
  }

  /** Looks for another text, whatever its case, or expression; none for the empty one. */
  find(text, isExpression = false) {
    [this.#needle, this.hits, this.current, this.#next] = [text.toLowerCase(), [], -1, this.#lines.first];
    [this.#expression, this.error] = [null, ''];
    if (isExpression && text) {
      this.#expression = compiled(text, 'giu') ?? compiled(text, 'gi', error => { this.error = error; });
    }
    this.#unfinished.clear();
    this.version += 1;
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

  /** Forgets lines that are not kept any more. */
  forget() {
    if (!(this.hits[0] < this.#lines.first)) return;
    const gone = firstNotBelow(this.hits, this.#lines.first);
    this.hits.splice(0, gone);
    this.current = Math.max(-1, this.current - gone);
    this.version += 1;
  }

  #slice() {
    this.#timer = 0;
    const end = performance.now() + SLICE_MS;
    this.#next = Math.max(this.#next, this.#lines.first);
    this.forget();
    while (this.isOn && !this.isDone && performance.now() < end) {
      // The clock is not asked for each line, unless a line may take long.
      const until = this.#next + (this.#expression ? 1 : 200);
      for (; this.#next < until && !this.isDone; this.#next += 1) {
        const line = this.#lines.line(this.#next);
        if (!line || !Lines.isPrinted(line)) continue;
        if (this.#holds(line)) this.hits.push(this.#next);
        else if (this.#lines.isOpen(line)) this.#unfinished.add(line);
      }
      if (this.#expression && performance.now() > end + LINE_MS_MAX) this.#giveUp();
    }
    this.#lookAgain();
    if (!this.isDone) this.goOn();
    this.#changed();
  }

  #giveUp() {
    this.error = 'this takes too long for a single line';
    [this.hits, this.current] = [[], -1];
    this.version += 1;
  }

  #lookAgain() {
    for (const line of this.#unfinished) {
      const isFound = this.#holds(line);
      if (isFound) this.#insert(line.number);
      if (isFound || !this.#lines.isOpen(line)) this.#unfinished.delete(line);
    }
  }

  #insert(number) {
    const at = firstNotBelow(this.hits, number);
    if (at < this.hits.length) this.version += 1;
    this.hits.splice(at, 0, number);
    if (this.current >= at) this.current += 1;
  }

  #holds({text}) {
    const seen = plain(text);
    if (!this.#expression) return seen.toLowerCase().includes(this.#needle);
    this.#expression.lastIndex = 0;
    return this.#expression.test(seen.slice(0, SHOWN_CHARS_MAX));
  }

  /** The number of the next line that was found, or the one before; from `line` on the first time. */
  step(by, line) {
    if (!this.hits.length) return null;
    if (this.current < 0) {
      const after = firstNotBelow(this.hits, line);
      this.current = by > 0 ? after % this.hits.length : after - 1;
    } else {
      this.current += by;
    }
    this.current = (this.current + this.hits.length) % this.hits.length;
    return this.hits[this.current];
  }

  /** Where in a text it stands: `[[start, end]]`. */
  ranges(text) {
    if (!this.isOn) return [];
    if (this.#expression) return this.#matches(text);
    const lower = text.toLowerCase(), found = [];
    // A few letters grow when they are lowered; then nothing is marked rather than the wrong thing.
    if (lower.length !== text.length) return [];
    for (let at = lower.indexOf(this.#needle); at >= 0 && found.length < RANGES_MAX;) {
      found.push([at, at + this.#needle.length]);
      at = lower.indexOf(this.#needle, at + this.#needle.length);
    }
    return found;
  }

  #matches(text) {
    const found = [];
    for (const match of text.matchAll(this.#expression)) {
      if (match[0]) found.push([match.index, match.index + match[0].length]);
      if (found.length >= RANGES_MAX) break;
    }
    return found;
  }
}

/** An expression; null for what is none, of which it tells what is wrong. The strict form knows letters of all scripts. */
function compiled(text, flags, tell = () => {}) {
  try {
    return new RegExp(text, flags);
  } catch (error) {
    tell(error.message.replace(/^.*?:\s*(?:\/.*\/[a-z]*:\s*)?/s, ''));
    return null;
  }
}
