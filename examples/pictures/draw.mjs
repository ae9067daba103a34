// Draws a recording of a terminal as an SVG, and takes a picture of the page: `draw.mjs RECORDING LINK SVG PNG`.

import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';

// Where the tests of the page have it.
const {chromium} = createRequire(new URL('../../tests/page/package.json', import.meta.url))('playwright-core');

const [recording, link, svg, png] = process.argv.slice(2);
const [FONT_PX, LINE_PX, CHAR_PX, MARGIN_PX] = [14, 20, 8.43, 16];
const [PLAIN, DIM] = ['#e6edf3', '#8b949e'];
const COLOURS = {31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 34: '#79c0ff', 35: '#d2a8ff', 36: '#76e3ea', 90: '#8b949e'};

writeFileSync(svg, drawn(readFileSync(recording, 'utf8')));
await pictured();

/** The recording as a picture: a text element a line, a span a colour. */
function drawn(text) {
  const lines = text.replace(/\r/g, '').trimEnd().split('\n');
  const columns = Math.max(...lines.map(line => line.replace(/\x1b\[[\d;]*[A-Za-z]/g, '').length));
  const [width, height] = [Math.ceil(columns * CHAR_PX) + 2 * MARGIN_PX, lines.length * LINE_PX + 2 * MARGIN_PX];
  const style = {fill: PLAIN, bold: false, dim: false};
  const drawnLine = (line, index) => `<text x="${MARGIN_PX}" y="${MARGIN_PX + FONT_PX + index * LINE_PX}">${spans(line, style)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_PX}" fill="${PLAIN}">
${lines.map(drawnLine).join('\n')}
</g>
</svg>
`;
}

/** A line's pieces between its escape sequences; what they say of the style holds for the lines that follow, too. */
function spans(line, style) {
  let out = '';
  // What stands before the first sequence is taken for what follows one that says nothing.
  for (const [, codes, letter, piece] of `\x1b[x${line}`.matchAll(/\x1b\[([\d;]*)([A-Za-z])([^\x1b]*)/g)) {
    if (letter === 'm') (codes || '0').split(';').forEach(code => take(Number(code), style));
    // Spaces in a row are one to some that draw it, unless they are hard ones.
    const escaped = piece.replaceAll(' ', '\u00a0').replace(/[&<>]/g, c => `&#${c.charCodeAt(0)};`);
    const weight = style.bold ? ' font-weight="bold"' : '';
    const fill = style.dim ? DIM : style.fill;
    if (fill !== PLAIN || weight) out += `<tspan fill="${fill}"${weight}>${escaped}</tspan>`;
    else out += escaped;
  }
  return out;
}

function take(code, style) {
  if (code === 0) Object.assign(style, {fill: PLAIN, bold: false, dim: false});
  if (code === 1) style.bold = true;
  if (code === 2) style.dim = true;
  if (code === 22) style.bold = style.dim = false;
  if (code === 39) style.fill = PLAIN;
  if (COLOURS[code]) style.fill = COLOURS[code];
}

/** The page of the newest run that goes on. */
async function pictured() {
  const browser = await chromium.launch({executablePath: process.env.BROWSER || undefined, args: ['--no-sandbox', '--disable-gpu']});
  const context = await browser.newContext({viewport: {width: 1000, height: 600}, colorScheme: 'light'});
  const page = await context.newPage();
  await page.goto(link);
  await page.waitForSelector('header');
  await page.getByText('train', {exact: true}).first().click();
  await page.getByText('epoch 40 of 60').first().waitFor();
  await page.mouse.move(0, 0);
  await page.waitForTimeout(1000);
  await page.screenshot({path: png});
  await browser.close();
}
