// The daemon dies and comes back under the open page.

import assert from 'node:assert/strict';

import {goTo, harness, line, openPage, shot, until} from './browser.mjs';

export async function every_line_once_whatever_dies({browser, base, api}) {
  const script = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "attempt $RUNABOUT_ATTEMPT line $i"; sleep 0.01; done';
  const id = await api.submit({script, on_interrupt: 'requeue'});
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await line(page, 'attempt 1 line 40');
  await harness('kill');
  await page.getByText('Disconnected.').waitFor();
  await shot(page, 'disconnected');
  await harness('start');
  await line(page, 'attempt 2 line 40');
  await page.getByText('Disconnected.').waitFor({state: 'detached'});
  await harness('kill');
  await page.getByText('Disconnected.').waitFor();
  await harness('start');
  await page.getByRole('button', {name: 'Now', exact: true}).click({timeout: 500}).catch(() => {});
  await line(page, 'attempt 3 line 20');
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
  await line(page, 'Canceled after');
  const shown = await everyLine(page), stored = await printed(api, id);
  assert.deepEqual(shown, stored);
  for (const attempt of [1, 2, 3]) {
    const numbers = shown.filter(text => text.startsWith(`attempt ${attempt} `)).map(text => Number(text.split(' ').at(-1)));
    assert.deepEqual(numbers, numbers.map((_, at) => at + 1), `attempt ${attempt}`);
  }
  assert.ok(shown.length > 100);
}

export async function a_deleted_run_is_told({browser, base, api}) {
  const id = await api.sh('echo here');
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await api.call('DELETE', `/v1/runs/${id}`);
  await goTo(page, `#/runs/${id}`);
  await page.getByText('It was deleted').waitFor();
  await goTo(page, '#/runs/999999');
  await page.getByText('There is no such run').waitFor();
}

/** All lines, by scrolling from the top to the end. */
async function everyLine(page) {
  const log = page.locator('.log'), seen = new Map();
  await log.focus();
  await page.keyboard.press('Home');
  for (;;) {
    await page.waitForTimeout(40);
    const found = await log.evaluate(log => [...log.querySelectorAll('.line:is(.stdout, .stderr)')]
      .map(line => [Number(line.querySelector('.nr').textContent), line.querySelector('.text').textContent]));
    for (const [place, text] of found) seen.set(place, text);
    const isAtEnd = await log.evaluate(log => {
      const end = log.scrollHeight - log.clientHeight;
      if (log.scrollTop >= end - 2) return true;
      log.scrollTop += log.clientHeight;
      return false;
    });
    if (isAtEnd) break;
  }
  return [...seen].sort(([a], [b]) => a - b).map(([, text]) => text);
}

/** What the run printed, by its stored events. */
async function printed(api, id) {
  let text = '', after = 0;
  for (;;) {
    const {events, gaps} = await api.get(`/v1/runs/${id}/events?after=${after}`);
    assert.deepEqual(gaps, []);
    if (!events.length) break;
    for (const event of events) {
      if (event.kind === 'output') text += event.data.text;
      // What an attempt left unfinished is a line of its own.
      else if (!text.endsWith('\n')) text += '\n';
    }
    after = events.at(-1).seq;
  }
  return text.split('\n').filter(Boolean);
}

export async function the_browsers_own_event_source({browser, base, api}) {
  const script = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "attempt $RUNABOUT_ATTEMPT line $i"; sleep 0.01; done';
  const id = await api.submit({script, on_interrupt: 'requeue'});
  const page = await openPage(browser, base, {role: 'viewer'});
  await page.evaluate(id => {
    window.got = [];
    window.source = new EventSource(`/v1/runs/${id}/events`);
    for (const type of ['hello', 'event', 'gap', 'caught_up', 'end']) {
      window.source.addEventListener(type, message => window.got.push(JSON.parse(message.data)));
    }
  }, id);
  const printed = () => page.evaluate(() => window.got.filter(one => one.kind === 'output').map(one => one.data.text).join(''));
  await until('the first attempt', async () => (await printed()).includes('attempt 1 line 20\n'));
  await harness('kill');
  await until('the browser has noticed', () => page.evaluate(() => window.source.readyState === EventSource.CONNECTING));
  await harness('start');
  await until('the second attempt', async () => (await printed()).includes('attempt 2 line 20\n'));
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
  await until('the end', () => page.evaluate(() => window.got.at(-1).type === 'end'));
  const seqs = await page.evaluate(() => window.got.filter(one => one.type === 'event').map(one => one.seq));
  assert.deepEqual(seqs, seqs.map((_, at) => at + 1), 'an event twice, missing, or out of order');
  // Coming back after the end it is told to stay away, and does.
  await until('it rests', () => page.evaluate(() => window.source.readyState === EventSource.CLOSED));
}
