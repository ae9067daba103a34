// A window on any number of lines: only the rows near the part that is looked at are in the page.
//
// What stands at the top of the window is known as a line and an offset in it, and all else follows from that: the rows
// around it are one block, which is put where that line belongs. So nothing jumps when rows come, go, or turn out to be
// higher than was thought, whether a browser keeps the place itself or not; and the element that is scrolled need not be
// as high as all rows are (see `heights.js`).

import {plain} from './ansi.js';
import {drawnLine, element} from './drawn.js';
import {Heights} from './heights.js';
import {Lines} from './lines.js';
import {Rows} from './rows.js';

/** How far beyond what is seen rows are drawn, in heights of the window. */
const AHEAD = 1;
/** Rows that stay drawn beyond that, as many times as there are others. */
const SPARE = 2;
/** The same while some of the text is selected: what is selected stays. */
const HELD_ROWS_MAX = 5_000;
/** Pixels above and below all rows; `log.css` says the same. */
const PADDING = 12;
/** A scroll bar is put right when nothing has moved for so many milliseconds. */
const REST_MS = 150;
/** Characters that are copied at once. */
export const COPY_CHARS_MAX = 32 * 1_024 * 1_024;

export class LogView {
  #scroller;
  #canvas = element('div', 'rows');
  #block = element('div', 'block');
  #lines;
  #search;
  #rows;
  #heights;
  #on;
  #frame = 0;
  #rest = 0;
  /** What stands at the top. */
  #anchor = {number: 0, offset: 0};
  /** The rows that are drawn, from one up to before the other, and where they stand. */
  #from = 0;
  #to = 0;
  #top = 0;
  #version = -1;
  #lastScrolled = 0;
  /** Whether it has no room in the page: another part of the run is looked at. */
  #isAway = false;
  #isTouched = false;
  #isWrapped = false;
  #line = 20;
  #linked = null;
  #listeners = new AbortController();
  #resize = new ResizeObserver(() => this.#resized());
  isFollowing = true;

  /** `on` has `changed()`, when it follows or no longer does, or something was folded; `href(nth)`, and `link(nth, isMore)`. */
  constructor(scroller, lines, search, on) {
    [this.#scroller, this.#lines, this.#search, this.#on] = [scroller, lines, search, on];
    this.#rows = new Rows(lines, search, lines.folds);
    this.#heights = new Heights(row => this.#rows.line(row)?.text.length ?? 0);
    this.#canvas.append(this.#block);
    scroller.replaceChildren(this.#canvas);
    const {signal} = this.#listeners, listen = (to, name, heard) => to.addEventListener(name, heard, {signal, passive: name === 'scroll'});
    listen(scroller, 'scroll', this.#scrolled);
    listen(scroller, 'keydown', this.#pressed);
    listen(scroller, 'click', this.#clicked);
    listen(scroller, 'copy', this.#copied);
    for (const name of ['touchstart', 'touchend', 'touchcancel']) listen(scroller, name, () => { this.#isTouched = name === 'touchstart'; });
    this.#resize.observe(scroller);
    lines.changed.clear();
    this.#measure();
  }

  /** The element that it is in. */
  get place() {
    return this.#scroller;
  }

  close() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#rest);
    this.#resize.disconnect();
    this.#listeners.abort();
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
      this.#on.changed();
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

  /** Shows only what is found, or all. */
  filter(wanted) {
    this.#rows.isFiltered = wanted;
    this.redraw();
  }

  /** Folds all groups, or unfolds them. */
  fold(wanted) {
    this.#lines.folds.all(wanted);
    this.redraw();
  }

  /** Draws everything that is drawn again: what is searched for has changed. */
  redraw() {
    this.#clear();
    this.update();
  }

  /** The number of the first line that is seen. */
  get topLine() {
    return this.#anchor.number;
  }

  /** Marks the lines that a link is to, by how many were printed before; brings them into view. Null marks none. */
  link(range, isShown = true) {
    this.#linked = range;
    if (range && isShown) this.show(this.#lines.numberOf(range.from));
    else this.redraw();
  }

  /** Brings a line into view. */
  show(number) {
    this.#lines.folds.reveal(number);
    this.#learn();
    this.#clear();
    this.#go({number, offset: (this.#line - this.#window) / 2});
  }

  /** To the first line. */
  toStart() {
    this.#learn();
    if (this.#rows.count) this.#go({number: this.#rows.number(0), offset: 0});
  }

  /** Over so many lines. */
  scroll(lines) {
    this.#scroller.scrollTop += lines * this.#line;
  }

  /** The lines that are shown and were printed, `{text, count}`, each as `read` makes it of what came. */
  text(read, charsMax = Infinity) {
    const texts = [];
    for (let row = 0, chars = 0; row < this.#rows.count && chars < charsMax; row += 1) {
      const line = this.#rows.line(row);
      if (!line || !Lines.isPrinted(line)) continue;
      texts.push(`${read(line.text)}\n`);
      chars += line.text.length;
    }
    return {text: texts.join(''), count: texts.length};
  }

  get #window() {
    return this.#scroller.clientHeight - PADDING;
  }

  #go(anchor) {
    this.follow(false);
    this.#anchor = anchor;
    const at = {row: this.#rows.row(anchor.number), offset: anchor.offset};
    this.#scrollTo(this.#heights.scrollFor(at, this.#window));
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  #scrollTo(y) {
    if (Math.abs(this.#scroller.scrollTop - y) >= 1) this.#scroller.scrollTop = y;
    this.#lastScrolled = this.#scroller.scrollTop;
  }

  #scrolled = () => {
    const {scrollTop, scrollHeight, clientHeight} = this.#scroller;
    // What this did itself is no news, and what a browser does to an element that is not shown is none either.
    if (this.#isAway || !clientHeight || Math.abs(scrollTop - this.#lastScrolled) < 1) return;
    const isUp = scrollTop < this.#lastScrolled;
    this.#lastScrolled = scrollTop;
    this.#anchor = this.#seenAt(scrollTop);
    if (scrollHeight - scrollTop - clientHeight <= 2) this.follow(true);
    else if (isUp) this.follow(false);
    this.update();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#settle(), REST_MS);
  };

  /** What stands where one has scrolled to: a row that is drawn, or where it is thought to be. */
  #seenAt(scrolled) {
    const y = scrolled - this.#top, {children} = this.#block;
    if (y >= 0 && this.#to > this.#from && y < this.#blockHeight) {
      let at = Math.floor(y / this.#line);
      if (this.#isWrapped) at = lastAbove(children, y);
      at = Math.min(at, children.length - 1);
      return {number: this.#rows.number(this.#from + at), offset: y - this.#topOf(at)};
    }
    const {row, offset} = this.#heights.seenAt(scrolled, this.#window);
    return {number: this.#rows.number(row) ?? 0, offset};
  }

  #topOf = at => (this.#isWrapped ? this.#block.children[at].offsetTop : at * this.#line);

  get #blockHeight() {
    return this.#isWrapped ? this.#block.offsetHeight : (this.#to - this.#from) * this.#line;
  }

  /** Puts the scroll bar where it belongs: on the way rows were as high as they are, not as was thought. */
  #settle() {
    if (this.isFollowing || this.#isTouched || this.#isAway || this.#from === 0 || this.#to === this.#rows.count) return;
    // It has moved on, of which the browser is about to tell.
    if (Math.abs(this.#scroller.scrollTop - this.#lastScrolled) >= 1) return;
    const at = {row: this.#rows.row(this.#anchor.number), offset: this.#anchor.offset};
    const scrolled = this.#heights.scrollFor(at, this.#window), by = scrolled - this.#scroller.scrollTop;
    if (Math.abs(by) < 1) return;
    this.#put(this.#top + by);
    this.#scrollTo(scrolled);
  }

  #resized() {
    const wasAway = this.#isAway;
    this.#isAway = !this.#scroller.clientHeight;
    if (this.#isAway) return;
    this.#measure();
    if (wasAway && !this.isFollowing) this.#go(this.#anchor);
  }

  /** Learns how high a line is and how many characters fit; every estimate is made again. */
  #measure() {
    if (!this.#scroller.clientWidth) return;
    const probe = drawnLine({kind: 'stdout', text: 'M'.repeat(100), style: {}, at: null, nth: 9_999}, {states: ' probe'});
    this.#canvas.append(probe);
    // Of the letters: the box that they are in may be as wide as the window.
    const letters = document.createRange();
    letters.selectNodeContents(probe.querySelector('.text'));
    const {width, left} = letters.getBoundingClientRect();
    this.#line = probe.getBoundingClientRect().height || 20;
    const room = this.#scroller.clientWidth - (left - this.#canvas.getBoundingClientRect().left) - 16;
    probe.remove();
    this.#heights.measure(this.#line, this.#isWrapped ? Math.max(10, Math.floor(room / Math.max(1, width / 100))) : Infinity);
    this.redraw();
  }

  #draw() {
    this.#frame = 0;
    if (this.#window <= 0) return;
    // A browser tells of it later than it scrolls; what is drawn for where it was would hide that.
    this.#scrolled();
    this.#learn();
    this.#redrawChanged();
    this.#block.style.setProperty('--digits', String(String(this.#lines.nth).length));
    if (this.isFollowing) this.#drawEnd();
    else this.#drawAnchor();
  }

  #learn() {
    this.#rows.update();
    if (this.#version !== this.#rows.version) {
      this.#version = this.#rows.version;
      this.#clear();
      this.#heights.reset();
    }
    this.#heights.grow(this.#rows.count);
  }

  #clear() {
    this.#block.replaceChildren();
    [this.#from, this.#to] = [0, 0];
  }

  #redrawChanged() {
    for (const line of this.#lines.changed) {
      const row = this.#rows.row(line.number), old = this.#block.children[row - this.#from];
      if (old && row >= this.#from && this.#rows.number(row) === line.number) old.replaceWith(this.#drawn(line));
    }
    this.#lines.changed.clear();
  }

  #drawEnd() {
    const {count} = this.#rows, window = this.#window;
    let from = this.#heights.at(this.#heights.total - (1 + AHEAD) * window).row;
    this.#fill(from, count);
    while (from > 0 && this.#blockHeight < window) {
      from = Math.max(0, from - 50);
      this.#fill(from, count);
    }
    const height = this.#stretch();
    this.#put(height - this.#blockHeight);
    this.#scrollTo(Math.max(0, height - window));
    this.#anchor = this.#seenAt(this.#lastScrolled);
  }

  #drawAnchor() {
    const {count} = this.#rows, window = this.#window;
    if (!count) return this.#stretch();
    const row = Math.min(this.#rows.row(this.#anchor.number), count - 1), y = this.#heights.before(row);
    const from = this.#heights.at(y - AHEAD * window).row;
    let to = Math.min(count, this.#heights.at(y + (1 + AHEAD) * window).row + 1);
    this.#fill(from, to);
    while (to < count && this.#blockHeight - this.#topOf(row - this.#from) < 2 * window) {
      to = Math.min(count, to + 50);
      this.#fill(from, to);
    }
    const height = this.#stretch(), {offsetHeight} = this.#block.children[row - this.#from];
    const wanted = this.#topOf(row - this.#from) + Math.min(this.#anchor.offset, offsetHeight - 1);
    let scrolled = this.#scroller.scrollTop, top = scrolled - wanted;
    const end = height - this.#blockHeight;
    // At both ends a scroll bar is where it belongs at once; between them when it has come to rest, unless it runs out.
    if (this.#from === 0) top = 0;
    else if (this.#to === count) top = end;
    else if (top < 0 || top > end) top = this.#heights.scrollFor({row, offset: this.#anchor.offset}, window) - wanted;
    this.#put(top);
    scrolled = top + wanted;
    this.#scrollTo(Math.max(0, Math.min(scrolled, height - window)));
    this.#anchor = this.#seenAt(this.#lastScrolled);
  }

  /** Makes what is scrolled as high as it has to be; answers how high. */
  #stretch() {
    const isAll = this.#from === 0 && this.#to === this.#rows.count;
    const height = isAll ? this.#blockHeight : Math.max(this.#heights.pixels, this.#blockHeight + 1);
    this.#canvas.style.height = `${height}px`;
    return height;
  }

  #put(top) {
    this.#top = top;
    this.#block.style.top = `${top}px`;
  }

  /** Sees that the rows from one up to before the other are drawn, and takes out what is far from them. */
  #fill(from, to) {
    if (to <= this.#from || from >= this.#to) {
      this.#clear();
      [this.#from, this.#to] = [from, from];
    }
    if (from < this.#from) {
      this.#block.prepend(...this.#drawnRows(from, this.#from));
      this.#from = from;
    }
    if (to > this.#to) {
      this.#block.append(...this.#drawnRows(this.#to, to));
      this.#to = to;
    }
    const spare = this.#isHeld ? HELD_ROWS_MAX : SPARE * (to - from);
    for (; this.#from < from - spare; this.#from += 1) this.#block.firstChild.remove();
    for (; this.#to > to + spare; this.#to -= 1) this.#block.lastChild.remove();
  }

  get #isHeld() {
    const selection = getSelection();
    return !selection.isCollapsed && this.#block.contains(selection.anchorNode);
  }

  #drawnRows(from, to) {
    const drawn = [];
    for (let row = from; row < to; row += 1) drawn.push(this.#drawn(this.#rows.line(row)));
    return drawn;
  }

  #drawn(line) {
    const {from, to} = this.#linked ?? {}, nth = line.nth + 1;
    const isCurrent = this.#search.hits[this.#search.current] === line.number;
    const states = `${isCurrent ? ' current' : ''}${Lines.isPrinted(line) && nth >= from && nth <= to ? ' linked' : ''}`;
    const group = this.#rows.isFiltered ? null : this.#lines.folds.startingAt(line.number);
    return drawnLine(line, {search: this.#search, href: this.#on.href, group, states});
  }

  /** To the ends at once: a browser would glide there, past all that it then has to draw. And all of it is selected. */
  #pressed = event => {
    const isPlain = !event.altKey && !event.shiftKey;
    if (isPlain && event.key === 'End') this.follow(true);
    else if (isPlain && event.key === 'Home') this.toStart();
    else if (isPlain && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'a') getSelection().selectAllChildren(this.#block);
    else return;
    event.preventDefault();
  };

  #clicked = event => {
    const row = event.target.closest?.('.line');
    if (!row) return;
    const line = this.#rows.line(this.#from + [...this.#block.children].indexOf(row));
    if (event.target.closest('.fold')) {
      this.#toggle(this.#lines.folds.startingAt(line.number));
    } else if (event.target.closest('a.nr') && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.#on.link(line.nth + 1, event.shiftKey);
    }
  };

  #toggle(group) {
    this.#lines.folds.toggle(group);
    // What was looked at stays where it is: the end would be another line.
    this.follow(false);
    cancelAnimationFrame(this.#frame);
    this.#draw();
    this.#block.children[this.#rows.row(group.start) - this.#from]?.querySelector('.fold')?.focus({preventScroll: true});
    if (this.#blockHeight <= this.#window) this.follow(true);
    this.#on.changed();
  }

  /** Copies what is selected as it was printed: no numbers, times or words of the page's own. */
  #copied = event => {
    const selection = getSelection();
    if (selection.isCollapsed || !this.#block.contains(selection.anchorNode)) return;
    const isAll = selection.anchorNode === this.#block && selection.focusNode === this.#block;
    event.clipboardData.setData('text/plain', isAll ? this.text(plain, COPY_CHARS_MAX).text : this.#selected(selection.getRangeAt(0)));
    event.preventDefault();
  };

  #selected(range) {
    const texts = [];
    for (const row of this.#block.children) {
      const body = row.querySelector('.text');
      if (!range.intersectsNode(row) || !row.matches('.stdout, .stderr')) continue;
      const part = document.createRange();
      part.selectNodeContents(body);
      if (body.contains(range.startContainer)) part.setStart(range.startContainer, range.startOffset);
      if (body.contains(range.endContainer)) part.setEnd(range.endContainer, range.endOffset);
      const piece = part.cloneContents();
      piece.querySelector('.more')?.remove();
      texts.push(piece.textContent);
    }
    return texts.join('\n');
  }
}

/** Which of rising elements is the last that begins at or above so many pixels. */
function lastAbove(elements, y) {
  let [low, high] = [0, elements.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (elements[middle].offsetTop <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}
