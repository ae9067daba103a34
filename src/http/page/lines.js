// The lines of a run's output, in pieces of a fixed number of lines: what a log shows a window of.
//
// Text comes in as it was printed, cut anywhere; the two streams keep a line of their own open each. Nothing is parsed
// before it is looked at: a line is its text and the style that it begins with.

import {PLAIN, styleAfter} from './ansi.js';

/** Lines of a chunk: the unit that a log puts into the page and takes out again. */
export const CHUNK_LINES = 128;
/** Lines that are kept; then the oldest go, a chunk at a time. */
export const LINES_MAX = 1_000_000;
/** An unfinished line that redraws itself is cut to its last states beyond this. */
const OPEN_CHARS_MAX = 65_536;

export class Lines {
  /** `{first, lines, version}`, `first` being the number of its first line. */
  chunks = [];
  /** Lines that there ever were; the number of the next one. */
  count = 0;
  /** Characters that there ever were. */
  chars = 0;
  /** Lines whose text has changed since they were last drawn. */
  changed = new Set();
  #open = {stdout: null, stderr: null};
  #style = {stdout: PLAIN, stderr: PLAIN};
  #max;

  constructor(max = LINES_MAX) {
    this.#max = max;
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
    this.#push({kind, text, style: PLAIN, at});
  }

  /** Ends the lines that are open: what comes next is of another attempt. */
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
      this.#open[stream] = this.#push({kind: stream, text, style: this.#style[stream], at});
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
  }

  #push(line) {
    line.number = this.count;
    let chunk = this.chunks.at(-1);
    if (!chunk || chunk.lines.length === CHUNK_LINES) {
      chunk = {first: this.count, lines: []};
      this.chunks.push(chunk);
      if (this.count - this.first >= this.#max) this.chunks.shift();
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
