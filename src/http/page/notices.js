// Telling somebody who looks elsewhere that a run has ended: the runs that they chose, or every failure.
//
// Only where it was switched on is there a stream for it. What cannot be shown by the browser is shown in the page.

import {get, may} from './api.js';
import {capital, outcome, shown, words} from './format.js';
import {stored} from './keep.js';
import {Stream} from './stream.js';

/** Runs whose end is waited for at once. */
const RUNS_MAX = 50;
const BAD = new Set(['failed', 'timed_out', 'interrupted']);

/** Why the browser shows no notifications; null where it does, or may be asked to. */
function obstacle() {
  if (!globalThis.isSecureContext) return 'This browser shows notifications only for pages that come by https or from this machine';
  if (!globalThis.Notification) return 'This browser has no notifications';
  return Notification.permission === 'denied' ? 'This browser was told to show no notifications of this page' : null;
}

export class Notices {
  #page;
  #stream = null;
  /** A tab's own, over a reload. */
  #keptRuns = stored('told', 'sessionStorage');
  #keptFailures = stored('tellFailures');
  #runs = new Set(this.#keptRuns.get() ?? []);
  /** Whether every failure is told. */
  hasFailures = this.#keptFailures.get() === true;

  constructor(page) {
    this.#page = page;
  }

  /** Begins, or goes on, with the session that there is. */
  async start() {
    this.#follow();
    await Promise.all([...this.#runs].map(id => this.#look(id)));
  }

  /** Whether the end of this run is told. */
  has(id) {
    return this.#runs.has(id);
  }

  /** Tells the end of this run, or no more. */
  async toggleRun(id) {
    if (this.#runs.delete(id)) return this.#keep();
    this.#runs = new Set([...this.#runs, id].slice(-RUNS_MAX));
    this.#keep();
    await this.#ask(`The end of run ${id} is told`);
    // It may have ended meanwhile.
    await this.#look(id);
  }

  /** Tells every failure, or no more. */
  async toggleFailures() {
    this.hasFailures = !this.hasFailures;
    this.#keptFailures.set(this.hasFailures || null);
    this.#keep();
    if (this.hasFailures) await this.#ask('Every run that fails is told while this page is open');
  }

  /** Asks the browser for its leave, and says what somebody can expect. */
  async #ask(told) {
    if (!obstacle() && Notification.permission === 'default') await Notification.requestPermission();
    const why = obstacle();
    this.#page.say(why ? `${told}, in this page and by its title. ${why}.` : `${told}.`);
  }

  #keep() {
    this.#keptRuns.set(this.#runs.size ? [...this.#runs] : null);
    this.#follow();
    this.#page.update();
  }

  /** Has a stream exactly while there is something to wait for. */
  #follow() {
    const isWanted = may('viewer') && (this.hasFailures || this.#runs.size > 0);
    if (isWanted === Boolean(this.#stream)) return;
    this.#stream?.close();
    const on = {frame: frame => frame.type === 'event' && this.#ended(frame.run, frame.data), restart: () => this.start(), gone: () => {}};
    this.#stream = isWanted ? new Stream({path: '/v1/events?kinds=finished', unit: 'id', start: 'latest', on, isAside: true}) : null;
  }

  async #look(id) {
    try {
      const run = await get(`/v1/runs/${id}`);
      if (run.ended_at) this.#ended(id, run);
    } catch (error) {
      if (error.status === 404 || error.status === 410) this.#ended(id, null);
    }
  }

  #ended(id, run) {
    const wasWanted = this.#runs.delete(id);
    if (wasWanted) this.#keep();
    if (run && (wasWanted || (this.hasFailures && BAD.has(run.status)))) this.#tell(id, run);
  }

  #tell(id, run) {
    const why = outcome(run), text = `${capital(words(run.status))}${why ? `: ${why}` : ''}.`;
    const name = shown(run.name ?? '').slice(0, 100), title = `Run ${id}${name ? ` “${name}”` : ''}`;
    const isSeen = document.hasFocus() && this.#page.key === `run ${id}`;
    if (isSeen) return;
    this.#page.stay(`${title}: ${text}`, `#/runs/${id}`);
    if (obstacle() || Notification.permission !== 'granted') return;
    try {
      // One a run, however many tabs tell of it.
      const notice = new Notification(title, {body: shown(text).slice(0, 300), tag: `runabout-run-${id}`, icon: '/page/icon-192.png'});
      notice.onclick = () => {
        focus();
        location.hash = `#/runs/${id}`;
        notice.close();
      };
    } catch {
      // A phone's browser shows none of a page that has no worker; the page itself has it.
    }
  }
}
