// Light, dark, or as the system has it. The script in index.html sets what was chosen before anything is drawn, by the
// same name in the same place.

import {stored} from './keep.js';

const NAMES = ['auto', 'light', 'dark'];
const kept = stored('theme');

/** What was chosen. */
export const theme = () => document.documentElement.dataset.theme ?? 'auto';

/** Takes the next one. */
export function nextTheme() {
  setTheme(NAMES[(NAMES.indexOf(theme()) + 1) % NAMES.length]);
}

/** Takes this one, or none of its own. */
export function setTheme(name) {
  const {dataset} = document.documentElement;
  if (name === 'auto' || !NAMES.includes(name)) delete dataset.theme;
  else dataset.theme = name;
  kept.set(name === 'auto' ? null : name);
}

setTheme(kept.get() ?? 'auto');
