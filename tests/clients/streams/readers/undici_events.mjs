// Server-sent events with undici's EventSource, which takes no headers: the dispatcher adds the token.

import {Agent, EventSource} from 'undici';

import {BEARER, followSource} from './reader.mjs';

const withToken = dispatch => (options, handler) => dispatch({...options, headers: added(options.headers)}, handler);
const added = headers => Array.isArray(headers) ? [...headers, ...Object.entries(BEARER).flat()] : {...headers, ...BEARER};
const dispatcher = new Agent({bodyTimeout: 30_000}).compose(withToken);
// While it waits to come back nothing else keeps Node from ending, and it would.
const awake = setInterval(() => {}, 60_000);
await followSource(url => new EventSource(url, {dispatcher, node: {dispatcher}}));
clearInterval(awake);
