// The page in windows of all sizes, in colours that a system forces, and on paper.

import assert from 'node:assert/strict';

import {goTo, line, openPage, shot, until} from './browser.mjs';

/** A run with a long name, a long command and tags, whose newest line is known. */
async function long(api) {
  const script = `# ${'A script whose first line is long, as they are. '.repeat(4)}\nfor i in 1 2 3 4 5 6 7 8 9; do echo "line $i of what it prints"; done\necho the newest line\nexec sleep 600`;
  return api.submit({script, name: 'nightly backup of the workshop', tags: ['backup', 'production', 'nightly']});
}

/** What of an element is in the window, as a rectangle. */
const seen = (page, selector) => page.locator(selector).last().evaluate(element => {
  const {top, bottom, left, right} = element.getBoundingClientRect();
  return {top, bottom, left, right, width: right - left, isIn: top >= 0 && bottom <= innerHeight && left >= 0 && left < innerWidth};
});

const VIEWS = {runs: ['#/runs', 'ol.runs .what'], submit: ['#/submit', 'form.submit'], queues: ['#/queues', 'li.queue'], access: ['#/access', '.list li']};

export async function fits_every_window({browser, base, api}) {
  const id = await long(api);
  const page = await openPage(browser, base);
  const views = {...VIEWS, run: [`#/runs/${id}`, '.log .line'], events: [`#/runs/${id}/events`, '.events li'], details: [`#/runs/${id}/details`, '.details']};
  for (const [name, [hash, selector]] of Object.entries(views)) {
    await goTo(page, hash);
    await page.locator(selector).first().waitFor();
    if (name === 'submit') await page.getByText('More', {exact: true}).click();
    for (const [width, height] of [[320, 640], [360, 740], [640, 400], [800, 600], [1024, 768], [1440, 900], [2560, 1440]]) {
      await page.setViewportSize({width, height});
      await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
      if (['runs', 'run'].includes(name)) await shot(page, `size-${name}-${width}`);
      const where = `${name} at ${width} × ${height}`;
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${where} is ${wide} px wide`);
      if (name === 'run') await newestLineIsSeen(page, where);
      if (name === 'runs') await namesAreRead(page, where);
      if (width === 2_560 && ['runs', 'run'].includes(name)) {
        const {width: used} = await seen(page, name === 'run' ? '.log' : 'ol.runs');
        assert.ok(used > 2_300, `${where} uses ${used} px`);
      }
      const small = await page.evaluate(tooSmall);
      assert.deepEqual(small, [], where);
    }
  }
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
}

async function newestLineIsSeen(page, where) {
  await until(`the newest line is seen: ${where}`, async () => (await seen(page, '.log .line')).isIn);
  assert.match(await page.locator('.log .line').last().textContent(), /the newest line/);
}

/** A name is cut only where there are more than a few words of it. */
async function namesAreRead(page, where) {
  const {width} = await seen(page, 'ol.runs li:first-child .what');
  assert.ok(width > 180, `${where}: the name has ${width} px`);
}

/** Fields that a phone's browser zooms into, and what is too small to press; runs in the page. */
function tooSmall() {
  const found = [], isSeen = element => element.checkVisibility() && !element.closest('.unseen, .skip, .strip');
  for (const field of document.querySelectorAll('input, select, textarea')) {
    const size = parseFloat(getComputedStyle(field).fontSize);
    if (isSeen(field) && size < 16) found.push(`${field.id || field.name}: ${size} px`);
  }
  for (const target of document.querySelectorAll('button, a.button, .tag, nav a, select, summary, label:has(input[type="checkbox"])')) {
    const {width, height} = target.getBoundingClientRect();
    if (isSeen(target) && (width < 24 || height < 24)) found.push(`${target.textContent.trim()}: ${width} × ${height}`);
  }
  return found;
}

export async function forced_colours_hide_nothing({browser, base, api}) {
  const id = await long(api);
  const page = await openPage(browser, base, {forcedColors: 'active'});
  await page.locator('.bar').first().waitFor();
  const paint = (selector, pseudo) => page.locator(selector).first().evaluate((element, pseudo) => getComputedStyle(element, pseudo).backgroundColor, pseudo);
  const paper = await paint('body');
  assert.notEqual(await paint('.bar span'), paper, 'the bars are hidden');
  assert.notEqual(await paint('.legend .state i'), paper, 'the legend is hidden');
  await page.getByLabel('Failed', {exact: true}).check();
  await until('the chip is pressed', async () => await paint('.chip:has(:checked)') !== await paint('.chip:not(:has(:checked))'));
  await shot(page, 'forced-runs');
  await goTo(page, `#/runs/${id}`);
  await line(page, 'the newest line');
  const keep = () => page.getByRole('button', {name: /^(Keep|Kept)$/}).evaluate(button => getComputedStyle(button).backgroundColor);
  const before = await keep();
  await page.getByRole('button', {name: 'Keep', exact: true}).click();
  await page.getByRole('button', {name: 'Kept'}).waitFor();
  await until('the pressed button is another', async () => await keep() !== before);
  await shot(page, 'forced-run');
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
}

export async function paper_has_what_a_desk_has({browser, base, api}) {
  const id = await long(api);
  const page = await openPage(browser, base);
  await goTo(page, `#/runs/${id}`);
  await line(page, 'the newest line');
  // A4 without its margins.
  await page.setViewportSize({width: 718, height: 1_000});
  await page.emulateMedia({media: 'print'});
  for (const selector of ['header', 'footer', '.deeds', '.tools', 'nav.parts']) {
    assert.equal(await page.locator(selector).first().isVisible(), false, `${selector} is printed`);
  }
  const {width, left} = await seen(page, '.log');
  assert.ok(width > 600 && left >= 0, `the output takes ${width} px`);
  await shot(page, 'print-run', {fullPage: true});
  await goTo(page, '#/runs');
  const what = page.locator('ol.runs .what').first();
  await what.waitFor();
  const tops = await page.locator('ol.runs li').first().evaluate(row => [...row.children].filter(one => one.checkVisibility()).map(one => Math.round(one.getBoundingClientRect().top)));
  assert.ok(Math.max(...tops) - Math.min(...tops) < 12, `a run is printed as on a phone: ${tops}`);
  await shot(page, 'print-runs', {fullPage: true});
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
}
