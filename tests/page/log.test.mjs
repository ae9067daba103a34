// The model of a log's window, without a browser: where rows are, which lines are rows, what folds, what is a link.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {PLAIN, segments} from '../../src/http/page/ansi.js';
import {gapText} from '../../src/http/page/feed.js';
import {Folds} from '../../src/http/page/folds.js';
import {Heights, PIXELS_MAX} from '../../src/http/page/heights.js';
import {CHUNK_LINES, Lines} from '../../src/http/page/lines.js';
import {addresses, target} from '../../src/http/page/links.js';
import {Rows} from '../../src/http/page/rows.js';
import {Search} from '../../src/http/page/search.js';

const AT = '2026-11-23T06:32:01.123Z';
const WINDOW = 800;

function printed(texts) {
  const lines = new Lines();
  for (const text of texts) lines.output('stdout', `${text}\n`, AT);
  return lines;
}

async function done(search) {
  while (!search.isDone) await new Promise(next => setTimeout(next));
}

test('every one of two million lines can be scrolled to, and is where it is thought to be', () => {
  const count = 2_000_000, heights = new Heights(() => 10);
  heights.measure(20, Infinity);
  heights.grow(count);
  // Firefox draws nothing below 17.9 million pixels; the others stop at 33.5 million, or at a fifth of that when zoomed.
  assert.ok(heights.total > 17_895_697 && heights.pixels <= 33_554_432 / 5);
  assert.equal(heights.pixels, PIXELS_MAX);
  for (let row = 0; row < count - WINDOW / 20; row += 997) {
    const scrolled = heights.scrollFor({row, offset: 0}, WINDOW);
    // A browser scrolls by whole pixels: each line is at the top for one of them.
    const seen = [Math.floor(scrolled), Math.ceil(scrolled)].map(y => heights.seenAt(y, WINDOW).row);
    assert.ok(seen.includes(row) || seen[0] + 1 === row, `${row} is seen as ${seen} at ${scrolled}`);
  }
  assert.deepEqual(heights.seenAt(0, WINDOW), {row: 0, offset: 0});
  assert.equal(heights.seenAt(heights.pixels - WINDOW, WINDOW).row, count - WINDOW / 20);
});

test('rows that are wrapped are found where their heights add up to', () => {
  const lengths = Array.from({length: 5_000}, (_, row) => (row * 7_919) % 1_000), heights = new Heights(row => lengths[row]);
  heights.measure(20, 80);
  // As they come: in pieces that end anywhere.
  for (const count of [1, 2, 255, 256, 257, 700, 4_999, 5_000]) heights.grow(count);
  const tops = [];
  let y = 0;
  for (const [row, length] of lengths.entries()) {
    tops.push(y);
    assert.equal(heights.before(row), y);
    y += 20 * Math.max(1, Math.ceil(length / 80));
  }
  assert.equal(heights.total, y);
  for (let at = 0; at < y; at += 137) {
    const {row, offset} = heights.at(at);
    assert.ok(tops[row] <= at && at < (tops[row + 1] ?? y), `${at} is in row ${row}`);
    assert.equal(tops[row] + offset, at);
  }
});

test('what is folded, filtered or gone is no row, and what is a row is found', async () => {
  const lines = printed(['a', '::group::one', 'b', '::group::two', 'c', '::endgroup::', 'd', '::endgroup::', 'e', '::group::three', 'f', 'g']);
  const search = new Search(lines, () => {}), rows = new Rows(lines, search, lines.folds);
  const shown = () => {
    rows.update();
    const numbers = Array.from({length: rows.count}, (_, row) => rows.number(row));
    for (const [row, number] of numbers.entries()) assert.equal(rows.row(number), row);
    return numbers;
  };
  assert.deepEqual(shown(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  const [one, two, three] = lines.folds.groups;
  lines.folds.toggle(two);
  assert.deepEqual(shown(), [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]);
  lines.folds.toggle(one);
  assert.deepEqual(shown(), [0, 1, 8, 9, 10, 11]);
  lines.folds.toggle(three);
  assert.deepEqual(shown(), [0, 1, 8, 9]);
  // What comes into a group that is folded away is folded with it.
  lines.output('stdout', 'h\n', AT);
  assert.deepEqual(shown(), [0, 1, 8, 9]);
  lines.output('stdout', '::endgroup::\ni\n', AT);
  assert.deepEqual(shown(), [0, 1, 8, 9, 14]);
  lines.folds.reveal(4);
  assert.deepEqual(shown(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14]);
  search.find('group');
  await done(search);
  rows.isFiltered = true;
  assert.deepEqual(shown(), [1, 3, 5, 7, 9, 13]);
  // Lines that went are no rows, of neither kind.
  const few = new Lines(4 * CHUNK_LINES), found = new Search(few, () => {}), left = new Rows(few, found, few.folds);
  for (let at = 0; at < 3 * CHUNK_LINES; at += 1) few.output('stdout', `${at}\n`, AT);
  found.find('7');
  await done(found);
  for (let at = 0; at < 9 * CHUNK_LINES; at += 1) few.output('stdout', `${at}\n`, AT);
  found.goOn();
  await done(found);
  left.update();
  assert.equal(left.number(0), few.first);
  left.isFiltered = true;
  left.update();
  assert.ok(left.count > 0 && left.number(0) >= few.first);
  assert.equal(few.line(left.number(0)).text.includes('7'), true);
});

test('groups are those that the usual markers make', () => {
  const titles = texts => {
    const folds = new Folds();
    for (const [number, text] of texts.entries()) folds.take(number, text);
    return folds.groups.map(({title, start, end, depth, isClosed}) => [title, start, end, depth, isClosed]);
  };
  assert.deepEqual(titles(['::group::Build it', 'x', '::endgroup::']), [['Build it', 0, 2, 0, false]]);
  assert.deepEqual(titles(['##[group]Set up', '##[endgroup]']), [['Set up', 0, 1, 0, false]]);
  assert.deepEqual(titles(['\x1b[0Ksection_start:1560896352:my_part[collapsed=true]\r\x1b[0KThe part', 'x', 'section_start:1:inner\r\x1b[0K', '\x1b[0Ksection_end:1560896353:my_part\r\x1b[0K']),
    [['The part', 0, 3, 0, true], ['inner', 2, 3, 1, false]]);
  // What ends nothing, and what only looks like it.
  assert.deepEqual(titles(['::endgroup::', ' ::group::x', 'section_start:abc:x', '::groups::x', 'section_end:1:none']), []);
  // Hostile: any number of them, in any depth.
  const folds = new Folds();
  for (let number = 0; number < 100_000; number += 1) folds.take(number, '::group::deeper');
  assert.ok(folds.groups.length <= 32);
  for (let number = 0; number < 100_000; number += 1) folds.take(number, number % 2 ? '::endgroup::' : '::group::next');
  assert.ok(folds.groups.length <= 20_000);
});

test('only http and https are links, up to where they end', () => {
  const found = text => addresses(text).map(({start, end, href}) => [text.slice(start, end), href]);
  assert.deepEqual(found('see https://example.com/a?b=c#d, or (http://x.test/p(1)).'),
    [['https://example.com/a?b=c#d', 'https://example.com/a?b=c#d'], ['http://x.test/p(1)', 'http://x.test/p(1)']]);
  assert.deepEqual(found('"https://a.test/x" <https://b.test> [https://c.test/]'),
    [['https://a.test/x', 'https://a.test/x'], ['https://b.test', 'https://b.test/'], ['https://c.test/', 'https://c.test/']]);
  for (const text of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'ftp://x.test', 'https://', 'http://user@evil.test/',
    'https://bank.test:x@evil.test', 'vbscript:x', 'xhttps://x.test', 'https:\u202e//x']) assert.deepEqual(found(text), [], text);
  for (const text of ['javascript:alert(1)', ' https://x.test', 'https:x.test', 'http://a@b.test', 'HTTPS://', 'data:,https://x', 'java\nscript:1']) assert.equal(target(text), null, text);
  // Nothing turns or hides what is behind it.
  assert.deepEqual(found('https://x.test/a\u202egpj.exe'), [['https://x.test/a', 'https://x.test/a']]);
  const begun = performance.now();
  for (const text of ['http://'.repeat(2_000), `http://x/${')'.repeat(16_000)}`, 'http://x/('.repeat(1_600), `http://${'.'.repeat(16_000)}`]) addresses(text);
  assert.ok(performance.now() - begun < 2_000);
});

test('a link of a terminal keeps its target, whatever it is, and ends', () => {
  const links = text => segments(text, PLAIN).segments.map(({text, style}) => [text, style.link]);
  assert.deepEqual(links('a\x1b]8;;https://x.test/\x1b\\b\x1b[1mc\x1b[0md\x1b]8;;\x07e'),
    [['a', null], ['b', 'https://x.test/'], ['c', 'https://x.test/'], ['d', 'https://x.test/'], ['e', null]]);
  assert.deepEqual(links('\x1b]8;id=1:x=2;http://y.test/;z\x07b'), [['b', 'http://y.test/;z']]);
  assert.deepEqual(links('\x1b]8;;javascript:alert(1)\x07b').map(([text, link]) => [text, target(link)]), [['b', null]]);
  assert.deepEqual(links('\x1b]8;;https://x.test'), []);
});

test('what the page says is no output: it is not counted, found or numbered', async () => {
  const lines = new Lines();
  lines.output('stdout', 'failed\n', AT);
  lines.note('bad', 'Failed: exited with 1.', AT);
  lines.output('stderr', 'failed again\n', AT);
  const search = new Search(lines, () => {});
  search.find('failed');
  await done(search);
  assert.deepEqual([search.hits, lines.printed, lines.count], [[0, 2], 2, 3]);
  assert.deepEqual([1, 2, 3].map(nth => lines.numberOf(nth)), [0, 2, 3]);
});

test('lines behind a gap keep the numbers that they were printed with', () => {
  const lines = new Lines();
  lines.output('stdout', 'one\ntwo\nthr', AT);
  lines.gap({events: 5, lines: 10, bytes: 100});
  lines.output('stdout', 'teen\nfourteen\n', AT);
  assert.deepEqual([0, 1, 2, 3, 4].map(number => lines.line(number).nth + 1), [1, 2, 3, 13, 14]);
  assert.deepEqual([lines.missing, lines.nth, lines.printed], [{lines: 10, bytes: 100}, 14, 5]);
  // What another gap of the same run tells is the same.
  lines.gap({events: 5, lines: 10, bytes: 100});
  assert.deepEqual(lines.missing, {lines: 10, bytes: 100});
  assert.equal(lines.numberOf(7), 3);
});

test('a gap says how much is missing, there and in all', () => {
  const trimmed = {events: 86, lines: 1_200, bytes: 2_097_152};
  assert.equal(gapText({from: 5, to: 90, reason: 'quota', trimmed}), 'Missing here: 1\u202f200 lines, 2.0 MiB; more was printed than is kept.');
  assert.equal(gapText({from: 5, to: 10, reason: 'quota', trimmed}),
    'Missing here: 6 pieces of output; more was printed than is kept. In all 86 pieces are missing: 1\u202f200 lines, 2.0 MiB.');
  assert.equal(gapText({from: 5, to: 10, reason: 'quota', trimmed}, true), 'Missing here: 6 pieces of output; more was printed than is kept.');
  assert.equal(gapText({from: 5, to: 90, reason: 'quota', trimmed: {events: 86, bytes: 100}}), 'Missing here: 100 B; more was printed than is kept.');
  assert.equal(gapText({from: 5, to: 5, reason: 'pruned'}), 'Event 5 is gone: they were removed.');
});

test('a search counts all that it finds, by text and by expression', async () => {
  const lines = printed(Array.from({length: 150_000}, (_, at) => `line ${at}`)), search = new Search(lines, () => {});
  search.find('LINE');
  await done(search);
  assert.equal(search.hits.length, 150_000);
  search.find('line \\d*7$', true);
  await done(search);
  assert.equal(search.hits.length, 15_000);
  assert.deepEqual(search.ranges('a line 17'), [[2, 9]]);
  search.find('^x*', true);
  assert.deepEqual(search.ranges('abc'), []);
  // What the strict form refuses is taken as others take it.
  search.find('line\\-?\\ 7', true);
  assert.deepEqual([search.error, search.ranges('line 7')], ['', [[0, 6]]]);
  search.find('(', true);
  assert.match(search.error, /group/i);
  assert.deepEqual([search.isOn, search.hits.length], [false, 0]);
  // One that takes ages for a line is given up, not waited for line by line.
  lines.output('stdout', `${'a'.repeat(26)}!\n`.repeat(200), AT);
  search.find('^(a+)+$', true);
  const begun = performance.now();
  while (search.isOn && !search.isDone) await new Promise(next => setTimeout(next));
  assert.match(search.error, /too long/);
  assert.ok(performance.now() - begun < 20_000);
});
