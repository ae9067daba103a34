// Server-sent events with npm's eventsource.

import {EventSource} from 'eventsource';

import {BEARER, followSource} from './reader.mjs';

const withToken = (input, init) => fetch(input, {...init, headers: {...init.headers, ...BEARER}});
await followSource(url => new EventSource(url, {fetch: withToken}));
