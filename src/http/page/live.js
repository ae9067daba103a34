// The list of runs as it lives: at every moment what the daemon's own list says, or what is missing is said.
//
// The list is asked for once; from then on the stream of all runs' events says what changes. An answer shows the list as it
// was when it was asked for, or later; whatever is heard meanwhile is kept, and counts after the answer has come. One thing
// is asked for at a time. What does not fit under somebody's eyes or hands waits to be let in.

import {get, Refused} from './api.js';
import {changeOf} from './feed.js';
import {Stream} from './stream.js';

/** Runs that are asked for first, so that they are soon there: what a window shows. */
const FIRST = 25;
/** Runs of the list when it is asked for again, which it is once it is live. */
const SECOND = 50;
/** Runs of a further page. */
const PAGE = 200;
/** Runs of a page at most, for the daemon. */
const PAGE_MAX = 500;
/** Runs that are kept; older ones are found by a filter. */
export const ROWS_MAX = 5_000;
/** More runs at once than this are asked for together. */
const SINGLY_MAX = 8;
/** Events that are kept while an answer is on its way; what comes beyond has the list asked for again. */
const HEARD_MAX = 50_000;
/** What is heard within this time is asked for together, in milliseconds. */
const PAUSE_MS = 120;
/** A run that ends may change why others wait, which no event tells: what is waiting is looked at again after this, in milliseconds. */
const WAITING_MS = 2_000;
/** Runs of a list that is looked at again for that. */
const WAITING_MAX = 500;
/** Pauses after a request that failed, in milliseconds; the last goes on. */
const RETRIES_MS = [1_000, 3_000, 10_000, 30_000];

export class RunList {
  /** The runs that are in the list or wait to be, by their ids. */
  runs = new Map();
  /** Ids of what is shown, newest first. */
  shown = [];
  /** Ids of what belongs into the list and waits to be let in, newest first. */
  fresh = [];
  /** Ids of what is shown and belongs there no more: `left` for another state, `deleted` for good. */
  gone = new Map();
  /** Where the list goes on; null at its end. */
  next = null;
  /** Up to when the daemon has looked, where it ended for that and not because a page was full. */
  lookedBackTo = null;
  isLoaded = false;
  isLoading = false;
  error = null;
  #filter;
  #mayChange;
  #changed;
  #get;
  #open;
  #pauseMs;
  #rowsMax;
  #stream = null;
  #isHearing = false;
  /** Whether some of what waits was let go. */
  #hasHole = false;
  /** Ids of runs to ask for, and whether to ask for the whole list. */
  #wanted = new Set();
  #isStale = false;
  #timer = 0;
  #waiting = 0;
  #isAsking = false;
  #failures = 0;
  /** What was heard of each run since the question that is open was asked, and what was deleted since. */
  #heard = new Map();
  #heardCount = 0;
  #deleted = [];

  /**
   * `filter` has the parameters of `GET /v1/runs` as texts; `mayChange` says whether rows may come and go; `changed` is
   * called when something has. The rest is for tests.
   */
  constructor(filter, {mayChange, changed, get: ask = get, open = options => new Stream(options), pauseMs = PAUSE_MS, rowsMax = ROWS_MAX}) {
    [this.#filter, this.#mayChange, this.#changed] = [filter, mayChange, changed];
    [this.#get, this.#open, this.#pauseMs, this.#rowsMax] = [ask, open, pauseMs, rowsMax];
  }

  enter() {
    this.#isHearing = false;
    this.#readAgain(0);
    const on = {
      frame: frame => this.#take(frame),
      restart: () => this.#forget(),
      gone: refused => this.#fail(refused),
    };
    this.#stream = this.#open({path: '/v1/events', unit: 'id', start: 'latest', on});
  }

  leave() {
    clearTimeout(this.#timer);
    clearTimeout(this.#waiting);
    [this.#timer, this.#waiting] = [0, 0];
    this.#stream?.close();
    this.#stream = null;
  }

  /** Asks for the page after what is shown. */
  more() {
    if (!this.next || this.isFull) return;
    this.isLoading = true;
    this.#askNow();
    this.#changed();
  }

  /** Whether no more can be kept. */
  get isFull() {
    return this.shown.length >= this.#rowsMax;
  }

  /** Lets in what waits, and lets go what has left, when nobody is in the way. */
  calm() {
    if ((this.fresh.length || this.gone.size) && this.#mayChange()) this.letIn();
  }

  /** Lets in what waits, and lets go what has left. */
  letIn() {
    const gone = this.gone, lowest = this.#hasHole ? this.fresh.at(-1) : 0;
    this.shown = [...this.fresh, ...this.shown.filter(id => !gone.has(id))].sort((one, other) => other - one);
    for (const id of gone.keys()) this.runs.delete(id);
    [this.fresh, this.gone, this.#hasHole] = [[], new Map(), false];
    this.#cut(lowest);
    this.#changed();
  }

  /** The first question for a list with this filter. */
  static first(filter) {
    return urlOf(filter, FIRST);
  }

  /** Runs below this id are not known here. */
  get #floor() {
    return this.next ? before(this.next) : 0;
  }

  #fail(refused) {
    this.error = refused;
    this.#changed();
  }

  /** Everything is another's: the daemon has another database. */
  #forget() {
    this.runs.clear();
    [this.shown, this.fresh, this.gone, this.next, this.isLoaded] = [[], [], new Map(), null, false];
    this.#isHearing = false;
    this.#readAgain(0);
  }

  // What is heard

  #take(frame) {
    // Nothing is missed from the first hello on, whatever happens to the connection; what happened before it is in a list
    // that is asked for after it.
    if (frame.type === 'gap' || (frame.type === 'hello' && !this.#isHearing)) this.#readAgain(this.#pauseMs);
    if (frame.type === 'hello') {
      this.#isHearing = true;
      if (this.error) {
        this.#isStale = true;
        this.#askNow();
      }
      this.#lookAtWaiting();
    }
    if (frame.type === 'event' && frame.kind === 'removed') this.#remove(frame.data);
    else if (frame.type === 'event') this.#hear(frame);
  }

  #hear(event) {
    if (event.run < this.#floor) return;
    if (this.#isAsking) this.#remember(event);
    const known = this.runs.get(event.run);
    if (known && event.seq > known.last_seq) {
      this.runs.set(event.run, after(known, event));
      this.#place(event.run);
      this.#changed();
    }
    if (event.kind === 'started' || event.kind === 'finished') this.#lookAtWaiting();
    // What has changed is in the run alone; one that is not known is asked for if it can belong here.
    if (known ? event.kind === 'changed' : this.#mayBelong(event)) this.#want(event.run);
  }

  /** Asks again for a list in which runs wait, once in a while. */
  #lookAtWaiting() {
    if (this.#waiting || this.shown.length > WAITING_MAX) return;
    if (!this.shown.some(id => this.runs.get(id).status === 'queued')) return;
    this.#waiting = setTimeout(() => {
      this.#waiting = 0;
      this.#readAgain(0);
    }, WAITING_MS);
  }

  #remember(event) {
    if (this.#heardCount >= HEARD_MAX) return void (this.#isStale = true);
    this.#heardCount += 1;
    const heard = this.#heard.get(event.run);
    if (heard) heard.push(event);
    else this.#heard.set(event.run, [event]);
  }

  /** Whether a run that is not known may belong here after this event. */
  #mayBelong({kind, at, data}) {
    const {status, queue, tag, name, job, exit, q, until} = this.#filter;
    if (kind === 'queued' && data.attempt === 1 && until && Date.parse(at) >= Date.parse(until)) return false;
    if (kind === 'changed') return Boolean(queue || tag || name || q);
    if (kind === 'finished') {
      return Boolean(status || exit) && this.#fits({exit_code: null, ...data, queue: data.queue ?? queue, tags: data.tags ?? [tag], name: data.name ?? name, job});
    }
    if (exit) return false;
    if (kind === 'queued') return !status || status.split(',').includes('queued');
    return kind === 'started' && Boolean(status) && status.split(',').includes('running');
  }

  /** Whether a run fits the filter, as far as it can be told from here: the rest is the daemon's to say. */
  #fits(run) {
    const {status, queue, tag, name, job, exit} = this.#filter;
    return (!status || status.split(',').includes(run.status)) && (!queue || run.queue === queue)
      && (!tag || run.tags.includes(tag)) && (!name || run.name === name) && (!job || run.job === job) && (!exit || String(run.exit_code) === exit);
  }

  /** Removes the runs of a `removed` event. */
  #remove({ranges}) {
    const is = id => ranges.some(({first, last}) => id >= first && id <= last);
    if (this.#isAsking) this.#deleted.push(is);
    for (const id of [...this.runs.keys()].filter(is)) this.#leave(id, 'deleted');
    this.#changed();
  }

  // Who is in the list

  /** Has a known run where it belongs. */
  #place(id) {
    if (this.#fits(this.runs.get(id))) this.#enter(id);
    else this.#leave(id, 'left');
  }

  #enter(id) {
    this.gone.delete(id);
    if (has(this.shown, id) || has(this.fresh, id)) return;
    // What comes after the rest moves nothing.
    const ids = !this.shown.length || id < this.shown.at(-1) || this.#mayChange() ? this.shown : this.fresh;
    ids.splice(placeOf(ids, id), 0, id);
    if (this.fresh.length <= this.#rowsMax) return;
    // What waits is kept within the bounds of the list; when it is let in, the list ends where it does.
    this.runs.delete(this.fresh.pop());
    this.#hasHole = true;
  }

  #leave(id, how) {
    if (has(this.shown, id) && !this.#mayChange()) {
      this.gone.set(id, how);
      return;
    }
    for (const ids of [this.shown, this.fresh]) if (has(ids, id)) ids.splice(placeOf(ids, id), 1);
    this.gone.delete(id);
    this.runs.delete(id);
  }

  /** Keeps nothing below an id, and no more than can be kept: the oldest go. */
  #cut(lowest = 0) {
    const last = Math.max(lowest, this.shown[this.#rowsMax - 1] ?? 0);
    if (!this.shown.some(id => id < last) && !lowest) return;
    this.#cutBelow(last);
    [this.next, this.lookedBackTo] = [`${urlOf(this.#filter, PAGE)}&before=${last}`, null];
  }

  #cutBelow(id) {
    this.shown = this.shown.filter(other => other >= id);
    this.fresh = this.fresh.filter(other => other >= id);
    for (const other of [...this.runs.keys()]) if (other < id) this.runs.delete(other);
  }

  // What is asked for

  #want(id) {
    this.#wanted.add(id);
    this.#plan(this.#pauseMs);
  }

  #readAgain(ms) {
    this.#isStale = true;
    this.#plan(ms);
  }

  /** Does not wait for the end of a pause. */
  #askNow() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#plan(0);
  }

  #plan(ms) {
    if (this.#isAsking) return;
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#ask();
    }, ms);
  }

  /** Asks for all that is due; what fails is asked for again later. */
  async #ask() {
    const wanted = [...this.#wanted], isStale = this.#isStale, isMore = this.isLoading, begun = performance.now();
    this.#wanted.clear();
    [this.#isStale, this.#isAsking] = [false, true];
    let pause;
    try {
      if (isStale) await this.#walk(this.isLoaded ? this.#floor : Infinity, wanted.length);
      else if (wanted.length > SINGLY_MAX || (wanted.length && this.#isSearch)) await this.#walk(Math.min(...wanted), wanted.length);
      else await Promise.all(wanted.map(id => this.#askOne(id)));
      if (isMore && this.next) this.#settle(await this.#get(limited(this.next, PAGE)), this.#floor - 1, 0);
      [this.error, this.#failures] = [null, 0];
      // A daemon or a line that is slow is asked less often.
      pause = Math.max(this.#pauseMs, performance.now() - begun);
    } catch (error) {
      // What the daemon refuses it refuses again.
      [this.error, this.#isStale] = [error, !(error instanceof Refused && error.status < 500 && ![408, 429].includes(error.status))];
      pause = RETRIES_MS[Math.min(this.#failures, RETRIES_MS.length - 1)];
      this.#failures += 1;
    }
    [this.#isAsking, this.#heardCount] = [false, 0];
    if (isMore) this.isLoading = false;
    this.#heard.clear();
    this.#deleted = [];
    if (this.#stream && (this.#wanted.size || this.#isStale || this.isLoading)) this.#plan(pause);
    this.#changed();
  }

  /** Whether the daemon alone can say what fits. */
  get #isSearch() {
    return ['q', 'since', 'until'].some(name => this.#filter[name]);
  }

  async #askOne(id) {
    try {
      this.#keep(await this.#get(`/v1/runs/${id}`));
      if (this.runs.has(id)) this.#place(id);
    } catch (error) {
      // One that is gone already is no trouble.
      if (!(error instanceof Refused && [404, 410].includes(error.status))) throw error;
      this.#leave(id, 'deleted');
    }
  }

  /** Reads the list from its top down to an id, or one page where there is none; about `count` runs of it are new. */
  async #walk(lowest, count) {
    // As many as there are down to there, if no more have come.
    const known = below => (lowest === Infinity ? 0 : placeOf(this.shown, lowest - 1) - placeOf(this.shown, below));
    let page = await this.#get(urlOf(this.#filter, Math.min(PAGE_MAX, Math.max(this.isLoaded ? SECOND : FIRST, known(Infinity) + count))));
    const runs = [...page.runs];
    while (page.next && before(page.next) > lowest && runs.length < this.#rowsMax) {
      page = await this.#get(limited(page.next, Math.min(PAGE_MAX, known(before(page.next)) + SINGLY_MAX)));
      runs.push(...page.runs);
    }
    this.#settle({...page, runs}, Infinity, lowest);
  }

  /** Takes over what an answer says of all runs from `from` down to where it goes on, which was to be `lowest`. */
  #settle({runs, next, looked_back_to: lookedBackTo}, from, lowest) {
    const floor = next ? before(next) : 0, there = new Set(runs.map(run => run.id));
    for (const run of runs) this.#keep(run);
    for (const id of [...this.shown, ...this.fresh]) {
      if (id > from || id < floor || there.has(id)) continue;
      // The answer may be older than what has been heard meanwhile.
      if (this.#heard.has(id)) this.#wanted.add(id);
      else this.#leave(id, 'left');
    }
    // Of what lies between its end and what is shown from before nothing is known.
    const isShort = floor > lowest && floor > this.#floor;
    if (isShort) this.#cutBelow(floor);
    if (isShort || !this.isLoaded || floor < this.#floor) [this.next, this.lookedBackTo] = [next, lookedBackTo ?? null];
    for (const id of there) if (this.runs.has(id)) this.#place(id);
    this.isLoaded = true;
    this.#cut();
  }

  /** Keeps a run as an answer shows it, with what has been heard since. */
  #keep(run) {
    if (this.#deleted.some(is => is(run.id))) return;
    let now = run;
    for (const event of this.#heard.get(run.id) ?? []) {
      if (event.seq <= now.last_seq) continue;
      now = after(now, event);
      // What it has changed, the event does not tell.
      if (event.kind === 'changed') this.#wanted.add(run.id);
    }
    const known = this.runs.get(run.id);
    if (!known || known.last_seq <= now.last_seq) this.runs.set(run.id, now);
  }
}

/** A run after an event. */
const after = (run, {kind, at, data, seq}) => ({...run, ...changeOf(kind, at, data), last_seq: seq});

/** The list with a filter. */
function urlOf(filter, limit) {
  const query = new URLSearchParams({limit});
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  return `/v1/runs?${query}`;
}

/** The id below which a page begins. */
const before = url => Number(new URLSearchParams(url.split('?')[1]).get('before'));

/** The same page with more or fewer runs. */
function limited(url, limit) {
  const [path, query] = url.split('?'), parameters = new URLSearchParams(query);
  parameters.set('limit', limit);
  return `${path}?${parameters}`;
}

/** Where an id is in a falling list, or would be. */
function placeOf(ids, id) {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle] > id) low = middle + 1;
    else high = middle;
  }
  return low;
}

const has = (ids, id) => ids[placeOf(ids, id)] === id;
