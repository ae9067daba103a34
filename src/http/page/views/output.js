// What a run printed, live, and what is done with it: found, wrapped, timed, downloaded.

import {bytes, moment, number, plural} from '../format.js';
import {html, nothing} from '../html.js';
import {LogView} from '../log.js';
import {Search} from '../search.js';

/** How the output is shown, kept from one run to the next. */
const shown = {isWrapped: matchMedia('(max-width: 640px)').matches, hasTimes: false};

export class OutputView {
  #page;
  #feed;
  #search;
  #log = null;
  #lines = null;

  constructor(page, feed) {
    [this.#page, this.#feed] = [page, feed];
    this.#search = this.#newSearch();
  }

  leave() {
    this.#search.stop();
    this.#log?.close();
  }

  #newSearch() {
    return new Search(this.#feed.lines, () => this.#page.update());
  }

  /** More was printed. */
  changed() {
    this.#log?.update();
    this.#search.goOn();
  }

  /** Puts the log into its place, when that is in the page. */
  rendered(root) {
    const place = root.querySelector('.log'), {lines} = this.#feed;
    if (this.#log && (!place || place !== this.#log.place || lines !== this.#lines)) {
      this.#log.close();
      this.#log = null;
    }
    if (!place || this.#log) return;
    if (lines !== this.#lines && this.#lines) {
      this.#search.stop();
      this.#search = this.#newSearch();
    }
    this.#lines = lines;
    this.#log = new LogView(place, lines, this.#search, () => this.#page.update());
    this.#log.place = place;
    this.#log.times(shown.hasTimes);
    this.#log.wrap(shown.isWrapped);
  }

  /** What it printed, with what is done with it; hidden where another part of the run is looked at. */
  render(run, isHidden) {
    const {lines, isCaughtUp} = this.#feed, search = this.#search, isFollowing = this.#log?.isFollowing ?? true;
    const count = search.hits.length;
    const found = !search.isOn ? '' : search.current >= 0 ? `${number(search.current + 1)} of ${plural(count, 'line')}` : plural(count, 'line');
    return html`<section class="output" ?hidden=${isHidden}>
      <div class="tools" role="group" aria-label="Output">
        <form class="search" role="search" @submit=${this.#next}>
          <label class="unseen" for="find">Find in the output</label>
          <input id="find" type="search" placeholder="Find in the output" autocomplete="off" @input=${this.#find} @keydown=${this.#back}>
          <span class="found" role="status">${found}${search.isOn && !search.isDone ? ' …' : ''}</span>
          <button type="button" ?disabled=${!count} aria-label="Previous" @click=${() => this.#step(-1)}>↑</button>
          <button type="submit" ?disabled=${!count} aria-label="Next">↓</button>
        </form>
        <button type="button" aria-pressed=${String(shown.isWrapped)} @click=${this.#wrap}>Wrap</button>
        <button type="button" aria-pressed=${String(shown.hasTimes)} @click=${this.#times}>Times</button>
        <span class="count">${plural(lines.count, 'line')}${run.ended_at ? `, ${bytes(run.output_bytes)}` : ''}</span>
        <a class="button" href="/v1/runs/${run.id}/log" download="run-${run.id}.log">Download</a>
      </div>
      <div class="window">
        <div class="log" tabindex="0" role="region" aria-label="Output of run ${run.id}"></div>
        ${lines.count ? nothing : html`<p class="none">${none(run, isCaughtUp)}</p>`}
        ${isFollowing ? nothing : html`<button type="button" class="first follow" @click=${() => this.#log.follow(true)}>
          ${run.ended_at ? 'To the end' : 'Follow'} ↓</button>`}
      </div>
    </section>`;
  }

  #find = event => {
    this.#search.find(event.target.value);
    this.#log?.redraw();
  };

  #next = event => {
    event.preventDefault();
    this.#step(1);
  };

  #back = event => {
    if (event.key !== 'Enter' || !event.shiftKey) return;
    event.preventDefault();
    this.#step(-1);
  };

  #step(by) {
    const line = this.#search.step(by, this.#log.topLine);
    if (line !== null) this.#log.show(line);
    this.#page.update();
  }

  #wrap = () => {
    shown.isWrapped = !shown.isWrapped;
    this.#log.wrap(shown.isWrapped);
    this.#page.update();
  };

  #times = () => {
    shown.hasTimes = !shown.hasTimes;
    this.#log.times(shown.hasTimes);
    this.#page.update();
  };
}

/** What stands where there is no output. */
function none(run, isCaughtUp) {
  if (run.status === 'queued') return run.not_before ? `It waits until ${moment(run.not_before)}.` : `It waits for its turn in the queue “${run.queue}”.`;
  if (!isCaughtUp) return 'Reading …';
  return run.ended_at ? 'It printed nothing.' : 'It has printed nothing yet.';
}
