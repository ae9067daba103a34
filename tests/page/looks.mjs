// What the page looks like, and whether everybody can use it: light and dark, on a desk and on a phone.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

import {goTo, line, openPage, shot} from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs of all sorts; answers the ones that are looked at. */
async function furnish(api) {
  const colours = String.raw`for i in 1 2 3 4 5 6 7; do
      printf '\033[3%smcolour %s\033[0m \033[1;9%smbright\033[0m \033[4%smground\033[0m ' $i $i $i $i
      printf '\033[38;5;%smof 256\033[0m \033[38;2;%s;80;200mof all\033[0m \033[7minverse\033[0m\n' $((i*30)) $((i*30))
    done
    echo "warning: something is odd" >&2; printf 'fetching  10 %%\rfetching 100 %%\n'; echo "error: it did not work out" >&2; exit 3`;
  await api.call('PUT', '/v1/queues/gpu', {slots: 1});
  await api.call('PUT', '/v1/queues/slow', {slots: 1, paused: true});
  for (let count = 0; count < 12; count += 1) await api.submit({script: `sleep 0.0${count % 7}`, name: 'backup', tags: ['nightly']});
  await api.submit({command: ['no-such-program', '--flag'], queue: 'gpu'});
  await api.submit({script: 'kill -9 $$', name: 'killed', queue: 'gpu'});
  await api.submit({command: ['tar', '-czf', '/backup/home.tgz', '/home'], queue: 'slow', name: 'archive'});
  await api.submit({command: ['/usr/local/bin/report', '--weekly'], delay_s: 7_200, name: 'later', tags: ['reports', 'weekly']});
  const failed = await api.submit({script: colours, name: 'compile', queue: 'gpu'});
  await api.ended(failed);
  const tell = '{"kind":"progress","data":{"percent":40,"message":"epoch 12 of 30"}}';
  const running = await api.submit({script: 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); printf "\\033[32mok\\033[0m step %s of a deployment\\n" $i; done; exec sleep 600', name: 'deploy', tags: ['production'], queue: 'gpu'});
  await api.call('POST', `/v1/runs/${running}/events`, JSON.parse(tell));
  return {failed, running};
}

export async function looks({browser, base, api}) {
  const {failed, running} = await furnish(api);
  const views = {
    runs: ['#/runs', '.bar'], nothing: ['#/runs?name=nobody', '.empty'], running: [`#/runs/${running}`, '.log .line'],
    failed: [`#/runs/${failed}`, '.log .bad'], events: [`#/runs/${failed}/events`, '.events li'],
    details: [`#/runs/${failed}/details`, '.details'], gone: ['#/runs/999999', '.empty'], found: ['#/runs?text=warning', '.found li'], narrowed: ['#/runs?status=failed&exit=3', '.bulk'], submit: ['#/submit', 'form.submit'],
    queues: ['#/queues', 'li.queue .waits'], access: ['#/access', '.list li'],
  };
  const page = await openPage(browser, base);
  await page.evaluate(AXE);
  const found = [];
  for (const [name, [hash, selector]] of Object.entries(views)) {
    await page.setViewportSize({width: 1280, height: 800});
    await goTo(page, hash);
    await page.locator(selector).first().waitFor();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({colorScheme, reducedMotion: 'reduce'});
      await shot(page, `${name}-${colorScheme}`);
      found.push(...await findings(page, `${name}, ${colorScheme}`));
    }
    await page.setViewportSize({width: 360, height: 740});
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    await shot(page, `${name}-phone`);
    assert.ok(width <= 360, `${name} is ${width} px wide on a phone`);
    await page.emulateMedia({colorScheme: 'light'});
  }
  await page.setViewportSize({width: 1280, height: 800});
  await api.call('POST', `/v1/runs/${running}/cancel`, {});
  const stranger = await openPage(browser, base, {role: null});
  await stranger.goto(base);
  await stranger.getByText('runabout enroll --web').waitFor();
  await stranger.evaluate(AXE);
  for (const colorScheme of ['light', 'dark']) {
    await stranger.emulateMedia({colorScheme});
    found.push(...await findings(stranger, `no session, ${colorScheme}`));
  }
  assert.deepEqual(found, []);
}

/** What axe finds that is serious. */
async function findings(page, where) {
  const {violations} = await page.evaluate(() => window.axe.run(document, {resultTypes: ['violations']}));
  return violations.filter(({impact}) => ['serious', 'critical'].includes(impact))
    .flatMap(({id, nodes}) => nodes.slice(0, 3).map(node => `${where}: ${id}: ${node.html.slice(0, 160)} ${node.failureSummary.split('\n')[1]?.trim()}`));
}

export async function dark_is_dark({browser, base}) {
  const page = await openPage(browser, base, {role: 'viewer', colorScheme: 'dark'});
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));
  assert.ok(await paper() < 150);
  const button = page.getByRole('button', {name: /^Colours/});
  await button.click();
  assert.ok(await paper() > 600, 'light was asked for');
  await page.reload();
  await button.waitFor();
  assert.ok(await paper() > 600, 'it is forgotten');
  await button.click();
  await page.emulateMedia({colorScheme: 'light'});
  assert.ok(await paper() < 150, 'dark was asked for');
  await button.click();
  assert.ok(await paper() > 600, 'the system decides');
}

export async function the_keyboard_is_enough({browser, base, api}) {
  const id = await api.submit({script: 'echo by keyboard', name: 'typed'});
  await api.ended(id);
  const page = await openPage(browser, base, {role: 'operator'});
  await page.locator('ol.runs').getByRole('link', {name: 'typed'}).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.closest('a, button')?.textContent.trim() ?? '');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  for (let presses = 0; !(await focused()).includes('typed'); presses += 1) {
    assert.ok(presses < 40, 'the list cannot be reached');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await line(page, 'by keyboard');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'the focus is left behind');
}
