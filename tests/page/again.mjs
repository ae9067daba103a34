// The form of a submit: what was typed is kept, and what ran is run again, changed.

import assert from 'node:assert/strict';

import {goTo, line, openPage, shot, shownLines, until} from './browser.mjs';

export async function a_draft_outlives_a_look_elsewhere({browser, base}) {
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, '#/submit');
  const typed = {Script: 'echo "half a thought"', Name: 'unfinished', Tags: 'one two', Environment: 'TOKEN=s3cret', 'Standard input': 's3cret too'};
  await page.getByText('More', {exact: true}).click();
  for (const [label, text] of Object.entries(typed)) await page.getByLabel(label, {exact: label === 'Name'}).fill(text);
  await page.getByLabel('Keep it when its time is up').check();
  const stands = async () => Object.fromEntries(await Promise.all(Object.keys(typed).map(async label => [label, await page.getByLabel(label, {exact: label === 'Name'}).inputValue()])));
  await goTo(page, '#/queues');
  await page.locator('li.queue').first().waitFor();
  await page.goBack();
  await until('all of it is there', async () => JSON.stringify(await stands()) === JSON.stringify(typed));
  assert.ok(await page.getByLabel('Keep it when its time is up').isChecked());
  // Secrets are this page's alone, whatever the browser keeps.
  const kept = () => page.evaluate(() => JSON.stringify([{...sessionStorage}, {...localStorage}]));
  assert.ok((await kept()).includes('half a thought') && !(await kept()).includes('s3cret'), await kept());
  await page.reload();
  await until('the rest is there', async () => JSON.stringify(await stands()) === JSON.stringify({...typed, Environment: '', 'Standard input': ''}));
  const other = await page.context().newPage();
  await other.goto(`${base}/#/submit`);
  assert.equal(await other.getByLabel('Script').inputValue(), '');
  await page.getByRole('button', {name: 'Start afresh'}).click();
  await until('nothing stands there', async () => Object.values(await stands()).every(text => text === ''));
  await page.getByLabel('Script').fill('echo sent');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await line(page, 'sent');
  await goTo(page, '#/submit');
  await page.locator('form.submit').waitFor();
  assert.equal(await page.getByLabel('Script').inputValue(), '', 'what was sent stands there again');
}

export async function a_run_is_run_again_changed({browser, base, api}) {
  const id = await api.submit({
    command: ['printf', '<%s>\\n', '', 'a "b" $HOME'], name: 'first try', tags: ['one', 'two'], priority: 7, timeout_s: 90, cwd: '/tmp',
    env: {GREETING: 'hello', TOKEN: 's3cret'}, on_interrupt: 'requeue',
  });
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, `#/runs/${id}`);
  await page.getByRole('link', {name: 'Run again, changed …'}).click();
  await page.getByRole('heading', {name: `Run ${id} again, changed`}).waitFor();
  await page.getByText('are never given back').waitFor();
  await shot(page, 'again');
  assert.equal(await page.getByLabel('Environment').inputValue(), 'GREETING=\nTOKEN=');
  assert.equal(await page.getByLabel('Directory').inputValue(), '/tmp');
  await page.getByLabel('Name', {exact: true}).fill('second try');
  await page.getByLabel('Environment').fill('GREETING=hi\nTOKEN=');
  await page.getByRole('button', {name: 'Queue it'}).click();
  // A value that could not be taken over and was not typed is asked about, rather than lost in silence.
  await page.getByRole('dialog').getByText('TOKEN has no value').waitFor();
  await page.getByRole('button', {name: 'Not now'}).click();
  await page.getByLabel('Environment').fill('GREETING=hi\nTOKEN=anew');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await line(page, '<a "b" $HOME>');
  const again = await api.get(`/v1/runs/${/runs\/(\d+)/.exec(page.url())[1]}`), before = await api.get(`/v1/runs/${id}`);
  const same = ({command, tags, priority, timeout_s, cwd, env_keys, on_interrupt, queue}) => ({command, tags, priority, timeout_s, cwd, env_keys, on_interrupt, queue});
  assert.deepEqual(same(again), same(before));
  assert.deepEqual([again.name, again.id !== id], ['second try', true]);
  // Arguments of several lines stand in no list of lines: a script does the same.
  const lines = await api.submit({command: ['printf', '%s|', 'two\nlines', "it's"]});
  await api.ended(lines);
  await goTo(page, `#/submit?from=${lines}`);
  await page.getByText('it is a script now').waitFor();
  await page.getByRole('button', {name: 'Queue it'}).click();
  await until('the run is there', async () => /#\/runs\/\d+$/.test(page.url()));
  await line(page, "lines|it's|");
  assert.deepEqual(await shownLines(page), ['two', "lines|it's|"]);
  // One that is gone is no empty form.
  await goTo(page, '#/submit?from=999999');
  await page.getByText('no run 999999').waitFor();
}

export async function what_is_wrong_is_said_in_words({browser, base}) {
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, '#/submit');
  await page.getByLabel('Script').fill('true');
  await page.getByLabel('Tags').fill(`fine ${'x'.repeat(300)}`);
  await page.getByRole('button', {name: 'Queue it'}).click();
  const wrong = page.locator('.field', {has: page.getByLabel('Tags')}).locator('.wrong');
  await wrong.waitFor();
  assert.match(await wrong.textContent(), /^\s*Tag 2 must/);
}

export async function what_is_tried_again_and_waits_for_others_is_said_in_the_form({browser, base, api}) {
  const first = await api.submit({script: 'exit 0'});
  await api.ended(first);
  const page = await openPage(browser, base, {role: 'operator'});
  await goTo(page, '#/submit');
  await page.getByLabel('Script').fill('echo "try $RUNABOUT_ATTEMPT"; exit 3');
  await page.getByText('More', {exact: true}).click();
  const fill = (label, text) => page.getByLabel(label, {exact: true}).fill(text);
  await fill('Try again', '1');
  await fill('After', 'soon');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await page.getByText('must be a time like').waitFor();
  await fill('After', '0s');
  await fill('Not after exit codes', '7, 8');
  await fill('Come after runs', `${first}:ended`);
  await fill('Key', 'the disk');
  await page.getByLabel('Of one that waits already', {exact: true}).selectOption('replace');
  await page.getByRole('button', {name: 'Queue it'}).click();
  await until('the run is there', async () => /#\/runs\/\d+$/.test(page.url()));
  const id = /runs\/(\d+)/.exec(page.url())[1], run = await api.ended(id);
  const {attempts, delay_s, unless_exit} = run.retry;
  assert.deepEqual({attempts, delay_s, unless_exit}, {attempts: 2, delay_s: 0, unless_exit: [7, 8]});
  assert.deepEqual([run.key, run.after], ['the disk', [{run: first, when: 'ended'}]]);
  // What its attempts printed stands apart.
  await line(page, 'try 2');
  assert.deepEqual(await shownLines(page), ['try 1', 'try 2']);
  await page.getByRole('button', {name: 'Attempt 1: exit code 3'}).click();
  await until('only the first is shown', async () => JSON.stringify(await shownLines(page)) === '["try 1"]');
  await shot(page, 'attempts');
  await page.getByRole('button', {name: 'Attempt 2'}).click();
  await until('only the second is shown', async () => JSON.stringify(await shownLines(page)) === '["try 2"]');
  await page.getByRole('button', {name: 'All attempts'}).click();
  await until('both are shown', async () => (await shownLines(page)).length === 2);
  // Run again, the form says all of it.
  await page.getByRole('link', {name: 'Run again, changed …'}).click();
  await page.getByRole('heading', {name: `Run ${id} again, changed`}).waitFor();
  const stands = label => page.getByLabel(label, {exact: true}).inputValue();
  await until('it is filled', async () => await stands('Key') === 'the disk');
  assert.deepEqual(await Promise.all(['Try again', 'After', 'Not after exit codes', 'Come after runs'].map(stands)), ['1', '0s', '7, 8', `${first}:ended`]);
}
