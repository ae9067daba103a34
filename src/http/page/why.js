// Why a run that is queued has not started.

import {until, words} from './format.js';

/** What it waits for, each in a few words; `named` makes of a run's number what it is called. */
export function waits({status, held_by, waits_for, behind, not_before}, named = id => `run ${id}`) {
  if (status !== 'queued') return [];
  const held = (held_by ?? []).map(why => ((why === 'time' || why === 'retry') && not_before
    ? `${why === 'retry' ? 'tries again' : 'starts'} in ${until(not_before)}`
    : why === 'after' ? 'waits for other runs' : why === 'key' ? 'waits for another run of its key' : `held back: ${words(why)}`));
  const waiting = (waits_for ?? []).map(why => (why === 'drain' ? 'the daemon is being drained' : why === 'pause' ? 'its queue is paused'
    : why === 'slot' ? behind ? ['waits behind ', named(behind)] : 'waits for a slot' : `waits for ${words(why)}`));
  return [...held, ...waiting];
}

/** The same in a line of text. */
export const waitsText = run => waits(run).map(why => [why].flat().join('')).join(', ');
