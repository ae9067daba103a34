// A line of output, as a terminal would leave it: styles, carriage returns, backspaces and erasures; and nothing else.
//
// What comes in is hostile. What goes out is text with one of a bounded set of styles, and what a terminal would make a
// link names its target, for `links.js` to judge: no title and no sequence of any other kind survives. Every expression here is bounded, so that no line makes it slow.

/** A style: colours are 0 to 15, or 'rgb(r g b)', or null for the page's own. */
export const PLAIN = Object.freeze({
  fg: null, bg: null, bold: false, faint: false, italic: false, underline: false, strike: false, inverse: false, link: null,
});

/** Characters of a line that are shown; what is beyond lies in the download. */
export const SHOWN_CHARS_MAX = 16_384;
/** The last column that a sequence can go to. */
const COLUMN_MAX = 512;
/** Characters of a line that are read where it is more than text, so that a line of nothing but sequences costs little. */
const READ_CHARS_MAX = 262_144;

// What makes a line more than text. A tab is text.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/;
const NEXT_CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
// Escape sequences, from where they begin: ESC [ … final; ESC ] … ST and its kin; ESC and one character.
const CSI = /(?:\x1b\[|\x9b)([0-?]{0,256})[ -/]{0,8}([@-~])/y;
const STRING = /(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)/y;
const SHORT = /\x1b[ -/]{0,8}[0-Z\\`-~]/y;
// A link begins, or ends where it has no target: OSC 8 ; PARAMETERS ; TARGET ST.
const LINK = /^(?:\x1b\]|\x9d)8;[^;]*;(.*?)(?:\x07|\x1b\\|\x9c)$/s;
// Sequences, cut off where the line ends: the rest may still come.
const CUT = /(?:(?:\x1b\[|\x9b)[0-?]{0,256}[ -/]{0,8}|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}\x1b?|\x1b[ -/]{0,8})$/y;
const GRAPHICS = /(?:\x1b\[|\x9b)([\d;:]{0,256})m/g;

/** The style that a line leaves behind for the next one of its stream. */
export function styleAfter(text, style) {
  if (!CONTROL.test(text)) return style;
  for (const [, parameters] of text.matchAll(GRAPHICS)) style = restyled(style, parameters);
  return style;
}

/** The line as plain text, for searching. */
export function plain(text) {
  return CONTROL.test(text) ? segments(text, PLAIN).segments.map(segment => segment.text).join('') : text;
}

/** The line as pieces of one style each: `{segments: [{text, style}], hidden}`; `hidden` counts what is not shown. */
export function segments(text, style) {
  if (!CONTROL.test(text)) {
    const shown = text.length > SHOWN_CHARS_MAX ? text.slice(0, SHOWN_CHARS_MAX) : text;
    return {segments: shown ? [{text: shown, style}] : [], hidden: text.length - shown.length};
  }
  const row = new Row();
  if (text.length > READ_CHARS_MAX) {
    row.hidden = text.length - READ_CHARS_MAX;
    text = text.slice(0, READ_CHARS_MAX);
  }
  let at = 0, link = null, linked = style;
  while (at < text.length) {
    NEXT_CONTROL.lastIndex = at;
    const control = NEXT_CONTROL.exec(text)?.index ?? text.length;
    if (control > at) row.write(text.slice(at, control), linked);
    at = control;
    if (at === text.length) break;
    const code = text.charCodeAt(at);
    if (code !== 0x1b && code < 0x80) {
      row.control(code, linked);
      at += 1;
      continue;
    }
    const sequence = match(CSI, text, at);
    if (sequence?.[2] === 'm') style = restyled(style, sequence[1]);
    else if (sequence) row.move(sequence[2], sequence[1]);
    const string = sequence ? null : match(STRING, text, at), target = string && LINK.exec(string[0]);
    if (target) link = target[1] || null;
    linked = link ? {...style, link} : style;
    // Whatever is none of these loses its first character alone: it cannot hide what follows.
    at += (sequence ?? string ?? match(SHORT, text, at) ?? match(CUT, text, at) ?? ' ')[0].length;
  }
  return {segments: row.segments(), hidden: row.hidden};
}

function match(sticky, text, at) {
  sticky.lastIndex = at;
  return sticky.exec(text);
}

/** One row of cells with a cursor, a character and its style in each. */
class Row {
  #characters = [];
  #styles = [];
  #column = 0;
  hidden = 0;

  write(text, style) {
    const room = SHOWN_CHARS_MAX - this.#column;
    if (text.length > room) {
      this.hidden += text.length - Math.max(0, room);
      text = text.slice(0, Math.max(0, room));
    }
    for (const character of text) this.#put(character, style);
  }

  control(code, style) {
    if (code === 0x0d) this.#column = 0;
    else if (code === 0x08) this.#column = Math.max(0, this.#column - 1);
    // A bell, and the padding of old terminals, are nothing to see; the others are shown as what they are.
    else if (code === 0x7f) this.write('\u2421', style);
    else if (code !== 0x07) this.write(String.fromCharCode(0x2400 + code), style);
  }

  /** Moves along the row, and erasures in it; what moves elsewhere has no meaning in a log. */
  move(final, parameters) {
    const count = Math.min(Number(/^\d{1,9}/.exec(parameters)?.[0] ?? 0), COLUMN_MAX);
    if (final === 'C') this.#column = Math.max(this.#column, Math.min(this.#column + Math.max(1, count), COLUMN_MAX));
    else if (final === 'D') this.#column = Math.max(0, this.#column - Math.max(1, count));
    else if (final === 'G') this.#column = Math.max(0, count - 1);
    else if (final === 'P') this.#cut(this.#column, Math.max(1, count));
    else if (final === 'K' && count === 0) this.#cut(this.#column, Infinity);
    else if (final === 'K' && count === 1) this.#blank(this.#column + 1);
    else if (final === 'K' && count === 2) this.#cut(0, Infinity);
  }

  segments() {
    const found = [];
    for (const [at, character] of this.#characters.entries()) {
      const style = this.#styles[at], last = found.at(-1);
      if (last?.style === style) last.text += character;
      else found.push({text: character, style});
    }
    return found;
  }

  #put(character, style) {
    while (this.#characters.length < this.#column) {
      this.#characters.push(' ');
      this.#styles.push(PLAIN);
    }
    this.#characters[this.#column] = character;
    this.#styles[this.#column] = style;
    this.#column += 1;
  }

  #cut(from, count) {
    this.#characters.splice(from, count);
    this.#styles.splice(from, count);
  }

  #blank(until) {
    const end = Math.min(until, this.#characters.length);
    this.#characters.fill(' ', 0, end);
    this.#styles.fill(PLAIN, 0, end);
  }
}

const OFF = {
  22: {bold: false, faint: false}, 23: {italic: false}, 24: {underline: false}, 27: {inverse: false},
  29: {strike: false}, 39: {fg: null}, 49: {bg: null},
};
const ON = {
  1: {bold: true}, 2: {faint: true}, 3: {italic: true}, 4: {underline: true}, 7: {inverse: true}, 9: {strike: true},
  21: {underline: true},
};

/** The style after a sequence of graphics, by ECMA-48 8.3.117 and, for the colours, ITU T.416. */
function restyled(style, parameters) {
  if (/[<=>?]/.test(parameters)) return style;
  const codes = parameters.split(';');
  for (let at = 0; at < codes.length; at += 1) {
    const [code, ...rest] = codes[at].split(':').map(Number);
    if (code === 0) style = PLAIN;
    else if (code === 38 || code === 48) {
      // With colons a colour is one parameter, with semicolons it is the three or five that come next.
      const taken = rest.length ? 0 : codes[at + 1] === '5' ? 2 : codes[at + 1] === '2' ? 4 : 1;
      const colour = extended(rest.length ? rest : codes.slice(at + 1, at + 1 + taken).map(Number));
      if (colour !== undefined) style = {...style, [code === 38 ? 'fg' : 'bg']: colour};
      at += taken;
    } else if (code === 4 && rest[0] === 0) style = {...style, underline: false};
    else if (code >= 30 && code <= 37) style = {...style, fg: code - 30};
    else if (code >= 40 && code <= 47) style = {...style, bg: code - 40};
    else if (code >= 90 && code <= 97) style = {...style, fg: code - 82};
    else if (code >= 100 && code <= 107) style = {...style, bg: code - 92};
    else if (ON[code] ?? OFF[code]) style = {...style, ...(ON[code] ?? OFF[code])};
  }
  return style;
}

/** Of `[5, n]`, `[2, r, g, b]` or `[2, space, r, g, b]`; undefined for what is no colour. */
function extended([kind, ...values]) {
  const isByte = value => Number.isInteger(value) && value >= 0 && value <= 255;
  if (kind === 5 && isByte(values[0])) return ofPalette(values[0]);
  const rgb = values.slice(values.length > 3 ? 1 : 0).slice(0, 3);
  return kind === 2 && rgb.length === 3 && rgb.every(isByte) ? `rgb(${rgb.join(' ')})` : undefined;
}

/** The 256 colours: 16 of the page's, a cube of six steps a side, 24 greys. */
function ofPalette(index) {
  if (index < 16) return index;
  if (index >= 232) return `rgb(${Array(3).fill(8 + 10 * (index - 232)).join(' ')})`;
  const step = value => (value ? 55 + 40 * value : 0);
  const cube = index - 16;
  return `rgb(${step(Math.floor(cube / 36))} ${step(Math.floor(cube / 6) % 6)} ${step(cube % 6)})`;
}
