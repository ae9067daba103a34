// The list of runs as it lives: what is shown stays where it is and changes in place; what is new waits to be let in
// while somebody reads.
//
// The list is asked for once; from then on the stream of all runs' events says what changes.

import {get, Refused} from './api.js';
import {changeOf} from './feed.js';
import {Stream} from './stream.js';

/** Runs of one page of the list. */
const PAGE = 50;
/** Runs that the strip shows. */
const RECENT = 100;
/** More new runs at once than this are asked for together. */
const SINGLY_MAX = 8;

export class RunList {
  /** Every run that is known here, by its id. */
  runs = new Map();
  /** Ids of what is shown, newest first. */
  shown = [];
  /** Ids of what would be shown above it. */
  fresh = [];
  /** Ids of the last runs of all, newest first. */
  recent = [];
  /** Where the list goes on; null at its end. */
  next = null;
  isLoaded = false;
  isLoading = false;
  error = null;
  #filter;
  #changed;
  #mayInsert;
  #stream = null;
  #wanted = new Set();
  #asked = new Set();
  #timer = 0;

  /** `filter` has `status` (a list), `queue`, `tag`, `name`; `mayInsert` says whether new runs may push the others down. */
  constructor(filter, mayInsert, changed) {
    [this.#filter, this.#mayInsert, this.#changed] = [filter, mayInsert, changed];
  }

  enter() {
    this.load();
    const on = {
      frame: frame => this.#take(frame),
      restart: () => this.load(),
      gone: refused => this.#fail(refused),
    };
    this.#stream = new Stream({path: '/v1/events', unit: 'id', start: 'latest', on});
  }

  leave() {
    clearTimeout(this.#timer);
    this.#stream?.close();
  }

  /** Asks for the first page, and for what the strip shows. */
  async load() {
    await this.#guarded(async () => {
      const [page, recent] = await Promise.all([get(this.#url()), get(`/v1/runs?limit=${RECENT}`)]);
      for (const run of recent.runs) this.#keep(run);
      this.recent = recent.runs.map(run => run.id);
      this.#merge(page);
      this.isLoaded = true;
    });
  }

  /** Asks for the page after what is shown. */
  async more() {
    await this.#guarded(async () => {
      const page = await get(this.next);
      for (const run of page.runs) this.#keep(run);
      const known = new Set(this.shown);
      this.shown = [...this.shown, ...page.runs.map(run => run.id).filter(id => !known.has(id))];
      this.next = page.next;
    });
  }

  /** Lets in what is new. */
  letIn() {
    this.shown = [...this.fresh, ...this.shown];
    this.fresh = [];
    this.#changed();
  }

  async #guarded(task) {
    this.isLoading = true;
    this.#changed();
    try {
      await task();
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.isLoading = false;
    this.#changed();
  }

  #fail(refused) {
    this.error = refused;
    this.#changed();
  }

  #url() {
    const query = new URLSearchParams({limit: PAGE});
    const {status, ...rest} = this.#filter;
    if (status.length) query.set('status', status.join(','));
    for (const [name, value] of Object.entries(rest)) if (value) query.set(name, value);
    return `/v1/runs?${query}`;
  }

  #merge(page) {
    for (const run of page.runs) this.#keep(run);
    if (!this.isLoaded || !this.shown.length) {
      [this.shown, this.next, this.fresh] = [page.runs.map(run => run.id), page.next, []];
      return;
    }
    for (const run of page.runs.toReversed()) this.#arrive(run);
  }

  /** Remembers a run, unless something newer is known of it. */
  #keep(run) {
    const known = this.runs.get(run.id);
    if (!known || known.last_seq <= run.last_seq) this.runs.set(run.id, run);
  }

  /** A run that belongs above what is shown. */
  #arrive(run) {
    const top = Math.max(0, this.shown[0] ?? 0, this.fresh[0] ?? 0);
    if (run.id <= top || !this.#matches(run)) return;
    this.fresh = [run.id, ...this.fresh];
    if (this.#mayInsert()) this.letIn();
  }

  #matches(run) {
    const {status, queue, tag, name} = this.#filter;
    return (!status.length || status.includes(run.status)) && (!queue || run.queue === queue)
      && (!tag || run.tags.includes(tag)) && (!name || run.name === name);
  }

  #take(frame) {
    // From the hello on nothing is missed; what happened before it is in a list that is asked for after it.
    if (frame.type === 'hello' || frame.type === 'gap') this.load();
    if (frame.type !== 'event') return;
    const known = this.runs.get(frame.run);
    if (this.#asked.has(frame.run) || (known && frame.kind === 'changed')) this.#want(frame.run);
    else if (known) this.#apply(known, frame);
    else if (frame.kind === 'queued') this.#want(frame.run);
  }

  #apply(run, {seq, kind, at, data}) {
    if (seq <= run.last_seq) return;
    const change = changeOf(kind, at, data);
    this.runs.set(run.id, {...run, ...change, last_seq: seq});
    this.#changed();
  }

  #want(id) {
    this.#wanted.add(id);
    this.#timer ||= setTimeout(() => this.#fetch(), 120);
  }

  async #fetch() {
    const ids = [...this.#wanted].sort((a, b) => a - b);
    this.#wanted.clear();
    for (const id of ids) this.#asked.add(id);
    try {
      const runs = ids.length > SINGLY_MAX
        ? (await get(`/v1/runs?limit=${RECENT}`)).runs.toReversed()
        : (await Promise.all(ids.map(id => get(`/v1/runs/${id}`).catch(forgiven)))).filter(Boolean);
      for (const run of runs) this.#came(run);
    } catch {
      // The stream tells of it when the daemon is gone, and the list is asked for again when it is back.
    }
    for (const id of ids) this.#asked.delete(id);
    this.#timer = 0;
    if (this.#wanted.size) this.#want([...this.#wanted][0]);
    this.#changed();
  }

  #came(run) {
    this.#keep(run);
    if (run.id > (this.recent[0] ?? 0)) this.recent = [run.id, ...this.recent].slice(0, RECENT);
    this.#arrive(run);
  }
}

/** A run that is gone already is no trouble. */
function forgiven(error) {
  if (error instanceof Refused && [404, 410].includes(error.status)) return null;
  throw error;
}
