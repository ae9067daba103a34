// The tab's picture, which says how things are while somebody looks elsewhere: a colour and a shape for each state.

const PLAIN = '/page/icon.svg';
/** Ground and stroke of each. Colours alone would tell nobody apart who sees few. */
const STATES = {
  queued: ['#5a606b', '<circle cx="16" cy="16" r="8" stroke-dasharray="3.6 2.7"/>'],
  running: ['#3553c9', '<path d="M16 7a9 9 0 1 1-8.6 6.3"/><path d="m13 11.5 7.5 4.5-7.5 4.5z" fill="#fff" stroke="none"/>'],
  succeeded: ['#1b7340', '<path d="m8.5 17 5 5 10-12"/>'],
  failed: ['#b3261e', '<path d="m10 10 12 12m0-12-12 12"/>'],
  timed_out: ['#b3261e', '<circle cx="16" cy="16" r="8"/><path d="M16 11v5l3 2"/>'],
  canceled: ['#5a606b', '<circle cx="16" cy="16" r="8"/><path d="M12.5 16h7"/>'],
  interrupted: ['#8a5300', '<path d="M18 6 10 17h5l-2 9 9-12h-5z" fill="#fff" stroke="none"/>'],
  offline: ['#8a8f99', '<path d="m9 23 14-14M11 13a9 9 0 0 1 10 0"/>'],
};

let shown = null;

/** Shows this state; any other word is the page's own picture. */
export function showState(state) {
  if (state === shown) return;
  shown = state;
  const [ground, strokes] = STATES[state] ?? [];
  const drawn = `<svg xmlns="http:${'/'}/www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${ground}"/>`
    + `<g fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round">${strokes}</g></svg>`;
  document.querySelector('link[rel="icon"]').href = ground ? `data:image/svg+xml,${encodeURIComponent(drawn)}` : PLAIN;
}
