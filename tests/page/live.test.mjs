// The list of runs against a daemon that is made up here: slow, with everything in any order that a real one could have. In
// the end it is what the daemon's own list says.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {Refused} from '../../src/http/page/api.js';
import {RunList} from '../../src/http/page/live.js';

/** Numbers from 0 to 1 that come again the next time. */
function randoms(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const after = ms => new Promise(done => setTimeout(done, ms));

/** A daemon with a line to it that takes some time each way. */
class Daemon {
  runs = new Map();
  last = 0;
  requests = 0;
  #events = 0;
  #readers = new Set();

  constructor(random, delayMs) {
    [this.random, this.delayMs] = [random, delayMs];
  }

  #emit(run, kind, data) {
    run.last_seq += 1;
    this.#tell({type: 'event', run: run.id, seq: run.last_seq, kind, at: new Date().toISOString(), data});
  }

  #tell(frame) {
    this.#events += 1;
    for (const tell of this.#readers) tell({...frame, id: this.#events});
  }

  submit(name, queue = 'default') {
    this.last += 1;
    const run = {id: this.last, name, queue, tags: [], status: 'queued', exit_code: null, last_seq: 0};
    this.runs.set(run.id, run);
    this.#emit(run, 'queued', {attempt: 1});
    return run;
  }

  start(run) {
    run.status = 'running';
    this.#emit(run, 'started', {attempt: 1});
  }

  finish(run, status) {
    [run.status, run.exit_code] = [status, status === 'succeeded' ? 0 : 1];
    this.#emit(run, 'finished', {status, reason: 'exited', exit_code: run.exit_code, name: run.name, queue: run.queue, tags: run.tags});
  }

  rename(run, name) {
    run.name = name;
    this.#emit(run, 'changed', {by: 'test'});
  }

  get newestEnded() {
    return Math.max(0, ...[...this.runs.values()].filter(run => run.exit_code !== null).map(run => run.id));
  }

  remove(first, last) {
    const gone = [...this.runs.values()].filter(run => run.id >= first && run.id <= last && run.exit_code !== null);
    for (const run of gone) this.runs.delete(run.id);
    const ranges = gone.map(({id}) => ({first: id, last: id}));
    if (gone.length) this.#tell({type: 'event', run: 0, seq: 1, kind: 'removed', data: {count: gone.length, ranges}});
  }

  list(filter, limit, before = Infinity) {
    const fits = run => Object.entries(filter).every(([name, value]) => (name === 'status' ? value.split(',').includes(run.status)
      : name === 'q' ? run.name.includes(value) : String(run[name === 'exit' ? 'exit_code' : name]) === value));
    const all = [...this.runs.values()].filter(run => run.id < before && fits(run)).sort((one, other) => other.id - one.id);
    const runs = all.slice(0, limit).map(run => ({...run, tags: [...run.tags]}));
    const query = new URLSearchParams({...filter, limit, before: runs.at(-1)?.id});
    return {runs, next: all.length > limit ? `/v1/runs?${query}` : null};
  }

  /** An answer shows the daemon at some moment while it is on its way. */
  get = async url => {
    this.requests += 1;
    await after(this.random() * this.delayMs);
    const {pathname, searchParams} = new URL(url, 'http://localhost');
    const id = Number(pathname.split('/')[3] ?? 0), run = this.runs.get(id);
    const {limit, before, ...filter} = Object.fromEntries(searchParams);
    const answer = id ? run && {...run} : this.list(filter, Number(limit), Number(before ?? Infinity));
    await after(this.random() * this.delayMs);
    if (!answer) throw new Refused(410, {code: 'run_pruned'});
    return answer;
  };

  /** Events come in order, late. */
  open = ({on}) => {
    let line = Promise.resolve();
    const tell = frame => {
      const due = performance.now() + this.random() * this.delayMs;
      line = line.then(() => due > performance.now() && after(due - performance.now())).then(() => this.#readers.has(tell) && on.frame(frame));
    };
    setTimeout(() => {
      this.#readers.add(tell);
      tell({type: 'hello'});
    }, this.random() * this.delayMs);
    return {close: () => this.#readers.delete(tell)};
  };
}

async function lives({seed, filter, delayMs, steps, burst = 1, isInTheWay = false, rowsMax}) {
  const random = randoms(seed), daemon = new Daemon(random, delayMs), live = [];
  for (let count = 0; count < 30; count += 1) daemon.finish(daemon.submit(`old ${count % 3}`), 'succeeded');
  let mayChange = true, changes = 0;
  const list = new RunList(filter, {mayChange: () => mayChange, changed: () => (changes += 1), get: daemon.get, open: daemon.open, pauseMs: 2, rowsMax});
  list.enter();
  // What happens while the list is asked for the first time, and what happens after.
  if (random() < 0.7) await after(delayMs * 5 + 20);
  for (let step = 0; step < steps; step += 1) {
    const choice = random(), run = live[Math.floor(random() * live.length)];
    if (choice < 0.45 || !run) live.push(daemon.submit(`run ${step % 5}`, step % 4 ? 'default' : 'gpu'));
    else if (choice < 0.65 && run.status === 'queued') daemon.start(run);
    else if (choice < 0.88 && run.status === 'running') daemon.finish(live.splice(live.indexOf(run), 1)[0], random() < 0.3 ? 'failed' : 'succeeded');
    else if (choice < 0.93) daemon.rename(run, `run ${Math.floor(random() * 5)}`);
    else if (choice < 0.935) daemon.remove(Math.floor(random() * daemon.last), daemon.last);
    else if (choice < 0.955) daemon.remove(daemon.newestEnded, daemon.newestEnded);
    else if (choice < 0.96) list.more();
    else if (isInTheWay && choice < 0.98) mayChange = !mayChange;
    if (step % burst === 0) await after(random() * delayMs / 2);
  }
  mayChange = true;
  if (random() < 0.5) list.more();
  const end = performance.now() + 5_000;
  for (;;) {
    list.calm();
    const {runs, next} = daemon.list(filter, list.shown.length + 1), wanted = runs.slice(0, list.next ? list.shown.length : undefined);
    const isSame = JSON.stringify(list.shown.map(id => pick(list.runs.get(id)))) === JSON.stringify(wanted.map(pick));
    if (isSame && (list.next || !next) && list.isLoaded) break;
    if (performance.now() > end) assert.deepEqual(list.shown.map(id => pick(list.runs.get(id))), wanted.map(pick), `seed ${seed}, ${JSON.stringify(filter)}`);
    await after(5);
  }
  list.leave();
  assert.equal(list.runs.size, list.shown.length, 'runs are kept that are not shown');
  return {requests: daemon.requests, changes};
}

const pick = ({id, status, name, exit_code}) => [id, status, name, exit_code];

test('the list is what the daemon says, whatever comes in which order', async () => {
  const filters = [{}, {status: 'failed'}, {status: 'queued,running'}, {queue: 'gpu'}, {name: 'run 3'}, {q: 'run 2'}, {exit: '1'}];
  // Many short ones: in a long one what was missed is often asked for again.
  const worlds = filters.flatMap((filter, nth) => Array.from({length: 60}, (_, part) => ({
    filter, seed: nth * 100 + part, delayMs: [2, 8, 25, 60][part % 4], steps: 4 + part % 40, burst: 1 + part % 3, isInTheWay: part % 3 === 0, rowsMax: part % 5 === 0 ? 12 : undefined,
  })));
  await Promise.all(worlds.map(lives));
});

test('thousands of short runs at once cost few requests', async () => {
  const {requests} = await lives({seed: 99, filter: {}, delayMs: 30, steps: 6_000, burst: 50});
  assert.ok(requests < 600, `${requests} requests`);
});
