// Submitting, the list, and what is done with a run.

import assert from 'node:assert/strict';

import {goTo, harness, line, openPage, shot, shownLines, until} from './browser.mjs';

export async function submit_watch_and_cancel({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'operator'});
  await page.getByRole('link', {name: 'Submit', exact: true}).click();
  await page.getByLabel('Priority').fill('5000');
  await page.getByLabel('Name', {exact: true}).fill('watched');
  await page.getByRole('button', {name: 'Queue it'}).click();
  // What is wrong stands beside its field, and the field says so to a screen reader too.
  const priority = page.getByLabel('Priority');
  await page.locator('.field', {has: priority}).getByText('must be between').waitFor();
  assert.equal(await priority.getAttribute('aria-invalid'), 'true');
  assert.match(await priority.getAttribute('aria-describedby'), /priority-wrong/);
  await page.locator('.field', {has: page.getByLabel('Script')}).getByText('must not be empty').waitFor();
  await shot(page, 'submit-errors');
  await priority.fill('7');
  await page.getByLabel('Timeout').fill('5m');
  await page.getByLabel('Tags').fill('one two');
  await page.getByLabel('Environment').fill('GREETING=hello there');
  await page.getByLabel('Script').fill('echo "$GREETING"; for i in 1 2 3; do echo "line $i"; done; exec sleep 600');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await line(page, 'line 3');
  assert.deepEqual(await shownLines(page), ['hello there', 'line 1', 'line 2', 'line 3']);
  const id = Number(/runs\/(\d+)/.exec(page.url())[1]), run = await api.get(`/v1/runs/${id}`);
  assert.deepEqual([run.name, run.priority, run.timeout_s, run.tags, run.env_keys], ['watched', 7, 300, ['one', 'two'], ['GREETING']]);
  await until('the title says so', async () => /running/.test(await page.title()));
  await page.getByRole('button', {name: 'Cancel …'}).click();
  await page.getByRole('dialog').getByText('SIGTERM').waitFor();
  await shot(page, 'cancel');
  await page.getByRole('button', {name: 'Not now'}).click();
  await page.getByRole('dialog').waitFor({state: 'detached'});
  assert.equal((await api.get(`/v1/runs/${id}`)).status, 'running');
  await page.getByRole('button', {name: 'Cancel …'}).click();
  await page.getByRole('button', {name: 'Cancel the run'}).click();
  await page.locator('.head .state.canceled').waitFor();
  await line(page, 'Canceled after');
  await page.getByRole('button', {name: 'Keep'}).click();
  await page.getByRole('button', {name: 'Kept'}).waitFor();
  assert.equal((await api.get(`/v1/runs/${id}`)).keep, true);
  await page.getByRole('link', {name: 'Events'}).click();
  await page.locator('.events').getByText('cancel requested').waitFor();
  await page.goBack();
  await page.getByRole('button', {name: 'Retry …'}).click();
  await page.getByRole('button', {name: 'Queue it again'}).click();
  await page.getByRole('link', {name: String(id), exact: true}).waitFor();
  const again = Number(/runs\/(\d+)/.exec(page.url())[1]);
  await api.call('POST', `/v1/runs/${again}/cancel`, {});
  await page.getByRole('button', {name: 'Delete …'}).click();
  await page.getByRole('button', {name: 'Delete for ever'}).click();
  await page.locator('ol.runs').waitFor();
  await goTo(page, `#/runs/${again}`);
  await page.getByText('It was deleted').waitFor();
}

export async function arguments_are_given_as_they_are({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, '#/submit');
  await page.getByRole('button', {name: 'Program and arguments'}).click();
  await page.getByLabel('Program and arguments, one a line').fill('printf\n<%s>\\n\n\na "b" $HOME\n');
  await page.getByLabel('Environment').fill('no equals sign');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await page.getByText('must be NAME=value').waitFor();
  await page.getByLabel('Environment').fill('');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await line(page, '<a "b" $HOME>');
  assert.deepEqual(await shownLines(page), ['<>', '<a "b" $HOME>']);
  await page.getByRole('link', {name: 'Details'}).click();
  await page.locator('.argv li').nth(3).waitFor();
  const id = Number(/runs\/(\d+)/.exec(page.url())[1]);
  assert.deepEqual((await api.get(`/v1/runs/${id}`)).command, ['printf', '<%s>\\n', '', 'a "b" $HOME']);
}

export async function filter_and_page({browser, base, api}) {
  for (let count = 0; count < 60; count += 1) await api.submit({command: ['true'], name: 'many', tags: count % 20 ? [] : ['rare']});
  const failed = await api.submit({script: 'exit 3', name: 'breaks'});
  await api.ended(failed);
  const page = await openPage(browser, base, {role: 'viewer'});
  const rows = page.locator('ol.runs > li');
  await until('a page of runs', async () => (await rows.count()) >= 50);
  assert.equal(await page.locator('.strip .bar').count(), await rows.count());
  await page.getByRole('button', {name: 'Older runs'}).click();
  await until('the next page', async () => (await rows.count()) > 60);
  const ids = await page.$$eval('ol.runs .what', all => all.map(one => Number(one.hash.split('/')[2])));
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => b - a), 'a run twice, or out of order');
  await page.getByLabel('Failed', {exact: true}).check();
  await until('only failed runs', async () => {
    const states = await page.$$eval('ol.runs > li .state', all => all.map(one => one.textContent.trim()));
    return states.length && states.every(state => state === 'Failed');
  });
  await page.getByText('exit code 3').first().waitFor();
  await page.getByRole('link', {name: 'Show all'}).click();
  await until('no filter', async () => !await page.getByLabel('Failed', {exact: true}).isChecked());
  await page.getByText('More', {exact: true}).click();
  await page.getByLabel('Tag, exactly').fill('rare');
  await page.getByLabel('Tag, exactly').press('Enter');
  await until('the three of the tag', async () => (await rows.count()) === 3);
  await page.getByLabel('Name, exactly').fill('nobody');
  await page.getByLabel('Name, exactly').press('Enter');
  await page.getByText('Nothing fits').waitFor();
  await page.goBack();
  await until('the three again', async () => (await rows.count()) === 3);
}

export async function the_list_lives_and_nothing_jumps({browser, base, api}) {
  const page = await openPage(browser, base, {role: 'viewer'});
  const state = name => page.locator('ol.runs > li', {hasText: name}).first().locator('.state').textContent();
  const ids = () => page.$$eval('ol.runs .what', all => all.map(one => Number(one.hash.split('/')[2])));
  await page.locator('ol.runs').waitFor();
  await page.mouse.move(0, 0);
  // At the top, with no hand on it, a new run comes in by itself, and its row changes as it goes on.
  const first = await api.submit({script: 'exec sleep 600', name: 'arrives'});
  await until('it is there and runs', async () => (await ids())[0] === first && (await state('arrives')).includes('Running'));
  await api.call('POST', `/v1/runs/${first}/events`, {kind: 'progress', data: {percent: 30, message: 'a third'}});
  await page.locator('ol.runs').getByText('a third').waitFor();
  // Under a hand it does not: it waits.
  await page.locator('ol.runs > li').nth(2).hover();
  const before = await ids();
  for (let count = 0; count < 3; count += 1) await api.submit({command: ['true'], name: `late ${count}`});
  await page.getByRole('button', {name: '3 new runs'}).waitFor();
  assert.deepEqual(await ids(), before, 'the list jumped');
  await shot(page, 'new-runs');
  await api.call('POST', `/v1/runs/${first}/cancel`, {});
  await until('its row tells', async () => (await state('arrives')).includes('Canceled'));
  await page.getByRole('button', {name: '3 new runs'}).click();
  await until('they are in', async () => (await ids())[0] === first + 3);
  // Over the death of the daemon it goes on from where it was.
  await page.mouse.move(0, 0);
  await harness('kill');
  await page.getByText('Disconnected.').waitFor();
  await harness('start');
  await page.getByText('Disconnected.').waitFor({state: 'detached'});
  const after = await api.submit({command: ['true'], name: 'after all'});
  await until('the new one is in and ended', async () => (await ids())[0] === after && (await state('after all')).includes('Succeeded'));
  // A filter shows what fits it, and only that.
  await goTo(page, '#/runs?name=wanted');
  await page.getByText('Nothing fits').waitFor();
  await api.submit({command: ['true'], name: 'unwanted'});
  const wanted = await api.submit({command: ['true'], name: 'wanted'});
  await until('the one that fits', async () => JSON.stringify(await ids()) === JSON.stringify([wanted]));
  // Going back finds the list where it was.
  await goTo(page, '#/runs');
  await until('the whole list', async () => (await ids()).length > 3);
  await page.evaluate(() => scrollTo(0, 300));
  const scrolled = await page.evaluate(() => scrollY);
  await page.locator('ol.runs .what').nth(5).click();
  await page.getByRole('link', {name: 'Details'}).waitFor();
  await page.goBack();
  await until('the same place', async () => (await page.evaluate(() => scrollY)) === scrolled);
}
