// The parts of the page that need no browser: how a line is read, how lines are kept, how they are found.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {agent} from '../../src/http/page/agent.js';
import {PLAIN, plain, segments, SHOWN_CHARS_MAX, styleAfter} from '../../src/http/page/ansi.js';
import {duration, seconds, shown, stamp} from '../../src/http/page/format.js';
import {CHUNK_LINES, Lines} from '../../src/http/page/lines.js';
import {Search} from '../../src/http/page/search.js';
import {waitsText} from '../../src/http/page/why.js';

const AT = '2026-11-23T06:32:01.123Z';
const look = (text, style = PLAIN) => segments(text, style).segments
  .map(({text, style: {fg, bg, ...rest}}) => [text, fg, bg, Object.keys(rest).filter(name => rest[name]).join(' ')]);
const texts = lines => lines.chunks.flatMap(chunk => chunk.lines.map(line => plain(line.text)));

test('no text hides or turns what is there', () => {
  const name = 'a\u202eb\u061cc\u00add\u180ee\u{e0041}f\u115fg\u3164h\u2066i\u200bj\x1bk\u2028';
  assert.equal(shown(name), 'a\\u{202e}b\\u{61c}c\\u{ad}d\\u{180e}e\\u{e0041}f\\u{115f}g\\u{3164}h\\u{2066}i\\u{200b}j\\u{1b}k\\u{2028}');
  for (const said of ['läuft ✓', 'עברית', 'two\n\tlines', '🏷️ ❤️']) assert.equal(shown(said), said);
});

test('colours of 16, 256 and all, with semicolons and with colons', () => {
  assert.deepEqual(look('a\x1b[31mb\x1b[1;97;44mc\x1b[0md'),
    [['a', null, null, ''], ['b', 1, null, ''], ['c', 15, 4, 'bold'], ['d', null, null, '']]);
  for (const sequence of ['38;5;196', '38:5:196']) assert.deepEqual(look(`\x1b[${sequence}mx`), [['x', 'rgb(255 0 0)', null, '']]);
  for (const sequence of ['48;2;1;2;3', '48:2::1:2:3', '48:2:1:2:3']) assert.deepEqual(look(`\x1b[${sequence}mx`), [['x', null, 'rgb(1 2 3)', '']]);
  assert.deepEqual(look('\x1b[38;5;7mx\x1b[38;5;244my'), [['x', 7, null, ''], ['y', 'rgb(128 128 128)', null, '']]);
  assert.deepEqual(look('\x1b[4mu\x1b[24;3;9mi\x1b[22;23;29;7mv'), [['u', null, null, 'underline'], ['i', null, null, 'italic strike'], ['v', null, null, 'inverse']]);
  // What is no colour changes nothing, and takes nothing else with it.
  for (const sequence of ['38;5;256', '38;5', '38', '38;2;1;2', '38;2;300;0;0', '38;9;1', '38:5:999', '999', '?25', '>4;2']) {
    assert.deepEqual(look(`\x1b[${sequence}mx`)[0].slice(0, 3), ['x', null, null], sequence);
  }
});

test('a style goes on in the next line of its stream', () => {
  const lines = new Lines();
  lines.output('stdout', '\x1b[32mone\ntwo\n', AT);
  lines.output('stderr', 'other\n', AT);
  lines.output('stdout', 'three\x1b[m\nfour\n', AT);
  const fg = lines.chunks[0].lines.map(line => segments(line.text, line.style).segments[0].style.fg);
  assert.deepEqual(fg, [2, 2, null, 2, null]);
  assert.equal(styleAfter('\x1b[1mx\x1b[0m', PLAIN), PLAIN);
});

test('a carriage return draws the line again, a backspace goes back, an erasure erases', () => {
  assert.equal(plain('fetching  10 %\rfetching 100 %'), 'fetching 100 %');
  assert.equal(plain('long line\rshort'), 'shortline');
  assert.equal(plain('long line\r\x1b[Kshort'), 'short');
  assert.equal(plain('long line\x1b[2K\rx'), 'x');
  assert.equal(plain('spin /\b\b\b\b-\r'), 'sp-n /');
  assert.equal(plain('|\b/\b-'), '-');
  assert.equal(plain('crlf\r'), 'crlf');
  assert.equal(plain('abcdef\x1b[3GX\x1b[2DY\x1b[CZ'), 'aYXZef');
  assert.equal(plain('\x1b[5Cx'), '     x');
  assert.equal(plain('\b\b\bx'), 'x');
  assert.equal(plain('abc\x1b[2G\x1b[Px'), 'ax');
});

test('hostile sequences leave text, and only text', () => {
  const gone = {
    'a title': '\x1b]0;title\x07', 'a title with ST': '\x1b]2;title\x1b\\', 'a link': '\x1b]8;;javascript:alert(1)\x1b\\',
    'a device string': '\x1bP1;2q#0;2;0;0;0\x1b\\', 'a private message': '\x1b^x\x1b\\', 'moves elsewhere': '\x1b[2J\x1b[H\x1b[10;10f\x1b[A',
    'modes': '\x1b[?1049h\x1b[?25l\x1b=\x1b>', 'character sets': '\x1b(B\x1b)0', 'a reset': '\x1bc', 'bells': '\x07\x07',
    'C1 forms': '\x9b31m\x9d0;title\x9c\x85\x90x\x9c',
  };
  for (const [what, sequence] of Object.entries(gone)) assert.equal(plain(`a${sequence}b`), 'ab', what);
  assert.equal(plain('a\x1b'), 'a');
  assert.equal(plain('a\x1b[31'), 'a');
  assert.equal(plain('a\x1b]0;never ended'), 'a');
  assert.equal(plain('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
  assert.equal(plain('a\0b\x01c\x7f'), 'a\u2400b\u2401c\u2421');
  assert.equal(plain('\ud800 alone \u202e turned'), '\ud800 alone \u202e turned');
  // Nothing that is longer than a sequence can be hides what follows it.
  assert.ok(plain(`\x1b[${'1;'.repeat(500)}mshown`).endsWith('shown'));
  assert.ok(plain(`\x1b]0;${'x'.repeat(5_000)}shown`).endsWith('shown'));
});

test('no line makes it slow', () => {
  const begun = performance.now();
  for (const piece of ['\x1b[', '\x1b]', '\x1b[1;', '\x1b[999999999G', '\x1b]0;', 'x\r', '\b', '\x1b[K', '\x1b[2K', '\x9b', '\x1b[38;5', '\x1b[1P', '\x1b']) {
    const text = piece.repeat(Math.floor(1_000_000 / piece.length));
    segments(text, PLAIN);
    styleAfter(text, PLAIN);
  }
  const took = performance.now() - begun;
  assert.ok(took < 20_000, `${took} ms for 13 lines of a megabyte`);
  const {segments: shown, hidden} = segments('y'.repeat(1_000_000), PLAIN);
  assert.equal(shown[0].text.length + hidden, 1_000_000);
  assert.equal(shown[0].text.length, SHOWN_CHARS_MAX);
  assert.equal(segments(`\x1b[1m${'y'.repeat(1_000_000)}`, PLAIN).hidden, 1_000_000 - SHOWN_CHARS_MAX);
});

test('pieces are cut anywhere, and the two streams do not mix', () => {
  const whole = 'one\ntwo \x1b[31mred\x1b[0m\n\nthree\n';
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const lines = new Lines();
    lines.output('stdout', whole.slice(0, cut), AT);
    lines.output('stdout', whole.slice(cut), AT);
    assert.deepEqual(texts(lines), ['one', 'two red', '', 'three'], `cut at ${cut}`);
  }
  const lines = new Lines();
  lines.output('stdout', 'be', AT);
  lines.output('stderr', 'warning\n', AT);
  lines.output('stdout', 'gun\n', AT);
  assert.deepEqual(texts(lines), ['begun', 'warning']);
});

test('a line that redraws itself for hours stays small', () => {
  const lines = new Lines();
  for (let at = 0; at < 20_000; at += 1) lines.output('stdout', `\r\x1b[32m[${'#'.repeat(at % 40).padEnd(40)}] ${at}\x1b[0m`, AT);
  assert.equal(lines.count, 1);
  assert.ok(lines.line(0).text.length < 70_000);
  assert.equal(plain(lines.line(0).text), `[${'#'.repeat(19_999 % 40).padEnd(40)}] 19999`);
});

test('the oldest lines go when there are too many', () => {
  const lines = new Lines(10 * CHUNK_LINES);
  for (let at = 0; at < 20 * CHUNK_LINES; at += 1) lines.output('stdout', `${at}\n`, AT);
  assert.equal(lines.count, 20 * CHUNK_LINES);
  assert.ok(lines.count - lines.first <= 11 * CHUNK_LINES);
  assert.equal(lines.line(lines.first).text, String(lines.first));
  assert.equal(lines.line(0), undefined);
  assert.equal(lines.line(lines.count - 1).text, String(lines.count - 1));
});

test('a search finds what is there, and what comes', async () => {
  const lines = new Lines();
  for (let at = 0; at < 5_000; at += 1) lines.output('stdout', `line ${at} ${at % 1_000 === 7 ? '\x1b[31mNee\x1b[32mdle' : 'hay'}\n`, AT);
  const search = new Search(lines, () => {});
  search.find('needle');
  while (!search.isDone) await new Promise(done => setTimeout(done));
  assert.deepEqual(search.hits, [7, 1_007, 2_007, 3_007, 4_007]);
  assert.equal(search.step(1, 2_000), 2_007);
  assert.equal(search.step(1, 0), 3_007);
  assert.equal(search.step(-1, 0), 2_007);
  lines.output('stdout', 'a needle more\n', AT);
  search.goOn();
  while (!search.isDone) await new Promise(done => setTimeout(done));
  assert.equal(search.hits.at(-1), 5_000);
  assert.deepEqual(search.ranges('Needle, needle'), [[0, 6], [8, 14]]);
  // A line that is not finished yet is looked at again when it is.
  lines.output('stdout', 'one nee', AT);
  search.goOn();
  while (!search.isDone) await new Promise(done => setTimeout(done));
  const found = search.hits.length;
  lines.output('stderr', 'other\n', AT);
  lines.output('stdout', 'dle\nand needle\n', AT);
  search.goOn();
  while (!search.isDone) await new Promise(done => setTimeout(done));
  assert.deepEqual(search.hits.slice(found), [5_001, 5_003]);
  search.find('nothing like it');
  while (!search.isDone) await new Promise(done => setTimeout(done));
  assert.equal(search.step(1, 0), null);
});

test('times are read and said', () => {
  assert.deepEqual(['90', '90s', ' 15m ', '2h', '1d', 'soon', ''].map(seconds), [90, 90, 900, 7_200, 86_400, NaN, NaN]);
  assert.deepEqual([420, 7_300, 42_000, 185_000, 7_800_000, 273_600_000].map(duration),
    ['0.42 s', '7.3 s', '42 s', '3 min 05 s', '2 h 10 min', '3 d 4 h']);
});

test('times of another day have their date', () => {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  assert.equal(stamp(midnight.toISOString()), '00:00:00.000');
  assert.match(stamp(new Date(midnight - 1).toISOString()), /^\d{4}-\d\d-\d\d 23:59:59.999$/);
});

test('a browser says what it is and where', () => {
  for (const [said, wanted] of [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
    ['Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36', 'Chrome on Android'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1', 'Safari on iPhone'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0', 'Edge on Windows'],
    ['curl/8.14.1', 'a browser'],
  ]) assert.equal(agent(said), wanted);
});

test('why a run waits is said in one line', () => {
  assert.equal(waitsText({status: 'queued', held_by: ['after'], waits_for: ['slot'], behind: 4, not_before: null}),
    'waits for other runs, waits behind run 4');
  assert.equal(waitsText({status: 'running', held_by: [], waits_for: [], behind: null, not_before: null}), '');
});
