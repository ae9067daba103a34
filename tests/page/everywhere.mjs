// What must work in every engine: the log, the list, and coming back. Run as a program for one of them:
//
//   ENGINE (Firefox or WebKit), BASE, TOKEN in the environment; FIREFOX is its program; SHOTS is where pictures go.

import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';

import {Api, harness, until} from './browser.mjs';
import * as engines from './engines.mjs';

const {ENGINE, BASE, TOKEN, SHOTS} = process.env;
const api = new Api(BASE, TOKEN);

/** What is seen in the window of the log, from its top: `[{nr, y, text}]`. Only what is really painted there counts. */
function seenLines() {
  const log = document.querySelector('.log'), box = log?.getBoundingClientRect();
  return [...log?.querySelectorAll('.line') ?? []].map(line => {
    const {top, bottom} = line.getBoundingClientRect(), text = line.querySelector('.text');
    const isIn = top >= box.top - 1 && bottom <= box.bottom + 1;
    const isPainted = isIn && document.elementFromPoint(text.getBoundingClientRect().left + 4, (top + bottom) / 2)?.closest('.line') === line;
    return isPainted ? {nr: Number(line.querySelector('.nr').textContent), y: top - box.top, text: text.textContent} : null;
  }).filter(Boolean);
}

const go = (engine, hash) => engine.run(hash => { location.hash = hash; }, hash);
const type = (engine, text) => engine.run(text => {
  const find = document.querySelector('#find');
  find.value = text;
  find.dispatchEvent(new Event('input', {bubbles: true}));
}, text);
const shown = (engine, selector, text) => until(`${selector} with ${text}`, () => engine.run((selector, text) =>
  [...document.querySelectorAll(selector)].some(one => one.textContent.includes(text)), selector, text));
const press = (engine, name) => engine.run(name => {
  [...document.querySelectorAll('button')].find(one => (one.getAttribute('aria-label') ?? one.textContent.trim()) === name).click();
}, name);

/** Every line of a log beyond what an element of Firefox's may be high, wherever one looks. */
async function a_million_lines(engine) {
  const count = 1_000_000, id = await api.sh(`seq 1 ${count}`);
  await api.ended(id);
  await go(engine, `#/runs/${id}`);
  const ends = async () => (await engine.run(seenLines)).filter(({nr}) => nr).at(-1)?.nr;
  await until('the last line', async () => await ends() === count);
  await engine.press('g');
  await until('the first line', async () => (await engine.run(seenLines))[0]?.nr === 1);
  for (const part of [0.3, 0.9, 0.97, 0.5]) {
    await engine.run(part => {
      const log = document.querySelector('.log');
      log.scrollTop = (log.scrollHeight - log.clientHeight) * part;
    }, part);
    await until(`lines at ${part}`, async () => {
      const lines = await engine.run(seenLines), [first] = lines;
      return lines.length > 10 && Math.abs(first.nr - count * part) < 100 && lines.every(({nr, text}, at) => nr === first.nr + at && text === String(nr));
    });
  }
  // Also where it is scrolled again just when it has come to rest, and the scroll bar is put right.
  for (const part of [0.8, 0.2, 0.7, 0.4]) {
    await engine.run(async part => {
      const log = document.querySelector('.log');
      const moved = new Promise(done => log.addEventListener('scroll', () => setTimeout(() => {
        log.scrollTop = (log.scrollHeight - log.clientHeight) * part;
        for (const until = performance.now() + 3; performance.now() < until;);
        done();
      }, 149), {once: true}));
      log.scrollTop -= 5_000;
      await moved;
    }, part);
    await until(`lines at ${part}, at once`, async () => Math.abs((await engine.run(seenLines))[0]?.nr - count * part) < 100);
  }
  await go(engine, `#/runs/${id}?line=950123`);
  await until('a line that is linked to', async () => (await engine.run(seenLines)).some(({nr}) => nr === 950_123));
  await type(engine, '99999');
  await shown(engine, '.tally', '19 lines');
  await press(engine, 'Filter');
  await until('only what is found', async () => (await engine.run(seenLines)).length === 19);
  await press(engine, 'Filter');
  await type(engine, '');
}

/** Scrolling up in lines of many heights moves each as far as the window is scrolled, and no further. */
async function a_wrapped_log(engine) {
  const script = `awk 'BEGIN {for (i = 1; i <= 3000; i++) {s = "line " i ":"; for (j = 0; j < (i * 37) % 120; j++) s = s " word" j; print s}}'`;
  const id = await api.sh(script);
  await api.ended(id);
  await go(engine, `#/runs/${id}`);
  await shown(engine, '.log .line', 'line 3000:');
  await press(engine, 'Wrap');
  await until('it is wrapped, and at its end', async () => (await engine.run(seenLines)).at(-1)?.text.startsWith('Succeeded')
    && engine.run(() => document.querySelector('.log.wrap') !== null));
  const {jumps, moved} = await engine.run(async () => {
    const log = document.querySelector('.log'), frames = async n => { for (; n > 0; n -= 1) await new Promise(requestAnimationFrame); };
    const places = () => new Map([...log.querySelectorAll('.line')].map(line => [line.querySelector('.nr').textContent, line.getBoundingClientRect().top]));
    const jumps = [];
    let moved = 0;
    for (let step = 0; step < 60; step += 1) {
      const before = places(), at = log.scrollTop;
      log.scrollTop -= 240;
      const by = at - log.scrollTop;
      await frames(2);
      // Now and then it comes to rest, and the scroll bar is put right.
      if (step % 20 === 19) await new Promise(done => setTimeout(done, 300));
      const {top, bottom} = log.getBoundingClientRect();
      const after = [...places()].filter(([nr, y]) => before.has(nr) && y > top && y < bottom);
      if (!after.length) jumps.push(`step ${step}: nothing that was there is`);
      for (const [nr, y] of after) if (Math.abs(y - before.get(nr) - by) > 2) jumps.push(`step ${step}: line ${nr} by ${y - before.get(nr)}, not ${by}`);
      moved += by;
    }
    return {jumps, moved};
  });
  assert.deepEqual(jumps.slice(0, 5), []);
  assert.ok(moved > 14_000, `scrolled by ${moved}`);
  await engine.press('g');
  await until('the beginning', async () => (await engine.run(seenLines))[0]?.nr === 1);
  // What is not drawn is thought to be about as high as it is: letters are as wide as these.
  const [high, thought] = await engine.run(() => {
    const log = document.querySelector('.log');
    const widest = [...log.querySelectorAll('.text')].sort((a, b) => b.textContent.length - a.textContent.length)[0];
    const columns = widest.textContent.length / (widest.getBoundingClientRect().height / 20);
    let rows = 0;
    for (let i = 1; i <= 3_000; i += 1) {
      let length = `line ${i}:`.length;
      for (let j = 0; j < (i * 37) % 120; j += 1) length += ` word${j}`.length;
      rows += Math.ceil(length / columns);
    }
    return [rows * 20, log.scrollHeight];
  });
  assert.ok(Math.abs(thought / high - 1) < 0.15, `${thought} pixels for ${high}`);
  await press(engine, 'Wrap');
}

/** Runs appear and change by themselves. */
async function the_list(engine) {
  await go(engine, '#/runs');
  await shown(engine, 'h1', 'Runs');
  const gate = await api.submit({command: ['sleep', '600'], name: 'stays'});
  for (const name of ['one', 'two', 'three']) await api.submit({command: ['true'], name: `list ${name}`});
  for (const name of ['one', 'two', 'three']) await shown(engine, '.run', `list ${name}`);
  await until('they have ended', () => engine.run(() => [...document.querySelectorAll('.run')]
    .filter(run => run.textContent.includes('list ') && run.querySelector('.state.succeeded')).length === 3));
  await api.call('POST', `/v1/runs/${gate}/cancel`, {});
  await until('it is canceled', () => engine.run(() => [...document.querySelectorAll('.run')]
    .some(run => run.textContent.includes('stays') && run.querySelector('.state.canceled'))));
}

/** Every line once, in order, though the daemon dies. */
async function it_comes_back(engine) {
  const script = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "attempt $RUNABOUT_ATTEMPT line $i"; sleep 0.01; done';
  const id = await api.submit({script, on_interrupt: 'requeue'});
  await go(engine, `#/runs/${id}`);
  await shown(engine, '.log .line', 'attempt 1 line 20');
  await harness('kill');
  await harness('start');
  await shown(engine, '.log .line', 'attempt 2 line 20');
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
  await shown(engine, '.log .line', 'Canceled after');
  await engine.press('g');
  const lines = await engine.run(async () => {
    const log = document.querySelector('.log'), seen = new Map();
    for (let isAtEnd = false; !isAtEnd;) {
      await new Promise(done => setTimeout(done, 60));
      for (const line of log.querySelectorAll('.line.stdout')) seen.set(Number(line.querySelector('.nr').textContent), line.querySelector('.text').textContent);
      isAtEnd = log.scrollTop >= log.scrollHeight - log.clientHeight - 2;
      log.scrollTop += log.clientHeight;
    }
    return [...seen].sort(([a], [b]) => a - b);
  });
  const stored = [];
  for (let after = 0, page; (page = await api.get(`/v1/runs/${id}/events?after=${after}`)).events.length; after = page.events.at(-1).seq) {
    stored.push(...page.events.filter(({kind}) => kind === 'output').map(({data}) => data.text));
  }
  assert.deepEqual(lines.map(([, text]) => text), stored.join('').split('\n').filter(Boolean));
  assert.deepEqual(lines.map(([nr]) => nr), lines.map((_, at) => at + 1));
}

const begun = performance.now(), engine = await engines[ENGINE].start();
let failure = null;
try {
  await engine.open(`${BASE}/#enroll=${await harness('enroll admin')}`);
  await shown(engine, 'header', 'Runabout');
  console.log(`ok     ${ENGINE} has started (${Math.round(performance.now() - begun)} ms)`);
  for (const scenario of [a_million_lines, a_wrapped_log, the_list, it_comes_back]) {
    const begun = performance.now();
    await scenario(engine);
    console.log(`ok     ${ENGINE}: ${scenario.name} (${Math.round(performance.now() - begun)} ms)`);
  }
} catch (error) {
  failure = error;
  console.log(`FAILED ${ENGINE}: ${error.stack}`);
  if (SHOTS) {
    mkdirSync(SHOTS, {recursive: true});
    await engine.shot(`${SHOTS}/failed-${ENGINE}.png`).catch(() => {});
  }
}
await engine.close();
process.exit(failure ? 1 : 0);
