// What is done to all runs that a filter finds: it is counted first, and done when somebody has said yes to that.

import {post} from '../api.js';
import {plural} from '../format.js';
import {confirm} from '../parts.js';

const DEEDS = {
  cancel: {
    of: ['queued', 'running'],
    title: count => `Cancel ${plural(count, 'run')}?`,
    text: ({running}) => `${running ? `${running} of them run: they get SIGTERM, and time to end. ` : ''}What waits never starts.`,
    action: 'Cancel them',
    done: count => `${plural(count, 'run')} canceled.`,
    none: 'Nothing of it waits or runs.',
  },
  retry: {
    of: ['failed', 'timed_out', 'interrupted', 'canceled'],
    title: count => `Queue ${plural(count, 'run')} again?`,
    text: ({skipped}) => `Each becomes a new run of the same specification.${skipped ? ` ${plural(skipped, 'run')} that had a retry before, or no queue any more, ${skipped === 1 ? 'is' : 'are'} left alone.` : ''}`,
    action: 'Queue them again',
    done: count => `${plural(count, 'run')} queued again.`,
    none: 'Nothing of it can be tried again, or all of it has been.',
  },
};

/** The deeds that make sense for a filter. */
export const deedsFor = ({status}) => Object.keys(DEEDS).filter(deed => !status || status.split(',').some(state => DEEDS[deed].of.includes(state)));

/** Asks and does it; answers what to say. */
export async function toAll(deed, parameters) {
  const {of, title, text, action, done, none} = DEEDS[deed];
  const states = parameters.status?.split(',').filter(state => of.includes(state)) ?? (deed === 'retry' ? of.slice(0, 3) : of);
  const query = new URLSearchParams({...parameters, status: states.join(',')});
  const counted = await overAll(`/v1/runs/${deed}?${query}&dry_run=true`);
  if (!counted.count) return none;
  const isSure = await confirm({title: title(counted.count), text: text(counted), action, isGrave: deed === 'cancel'});
  return isSure ? done((await overAll(`/v1/runs/${deed}?${query}`)).count) : '';
}

/** One request after another, until the daemon says that it is all. */
async function overAll(path) {
  const all = {count: 0, running: 0, skipped: 0};
  for (let next = path; next;) {
    const some = await post(next);
    for (const what of Object.keys(all)) all[what] += some[what];
    next = some.next;
  }
  return all;
}
