// A window on any number of lines: only what is near the part that is looked at is in the page.
//
// Each chunk of lines is one element that keeps its height, measured or estimated, while it is empty; so the browser does
// the scrolling, and keeps the place itself when an estimate was wrong. All text goes in as text nodes.

import {segments} from './ansi.js';
import {clock, plural} from './format.js';
import {CHUNK_LINES} from './lines.js';

/** How far beyond what is seen lines are drawn, in heights of the window. */
const AHEAD = 1;
/** From where on they are taken out again. */
const FAR = 4;

export class LogView {
  #scroller;
  #rows = element('div', 'rows');
  #lines;
  #search;
  #views = [];
  #frame = 0;
  #lastTop = 0;
  #metrics = {line: 20, columns: 80};
  #isWrapped = false;
  #onFollow;
  #resize = new ResizeObserver(() => this.#measure());
  isFollowing = true;

  constructor(scroller, lines, search, onFollow) {
    [this.#scroller, this.#lines, this.#search, this.#onFollow] = [scroller, lines, search, onFollow];
    scroller.replaceChildren(this.#rows);
    scroller.classList.add('following');
    scroller.addEventListener('scroll', this.#scrolled, {passive: true});
    scroller.addEventListener('keydown', this.#pressed);
    this.#resize.observe(scroller);
    lines.changed.clear();
    this.#measure();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#resize.disconnect();
    this.#scroller.removeEventListener('scroll', this.#scrolled);
    this.#scroller.removeEventListener('keydown', this.#pressed);
    this.#scroller.replaceChildren();
  }

  /** Draws what has changed, with the next frame. */
  update() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Keeps the newest line in view, or stays. */
  follow(wanted) {
    if (wanted !== this.isFollowing) {
      this.isFollowing = wanted;
      this.#scroller.classList.toggle('following', wanted);
      this.#onFollow(wanted);
    }
    if (wanted) this.update();
  }

  /** Breaks long lines, or lets them run on to the right. */
  wrap(wanted) {
    this.#isWrapped = wanted;
    this.#scroller.classList.toggle('wrap', wanted);
    this.#measure();
  }

  /** Shows or hides when each line was printed. */
  times(wanted) {
    this.#scroller.classList.toggle('times', wanted);
    this.#measure();
  }

  /** Draws everything that is drawn again: what is searched for has changed. */
  redraw() {
    for (const view of this.#views) if (view.drawn) this.#empty(view);
    this.update();
  }

  /** The number of the first line that is seen. */
  get topLine() {
    let y = 0;
    for (const view of this.#views) {
      if (y + view.height > this.#scroller.scrollTop) {
        return view.chunk.first + Math.floor((this.#scroller.scrollTop - y) / Math.max(1, view.height) * view.chunk.lines.length);
      }
      y += view.height;
    }
    return this.#lines.count;
  }

  /** Brings a line into view. */
  show(number) {
    this.follow(false);
    this.#align();
    const at = Math.floor((number - this.#lines.first) / CHUNK_LINES), view = this.#views[at];
    if (!view) return;
    this.#fill(view);
    const line = view.element.children[number - view.chunk.first];
    this.#scroller.scrollTop = line.offsetTop - this.#scroller.clientHeight / 2;
    this.redraw();
    // What is drawn around it may be higher or lower than was thought.
    cancelAnimationFrame(this.#frame);
    this.#draw();
    const drawn = view.element.children[number - view.chunk.first];
    if (drawn) this.#scroller.scrollTop = drawn.offsetTop - this.#scroller.clientHeight / 2;
  }

  #scrolled = () => {
    const {scrollTop, scrollHeight, clientHeight} = this.#scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    if (left <= 2) this.follow(true);
    else if (scrollTop < this.#lastTop - 1) this.follow(false);
    this.#lastTop = scrollTop;
    this.update();
  };

  /** To the ends at once: a browser would glide there, past all that it then has to draw. */
  #pressed = event => {
    if (event.altKey || event.shiftKey || !['Home', 'End'].includes(event.key)) return;
    event.preventDefault();
    this.follow(event.key === 'End');
    if (event.key === 'Home') this.#scroller.scrollTop = 0;
  };

  /** Learns how high a line is and how many characters fit; every estimate is made again. */
  #measure() {
    const probe = drawnLine({kind: 'stdout', text: 'M'.repeat(100), style: {}, at: null}, null);
    this.#rows.append(probe);
    const text = probe.querySelector('.text');
    text.style.whiteSpace = 'pre';
    const character = text.getBoundingClientRect().width / 100;
    const indent = text.getBoundingClientRect().left - this.#rows.getBoundingClientRect().left;
    const line = parseFloat(getComputedStyle(probe).lineHeight) || 20;
    probe.remove();
    const room = this.#scroller.clientWidth - indent - 16;
    this.#metrics = {line, columns: Math.max(10, Math.floor(room / Math.max(1, character)))};
    for (const view of this.#views) {
      view.counted = -1;
      if (view.drawn) view.height = view.element.getBoundingClientRect().height;
    }
    this.update();
  }

  #draw() {
    this.#frame = 0;
    this.#align();
    this.#redrawChanged();
    // Each pass may show that what was drawn is higher or lower than was thought; then there is more or less to draw.
    for (let pass = 0; pass < 4; pass += 1) {
      this.#toEnd();
      if (!this.#fillWindow()) break;
    }
    this.#toEnd();
  }

  #toEnd() {
    if (!this.isFollowing) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#lastTop = this.#scroller.scrollTop;
  }

  /** One element for each chunk that there is. */
  #align() {
    const chunks = this.#lines.chunks;
    while (this.#views.length && this.#views[0].chunk !== chunks[0]) this.#views.shift().element.remove();
    for (const chunk of chunks.slice(this.#views.length)) {
      const view = {chunk, element: element('div', 'chunk'), drawn: 0, counted: -1, height: 0};
      this.#rows.append(view.element);
      this.#views.push(view);
    }
    for (const view of this.#views) {
      if (!view.drawn && view.counted !== view.chunk.lines.length) this.#estimate(view);
    }
  }

  #estimate(view) {
    const {line, columns} = this.#metrics, {lines} = view.chunk;
    const rows = this.#isWrapped ? ({text}) => Math.max(1, Math.ceil(Math.min(text.length, 16_384) / columns)) : () => 1;
    view.height = line * lines.reduce((sum, one) => sum + rows(one), 0);
    view.counted = lines.length;
    view.element.style.height = `${view.height}px`;
  }

  #redrawChanged() {
    for (const line of this.#lines.changed) {
      const view = this.#views[Math.floor((line.number - this.#lines.first) / CHUNK_LINES)];
      const old = view?.element.children[line.number - view.chunk.first];
      old?.replaceWith(this.#drawn(line));
    }
    this.#lines.changed.clear();
  }

  /** Draws what is near, takes out what is far; answers whether anything turned out to be of another height. */
  #fillWindow() {
    const {scrollTop, clientHeight} = this.#scroller;
    const near = AHEAD * clientHeight, far = FAR * clientHeight, filled = [];
    let y = 0;
    for (const view of this.#views) {
      const distance = Math.max(scrollTop - (y + view.height), y - (scrollTop + clientHeight));
      y += view.height;
      if (distance <= near) {
        if (view.drawn < view.chunk.lines.length) filled.push(view);
      } else if (distance > far && view.drawn) {
        this.#empty(view);
      }
    }
    for (const view of filled) this.#fill(view);
    let isOther = false;
    for (const view of filled) {
      const {height} = view.element.getBoundingClientRect();
      isOther ||= Math.abs(height - view.height) > 1;
      view.height = height;
    }
    return isOther;
  }

  #fill(view) {
    const {lines} = view.chunk;
    view.element.style.height = '';
    view.element.append(...lines.slice(view.drawn).map(line => this.#drawn(line)));
    [view.drawn, view.counted] = [lines.length, lines.length];
  }

  #empty(view) {
    view.height = view.element.getBoundingClientRect().height || view.height;
    view.element.style.height = `${view.height}px`;
    view.element.replaceChildren();
    view.drawn = 0;
  }

  #drawn(line) {
    const isCurrent = this.#search.hits[this.#search.current] === line.number;
    return drawnLine(line, this.#search, isCurrent);
  }
}

function element(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

/** One line: when, on which stream, what. */
function drawnLine(line, search, isCurrent = false) {
  const row = element('div', `line ${line.kind}${isCurrent ? ' current' : ''}`);
  const time = element('span', 'time');
  time.textContent = line.at ? clock(line.at) : '';
  const mark = element('span', 'mark');
  mark.textContent = line.kind === 'stderr' ? 'err' : '';
  const body = element('span', 'text');
  row.append(time, mark, body);
  const parsed = segments(line.text, line.style);
  const ranges = search?.isOn ? search.ranges(parsed.segments.map(segment => segment.text).join('')) : [];
  let at = 0;
  for (const {text, style} of parsed.segments) {
    body.append(...pieces(text, at, ranges).map(piece => drawnPiece(piece, style)));
    at += text.length;
  }
  if (parsed.hidden) {
    const more = element('span', 'more');
    more.textContent = ` … ${plural(parsed.hidden, 'more character')}, in the download`;
    body.append(more);
  }
  // An empty line is as high as any other, and is copied as one.
  if (!body.hasChildNodes()) body.append('\u200b');
  return row;
}

/** A text cut where what is searched for begins and ends. */
function pieces(text, offset, ranges) {
  const cuts = [];
  let from = 0;
  for (const [start, end] of ranges) {
    const a = Math.max(from, start - offset), b = Math.min(text.length, end - offset);
    if (b <= a) continue;
    if (a > from) cuts.push({text: text.slice(from, a), isFound: false});
    cuts.push({text: text.slice(a, b), isFound: true});
    from = b;
  }
  if (from < text.length) cuts.push({text: text.slice(from), isFound: false});
  return cuts;
}

function drawnPiece({text, isFound}, style) {
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
