// What a run printed, live, and what is done with it: found, filtered, wrapped, timed, folded, linked to, copied, downloaded.

import {plain} from '../ansi.js';
import {missingText} from '../feed.js';
import {bytes, number, plural} from '../format.js';
import {html, nothing} from '../html.js';
import {Lines} from '../lines.js';
import {COPY_CHARS_MAX, LogView} from '../log.js';
import {copy} from '../parts.js';
import {Search} from '../search.js';
import {waits, waitsText} from '../why.js';

/** How the output is shown, kept from one run to the next and from one visit to the next. */
const shown = remembered();

function remembered() {
  const usual = {isWrapped: matchMedia('(max-width: 640px)').matches, hasTimes: false};
  try {
    const kept = JSON.parse(localStorage.getItem('output')) ?? {};
    return Object.fromEntries(Object.entries(usual).map(([name, value]) => [name, typeof kept[name] === 'boolean' ? kept[name] : value]));
  } catch {
    return usual;
  }
}

function remember() {
  try {
    localStorage.setItem('output', JSON.stringify(shown));
  } catch {
    // A browser that keeps nothing forgets this too.
  }
}

/** The lines that an address names, `line=5` or `line=5-9`, by how many were printed; null where it names none. */
function linesOf(query) {
  const [, from, to = from] = /^(\d{1,12})(?:-(\d{1,12}))?$/.exec(new URLSearchParams(query).get('line') ?? '') ?? [];
  return from && Number(from) > 0 ? {from: Math.min(from, to), to: Math.max(from, to)} : null;
}

export class OutputView {
  #page;
  #feed;
  #search;
  #log = null;
  #lines = null;
  #linked;
  /** Whether what is linked to has yet to come. */
  #isAwaited;
  /** What the address has looked for; empty once that is shown. */
  #sought;
  #given;
  /** The step that was asked for before anything was found. */
  #due = 0;
  /** Where one attempt is looked at: which, of which lines, and its own. */
  #part = null;
  #isExpression = false;
  #isFiltered = false;
  #isFolded = false;
  #isShown = true;
  #keys = new AbortController();

  constructor(page, feed, query) {
    [this.#page, this.#feed, this.#linked] = [page, feed, linesOf(query)];
    this.#isAwaited = this.#linked !== null;
    this.#given = this.#sought = new URLSearchParams(query).get('find') ?? '';
    this.#search = this.#newSearch();
    document.addEventListener('keydown', this.#pressed, {signal: this.#keys.signal});
  }

  leave() {
    this.#keys.abort();
    this.#search.stop();
    this.#log?.close();
  }

  /** Goes to the lines that an address names. */
  go(query) {
    const linked = linesOf(query);
    if (JSON.stringify(linked) === JSON.stringify(this.#linked)) return;
    this.#linked = linked;
    this.#isAwaited = linked !== null;
    if (!linked) this.#log?.link(null);
    this.#await();
  }

  /** The lines that are looked at: all of them, or those of one attempt. */
  get #source() {
    if (this.#part && this.#part.all !== this.#feed.lines) this.#part = null;
    return this.#part?.lines ?? this.#feed.lines;
  }

  /** Shows what one attempt printed, or all of them. One that still prints is where all of them end. */
  #attempt = tried => () => {
    const all = this.#feed.lines, {attempt, from, to} = tried ?? {};
    const end = to ?? (this.#feed.run.ended_at ? all.count : null);
    this.#part = tried && end !== null ? {attempt, all, lines: Lines.of(all, from, end)} : null;
    this.#page.update();
    if (tried && end === null) requestAnimationFrame(() => this.#log?.show(from));
  };

  #attempts(attempts) {
    if (attempts.length < 2) return nothing;
    const shown = this.#part?.attempt ?? null;
    return html`<nav class="attempts" aria-label="Attempts">${[null, ...attempts].map(tried => html`<button type="button" class="small"
      aria-pressed=${String((tried?.attempt ?? null) === shown)} @click=${this.#attempt(tried)}>${tried
        ? `Attempt ${tried.attempt}${tried.how ? `: ${tried.how}` : ''}` : 'All attempts'}</button>`)}</nav>`;
  }

  #newSearch() {
    return new Search(this.#source, () => {
      if (this.#isFiltered) this.#log?.update();
      if (this.#due && (this.#search.hits.length || this.#search.isDone)) this.#step(this.#due);
      this.#seek();
      this.#page.update();
    });
  }

  /** More was printed. */
  changed() {
    this.#log?.update();
    this.#search.goOn();
    this.#await();
    this.#seek();
  }

  /** Shows what is linked to once it is there. */
  #await() {
    if (!this.#isAwaited || !this.#log) return;
    const {isCaughtUp} = this.#feed, lines = this.#source;
    if (lines.nth < this.#linked.to && !isCaughtUp) return;
    this.#isAwaited = false;
    if (lines.nth >= this.#linked.from) this.#log.link(this.#linked);
    else this.#page.say(`There is no line ${number(this.#linked.from)} yet.`);
  }

  /** Puts the log into its place, when that is in the page. */
  rendered(root) {
    const place = root.querySelector('.log'), lines = this.#source;
    if (this.#log && (place !== this.#log.place || lines !== this.#lines)) {
      this.#log.close();
      this.#log = null;
    }
    if (!place || this.#log) return;
    if (lines !== this.#lines && this.#lines) {
      this.#search.stop();
      this.#search = this.#newSearch();
      this.#isAwaited = this.#linked !== null;
      this.#find();
    }
    this.#lines = lines;
    this.#log = new LogView(place, lines, this.#search, {changed: this.#page.update, href: this.#href, link: this.#link});
    this.#log.times(shown.hasTimes);
    this.#log.wrap(shown.isWrapped);
    this.#log.filter(this.#isFiltered);
    this.#await();
    if (this.#sought) this.#find();
  }

  /** Shows the first line that has what the address looks for, once it is known which that is. */
  #seek() {
    if (!this.#sought || !this.#log || !this.#feed.isCaughtUp || !this.#search.isOn || !this.#search.isDone) return;
    this.#sought = '';
    if (this.#search.hits.length) this.#log.show(this.#search.step(1, this.#search.hits[0]));
    this.#page.update();
  }

  /** What it printed, with what is done with it; hidden where another part of the run is looked at. */
  render(run, isHidden) {
    this.#isShown = !isHidden;
    const {isCaughtUp} = this.#feed, lines = this.#source, search = this.#search, isFollowing = this.#log?.isFollowing ?? true;
    const isNone = !lines.printed && !lines.missing;
    return html`<section class="output" ?hidden=${isHidden}>
      ${this.#attempts(this.#feed.attempts)}
      <div class="tools" role="group" aria-label="Output">
        ${this.#finder()}
        ${button('Wrap', shown.isWrapped, this.#wrap)}
        ${button('Times', shown.hasTimes, this.#times)}
        ${lines.folds.groups.length ? button('Fold', this.#isFolded, this.#fold) : nothing}
        <span class="count">${plural(lines.printed, 'line')}${run.ended_at ? `, ${bytes(run.output_bytes)}` : ''}</span>
        <button type="button" ?disabled=${isNone} @click=${this.#copy}>Copy</button>
        ${this.#isFiltered && search.isOn
          ? html`<button type="button" ?disabled=${!search.hits.length || !search.isDone} @click=${this.#download}>Download these</button>`
          : html`<a class="button" href="/v1/runs/${run.id}/log" download="run-${run.id}.log">Download</a>`}
      </div>
      ${search.error ? html`<p class="wrong" role="alert">Not an expression that can be looked for: ${search.error}.</p>` : nothing}
      ${lines.missing ? html`<p class="missing">Not all of it is here: more was printed than is kept of one run. Missing: ${missingText(lines.missing)}.</p>` : nothing}
      ${this.#linked && !this.#isAwaited ? this.#chosen() : nothing}
      <div class="window">
        <div class="log" tabindex="0" role="region" aria-label="Output of run ${run.id}"></div>
        ${isNone ? html`<p class="none">${none(run, isCaughtUp)}</p>`
          : this.#isFiltered && search.isOn && search.isDone && !search.hits.length ? html`<p class="none">No line is like that.</p>` : nothing}
        ${isFollowing ? nothing : html`<button type="button" class="first follow" @click=${() => this.#log.follow(true)}>
          ${run.ended_at ? 'To the end' : 'Follow'} ↓</button>`}
      </div>
    </section>`;
  }

  #finder() {
    const search = this.#search, count = search.hits.length;
    const found = !search.isOn ? '' : search.current >= 0 ? `${number(search.current + 1)} of ${plural(count, 'line')}` : plural(count, 'line');
    return html`<form class="search" role="search" @submit=${this.#next}>
      <label class="unseen" for="find">Find in the output</label>
      <input id="find" type="search" placeholder="Find in the output" autocomplete="off" autocapitalize="off" spellcheck="false" value=${this.#given}
        aria-invalid=${String(Boolean(search.error))} @input=${this.#find} @keydown=${this.#inFinder}>
      <button type="button" class="expression" aria-pressed=${String(this.#isExpression)} aria-label="As an expression" title="As a regular expression" @click=${this.#asExpression}>.*</button>
      <button type="button" aria-pressed=${String(this.#isFiltered)} title="Show only the lines that are found" @click=${this.#filter}>Filter</button>
      <span class="tally" role="status">${found}${search.isOn && !search.isDone ? ' …' : ''}</span>
      <button type="button" ?disabled=${!count} aria-label="Previous" @click=${() => this.#step(-1)}>↑</button>
      <button type="submit" ?disabled=${!count} aria-label="Next">↓</button>
    </form>`;
  }

  /** What can be done with the lines that are linked to. */
  #chosen() {
    const {from, to} = this.#linked;
    return html`<p class="chosen"><span>${from === to ? `Line ${number(from)}` : `Lines ${number(from)} to ${number(to)}`}</span>
      <button type="button" class="small" @click=${this.#copyLines}>Copy text</button>
      <button type="button" class="small" @click=${this.#copyLink}>Copy link</button>
      <button type="button" class="small quiet" aria-label="Mark no line" @click=${() => this.#address(null)}>✕</button></p>`;
  }

  #href = nth => `#/runs/${this.#feed.id}?line=${nth}`;

  /** A line's number was clicked: the address names it now, or all from the one that it named. */
  #link = (nth, isMore) => {
    const from = isMore && this.#linked ? this.#linked.from : nth;
    this.#address({from: Math.min(from, nth), to: Math.max(from, nth)});
  };

  #address(range) {
    this.#linked = range;
    this.#isAwaited = false;
    const lines = range ? `?line=${range.from}${range.to > range.from ? `-${range.to}` : ''}` : '';
    history.replaceState(null, '', `#/runs/${this.#feed.id}${lines}`);
    this.#log.link(range, false);
    this.#page.update();
  }

  async #say(isCopied, what) {
    this.#page.say(await isCopied ? `${what} copied.` : 'This browser did not let it be copied.');
  }

  #copy = () => {
    const {text, count} = this.#log.text(plain, COPY_CHARS_MAX);
    this.#say(copy(text), text.length < COPY_CHARS_MAX ? `${plural(count, 'line')} were` : `The first ${plural(count, 'line')} were`);
  };

  #copyLines = () => {
    const {from, to} = this.#linked, lines = this.#source, texts = [];
    let chars = 0;
    for (let at = lines.numberOf(from); at < lines.count && chars < COPY_CHARS_MAX; at += 1) {
      const line = lines.line(at);
      if (line.nth >= to) break;
      if (line.kind === 'stdout' || line.kind === 'stderr') texts.push(plain(line.text));
      chars += line.text.length;
    }
    this.#say(copy(texts.join('\n')), `${plural(texts.length, 'line')} were`);
  };

  #copyLink = () => this.#say(copy(location.href), 'The link was');

  /** What is filtered, as it was printed. */
  #download = () => {
    const {text} = this.#log.text(text => text), link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
    link.download = `run-${this.#feed.id}-filtered.log`;
    link.click();
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  #find = () => {
    this.#due = 0;
    this.#search.find(document.querySelector('#find')?.value ?? '', this.#isExpression);
    this.#log?.filter(this.#isFiltered && this.#search.isOn);
  };

  #asExpression = () => {
    this.#isExpression = !this.#isExpression;
    this.#find();
  };

  #filter = () => {
    this.#isFiltered = !this.#isFiltered;
    this.#log.filter(this.#isFiltered && this.#search.isOn);
    this.#page.update();
  };

  #next = event => {
    event.preventDefault();
    this.#step(1);
  };

  #inFinder = event => {
    if (event.key === 'Enter' && event.shiftKey) this.#step(-1);
    else if (event.key === 'Escape') this.#log.place.focus();
    else return;
    event.preventDefault();
  };

  #step(by) {
    const line = this.#search.step(by, this.#log.topLine);
    // Whoever is quicker than the search goes on with what it finds.
    this.#due = line === null && this.#search.isOn && !this.#search.isDone ? by : 0;
    if (line !== null) this.#log.show(line);
    this.#page.update();
  }

  #wrap = () => {
    shown.isWrapped = !shown.isWrapped;
    remember();
    this.#log.wrap(shown.isWrapped);
    this.#page.update();
  };

  #times = () => {
    shown.hasTimes = !shown.hasTimes;
    remember();
    this.#log.times(shown.hasTimes);
    this.#page.update();
  };

  #fold = () => {
    this.#isFolded = !this.#isFolded;
    this.#log.fold(this.#isFolded);
    this.#page.update();
  };

  /** Keys of a pager, wherever nobody types. */
  #deeds = {
    '/': () => document.querySelector('#find').select(),
    g: () => this.#log.toStart(),
    G: () => this.#log.follow(true),
    j: () => this.#log.scroll(1),
    k: () => this.#log.scroll(-1),
    n: () => this.#step(1),
    N: () => this.#step(-1),
  };

  #pressed = event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !this.#isShown || !this.#log) return;
    if (event.target.closest?.('input, textarea, select, dialog, [contenteditable]') || document.querySelector('dialog[open]')) return;
    const deed = this.#deeds[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  };
}

const button = (label, isPressed, pressed) => html`<button type="button" aria-pressed=${String(isPressed)} @click=${pressed}>${label}</button>`;

/** What stands where there is no output. */
function none(run, isCaughtUp) {
  if (run.status === 'queued') return `It has not started${waits(run).length ? `: ${waitsText(run)}` : ''}.`;
  if (!isCaughtUp) return 'Reading …';
  return run.ended_at ? 'It printed nothing.' : 'It has printed nothing yet.';
}
