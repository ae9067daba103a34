// The fetch client that orval makes, against a real daemon.

import {same, token, url} from './check.js';
import {changeRun, getRun, listRuns, readAllEvents, readRunEvents, submitRun} from './orval_client.js';
import type {EventPage, Run, RunPage} from './orval_client.js';

// It asks for paths; where and who is the caller's. A body that may be of several types has none unless the caller says so.
const json = {headers: {'Content-Type': 'application/json'}};
const plain = globalThis.fetch;
globalThis.fetch = (path, init) => plain(`${url}${path}`, {...init, headers: {...init?.headers, Authorization: `Bearer ${token}`}});

const run = (await submitRun({script: 'echo one; echo two >&2', name: 'generated', tags: ['a', 'b']}, {}, json)).data as Run;
const ended = (await getRun(run.id, {wait_s: 30})).data as Run;
same(ended.status, 'succeeded');
// It gives the streams' answer, which a page is where no stream is asked for.
const page = await (await readRunEvents(run.id, {after: 0}) as unknown as {stream: Response}).stream.json() as EventPage;
same(page.events.map(event => event.kind).filter(kind => kind !== 'output'), ['queued', 'started', 'finished']);
const everything = await readAllEvents({after: '0', kinds: ['started', 'finished'], runs: [String(run.id)]});
const all = await (everything as unknown as {stream: Response}).stream.json() as EventPage;
same(all.events.map(event => event.kind), ['started', 'finished']);
const list = (await listRuns({status: ['succeeded', 'failed'], tag: 'a'})).data as RunPage;
same(list.runs.some(one => one.id === run.id), true);
const waiting = (await submitRun({command: ['true'], priority: 50, delay_s: 3600}, {}, json)).data as Run;
const renamed = (await changeRun(waiting.id, {name: 'renamed'})).data as Run;
same([renamed.name, renamed.priority], ['renamed', 50]);
const beside = (await submitRun({command: ['true']}, {name: 'beside', tag: ['x', 'y']}, json)).data as Run;
same([beside.name, beside.tags], ['beside', ['x', 'y']]);
const missing = await getRun(999_999);
same(missing.status, 404);
