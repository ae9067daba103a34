// What was typed into the form of a submit and not sent: a look elsewhere does not lose it.
//
// Values of the environment and standard input may be secrets: they stay in this page's memory and are lost with it. The
// rest stays in the tab, over a reload.

import {stored} from '../keep.js';

const SECRETS = ['env', 'stdin'];

const kept = stored('draft', 'sessionStorage');
/** Drafts by what they began from: an empty form, or a run. */
const drafts = new Map();

/** `{kind, values}` of what was typed last; null where nothing was. */
export function draftOf(from) {
  if (!drafts.has(from)) drafts.set(from, from === '' ? kept.get() : null);
  return drafts.get(from);
}

/** Keeps what is typed now; null forgets it. */
export function keepDraft(from, draft) {
  drafts.set(from, draft);
  if (from !== '') return;
  const isOpen = ([name]) => !SECRETS.includes(name);
  kept.set(draft && {...draft, values: Object.fromEntries(Object.entries(draft.values).filter(isOpen))});
}

/** Forgets them all: somebody else may come. */
export function forgetDrafts() {
  drafts.clear();
  kept.set(null);
}
