// A WebSocket with npm's ws.

import {WebSocket} from 'ws';

import {BEARER, followSocket} from './reader.mjs';

await followSocket(url => new WebSocket(url, {headers: BEARER}));
