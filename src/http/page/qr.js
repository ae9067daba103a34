// A text as a QR code, for a phone's camera: black on white whatever the page's colours are.

import {html, nothing, svg} from './html.js';
import {correction, generate} from './vendor/lean-qr/nano.js';

/** Light modules around the code, as its standard wants. */
const QUIET = 4;

let last = {text: null, code: null};

/** The code; nothing for a text that is too long for one. `label` is what it is called to who does not see it. */
export function qrCode(text, label) {
  // It is described again each second, and stays the same.
  if (last.text !== text) last = {text, code: drawn(text, label)};
  return last.code;
}

function drawn(text, label) {
  let code;
  try {
    code = generate(text, {minCorrectionLevel: correction.L});
  } catch {
    return nothing;
  }
  const side = code.size + 2 * QUIET, rows = Array.from({length: code.size}, (_, y) => y);
  const dark = rows.flatMap(y => rows.filter(x => code.get(x, y)).map(x => `M${x + QUIET} ${y + QUIET}h1v1h-1z`)).join('');
  return html`<svg class="qr" viewBox="0 0 ${side} ${side}" role="img" aria-label=${label} shape-rendering="crispEdges">
    ${svg`<rect width=${side} height=${side} fill="#fff"></rect><path d=${dark} fill="#000"></path>`}</svg>`;
}
