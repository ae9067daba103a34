// The list of runs is what the daemon's own list says, at every moment and for every filter; and it comes quickly.

import assert from 'node:assert/strict';

import {goTo, line, openPage, shot, until} from './browser.mjs';
import {slowLine} from './link.mjs';

/** How long the page may take to catch up over a slow line on a loaded machine. */
const CAUGHT_UP = 90_000;

/** The daemon's list: numbers and states. */
async function listed(api, query = '') {
  const all = [];
  for (let next = `/v1/runs?limit=500${query}`; next;) {
    const page = await api.get(next);
    all.push(...page.runs.map(run => `${run.id} ${run.status}`));
    next = page.next;
  }
  return all;
}

/** Does it so many times, some at once: a client has no more than 256 connections. */
async function many(count, act) {
  const all = [];
  let next = 0;
  await Promise.all(Array.from({length: 32}, async () => {
    while (next < count) all.push(await act(next++));
  }));
  return all.sort((one, other) => one - other);
}

/** The same of all rows, which a window as high as they are together shows. */
async function shown(page) {
  return page.$$eval('ol.runs > li[data-id]', all => all.map(one => `${one.dataset.id} ${one.querySelector('.state').classList[1]}`));
}

/** Waits until the page shows what the daemon lists, from the newest down to its own last row. */
async function isTheList(page, api, query) {
  let came, wanted;
  await until('the list is what the daemon says', async () => {
    [came, wanted] = [await shown(page), await listed(api, query)];
    if (!came.length && wanted.length) return false;
    wanted = wanted.slice(0, came.length);
    return JSON.stringify(came) === JSON.stringify(wanted);
  }, CAUGHT_UP, 300).catch(error => {
    const missing = wanted.filter(row => !came.includes(row));
    throw new Error(`${error.message}: ${came.length} rows, of ${wanted.length} ${missing.length} are missing: ${missing.slice(0, 20)}`);
  });
  return came;
}

export async function a_burst_over_a_slow_line_is_shown_whole({browser, base, api}) {
  const slow = await slowLine(base, () => 150 + Math.random() * 250);
  try {
    const page = await openPage(browser, slow.base, {role: 'viewer', viewport: {width: 1280, height: 24_000}});
    await page.mouse.move(0, 0);
    await isTheList(page, api);
    const ids = await many(200, nth => api.submit({script: nth % 10 ? 'true' : 'exit 3', name: 'short'}));
    for (const id of ids.slice(-20)) await api.ended(id);
    const rows = await isTheList(page, api);
    assert.ok(rows.length >= 200, `${rows.length} rows`);
    await until('nothing runs, says the title', async () => !/running/.test(await page.title()) || (await listed(api, '&status=running')).length > 0);
  } finally {
    slow.close();
  }
}

export async function a_flood_of_submits_leaves_no_hole({browser, base, api}) {
  await api.call('PUT', '/v1/queues/flood', {slots: 1, paused: true});
  const page = await openPage(browser, base, {role: 'viewer', viewport: {width: 1280, height: 40_000}});
  await page.mouse.move(0, 0);
  await isTheList(page, api);
  await many(800, () => api.submit({command: ['true'], queue: 'flood', name: 'flooding'}));
  const rows = await isTheList(page, api);
  assert.ok(rows.length >= 800, `${rows.length} rows`);
  // In a window of the usual height few of them are in the page, and yet each has its place.
  await page.setViewportSize({width: 1280, height: 800});
  const count = () => page.locator('ol.runs > li[data-id]').count();
  await until('what is not seen has gone', async () => (await count()) < 150);
  // On paper there is more of it.
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  assert.equal(await count(), Math.min(1_000, rows.length));
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  await until('what is not seen has gone again', async () => (await count()) < 150);
  await page.getByText(/its queue is paused/i).first().waitFor();
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight * 0.8));
  await until('other rows', async () => Number(await page.locator('ol.runs > li[data-id]').first().getAttribute('aria-posinset')) > 100);
  const places = await page.$$eval('ol.runs > li[data-id]', all => all.map(one => [Number(one.getAttribute('aria-posinset')), Number(one.dataset.id)]));
  for (const [at, id] of places) assert.ok(rows[at - 1].startsWith(`${id} `), `row ${at} is ${id}`);
  // The row that has the focus stays, however far one scrolls.
  await page.locator(`ol.runs > li[data-id="${places[40][1]}"] .what`).focus();
  await page.evaluate(() => scrollTo(0, 0));
  await until('the top', async () => await page.locator('ol.runs > li[aria-posinset="1"]').count() === 1);
  assert.equal(await page.evaluate(() => Number(document.activeElement.closest('li')?.dataset.id)), places[40][1]);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {name: 'flooding'}).waitFor();
}

export async function filters_and_deletions_are_live({browser, base, api}) {
  const failed = await openPage(browser, base, {role: 'viewer'}), running = await openPage(browser, base, {role: 'viewer'});
  await goTo(failed, '#/runs?status=failed&tag=lives');
  await goTo(running, '#/runs?status=running&tag=lives');
  for (const page of [failed, running]) {
    await page.mouse.move(0, 0);
    await page.getByText('Nothing fits').waitFor();
  }
  const run = await api.submit({script: 'exec sleep 600', name: 'to be ended', tags: ['lives']});
  const row = (page, id) => page.locator(`ol.runs > li[data-id="${id}"]`);
  await row(running, run).waitFor();
  await api.call('POST', `/v1/runs/${run}/cancel`, {});
  await row(running, run).waitFor({state: 'detached'});
  const bad = await api.submit({script: 'exit 7', name: 'goes wrong', tags: ['lives']});
  await row(failed, bad).getByText('exit code 7').waitFor();
  // A page that shows a run which somebody deletes says so, also long after it has ended.
  const open = await openPage(browser, base, {role: 'viewer'});
  await goTo(open, `#/runs/${bad}`);
  await line(open, 'Failed after');
  await until('it listens', async () => (await api.get('/v1/system')).readers >= 3);
  await api.call('DELETE', `/v1/runs/${bad}`);
  await row(failed, bad).waitFor({state: 'detached'});
  await open.getByText('It was deleted').waitFor();
  // Under a hand nothing goes: it says that it is gone.
  const other = await api.submit({script: 'exit 7', name: 'goes wrong', tags: ['lives']});
  await row(failed, other).hover();
  await api.call('DELETE', `/v1/runs/${other}`);
  await row(failed, other).getByText('deleted').waitFor();
  await failed.mouse.move(0, 0);
  await row(failed, other).waitFor({state: 'detached'});
}

export async function the_first_load_is_small_and_a_reload_asks_for_little({browser, base}) {
  const page = await openPage(browser, base, {role: 'viewer'});
  await page.locator('ol.runs > li').first().waitFor();
  const context = await browser.newContext({storageState: await page.context().storageState(), viewport: {width: 1280, height: 800}});
  const first = await context.newPage(), network = await context.newCDPSession(first);
  await network.send('Network.enable');
  // A slow line: half a second there and back, 180 KB a second.
  await network.send('Network.emulateNetworkConditions', {offline: false, latency: 500, downloadThroughput: 180_000, uploadThroughput: 80_000});
  let requests = new Map();
  network.on('Network.responseReceived', ({requestId, response}) => requests.set(requestId, {url: new URL(response.url), cached: response.fromDiskCache, bytes: 0}));
  network.on('Network.loadingFinished', ({requestId, encodedDataLength}) => Object.assign(requests.get(requestId) ?? {}, {bytes: encodedDataLength}));
  const load = async act => {
    requests = new Map();
    const begun = performance.now();
    await act();
    await first.locator('ol.runs > li').first().waitFor();
    const ms = Math.round(performance.now() - begun);
    await first.waitForLoadState('networkidle');
    const files = [...requests.values()].filter(({url, cached, bytes}) => !url.pathname.startsWith('/v1/') && url.protocol === 'http:' && !cached && bytes);
    return {ms, files: files.map(({url}) => url.pathname), bytes: files.reduce((sum, {bytes}) => sum + bytes, 0)};
  };
  const loaded = await load(() => first.goto(base));
  console.log(`       first load: ${loaded.ms} ms to the rows, ${loaded.files.length} files, ${loaded.bytes} bytes`);
  assert.ok(loaded.files.length <= 6 && loaded.bytes < 90_000, JSON.stringify(loaded));
  const again = await load(() => first.reload());
  console.log(`       again: ${again.ms} ms to the rows, ${again.files.length} files, ${again.bytes} bytes`);
  assert.deepEqual(again.files, ['/'], 'a file is asked for twice');
  await shot(first, 'first-load');
}

export async function runs_are_found_and_dealt_with_together({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'operator'});
  const failed = [];
  for (const nth of [1, 2, 3]) failed.push(await api.submit({script: `echo "the needle of ${nth}"; exit 4`, name: `Zephyr Report ${nth}`, tags: ['found']}));
  for (const id of failed) await api.ended(id);
  const waiting = [await api.submit({script: 'true', name: 'zephyr later', delay_s: 3_600}), await api.submit({script: 'true', name: 'zephyr much later', delay_s: 7_200})];
  const ids = () => page.$$eval('ol.runs > li[data-id]', all => all.map(one => Number(one.dataset.id)));
  const are = wanted => until(`the runs ${wanted}`, async () => JSON.stringify(await ids()) === JSON.stringify(wanted));
  const find = page.getByRole('searchbox', {name: 'Find by name, command or tag'});
  // A part of the name is enough, in any case; a run that comes is found as well.
  await find.fill('ZEPHYR');
  await find.press('Enter');
  await are([...waiting.toReversed(), ...failed.toReversed()]);
  await page.locator('ol.runs > li').first().getByText(/^Starts in/).waitFor();
  await page.mouse.move(0, 0);
  waiting.push(await api.submit({script: 'true', name: 'unlike', tags: ['zephyr-tag'], delay_s: 3_600}));
  await are([...waiting.toReversed(), ...failed.toReversed()]);
  await shot(page, 'found');
  await page.getByRole('link', {name: 'Problems'}).click();
  await are(failed.toReversed());
  // All that fit, at once, when somebody has said yes to how many that is.
  await page.getByRole('button', {name: 'Retry all that fit …'}).click();
  await page.getByRole('dialog').getByText('Queue 3 runs again?').waitFor();
  await page.getByRole('button', {name: 'Queue them again'}).click();
  await page.getByText('3 runs queued again.').waitFor();
  await until('the three retries have ended', async () => (await ids()).length === 6);
  await page.getByRole('link', {name: 'Active'}).click();
  await are(waiting.toReversed());
  await page.getByRole('button', {name: 'Cancel all that fit …'}).click();
  await page.getByRole('dialog').getByText('Cancel 3 runs?').waitFor();
  await shot(page, 'cancel-all');
  await page.getByRole('button', {name: 'Cancel them'}).click();
  await page.getByText('Nothing fits').waitFor();
  // By exit code, and by what was printed.
  await goTo(page, '#/runs?exit=4&tag=found');
  await until('those with this exit code', async () => (await ids()).length === 6);
  await goTo(page, '#/runs?tag=found&text=needle+of+2');
  await until('the lines', async () => (await page.locator('.found li').count()) === 2);
  await page.locator('.found mark', {hasText: 'needle of 2'}).first().waitFor();
  await page.getByText('2 lines: all that there are.').waitFor();
  await shot(page, 'found-lines');
  await page.locator('.found a').last().click();
  await line(page, 'the needle of 2');
  await page.getByText('1 of 1 line').waitFor();
}

export async function a_run_that_waits_is_changed({browser, base, api}) {
  const run = await api.submit({script: 'true', name: 'to be changed', delay_s: 3_600, tags: ['one']});
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, `#/runs/${run}`);
  await page.getByRole('button', {name: 'Change …'}).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Priority').fill('9000');
  await dialog.getByRole('button', {name: 'Change it'}).click();
  await dialog.getByText('must be between').waitFor();
  await dialog.getByLabel('Priority').fill('7');
  await dialog.getByLabel('Name').fill('has been changed');
  await dialog.getByLabel('Tags').fill('one two');
  await dialog.getByLabel('Timeout').fill('2h');
  await dialog.getByRole('button', {name: 'Change it'}).click();
  await page.getByRole('heading', {name: 'has been changed'}).waitFor();
  const {priority, tags, timeout_s: timeout, not_before: time} = await api.get(`/v1/runs/${run}`);
  assert.deepEqual([priority, tags, timeout], [7, ['one', 'two'], 7_200]);
  assert.ok(time, 'what was not changed is as it was');
  await api.call('POST', `/v1/runs/${run}/cancel`, {});
}
