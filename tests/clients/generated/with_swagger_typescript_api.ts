// The fetch client that swagger-typescript-api makes, against a real daemon.

import {same, token, url} from './check.js';
import {Api} from './swagger_typescript_api.js';

const {v1} = new Api({baseUrl: url, baseApiParams: {headers: {Authorization: `Bearer ${token}`}, format: 'json'}});

const {data: run} = await v1.submitRun({script: 'echo one; echo two >&2', name: 'generated', tags: ['a', 'b']});
const {data: ended} = await v1.getRun(run.id, {wait_s: 30});
same(ended.status, 'succeeded');
const {data: page} = await v1.readRunEvents(run.id, {after: 0});
same(page.events.map(event => event.kind).filter(kind => kind !== 'output'), ['queued', 'started', 'finished']);
const {data: all} = await v1.readAllEvents({after: '0', kinds: ['started', 'finished'], runs: [String(run.id)]});
same(all.events.map(event => event.kind), ['started', 'finished']);
const {data: list} = await v1.listRuns({status: ['succeeded', 'failed'], tag: 'a'});
same(list.runs.some(one => one.id === run.id), true);
const {data: waiting} = await v1.submitRun({command: ['true'], priority: 50, delay_s: 3600});
const {data: renamed} = await v1.changeRun(waiting.id, {name: 'renamed'});
same([renamed.name, renamed.priority], ['renamed', 50]);
const {data: beside} = await v1.submitRun({command: ['true']}, {name: 'beside', tag: ['x', 'y']});
same([beside.name, beside.tags], ['beside', ['x', 'y']]);
const missing = await v1.getRun(999_999).catch(answer => answer);
same(missing.error.code, 'run_not_found');
