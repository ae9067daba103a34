// What the daemon says of itself: its version, its room, whether it starts anything. Asked for now and then, and shown by
// all views alike.

import {get, may, Watched} from './api.js';

/** How long what was heard is believed while somebody looks, in milliseconds. */
const FRESH_MS = 60_000;

/** As `GET /v1/system` says; null until it has. */
export const system = new Watched(null);

let askedAt = -Infinity;

/** Asks again where it is time to, or at once. */
export async function lookAtSystem({now = false} = {}) {
  if (!may('viewer') || (!now && (document.hidden || performance.now() - askedAt < FRESH_MS))) return;
  askedAt = performance.now();
  try {
    system.set(await get('/v1/system'));
  } catch {
    // Whoever waits for something else is told.
  }
}
