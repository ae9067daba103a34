// A run on a terminal: drawn as it is drawn anywhere, typed to by who may, and harmless whatever it draws.

import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';

import {goTo, harness, openPage, shot, until} from './browser.mjs';

/** What stands on the page's terminal. */
const drawn = page => page.locator('.screen .xterm-rows').evaluate(rows => [...rows.children].map(row => row.textContent.replaceAll('\u00a0', ' ').trimEnd()).join('\n'));

const untilDrawn = (page, text) => until(`${text} is drawn`, async () => (await drawn(page)).includes(text));

async function opened(browser, base, api, run, role = 'operator') {
  const id = await api.submit({pty: {columns: 80, rows: 24}, stdin: 'open', ...run});
  const page = await openPage(browser, base, {role});
  await goTo(page, `#/runs/${id}`);
  await page.locator('.screen .xterm-rows').waitFor();
  return {id, page};
}

const type = async (page, ...keys) => {
  await page.locator('.screen textarea').focus();
  for (const key of keys) await (key.length > 1 && /^(Enter|Escape|Control\+.*)$/.test(key) ? page.keyboard.press(key) : page.keyboard.type(key));
};

export async function an_editor_and_a_pager_work_on_the_pages_terminal({browser, base, api}) {
  const script = 'f=$(mktemp); seq -f "line %g of it" 200 >$f; (vim -u NONE -i NONE -n $f || vi $f); less $f; tail -1 $f; rm $f; echo over; read x';
  const {id, page} = await opened(browser, base, api, {script});
  await untilDrawn(page, 'line 1 of it');
  await type(page, 'G', 'o', 'ä new one', 'Escape');
  await untilDrawn(page, 'ä new one');
  // Whoever sits at it has it as large as its place is.
  await until('it is resized', async () => (await api.get(`/v1/runs/${id}`)).pty.columns > 80);
  await until('it is drawn so', async () => (await page.locator('.screen .xterm-rows > div').count()) === (await api.get(`/v1/runs/${id}`)).pty.rows);
  await type(page, ':wq', 'Enter');
  await untilDrawn(page, 'line 1 of it');
  await type(page, '/77', 'Enter');
  await untilDrawn(page, 'line 77 of it');
  await type(page, 'q');
  await untilDrawn(page, 'over');
  assert.match(await drawn(page), /ä new one\nover/);
  await shot(page, 'terminal');
  const before = await drawn(page);
  await page.reload();
  await untilDrawn(page, 'over');
  assert.equal((await drawn(page)).trim().split('\n').at(-1), before.trim().split('\n').at(-1), 'read again it looks the same');
  await type(page, 'Enter');
  await api.ended(id);
}

export async function what_a_command_draws_does_no_harm({browser, base, api}) {
  const script = String.raw`printf '\033]8;;javascript:alert(1)\033\\link\033]8;;\033\\ \033]52;c;aGFybQ==\007\033]0;title\007\033[21t\033[38;2;255;10;20mred\033[m<img src=x>\n'; read x`;
  const {id, page} = await opened(browser, base, api, {script});
  await untilDrawn(page, 'red<img src=x>');
  assert.ok(!(await page.title()).includes('title\u0007') && !/^title/.test(await page.title()));
  const red = page.locator('.screen span', {hasText: 'red'}).first();
  assert.equal(await red.evaluate(span => getComputedStyle(span).color), 'rgb(255, 10, 20)', 'the policy lets colours be');
  await page.getByText('link', {exact: false}).locator('visible=true').first().click();
  assert.equal(page.context().pages().length, 1, 'a link opens nothing');
  await type(page, 'Enter');
  await api.ended(id);
}

export async function one_writes_and_a_viewer_only_looks({browser, base, api}) {
  const {id, page} = await opened(browser, base, api, {script: 'stty -echo; exec cat'});
  const viewer = await openPage(browser, base, {role: 'viewer'});
  await goTo(viewer, `#/runs/${id}`);
  await viewer.locator('.screen .xterm-rows').waitFor();
  const other = await openPage(browser, base, {role: 'operator'});
  await goTo(other, `#/runs/${id}`);
  await other.locator('.screen .xterm-rows').waitFor();
  await until('it runs', async () => (await api.get(`/v1/runs/${id}`)).status === 'running');
  await type(page, 'one', 'Enter');
  for (const one of [page, viewer, other]) await untilDrawn(one, 'one');
  await type(viewer, 'no', 'Enter');
  await type(other, 'two', 'Enter');
  await other.getByText('writes here').waitFor();
  await other.getByRole('button', {name: 'Write in their place'}).click();
  await type(other, 'three', 'Enter');
  for (const one of [page, viewer, other]) await untilDrawn(one, 'three');
  await type(other, 'Control+d');
  await api.ended(id);
  assert.equal(await api.get(`/v1/runs/${id}/log`), 'one\r\nthree\r\n');
}

export async function what_draws_over_itself_goes_on_after_the_daemon_was_killed({browser, base, api}) {
  const {id, page} = await opened(browser, base, api, {command: ['top', '-d', '0.5'], survive: true, env: {TERM: 'xterm-256color'}});
  const clock = async () => /top - (\d\d:\d\d:\d\d)/.exec(await drawn(page))?.[1];
  await untilDrawn(page, 'COMMAND');
  await harness('kill');
  const before = await clock();
  await harness('start');
  await until('it is drawn anew', async () => (await clock()) > before);
  const heads = (await drawn(page)).match(/PID USER/g);
  assert.deepEqual([heads.length, (await drawn(page)).startsWith('top - ')], [1, true], 'over itself, not below');
  await type(page, 'q');
  assert.equal((await api.ended(id)).exit_code, 0);
}

export async function a_new_attempt_begins_on_an_empty_screen({browser, base, api}) {
  const {id, page} = await opened(browser, base, api, {script: 'echo "attempt $RUNABOUT_ATTEMPT"; read x', on_interrupt: 'requeue'});
  await untilDrawn(page, 'attempt 1');
  await harness('kill');
  await harness('start');
  await untilDrawn(page, 'attempt 2');
  assert.equal((await drawn(page)).trim(), 'attempt 2');
  await type(page, 'Enter');
  await api.ended(id);
}

export async function what_a_run_left_is_listed_and_saved({browser, base, api}) {
  const id = await api.sh('cd "$RUNABOUT_ARTIFACTS"; echo "a,b" >report.csv; mkdir -p deep; printf "<script>alert(1)</script>" >"deep/<b>ä page.html"');
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await page.getByRole('link', {name: 'Files'}).click();
  const files = page.getByRole('region', {name: 'Files'});
  await files.getByText('report.csv').waitFor();
  const [saved] = await Promise.all([page.waitForEvent('download'), files.getByText('deep/<b>ä page.html').click()]);
  assert.equal(await readFile(await saved.path(), 'utf8'), '<script>alert(1)</script>', 'saved, not shown');
  assert.ok(page.url().endsWith(`#/runs/${id}/files`), page.url());
  await shot(page, 'files');
}
