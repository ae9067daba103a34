// A line of a log as elements. What a command printed goes in as text nodes alone; a style becomes one of a fixed set of
// classes, or a colour; a link is what `links.js` lets through.

import {plain, segments} from './ansi.js';
import {plural, stamp} from './format.js';
import {Lines} from './lines.js';
import {addresses, target} from './links.js';

export function element(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

/**
 * One line: its number, when, on which stream, what. `search` marks what it finds, `href` makes the address of a line of
 * its number, `group` begins with it, and `states` are classes of its own.
 */
export function drawnLine(line, {search = null, href = null, group = null, states = ''} = {}) {
  const row = element('div', `line ${line.kind}${states}`);
  const body = element('span', 'text');
  row.append(numbered(line, href), timed(line), marked(line), body);
  if (group) body.append(...opening(group, row));
  else fill(body, line, search);
  // As high as any other, and an empty line where it is copied.
  if (!body.hasChildNodes()) body.append(element('br', ''));
  return row;
}

function numbered(line, href) {
  const number = element(href ? 'a' : 'span', 'nr');
  if (!Lines.isPrinted(line)) return number;
  number.textContent = String(line.nth + 1);
  if (href) {
    number.href = href(line.nth + 1);
    number.tabIndex = -1;
  }
  return number;
}

function timed({at}) {
  const time = element('span', 'time');
  time.textContent = at ? stamp(at) : '';
  return time;
}

function marked({kind}) {
  const mark = element('span', 'mark');
  mark.textContent = kind === 'stderr' ? 'err' : '';
  return mark;
}

/** The first line of a group that can be folded. */
function opening(group, row) {
  row.classList.add('group');
  row.style.setProperty('--depth', String(Math.min(group.depth, 8)));
  const button = element('button', 'fold'), title = element('span', 'title');
  button.type = 'button';
  button.setAttribute('aria-expanded', String(!group.isClosed));
  title.textContent = plain(group.title) || 'Group';
  button.append(title);
  return [button];
}

function fill(body, line, search) {
  const parsed = segments(line.text, line.style), isPrinted = Lines.isPrinted(line);
  const text = parsed.segments.map(segment => segment.text).join('');
  const ranges = search?.isOn && isPrinted ? search.ranges(text) : [], links = isPrinted ? addresses(text) : [];
  let at = 0;
  for (const segment of parsed.segments) {
    for (const part of cutAt(segment.text, at, links)) body.append(...drawnPart(part, segment.style, ranges));
    at += segment.text.length;
  }
  if (parsed.hidden) {
    const more = element('span', 'more');
    more.textContent = ` … ${plural(parsed.hidden, 'more character')}, in the download`;
    body.append(more);
  }
}

/** A piece of one style, within a link or none. */
function drawnPart({text, start, range}, style, ranges) {
  const nodes = cutAt(text, start, ranges.map(([from, to]) => ({start: from, end: to})))
    .map(piece => drawnPiece(piece.text, style, piece.range !== null));
  const url = style.link ? target(style.link) : null, href = url?.href ?? range?.href;
  if (!href) return nodes;
  const link = element('a', url ? 'named' : '');
  Object.assign(link, {href, target: '_blank', rel: 'noopener noreferrer nofollow', referrerPolicy: 'no-referrer', title: href});
  link.append(...nodes);
  // Its text may say one thing and go elsewhere; so it says where.
  if (url) link.dataset.host = url.host;
  return [link];
}

/** A text that stands at an offset, cut where rising ranges begin and end: `[{text, start, range}]`, `range` or null. */
function cutAt(text, offset, ranges) {
  const cuts = [];
  let from = 0;
  for (const range of ranges) {
    const a = Math.max(from, range.start - offset), b = Math.min(text.length, range.end - offset);
    if (b <= a) continue;
    if (a > from) cuts.push({text: text.slice(from, a), start: offset + from, range: null});
    cuts.push({text: text.slice(a, b), start: offset + a, range});
    from = b;
  }
  if (from < text.length) cuts.push({text: text.slice(from), start: offset + from, range: null});
  return cuts;
}

function drawnPiece(text, style, isFound) {
  const look = lookOf(style);
  if (!look && !isFound) return document.createTextNode(text);
  const piece = element(isFound ? 'mark' : 'span', look?.className ?? '');
  for (const [name, value] of look?.colours ?? []) piece.style.setProperty(name, value);
  piece.textContent = text;
  return piece;
}

const looks = new WeakMap();

/** The classes and colours of a style; null for the plain one. */
function lookOf(style) {
  if (looks.has(style)) return looks.get(style);
  const names = ['bold', 'faint', 'italic', 'underline', 'strike'].filter(name => style[name]), colours = [];
  const [fg, bg] = style.inverse ? [style.bg ?? 'paper', style.fg ?? 'ink'] : [style.fg, style.bg];
  for (const [letter, colour] of [['f', fg], ['b', bg]]) {
    if (typeof colour === 'number' || colour === 'paper' || colour === 'ink') names.push(`${letter}-${colour}`);
    else if (colour) {
      names.push(`${letter}-own`);
      colours.push([`--${letter}`, colour]);
    }
  }
  const look = names.length ? {className: names.join(' '), colours} : null;
  looks.set(style, look);
  return look;
}
