// A WebSocket with undici.

import {WebSocket} from 'undici';

import {BEARER, followSocket} from './reader.mjs';

await followSocket(url => new WebSocket(url, {headers: BEARER}));
