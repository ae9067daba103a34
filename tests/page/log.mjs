// What people do with a log: find, filter, copy, link to, fold, page through; and what is missing of one.

import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';

import {goTo, line, openPage, shot, shownLines, until} from './browser.mjs';

const top = page => page.locator('.log').evaluate(log => log.scrollTop);
/** The numbers of the lines that are seen, as they stand in the window. */
const seen = page => page.locator('.log').evaluate(log => {
  const {top, bottom} = log.getBoundingClientRect();
  return [...log.querySelectorAll('.line')].filter(line => {
    const box = line.getBoundingClientRect();
    return box.top >= top - 1 && box.bottom <= bottom + 1;
  }).map(line => Number(line.querySelector('.nr').textContent));
});

export async function a_log_is_found_filtered_and_paged_through({browser, base, api}) {
  const id = await api.sh(String.raw`for i in $(seq 1 3000); do echo "line $i"; [ $((i % 7)) = 0 ] && echo "warning: code $i" >&2; done; exit 3`);
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await line(page, 'Failed after');
  const count = page.locator('.count'), found = page.locator('.tally'), find = page.getByLabel('Find in the output');
  // What the page says of the run is no line of it.
  assert.match(await count.textContent(), /^3\u202f428 lines/);
  await page.keyboard.press('/');
  await page.keyboard.type('failed');
  await until('it is looked for', async () => await found.textContent() === '0 lines');
  await find.fill('WARNING: CODE 2');
  await until('all are found', async () => (await found.textContent()).startsWith('159 lines'));
  await find.press('Escape');
  await page.keyboard.press('g');
  await until('the first line', async () => (await seen(page))[0] === 1);
  await page.keyboard.press('n');
  await until('the first that was found', async () => await found.textContent() === '1 of 159 lines');
  const before = await top(page);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  await until('a line further', async () => Math.abs(await top(page) - before - 20) < 2);
  // Place and search stay over a look at the events.
  await page.getByRole('link', {name: 'Events'}).click();
  await page.locator('.events li').first().waitFor();
  assert.equal(await page.locator('.log').isVisible(), false);
  await page.getByRole('link', {name: 'Output', exact: true}).click();
  await until('it is where it was', async () => Math.abs(await top(page) - before - 20) < 2 && await page.locator('.log .current').isVisible());
  assert.deepEqual([await find.inputValue(), await found.textContent()], ['WARNING: CODE 2', '1 of 159 lines']);
  // Only what fits an expression, and that as it was printed.
  await page.getByRole('button', {name: 'Filter'}).click();
  await page.getByRole('button', {name: 'As an expression'}).click();
  await find.fill('^warning: code (7|70|700)$');
  await until('three are left', async () => (await shownLines(page)).length === 3);
  assert.deepEqual(await shownLines(page), ['warning: code 7', 'warning: code 70', 'warning: code 700']);
  assert.equal(await page.locator('.log .line').count(), 3);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', {name: 'Download these'}).click()]);
  assert.equal(download.suggestedFilename(), `run-${id}-filtered.log`);
  assert.equal(await readFile(await download.path(), 'utf8'), 'warning: code 7\nwarning: code 70\nwarning: code 700\n');
  await shot(page, 'log-filtered');
  await find.fill('nothing is like this');
  await page.getByText('No line is like that.').waitFor();
  await find.fill('(');
  await page.getByText(/Not an expression/).waitFor();
  await find.fill('');
  await until('all are there again', async () => (await shownLines(page)).length > 20);
  await page.keyboard.press('Escape');
  await page.keyboard.press('G');
  await line(page, 'Failed after');
  assert.equal(await page.getByRole('button', {name: /To the end/}).count(), 0);
}

export async function a_log_is_copied_and_linked_to({browser, base, api}) {
  const id = await api.sh(String.raw`printf 'one\n\n  three\t\n\033[32mgreen\033[0m\n'; for i in $(seq 5 400); do echo "line $i of $i"; done`);
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer', permissions: ['clipboard-read', 'clipboard-write']});
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  // By its address, before anything of it is there.
  await goTo(page, `#/runs/${id}?line=200-201`);
  await until('two lines are marked', async () => (await page.locator('.log .linked .nr').allTextContents()).join() === '200,201');
  assert.ok((await seen(page)).includes(200));
  await page.getByRole('button', {name: 'Copy text'}).click();
  await page.getByText('2 lines were copied.').waitFor();
  assert.equal(await clipboard(), 'line 200 of 200\nline 201 of 201');
  await shot(page, 'log-linked');
  const place = await top(page);
  await page.locator('.log a.nr', {hasText: '203'}).click({modifiers: ['Shift']});
  await page.waitForURL(/line=200-203$/);
  assert.equal(await top(page), place);
  await page.getByRole('button', {name: 'Copy link'}).click();
  await page.getByText('The link was copied.').waitFor();
  assert.match(await clipboard(), new RegExp(`/#/runs/${id}\\?line=200-203$`));
  await page.getByRole('button', {name: 'Mark no line'}).click();
  assert.equal(await page.locator('.log .linked').count(), 0);
  // Everything, then some of it: as it was printed, with its blank lines, and nothing of the page's own.
  const log = page.locator('.log');
  await page.keyboard.press('g');
  await line(page, 'three');
  await log.focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Control+C');
  const all = await clipboard();
  assert.ok(all.startsWith('one\n\n  three\t\ngreen\nline 5 of 5\n') && all.endsWith('line 400 of 400\n'), JSON.stringify(all.slice(0, 60)));
  await log.evaluate(log => {
    const [first, , , fourth] = log.querySelectorAll('.line .text');
    getSelection().setBaseAndExtent(first.firstChild, 1, fourth.querySelector('.f-2').firstChild, 3);
  });
  await page.keyboard.press('Control+C');
  assert.equal(await clipboard(), 'ne\n\n  three\t\ngre');
  assert.equal(await log.evaluate(log => /[\u200b-\u200f]/.test(log.textContent)), false);
  await page.getByRole('button', {name: 'Copy', exact: true}).click();
  await page.getByText('400 lines were copied.').waitFor();
  assert.equal(await clipboard(), all);
  // Wrap and times are remembered from one visit to the next.
  await page.getByRole('button', {name: 'Wrap'}).click();
  await page.getByRole('button', {name: 'Times'}).click();
  await page.reload();
  await until('they are as they were', async () => await page.locator('.log.wrap.times').count() === 1);
}

export async function links_and_groups_in_a_log({browser, base, api}) {
  const id = await api.sh(String.raw`printf 'see https://example.com/a?b=c, and (http://x.test/)\n'
    printf '\033]8;;https://evil.test/x\033\\https://bank.test/\033]8;;\033\\ \033]8;;javascript:window.pwned=1\033\\press\033]8;;\033\\ javascript:window.pwned=1 data:text/html,x\n'
    printf '\033]8;;https://x.test/"onmouseover="window.pwned=1\033\\quoted\033]8;;\033\\ \033[31mhttps://red.\033[32mtest/\033[0m\n'
    echo '::group::<img src=x onerror=window.pwned=1>'; seq 1 50; echo '::endgroup::'
    printf '\033[0Ksection_start:1560896352:part[collapsed=true]\r\033[0KThe part\n'; seq 51 100; printf '\033[0Ksection_end:1560896353:part\r\033[0K\n'; echo behind`);
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await line(page, 'behind');
  await page.keyboard.press('g');
  await line(page, 'see https');
  const links = await page.$$eval('.log .text a', all => all.map(a => [a.textContent, a.href, a.target, a.rel, a.dataset.host ?? '']));
  const safe = ['_blank', 'noopener noreferrer nofollow'];
  assert.deepEqual(links, [
    ['https://example.com/a?b=c', 'https://example.com/a?b=c', ...safe, ''], ['http://x.test/', 'http://x.test/', ...safe, ''],
    ['https://bank.test/', 'https://evil.test/x', ...safe, 'evil.test'],
    ['quoted', 'https://x.test/%22onmouseover=%22window.pwned=1', ...safe, 'x.test'],
    ['https://red.', 'https://red.test/', ...safe, ''], ['test/', 'https://red.test/', ...safe, ''],
  ]);
  const open = page.getByRole('button', {name: '<img src=x'}), folded = page.getByRole('button', {name: 'The part'});
  assert.deepEqual([await open.getAttribute('aria-expanded'), await line(page, /^7$/)], ['true', undefined]);
  await open.focus();
  await page.keyboard.press('Enter');
  await until('it is folded', async () => await open.getAttribute('aria-expanded') === 'false');
  // 3 lines, and the first of each group, and the one behind both.
  const rows = await page.$$eval('.log .line', all => all.map(one => one.querySelector('.nr').textContent));
  assert.deepEqual(rows, ['1', '2', '3', '4', '56', '108', '']);
  assert.equal(await open.evaluate(button => button === document.activeElement), true);
  assert.equal(await folded.getAttribute('aria-expanded'), 'false');
  await shot(page, 'log-folded');
  // What is found in a group that is folded away unfolds it.
  // Whether or not it was found when the key was pressed.
  await page.evaluate(() => {
    const find = document.querySelector('#find');
    find.value = '73';
    find.dispatchEvent(new Event('input', {bubbles: true}));
    find.form.requestSubmit();
  });
  await until('it is unfolded', async () => await page.locator('.log .current').isVisible() && await folded.getAttribute('aria-expanded') === 'true');
  await page.getByRole('button', {name: 'Fold'}).click();
  await until('all are folded', async () => await page.locator('.log .line').count() === 7);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator('.log img, .log script, .log a:not([href^="http"]):not(.nr)').count(), 0);
}

/** What the quota took of a run whose lines are their own numbers, and the first of these that is not there. */
async function missingOf(api, id) {
  for (let after = 0; ;) {
    const {events, gaps: [gap]} = await api.get(`/v1/runs/${id}/events?after=${after}`);
    if (gap) {
      const before = await api.get(`/v1/runs/${id}/events?after=${gap.from - 2}&limit=1`);
      return {trimmed: gap.trimmed, first: Number(before.events[0].data.text.split('\n').at(-2)) + 1};
    }
    after = events.at(-1).seq;
  }
}

export async function what_a_quota_took_is_told({browser, base, api}) {
  const lines = 2_000_000, id = await api.sh(`seq 1 ${lines}`);
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await line(page, new RegExp(`^${lines}$`));
  const {trimmed, first} = await missingOf(api, id), missing = `${trimmed.lines.toLocaleString('en').replaceAll(',', '\u202f')} lines`;
  await page.locator('.missing', {hasText: missing}).waitFor();
  // The line that it begins in has another part behind it.
  await until('the rest is counted', async () => Math.abs(Number((await page.locator('.count').textContent()).split(' ')[0].replaceAll('\u202f', '')) - (lines - trimmed.lines)) <= 1);
  // Behind it each line has the number that it was printed with, which is what it says here.
  const last = page.locator('.log .line.stdout').last();
  assert.equal(await last.locator('.nr').textContent(), await last.locator('.text').textContent());
  // At its place too.
  await goTo(page, `#/runs/${id}?line=${first + 100}`);
  await page.locator('.log .warning .text', {hasText: `Missing here: ${missing}`}).waitFor();
  await shot(page, 'log-quota');
}
