// Being told while one looks elsewhere, and getting about by keys.

import assert from 'node:assert/strict';

import {goTo, harness, line, openPage, shot, until} from './browser.mjs';

/** Records what the browser would show, in a browser that was asked to show it. */
function recordNotices() {
  window.notices = [];
  window.asked = 0;
  class Recorded {
    static permission = 'default';

    static async requestPermission() {
      window.asked += 1;
      return (Recorded.permission = 'granted');
    }

    constructor(title, options) {
      window.notices.push({title, ...options});
    }
  }
  window.Notification = Recorded;
}

export async function the_end_of_a_run_is_told({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'viewer'});
  await page.addInitScript(recordNotices);
  await page.reload();
  const id = await api.submit({script: 'exec sleep 600', name: 'watched for'});
  await goTo(page, `#/runs/${id}`);
  const picture = () => page.locator('link[rel="icon"]').getAttribute('href');
  await until('the picture says that it runs', async () => (await picture()).includes('3553c9'));
  assert.equal(await page.evaluate(() => window.asked), 0, 'nobody is asked before they want it');
  await page.getByRole('button', {name: 'Tell me', exact: true}).click();
  await page.getByText(`The end of run ${id} is told`).waitFor();
  assert.equal(await page.evaluate(() => window.asked), 1);
  // It outlives a reload, and is told wherever in the page somebody is.
  await page.reload();
  await until('it is still on', async () => await page.getByRole('button', {name: 'Tell me', exact: true}).getAttribute('aria-pressed') === 'true');
  await goTo(page, '#/queues');
  await page.locator('li.queue').first().waitFor();
  const notices = () => page.evaluate(() => window.notices);
  const run = await api.submit({script: 'exit 3', name: 'nobody waits for it'});
  await api.ended(run);
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
  await page.locator('.message', {hasText: `Run ${id} “watched for”: Canceled`}).waitFor();
  // A session after the reload had not been asked for leave: the page alone tells.
  assert.deepEqual(await notices(), []);
  await page.getByRole('button', {name: 'Tell me of failures'}).click();
  await page.getByText('Every run that fails is told').waitFor();
  const bad = await api.submit({script: 'exit 4', name: 'breaks'});
  await api.ended(await api.submit({command: ['true'], name: 'is fine'}));
  await until('the failure is told', async () => (await notices()).length === 1);
  const [notice] = await notices();
  assert.deepEqual([notice.title, notice.body, notice.tag], [`Run ${bad} “breaks”`, 'Failed: exit code 4.', `runabout-run-${bad}`]);
  await shot(page, 'told');
  await goTo(page, `#/runs/${bad}`);
  await until('the picture says that it failed', async () => (await picture()).includes('b3261e'));
  // Off, nothing more is told.
  await page.getByRole('button', {name: 'Tell me of failures'}).click();
  await until('it is off', async () => await page.getByRole('button', {name: 'Tell me of failures'}).getAttribute('aria-pressed') === 'false');
  await api.ended(await api.sh('exit 5'));
  await until('the list knows it', async () => (await page.evaluate(async () => (await (await fetch('/v1/runs?limit=1')).json()).runs[0].exit_code)) === 5);
  assert.equal((await notices()).length, 1);
}

/**
 * Keeps the notifications that the page makes. A browser without a screen shows none, and says that it was denied what its
 * permissions grant: what those say counts.
 */
async function keepNotices() {
  window.notices = [];
  const Real = window.Notification;
  let granted = 'default';
  window.Notification = class extends Real {
    static get permission() {
      return granted;
    }

    constructor(title, options) {
      super(title, options);
      window.notices.push(this);
    }
  };
  granted = (await navigator.permissions.query({name: 'notifications'})).state;
}

export async function a_notification_of_the_browser_opens_its_run({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'viewer', permissions: ['notifications']});
  await page.addInitScript(keepNotices);
  await page.reload();
  await until('it is granted', () => page.evaluate(() => Notification.permission === 'granted'));
  await page.getByRole('button', {name: 'Tell me of failures'}).click();
  await page.getByText('Every run that fails is told').waitFor();
  const bad = await api.submit({script: 'exit 4', name: 'breaks'});
  await until('the browser is to show it', () => page.evaluate(() => window.notices.length === 1));
  const told = await page.evaluate(() => ({title: window.notices[0].title, tag: window.notices[0].tag}));
  assert.deepEqual(told, {title: `Run ${bad} “breaks”`, tag: `runabout-run-${bad}`});
  // No browser lets a test click on what the desktop shows.
  await page.evaluate(() => window.notices[0].dispatchEvent(new Event('click')));
  await page.locator('.head .state.failed').waitFor();
  assert.equal(await page.evaluate(() => location.hash), `#/runs/${bad}`);
  // It is kept by the browser, over another tab of the same.
  const other = await page.context().newPage();
  await other.goto(base);
  await until('it is on there, too', async () => await other.getByRole('button', {name: 'Tell me of failures'}).getAttribute('aria-pressed') === 'true');
}

export async function keys_go_about({browser, base, api}) {
  for (let count = 0; count < 4; count += 1) await api.ended(await api.submit({script: 'echo by key', name: `key ${count}`}));
  const page = await openPage(browser, base, {role: 'operator'});
  await page.locator('ol.runs').getByRole('link', {name: 'key 3'}).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  await page.keyboard.press('j');
  assert.match(await focused(), /key 3$/);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  assert.match(await focused(), /key 2$/);
  await page.keyboard.press('g');
  assert.match(await focused(), /key 3$/);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'INPUT');
  // In a field they are letters.
  await page.keyboard.type('jk?');
  assert.equal(await page.evaluate(() => document.activeElement.value), 'jk?');
  await page.evaluate(() => {
    document.activeElement.value = '';
    document.activeElement.blur();
  });
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', {name: 'Keys'});
  await dialog.waitFor();
  await shot(page, 'keys');
  await dialog.getByLabel('Use these keys').uncheck();
  await page.keyboard.press('Escape');
  await dialog.waitFor({state: 'detached'});
  await page.keyboard.press('j');
  assert.ok(!/key \d$/.test(await focused()), 'a key that was switched off');
  await page.reload();
  await page.locator('ol.runs').getByRole('link', {name: 'key 3'}).waitFor();
  await page.keyboard.press('?');
  await dialog.getByLabel('Use these keys').check();
  await dialog.getByRole('button', {name: 'Close'}).click();
  await dialog.waitFor({state: 'detached'});
  await page.keyboard.press('g');
  await page.keyboard.press('Enter');
  await line(page, 'by key');
}

export async function what_can_be_copied_is_copied({browser, base, api}) {
  const id = await api.submit({command: ['printf', 'a b']});
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer', permissions: ['clipboard-read', 'clipboard-write']});
  await goTo(page, `#/runs/${id}`);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await page.getByRole('button', {name: 'Copy the command'}).click();
  await until('the command is copied', async () => await copied() === "printf 'a b'");
  await page.getByRole('button', {name: 'Copy the link to this run'}).click();
  await until('the link is copied', async () => await copied() === `${base}/#/runs/${id}`);
  // Where a page may not, as one that came by http, the old way does.
  await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); });
  await page.getByRole('button', {name: 'Copy the command'}).click();
  await until('the command is copied again', async () => await copied() === "printf 'a b'");
}

export async function why_a_run_waits_is_told({browser, base, api}) {
  await api.call('PUT', '/v1/queues/narrow', {slots: 1});
  const first = await api.submit({script: 'exec sleep 600', queue: 'narrow'});
  const next = await api.submit({command: ['true'], queue: 'narrow', name: 'behind'});
  const later = await api.submit({command: ['true'], delay_s: 86_400});
  const page = await openPage(browser, base, {hasClock: true});
  await goTo(page, `#/runs/${next}`);
  await page.locator('.facts').getByText(`Waits behind run ${first}`).waitFor();
  await shot(page, 'waits');
  // It follows what happens to others.
  await api.call('PUT', '/v1/queues/narrow', {paused: true});
  await page.clock.fastForward(6_000);
  await page.locator('.facts').getByText('Its queue is paused').waitFor();
  await goTo(page, `#/runs/${later}`);
  await page.locator('.facts').getByText(/^not before \d{4}-\d\d-\d\d/).waitFor();
  await api.call('POST', `/v1/runs/${later}/cancel`, {});
  await api.call('PUT', '/v1/queues/narrow', {paused: false});
  await api.call('POST', `/v1/runs/${first}/cancel`, {});
  await api.ended(next);
  await api.call('DELETE', '/v1/queues/narrow');
  // A drain holds all of them back, and every view says so.
  await api.call('PUT', '/v1/drain', {});
  try {
    const drained = await api.submit({command: ['true']});
    await goTo(page, `#/runs/${drained}`);
    await page.locator('.facts').getByText('The daemon is being drained').waitFor();
    await page.clock.fastForward(61_000);
    await page.locator('.banner').getByText('Draining.').waitFor();
  } finally {
    await api.call('DELETE', '/v1/drain');
  }
}

export async function a_cancel_that_takes_time_can_kill({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'operator'});
  await harness('grace 600');
  const id = await api.submit({script: "trap '' TERM; echo deaf; while :; do sleep 0.1; done"});
  await goTo(page, `#/runs/${id}`);
  await line(page, 'deaf');
  await page.getByRole('button', {name: 'Cancel …'}).click();
  await page.getByRole('button', {name: 'Cancel the run'}).click();
  await page.getByRole('button', {name: 'Kill now …'}).click();
  await page.getByRole('dialog').getByText('SIGKILL').waitFor();
  await page.getByRole('button', {name: 'Kill it now'}).click();
  await page.locator('.head .state.canceled').waitFor();
  assert.equal((await api.get(`/v1/runs/${id}`)).signal, 9);
  await harness('grace 2');
}
