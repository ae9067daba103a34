// The lines of a run's output, in pieces of a fixed number of lines: what a log shows a window of.
//
// Text comes in as it was printed, cut anywhere; the two streams keep a line of their own open each. Nothing is parsed
// before it is looked at: a line is its text and the style that it begins with.

import {PLAIN, styleAfter} from './ansi.js';
import {Folds} from './folds.js';

/** Lines of a chunk: the unit that a log puts into the page and takes out again. */
export const CHUNK_LINES = 128;
/** Lines that are kept; then the oldest go, a sixteenth at a time: the rows behind them are counted anew each time. */
export const LINES_MAX = 4_000_000;
/** An unfinished line that redraws itself is cut to its last states beyond this. */
const OPEN_CHARS_MAX = 65_536;

export class Lines {
  /** `{first, lines, version}`, `first` being the number of its first line. */
  chunks = [];
  /** Lines that there ever were, the page's own among them; the number of the next one. */
  count = 0;
  /** Those of them that were printed. */
  printed = 0;
  /** `{lines, bytes}` that were printed and are not kept by the daemon; `lines` is null where nobody counted. */
  missing = null;
  /** Groups of lines that can be folded away. */
  folds = new Folds();
  /** Characters that there ever were. */
  chars = 0;
  /** Lines whose text has changed since they were last drawn. */
  changed = new Set();
  #open = {stdout: null, stderr: null};
  #style = {stdout: PLAIN, stderr: PLAIN};
  /** Lines that were printed before the next one, missing ones among them. */
  #nth = 0;
  #max;

  constructor(max = LINES_MAX) {
    this.#max = max;
  }

  /** Some of the lines of others, from one up to before another, as they are now. */
  static of(lines, from, to) {
    const part = new Lines();
    for (let number = Math.max(from, lines.first); number < to; number += 1) {
      const line = part.#push({...lines.line(number)});
      if (!Lines.isPrinted(line)) continue;
      part.printed += 1;
      part.chars += line.text.length + 1;
      part.folds.take(line.number, line.text);
    }
    part.folds.finish(part.count);
    part.#nth = lines.line(to)?.nth ?? lines.nth;
    return part;
  }

  /** The number of the oldest line that is kept. */
  get first() {
    return this.chunks[0]?.first ?? this.count;
  }

  /** Adds what a stream printed. */
  output(stream, text, at) {
    this.chars += text.length;
    let from = 0;
    for (;;) {
      const end = text.indexOf('\n', from);
      if (end < 0) break;
      this.#extend(stream, text.slice(from, end), at);
      this.#close(stream);
      from = end + 1;
    }
    if (from < text.length) this.#extend(stream, text.slice(from), at);
  }

  /** Adds a line of the page's own, in its place; `kind` is the word for how it looks. */
  note(kind, text, at) {
    this.#push({kind, text, style: PLAIN, at, nth: this.#nth});
  }

  /** Something is missing here: ends what is open. `trimmed` is what is missing of the whole run, where that is known. */
  gap(trimmed) {
    const isWithin = this.#open.stdout || this.#open.stderr;
    this.finish();
    this.folds.finish(this.count);
    // A run may have several gaps, which say the same; what is missing counts where it is first told of.
    if (!trimmed || this.missing) return;
    this.missing = {lines: trimmed.lines ?? null, bytes: trimmed.bytes};
    // What follows the gap is the rest of a line that ends the last one that is missing.
    if (trimmed.lines) this.#nth += trimmed.lines - (isWithin ? 1 : 0);
  }

  /** Ends the lines that are open: what comes next is no part of them. */
  finish() {
    for (const stream of ['stdout', 'stderr']) {
      if (this.#open[stream]) this.#close(stream);
      this.#style[stream] = PLAIN;
    }
  }

  /** Whether a line may still change. */
  isOpen(line) {
    return this.#open.stdout === line || this.#open.stderr === line;
  }

  /** Lines that were printed, missing ones among them. */
  get nth() {
    return this.#nth;
  }

  /** Whether a command printed it: it counts, and is found; what the page says is not. */
  static isPrinted = ({kind}) => kind === 'stdout' || kind === 'stderr';

  /** The number of the line that was printed as the nth, from 1 on, or of the one behind it where that is missing. */
  numberOf(nth) {
    let [low, high] = [this.first, this.count];
    while (low < high) {
      const middle = (low + high) >> 1, line = this.line(middle);
      if (line.nth + (Lines.isPrinted(line) ? 1 : 0) < nth) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A line by its number; undefined for one that is not kept. */
  line(number) {
    const chunk = this.chunkOf(number);
    return chunk?.lines[number - chunk.first];
  }

  chunkOf(number) {
    return this.chunks[Math.floor((number - this.first) / CHUNK_LINES)];
  }

  #extend(stream, text, at) {
    const open = this.#open[stream];
    if (!open) {
      this.#open[stream] = this.#push({kind: stream, text, style: this.#style[stream], at, nth: this.#nth});
      this.#nth += 1;
      this.printed += 1;
      return;
    }
    open.text += text;
    if (open.text.length > OPEN_CHARS_MAX) shorten(open);
    this.changed.add(open);
  }

  #close(stream) {
    const line = this.#open[stream];
    this.#style[stream] = styleAfter(line.text, line.style);
    this.#open[stream] = null;
    this.folds.take(line.number, line.text);
  }

  #push(line) {
    line.number = this.count;
    let chunk = this.chunks.at(-1);
    if (!chunk || chunk.lines.length === CHUNK_LINES) {
      chunk = {first: this.count, lines: []};
      this.chunks.push(chunk);
      if (this.count - this.first >= this.#max) this.chunks.splice(0, Math.max(1, Math.floor(this.chunks.length / 16)));
    }
    chunk.lines.push(line);
    this.count += 1;
    return line;
  }
}

/** Forgets what a redrawn line looked like, but for its last whole state and the one it is in. */
function shorten(line) {
  const last = line.text.lastIndexOf('\r');
  const before = last > 0 ? line.text.lastIndexOf('\r', last - 1) : -1;
  if (before <= 0) return;
  line.style = styleAfter(line.text.slice(0, before), line.style);
  line.text = line.text.slice(before);
}
