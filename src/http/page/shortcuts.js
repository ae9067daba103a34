// Keys of the page and of its lists. A view that has keys of its own, as the log has, takes them first.

import {html} from './html.js';
import {stored} from './keep.js';
import {dialog} from './parts.js';

const KEYS = [
  ['/', 'Find: to the field for it'], ['j', 'The next one in a list, or line'], ['k', 'The one before'],
  ['g', 'The first one; the top'], ['G', 'The last one; the bottom'], ['Enter', 'Open it'],
  ['n', 'In the output, the next line that was found'], ['N', 'The one before'],
  ['?', 'These keys'],
];
/** What `j` and `k` walk through. */
const STOPS = 'main :is(.what, .waits a, .list button)';

const kept = stored('hasNoKeys');
let areOff = kept.get() === true;

/** Listens for them, from now on. */
export function listenForKeys(update) {
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.('input, select, textarea, dialog, [contenteditable]')) return;
    if (areOff && event.key !== '?') return;
    const deed = {'/': find, j: () => walk(1), k: () => walk(-1), g: () => end(0), G: () => end(-1), '?': () => showKeys(update)}[event.key];
    if (deed?.() !== undefined) event.preventDefault();
  });
}

/** Puts the cursor where something is looked for. */
function find() {
  const field = document.querySelector('main :is(input[type="search"], .filters input[type="text"], form input[type="text"])');
  field?.focus();
  field?.select();
  return field ?? undefined;
}

function walk(by) {
  const stops = [...document.querySelectorAll(STOPS)], at = stops.indexOf(document.activeElement);
  const next = at < 0 ? stops[0] : stops[at + by];
  next?.focus();
  return next;
}

function end(at) {
  const stop = [...document.querySelectorAll(STOPS)].at(at);
  stop?.focus();
  return stop;
}

/** Says which keys there are; a key alone is a trap for who speaks to their machine, and can be switched off. */
export function showKeys(update) {
  const choose = event => {
    areOff = !event.target.checked;
    kept.set(areOff || null);
    update();
  };
  dialog(close => html`<h2 id="question">Keys</h2>
    <dl class="keys">${KEYS.map(([key, does]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <label class="check"><input type="checkbox" .checked=${!areOff} @change=${choose}> Use these keys</label>
    <div class="buttons"><button type="button" class="first" @click=${close('')}>Close</button></div>`);
  return null;
}
