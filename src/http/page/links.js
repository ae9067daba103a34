// What in a command's output may be followed as a link: http and https, to where the reader can see.
//
// The text is hostile. Nothing is a link whose target has another scheme, or a user's name in front of its host, which
// makes it look like another one. Every expression here is bounded.

/** Links in one line. */
const LINKS_MAX = 200;
// No space of any kind, no control, nothing that turns or hides text, nothing that brackets or quotes an address.
const ADDRESS = /\bhttps?:\/\/[^\s\x00-\x20\x7f-\xa0<>"'`{}|\\^\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufeff\ufff0-\uffff]{1,2048}/gi;
/** What ends a sentence rather than an address. */
const ENDS = new Set([...'.,;:!?*_~']);
const BRACKETS = {')': '(', ']': '['};

/** The address that a text is, as a browser goes there; null for all that is no link. */
export function target(text) {
  if (!/^https?:\/\//i.test(text)) return null;
  try {
    const url = new URL(text);
    const isPlain = ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password && url.host;
    return isPlain ? url : null;
  } catch {
    return null;
  }
}

/** The addresses in a text: `[{start, end, href}]`. */
export function addresses(text) {
  if (!text.includes('://')) return [];
  const found = [];
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutEnd(match[0]), url = target(address);
    if (url) found.push({start: match.index, end: match.index + address.length, href: url.href});
    if (found.length >= LINKS_MAX) break;
  }
  return found;
}

/** Without what belongs to the sentence around it: its point, and a bracket that was opened before it. */
function withoutEnd(text) {
  const counts = {};
  for (const letter of text) counts[letter] = (counts[letter] ?? 0) + 1;
  let end = text.length;
  for (; end > 0; end -= 1) {
    const last = text[end - 1], opening = BRACKETS[last];
    if (opening && counts[last] > (counts[opening] ?? 0)) counts[last] -= 1;
    else if (!ENDS.has(last)) break;
  }
  return text.slice(0, end);
}
