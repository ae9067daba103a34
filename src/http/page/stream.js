// A stream of events that comes back by itself: every event once, in order, whatever happens between.
//
// It keeps the place it has reached (of which database, up to which number), reconnects from there with growing pauses,
// drops what it has had, and says what it is doing so that the page can say it too. It decides nothing about the events.

import {get, heard, lose, Refused, Unreachable, Watched} from './api.js';
import {overAnswer, overSocket} from './transports.js';

/** Pauses before one try and the next, in milliseconds; the last goes on. */
const PAUSES_MS = [300, 700, 1_500, 3_000, 6_000, 12_000];
/** A heartbeat comes after 15 s of silence; after three missing ones the connection is dead, whatever it says. */
const SILENCE_MS = 50_000;
/** A connection that is not there after this long will not be. */
const OPENING_MS = 15_000;

/** After so many WebSockets in a row that did not open, where a plain request got through, no more are tried. */
const UPGRADES_MAX = 2;

/** What the page's stream is doing: `{phase, until, failures, retry, hasSocket}`; null while the page has none. */
export const link = new Watched(null);

/** WebSockets in a row that did not open, by nobody's refusal: until this page is loaded again it is the same for all. */
let failedUpgrades = 0;

export class Stream {
  #path;
  #unit;
  #start;
  #on;
  #isAside;
  /** Closes the connection. */
  #hangUp = null;
  #instance = null;
  #place = null;
  #failures = 0;
  #timer = 0;
  #watchdog = 0;
  #closed = false;

  /**
   * `unit` is 'seq' for the events of a run and 'id' for those of all; `start` is the first cursor. `on` has `frame(f)`
   * for hello, event, gap, caught_up and end; `restart(reason)` where the place is gone and everything comes again;
   * `gone(refused)` where there is nothing to follow any more. One that `isAside` is not what the page says it is doing.
   */
  constructor({path, unit, start, on, isAside = false}) {
    [this.#path, this.#unit, this.#start, this.#on, this.#isAside] = [path, unit, start, on, isAside];
    addEventListener('online', this.retry);
    document.addEventListener('visibilitychange', this.#seen);
    this.#open();
  }

  /** Ends it. */
  close() {
    this.#stop();
    this.#tell(null);
  }

  /** Tries now rather than when the pause is over. */
  retry = () => {
    if (!this.#closed && this.#phase === 'waiting') this.#open();
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
    this.#hangUp?.();
    this.#hangUp = null;
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
    const through = failedUpgrades < UPGRADES_MAX ? overSocket : overAnswer;
    this.#hangUp = through(this.#url({after: this.#cursor}), {
      frame: frame => this.#take(frame),
      ended: (code, hasOpened) => this.#ended(code, hasOpened),
    });
    this.#expect(OPENING_MS);
  }

  #expect(ms) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#ended(1006, this.#phase === 'live'), ms);
  }

  #take(frame) {
    this.#expect(SILENCE_MS);
    heard();
    if (frame.type === 'hello') {
      this.#failures = 0;
      if (failedUpgrades < UPGRADES_MAX) failedUpgrades = 0;
      this.#instance = frame.instance;
      this.#place ??= frame.after;
      this.#say('live');
    } else if (frame.type === 'event') {
      const number = frame[this.#unit];
      if (number <= this.#place) return;
      // Of one run they are contiguous: what is missing was not told of, and is asked for again.
      if (this.#unit === 'seq' && number !== this.#place + 1) return this.#ended(1006, true);
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
  async #ended(code, hasOpened) {
    clearTimeout(this.#watchdog);
    this.#drop();
    if (this.#closed) return;
    if (code === 4401) return this.#leave(() => lose('ended'));
    if (code === 4410) return this.#leave(() => this.#on.gone(new Refused(410, {code: 'run_pruned'})));
    this.#failures += 1;
    // A browser does not say why an upgrade was refused; the same request without one does.
    if (this.#failures > 1 || code !== 1001) {
      this.#say('connecting');
      const {isThere, refused} = await this.#whyNot();
      if (this.#closed) return;
      if (refused) return this.#refused(refused);
      if (isThere && !hasOpened && this.#isWithoutSockets()) return this.#open();
    }
    this.#wait();
  }

  /** Counts a WebSocket that did not open though the daemon is there; whether this was the last to be tried. */
  #isWithoutSockets() {
    failedUpgrades += 1;
    return failedUpgrades === UPGRADES_MAX;
  }

  async #whyNot() {
    try {
      await get(this.#url({after: this.#cursor, limit: 1}));
    } catch (error) {
      const isPassing = error instanceof Unreachable || error.status >= 500 || error.status === 429;
      return {isThere: false, refused: isPassing ? null : error};
    }
    return {isThere: true, refused: null};
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
    this.#tell(null);
    tell();
  }

  #wait() {
    const pause = PAUSES_MS[Math.min(this.#failures - 1, PAUSES_MS.length - 1)];
    // Not all readers of a daemon that comes back at the same moment.
    const ms = pause * (0.8 + 0.4 * Math.random());
    this.#say('waiting', Date.now() + ms);
    this.#timer = setTimeout(() => this.#open(), ms);
  }

  #phase = '';

  #say(phase, until = null) {
    this.#phase = phase;
    this.#tell({phase, until, failures: this.#failures, retry: this.retry, hasSocket: failedUpgrades < UPGRADES_MAX});
  }

  #tell(state) {
    if (!this.#isAside) link.set(state);
  }
}
