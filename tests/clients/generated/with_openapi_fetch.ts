// The types of openapi-typescript under openapi-fetch, against a real daemon.

import createClient from 'openapi-fetch';

import {same, token, url} from './check.js';
import type {paths} from './openapi_typescript.js';

const client = createClient<paths, 'application/json' | 'application/problem+json'>({baseUrl: url, headers: {Authorization: `Bearer ${token}`}});

const {data: run} = await client.POST('/v1/runs', {body: {script: 'echo one; echo two >&2', name: 'generated', tags: ['a', 'b']}});
const {data: ended} = await client.GET('/v1/runs/{id}', {params: {path: {id: run!.id}, query: {wait_s: 30}}});
same(ended!.status, 'succeeded');
const {data: page} = await client.GET('/v1/runs/{id}/events', {params: {path: {id: run!.id}, query: {after: 0}}});
same(page!.events.map(event => event.kind).filter(kind => kind !== 'output'), ['queued', 'started', 'finished']);
const {data: all} = await client.GET('/v1/events', {params: {query: {after: '0', kinds: ['started', 'finished'], runs: [String(run!.id)]}}});
same(all!.events.map(event => event.kind), ['started', 'finished']);
const {data: list} = await client.GET('/v1/runs', {params: {query: {status: ['succeeded', 'failed'], tag: 'a'}}});
same(list!.runs.some(one => one.id === run!.id), true);
const {data: waiting} = await client.POST('/v1/runs', {body: {command: ['true'], priority: 50, delay_s: 3600}});
const {data: renamed} = await client.PATCH('/v1/runs/{id}', {params: {path: {id: waiting!.id}}, body: {name: 'renamed'}});
same([renamed!.name, renamed!.priority], ['renamed', 50]);
const {data: beside} = await client.POST('/v1/runs', {params: {query: {name: 'beside', tag: ['x', 'y']}}, body: {command: ['true']}});
same([beside!.name, beside!.tags], ['beside', ['x', 'y']]);
const {error} = await client.GET('/v1/runs/{id}', {params: {path: {id: 999_999}}});
same(error!.code, 'run_not_found');
