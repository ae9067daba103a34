// The terminal of a run: what its command draws, live, and a keyboard for who may type.
//
// The emulator is loaded when the first such run is looked at. What a command draws can do nothing but draw: its links open
// nothing, it reaches no clipboard, and what it asks of the terminal is answered only for who types.

import {may, post, postBytes, Refused} from '../api.js';
import {bytes} from '../format.js';
import {html, nothing} from '../html.js';

/** Lines above the window that can be scrolled back to. */
const SCROLLBACK = 5_000;
/** Bytes of one request. */
const SENT_MAX = 16_384;
/** What came too fast is sent again after this long, and what found no daemon after that. */
const AGAIN_MS = 50, AGAIN_LATER_MS = 500;

const parts = {
  terminal: '/page/vendor/xterm/xterm.js',
  fit: '/page/vendor/xterm/addon-fit.js',
  style: '/page/vendor/xterm/xterm.css',
};

let emulator = null;

/** The emulator, once it is there. */
function load() {
  emulator ??= (async () => {
    const style = Object.assign(document.createElement('link'), {rel: 'stylesheet', href: parts.style});
    const styled = new Promise((resolve, reject) => Object.assign(style, {onload: resolve, onerror: reject}));
    document.head.append(style);
    const [{Terminal}, {FitAddon}] = await Promise.all([import(parts.terminal), import(parts.fit), styled]);
    return {Terminal, FitAddon};
  })();
  emulator.catch(() => (emulator = null));
  return emulator;
}

const wait = ms => new Promise(resolve => setTimeout(resolve, ms));

export class TerminalView {
  #page;
  #feed;
  #place = null;
  #terminal = null;
  #fit = null;
  #isLoading = false;
  #isLeft = false;
  /** Whether all that is stored is drawn: only then is what the terminal says the command's. */
  #isLive = false;
  #trouble = '';
  #observer = new ResizeObserver(() => this.#resize());
  #writer = writer();
  /** The number of the last request, beyond those of this tab before it was loaded again. */
  #nth = Date.now();
  #hasWritten = false;
  #waiting = [];
  #isSending = false;
  /** Who writes in this one's place; empty where nobody does. */
  #other = '';
  #asked = '';

  constructor(page, feed) {
    [this.#page, this.#feed] = [page, feed];
  }

  leave() {
    this.#isLeft = true;
    this.#observer.disconnect();
    if (this.#hasWritten && this.#writes) postBytes(this.#path('&leave=true'), new Uint8Array()).catch(() => {});
    this.#terminal?.dispose();
  }

  get #writes() {
    const {run} = this.#feed;
    return may('operator') && run?.stdin === 'open' && run.status === 'running';
  }

  #path = how => `/v1/runs/${this.#feed.id}/stdin?writer=${this.#writer}${how}`;

  render(run, isHidden) {
    return html`<section class="output" ?hidden=${isHidden}>
      <div class="tools" role="group" aria-label="Terminal">
        <span class="count">${run.pty.columns} × ${run.pty.rows}${run.ended_at ? `, ${bytes(run.output_bytes)}` : ''}</span>
        ${this.#other ? html`<span class="said" role="status">${this.#other} writes here.</span>
          <button type="button" @click=${this.#takeOver}>Write in their place</button>` : nothing}
        ${this.#writes ? html`<span class="said">Shift+Esc leaves the terminal.</span>` : nothing}
        <a class="button" href="/v1/runs/${run.id}/log" download="run-${run.id}.log">Download</a>
      </div>
      ${this.#trouble ? html`<p class="wrong" role="alert">${this.#trouble}</p>` : nothing}
      <div class="screen" role="region" aria-label="Terminal of run ${run.id}"></div>
    </section>`;
  }

  /** Puts the terminal into its place, when that is in the page. */
  rendered(root) {
    const place = root.querySelector('.screen');
    if (!place || place === this.#place || this.#isLoading) return;
    this.#isLoading = true;
    load().then(made => this.#open(made, place), () => {
      this.#trouble = 'The terminal could not be loaded; the log can be downloaded.';
      this.#isLoading = false;
      this.#page.update();
    });
  }

  #open({Terminal, FitAddon}, place) {
    this.#isLoading = false;
    if (this.#isLeft) return;
    const {columns: cols, rows} = this.#feed.run.pty;
    this.#place = place;
    this.#terminal = new Terminal({
      cols, rows, scrollback: SCROLLBACK, fontSize: 13, fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      theme: {background: '#16181d', foreground: '#e6e6e6'}, linkHandler: {activate: () => {}},
    });
    this.#fit = new FitAddon();
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(place);
    this.#terminal.onData(data => this.#typed(new TextEncoder().encode(data)));
    this.#terminal.onBinary(data => this.#typed(Uint8Array.from(data, character => character.charCodeAt(0))));
    this.#terminal.attachCustomKeyEventHandler(event => {
      if (event.key !== 'Escape' || !event.shiftKey) return true;
      if (event.type === 'keydown') document.querySelector('h1')?.focus();
      return false;
    });
    place.addEventListener('focusin', () => this.#resize());
    this.#observer.observe(place);
    this.changed();
  }

  /** More was drawn. */
  changed() {
    const terminal = this.#terminal;
    if (!terminal) return;
    for (const {text, bytes: raw, size, gap, isNew} of this.#feed.drawn.splice(0)) {
      if (size) terminal.resize(size.columns, size.rows);
      else if (gap) terminal.write(`\x1bc\x1b[7m${gap}\x1b[m\r\n`);
      else if (isNew) terminal.write('\x1bc');
      else terminal.write(text ?? raw);
    }
    if (this.#feed.isCaughtUp && !this.#isLive) terminal.write('', () => (this.#isLive = true));
    terminal.options.disableStdin = !this.#writes;
  }

  /** The run's terminal becomes as large as its place here, while somebody sits at it. */
  #resize() {
    const {run} = this.#feed, found = this.#hasFocus && this.#writes ? this.#fit.proposeDimensions() : null;
    if (!found?.cols || !found.rows) return;
    const size = {columns: Math.min(found.cols, 1_000), rows: Math.min(found.rows, 1_000)}, asked = JSON.stringify(size);
    if (asked === this.#asked || (size.columns === run.pty.columns && size.rows === run.pty.rows)) return;
    this.#asked = asked;
    // Where it fails nothing is lost; the next one may do.
    post(`/v1/runs/${run.id}/resize`, size).catch(() => {}).then(() => (this.#asked = ''));
  }

  get #hasFocus() {
    return Boolean(this.#place?.contains(document.activeElement));
  }

  #typed(data) {
    if (!this.#isLive || !this.#writes || !this.#hasFocus) return;
    this.#waiting.push(data);
    this.#send();
  }

  #takeOver = async () => {
    this.#other = '';
    this.#nth += 1;
    await postBytes(this.#path(`&nth=${this.#nth}&take=true`), new Uint8Array()).catch(() => {});
    this.#terminal.focus();
    this.#page.update();
  };

  /** Sends what was typed, in order, each once. */
  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#waiting.length && !this.#isLeft) {
      const data = joined(this.#waiting);
      this.#nth += 1;
      while (!await this.#isDone(data, this.#nth)) await wait(this.#pause);
    }
    this.#isSending = false;
  }

  #pause = AGAIN_MS;

  /** Whether nothing more is to be done about these bytes. */
  async #isDone(data, nth) {
    try {
      await postBytes(this.#path(`&nth=${nth}`), data);
      this.#hasWritten = true;
      if (this.#other) this.#page.update();
      this.#other = '';
      return true;
    } catch (error) {
      if (this.#isLeft || !this.#writes) return true;
      this.#pause = error.code === 'stdin_full' ? AGAIN_MS : AGAIN_LATER_MS;
      if (!(error instanceof Refused) || error.status === 429 || error.status >= 500) return false;
      // What is refused for good was typed in vain.
      this.#waiting = [];
      if (error.code === 'stdin_busy') this.#other = error.details.writer;
      this.#page.update();
      return true;
    }
  }
}

/** Which of several writers this tab is, also when it is loaded again. It is no secret. */
function writer() {
  const made = `page-${Math.random().toString(36).slice(2, 12)}`;
  try {
    const known = sessionStorage.getItem('writer') ?? made;
    sessionStorage.setItem('writer', known);
    return known;
  } catch {
    return made;
  }
}

/** Takes what waits, up to what one request takes. */
function joined(waiting) {
  const taken = [waiting.shift()];
  let size = taken[0].length;
  while (waiting.length && size + waiting[0].length <= SENT_MAX) {
    size += waiting[0].length;
    taken.push(waiting.shift());
  }
  const all = new Uint8Array(size);
  taken.reduce((at, one) => (all.set(one, at), at + one.length), 0);
  return all;
}
