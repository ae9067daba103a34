// A stream of events over WebSocket that comes back by itself: every event once, in order, whatever happens between.
//
// It keeps the place it has reached (of which database, up to which number), reconnects from there with growing pauses,
// drops what it has had, and says what it is doing so that the page can say it too. It decides nothing about the events.

import {get, Refused, session, Unreachable, Watched} from './api.js';

/** Pauses before one try and the next, in milliseconds; the last goes on. */
const PAUSES_MS = [300, 700, 1_500, 3_000, 6_000, 12_000];
/** A heartbeat comes after 15 s of silence; after three missing ones the connection is dead, whatever it says. */
const SILENCE_MS = 50_000;
/** A connection that is not there after this long will not be. */
const OPENING_MS = 15_000;

/** What the page's stream is doing: `{phase, until, retry}`; null while the page has none. */
export const link = new Watched(null);

export class Stream {
  #path;
  #unit;
  #start;
  #on;
  #socket = null;
  #instance = null;
  #place = null;
  #failures = 0;
  #timer = 0;
  #watchdog = 0;
  #closed = false;

  /**
   * `unit` is 'seq' for the events of a run and 'id' for those of all; `start` is the first cursor. `on` has `frame(f)`
   * for hello, event, gap, caught_up and end; `restart(reason)` where the place is gone and everything comes again;
   * `gone(refused)` where there is nothing to follow any more.
   */
  constructor({path, unit, start, on}) {
    [this.#path, this.#unit, this.#start, this.#on] = [path, unit, start, on];
    addEventListener('online', this.retry);
    document.addEventListener('visibilitychange', this.#seen);
    this.#open();
  }

  /** Ends it. */
  close() {
    this.#stop();
    link.set(null);
  }

  /** Tries now rather than when the pause is over. */
  retry = () => {
    if (!this.#closed && link.value?.phase === 'waiting') this.#open();
  };

  #seen = () => {
    if (!document.hidden) this.retry();
  };

  #stop() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    removeEventListener('online', this.retry);
    document.removeEventListener('visibilitychange', this.#seen);
    this.#drop();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  get #cursor() {
    return this.#place === null ? this.#start : `${this.#instance}-${this.#place}`;
  }

  #url(parameters) {
    const url = new URL(this.#path, location.href);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url;
  }

  #open() {
    clearTimeout(this.#timer);
    this.#drop();
    this.#say('connecting');
    const url = this.#url({after: this.#cursor});
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, 'runabout.v1');
    this.#socket = socket;
    socket.onmessage = message => this.#take(JSON.parse(message.data));
    socket.onclose = event => this.#ended(event.code);
    this.#expect(OPENING_MS);
  }

  #expect(ms) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#ended(1006), ms);
  }

  #take(frame) {
    this.#expect(SILENCE_MS);
    if (frame.type === 'hello') {
      this.#failures = 0;
      this.#instance = frame.instance;
      this.#place ??= frame.after;
      this.#say('live');
    } else if (frame.type === 'event') {
      const number = frame[this.#unit];
      if (number <= this.#place) return;
      // Of one run they are contiguous: what is missing was not told of, and is asked for again.
      if (this.#unit === 'seq' && number !== this.#place + 1) return this.#ended(1006);
      this.#place = number;
    } else if (frame.type === 'gap' && !frame.partial) {
      if (frame.to <= this.#place) return;
      this.#place = frame.to;
    } else if (frame.type === 'cursor') {
      this.#place = Math.max(this.#place, frame.id);
    } else if (frame.type === 'end') {
      this.#stop();
      this.#say('ended');
    }
    this.#on.frame(frame);
  }

  /** The connection is gone, or never was one: finds out whether to come back. */
  async #ended(code) {
    clearTimeout(this.#watchdog);
    this.#drop();
    if (this.#closed) return;
    if (code === 4401) return this.#leave(() => session.set(null));
    if (code === 4410) return this.#leave(() => this.#on.gone(new Refused(410, {code: 'run_pruned'})));
    this.#failures += 1;
    // A browser does not say why an upgrade was refused; the same request without one does.
    if (this.#failures > 1 || code !== 1001) {
      this.#say('connecting');
      const refused = await this.#whyNot();
      if (this.#closed) return;
      if (refused) return this.#refused(refused);
    }
    this.#wait();
  }

  async #whyNot() {
    try {
      await get(this.#url({after: this.#cursor, limit: 1}));
    } catch (error) {
      if (error instanceof Unreachable || error.status >= 500 || error.status === 429) return null;
      return error;
    }
    return null;
  }

  #refused(refused) {
    if (refused.status === 401) return this.#leave(() => {});
    if (refused.status === 409) {
      [this.#place, this.#instance] = [null, null];
      this.#on.restart(refused.code);
      return this.#open();
    }
    return this.#leave(() => this.#on.gone(refused));
  }

  #leave(tell) {
    this.#stop();
    link.set(null);
    tell();
  }

  #wait() {
    const pause = PAUSES_MS[Math.min(this.#failures - 1, PAUSES_MS.length - 1)];
    // Not all readers of a daemon that comes back at the same moment.
    const ms = pause * (0.8 + 0.4 * Math.random());
    this.#say('waiting', Date.now() + ms);
    this.#timer = setTimeout(() => this.#open(), ms);
  }

  #say(phase, until = null) {
    link.set({phase, until, failures: this.#failures, retry: this.retry});
  }
}
