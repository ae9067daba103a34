// What commands print: hostile, colourful, long.

import assert from 'node:assert/strict';

import {goTo, line, openPage, shot, shownLines, until} from './browser.mjs';

export async function output_is_only_ever_text({browser, base, api}) {
  const script = String.raw`printf '<img src=x onerror="document.title=1;window.pwned=1">\n'
    printf '<script>window.pwned=1</script>\n'
    printf '\033]0;owned\007title\n\033]8;;javascript:alert(1)\033\\link\033]8;;\033\\\n'
    printf '\033[31mred\033[0m \033[1;38;5;208morange\033[0m \033[38;2;1;2;3mdark\033[0m\n'
    printf 'a\033[2J\033[Hb\033[9999999999999Cc\000d\n'
    printf '\342\200\256desrever\n'
    printf '\377\376 not UTF-8\n'
    head -c 1000000 /dev/zero | tr '\0' x; echo
    printf '\rdone  10 %%\rdone 100 %%\n'
    echo problem >&2
    printf last`;
  const id = await api.submit({script, name: '<img src=x onerror="window.pwned=1">', tags: ['<script>window.pwned=1</script>']});
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'viewer'});
  await page.getByRole('link', {name: '<img src=x'}).first().waitFor();
  await goTo(page, `#/runs/${id}`);
  await line(page, 'last');
  const lines = await shownLines(page);
  assert.equal(lines[0], '<img src=x onerror="document.title=1;window.pwned=1">');
  assert.equal(lines[1], '<script>window.pwned=1</script>');
  assert.deepEqual(lines.slice(2, 5), ['title', 'link', 'red orange dark']);
  assert.equal(lines[5], `ab${" ".repeat(510)}c\u2400d`);
  assert.equal(lines[6], '\u202edesrever');
  assert.equal(lines[7], '\ufffd\ufffd not UTF-8');
  assert.match(lines[8], /^x{16384} … 983\u202f616 more characters, in the download$/);
  assert.deepEqual(lines.slice(9).sort(), ['done 100 %', 'last', 'problem']);
  assert.equal(await page.locator('.log .stderr .mark').first().textContent(), 'err');
  assert.equal(await page.locator('.log .f-1').first().textContent(), 'red');
  await page.getByRole('link', {name: 'Details'}).click();
  await page.getByRole('link', {name: 'Events'}).click();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator('img:not([src^="/page/icon-"]), main script, main a[href^="javascript"]').count(), 0);
  assert.match(await page.title(), /Runabout$/);
}

export async function a_hundred_thousand_lines({browser, base, api}) {
  const lines = 200_000;
  const id = await api.submit({script: `seq -f 'line %.0f of many, with some words behind it' ${lines}`, name: 'long'});
  await api.ended(id);
  const short = await api.submit({script: `seq -f 'line %.0f of many, with some words behind it' ${lines / 2}`});
  await api.ended(short);
  const page = await openPage(browser, base, {role: 'viewer'});
  for (const [run, last] of [[short, lines / 2], [id, lines]]) {
    const begun = performance.now();
    await goTo(page, `#/runs/${run}`);
    await line(page, `line ${last} of many`);
    console.log(`       ${last} lines, scrolled to the end: ${Math.round(performance.now() - begun)} ms`);
  }
  const log = page.getByRole('region', {name: `Output of run ${id}`});
  const drawn = await page.locator('.log .line').count();
  assert.ok(drawn < 2_000, `${drawn} lines are in the page`);
  await log.focus();
  await page.keyboard.press('Home');
  await line(page, 'line 1 of many');
  await page.getByRole('button', {name: /To the end/}).waitFor();
  // Every line is there, in its place, wherever one looks.
  for (const part of [0.2, 0.5, 0.9]) {
    await log.evaluate((log, part) => { log.scrollTop = log.scrollHeight * part; }, part);
    await until('lines are drawn where one looks', () => log.evaluate((log, [part, lines]) => {
      const {top, bottom} = log.getBoundingClientRect();
      const seen = [...log.querySelectorAll('.line')].filter(line => {
        const box = line.getBoundingClientRect();
        return box.top >= top && box.bottom <= bottom;
      }).map(line => Number(/line (\d+) /.exec(line.textContent)?.[1]));
      return seen.length > 5 && Math.abs(seen[0] - lines * part) < 5 && seen.every((number, at) => number === seen[0] + at);
    }, [part, lines]));
  }
  await page.getByLabel('Find in the output').fill(`LINE ${lines / 2 + 1} `);
  await page.getByText('1 line', {exact: true}).waitFor();
  await page.getByLabel('Find in the output').press('Enter');
  await page.getByText('1 of 1 line').waitFor();
  assert.match(await page.locator('.log .current').textContent(), new RegExp(`line ${lines / 2 + 1} `));
  assert.equal(await page.locator('.log .current mark').textContent(), `line ${lines / 2 + 1} `);
  await page.getByRole('button', {name: 'Wrap'}).click();
  await page.getByRole('button', {name: 'Times'}).click();
  await page.getByRole('button', {name: /To the end/}).click();
  await line(page, `line ${lines} of many`);
  await shot(page, 'long');
}

export async function following_stops_when_one_scrolls_up({browser, base, api}) {
  const id = await api.sh('i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "tick $i"; sleep 0.02; done');
  const page = await openPage(browser, base, {role: 'viewer'});
  await goTo(page, `#/runs/${id}`);
  await line(page, /^tick 60$/);
  const log = page.getByRole('region', {name: `Output of run ${id}`});
  const left = () => log.evaluate(log => log.scrollHeight - log.scrollTop - log.clientHeight);
  assert.ok(await left() < 60);
  await log.hover();
  await page.mouse.wheel(0, -300);
  await page.getByRole('button', {name: /Follow/}).waitFor();
  const top = await log.evaluate(log => log.scrollTop), before = await page.locator('.count').textContent();
  await until('more is printed', async () => (await page.locator('.count').textContent()) !== before);
  await until('the wheel has come to rest', async () => {
    const now = await log.evaluate(log => log.scrollTop);
    await page.waitForTimeout(100);
    return now === await log.evaluate(log => log.scrollTop) && now <= top;
  });
  await page.getByRole('button', {name: /Follow/}).click();
  await until('it follows again', async () => (await left()) < 60);
  assert.equal(await page.getByRole('button', {name: /Follow/}).count(), 0);
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
}
