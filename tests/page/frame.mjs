// What stands around the views: messages, a daemon that hangs, a proxy that lets no WebSocket through, why somebody has to
// come in again, and what is there before any script runs.

import assert from 'node:assert/strict';
import {request, createServer} from 'node:http';

import {goTo, harness, line, openPage, shot, shownLines, until} from './browser.mjs';

const MINUTE = 60_000;

export async function messages_are_seen_and_failures_stay({browser, base, api}) {
  const page = await openPage(browser, base, {hasClock: true});
  const id = await api.sh('true');
  await api.ended(id);
  await goTo(page, `#/runs/${id}`);
  // The first one long after the view began, and the next ones after that.
  await page.clock.fastForward(MINUTE);
  for (const [button, said] of [['Keep', 'is kept'], ['Kept', 'is removed when its time is up']]) {
    await page.getByRole('button', {name: button, exact: true}).click();
    const news = page.locator('.message', {hasText: said});
    await news.waitFor();
    assert.ok(await news.evaluate(one => one.checkVisibility({opacityProperty: true, visibilityProperty: true})), `“${said}” is not seen`);
    await page.clock.fastForward(MINUTE);
    await news.waitFor({state: 'detached'});
  }
  // What failed stays, over other views too, until somebody has put it away.
  await goTo(page, '#/queues');
  await page.getByLabel('Slots of default').fill('5000');
  await page.getByLabel('Slots of default').press('Enter');
  const failure = page.getByRole('alert').locator('.failure', {hasText: 'slots'});
  await failure.waitFor();
  await goTo(page, '#/submit');
  await page.locator('form.submit').waitFor();
  await page.clock.fastForward(10 * MINUTE);
  assert.ok(await failure.evaluate(one => one.checkVisibility({opacityProperty: true, visibilityProperty: true})), 'the failure has faded');
  await shot(page, 'failure');
  await failure.getByRole('button', {name: 'Put this message away'}).click();
  await failure.waitFor({state: 'detached'});
}

export async function a_daemon_that_hangs_is_told({browser, base, api}) {
  const id = await api.submit({script: 'echo before; exec sleep 600', name: 'hangs'});
  const page = await openPage(browser, base, {hasClock: true});
  await page.locator('ol.runs').getByRole('link', {name: 'hangs'}).waitFor();
  await harness('freeze');
  try {
    await page.locator('ol.runs').getByRole('link', {name: 'hangs'}).click();
    // At once that something is waited for, and within the time limit that the daemon does not answer.
    await page.getByText('Waiting for the daemon …').waitFor();
    await page.getByText('Reading …').first().waitFor();
    await page.clock.fastForward(10_500);
    await page.getByText('The daemon does not answer.').first().waitFor();
    await page.getByText('has not answered within 10 s').first().waitFor();
    await shot(page, 'hangs');
    await until('the picture tells', async () => (await page.locator('link[rel="icon"]').getAttribute('href')).includes('8a8f99'));
  } finally {
    await harness('thaw');
  }
  // It goes on by itself.
  await line(page, 'before');
  await page.getByText('The daemon does not answer.').waitFor({state: 'detached'});
  // A deed that has no answer shows that it is under way, and says afterwards that nobody knows.
  await harness('freeze');
  try {
    const keep = page.getByRole('button', {name: 'Keep', exact: true});
    await keep.click();
    await until('it is busy', async () => await keep.getAttribute('aria-busy') === 'true' && await keep.isDisabled());
    await page.clock.fastForward(10_500);
    await page.locator('.failure', {hasText: 'whether it has done it is not known'}).waitFor();
  } finally {
    await harness('thaw');
  }
  await until('it can be pressed again', async () => page.getByRole('button', {name: /^(Keep|Kept)$/}).isEnabled());
  await api.call('POST', `/v1/runs/${id}/cancel`, {});
}

/** A proxy before the daemon that passes requests on without `Upgrade`, as many do; answers its server. */
async function withoutUpgrade(base) {
  const to = new URL(base);
  const pass = (incoming, outgoing) => {
    const headers = {...incoming.headers};
    delete headers.connection;
    delete headers.upgrade;
    const asked = request({host: to.hostname, port: to.port, method: incoming.method, path: incoming.url, headers}, got => {
      outgoing.writeHead(got.statusCode, got.headers);
      got.pipe(outgoing);
      got.on('error', () => outgoing.destroy());
    });
    asked.on('error', () => outgoing.destroy());
    outgoing.on('close', () => asked.destroy());
    incoming.pipe(asked);
  };
  // Without a listener for `upgrade` it is a request like any other.
  const server = createServer(pass);
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return server;
}

export async function without_websockets_it_lives_by_server_sent_events({browser, base, api}) {
  const proxy = await withoutUpgrade(base);
  try {
    const page = await openPage(browser, `http://127.0.0.1:${proxy.address().port}`);
    const id = await api.submit({script: 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done; exec sleep 600', name: 'proxied'});
    await page.getByText('Live by server-sent events').waitFor();
    await goTo(page, `#/runs/${id}`);
    await line(page, 'line 5');
    await shot(page, 'server-sent');
    // Over the death of the daemon every line comes once.
    await harness('kill');
    await page.getByText('Disconnected.').waitFor();
    await harness('start');
    await page.getByText('Disconnected.').waitFor({state: 'detached'});
    await line(page, 'Interrupted');
    const numbers = (await shownLines(page)).map(text => Number(text.slice(5)));
    assert.ok(numbers.length > 4 && numbers.every((number, nth) => nth === 0 || number === numbers[nth - 1] + 1), numbers.join(' '));
    // Its list lives too.
    await goTo(page, '#/runs');
    const next = await api.submit({command: ['true'], name: 'after the proxy'});
    await page.locator('ol.runs > li', {hasText: 'after the proxy'}).locator('.succeeded').waitFor();
    await api.ended(next);
    // A session that is revoked is told there as well.
    const {id: own} = await page.evaluate(async () => (await fetch('/v1/session')).json());
    await api.call('DELETE', `/v1/sessions/${own}`);
    await page.getByText('was ended by an admin').or(page.getByText('does not know this browser')).first().waitFor();
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
}

export async function somebody_is_told_why_to_come_in_again({browser, base, api}) {
  const isOut = async (page, why) => {
    await page.getByText(why).waitFor();
    await page.getByText('runabout enroll --web').waitFor();
  };
  // Revoked while it looks, and told again after a reload.
  const revoked = await openPage(browser, base, {role: 'viewer'});
  await revoked.locator('footer').waitFor();
  const {id} = await revoked.evaluate(async () => (await fetch('/v1/session')).json());
  await revoked.locator('.bar, .empty, ol.runs').first().waitFor();
  await api.call('DELETE', `/v1/sessions/${id}`);
  await isOut(revoked, 'was ended by an admin');
  await shot(revoked, 'why');
  await revoked.reload();
  await isOut(revoked, 'does not know this browser');
  // Expired: the session ends a second after its last use.
  const {token} = await api.call('POST', '/v1/enrollment-tokens', {role: 'viewer', session_ttl_s: 1});
  const expired = await openPage(browser, base, {role: null});
  await expired.goto(`${base}/#enroll=${token}`);
  await isOut(expired, 'has expired');
  // An older database in its place does not know the session.
  await harness('backup');
  const restored = await openPage(browser, base, {role: 'operator'});
  await goTo(restored, '#/submit');
  await restored.getByLabel('Script').fill('typed before');
  await goTo(restored, '#/runs');
  await restored.locator('ol.runs, .empty').first().waitFor();
  await harness('restore');
  await isOut(restored, 'an older database was put in the place');
  // Whoever has come in again finds what they had typed. Whoever has logged out is told nothing, and leaves nothing.
  await restored.getByLabel('Or paste a token here').fill(await harness('enroll operator'));
  await restored.getByRole('button', {name: 'Come in'}).click();
  await goTo(restored, '#/submit');
  await until('the draft is there', async () => await restored.getByLabel('Script').inputValue() === 'typed before');
  await restored.getByRole('button', {name: 'Log out'}).click();
  await restored.getByText('runabout enroll --web').waitFor();
  assert.equal(await restored.locator('.left').count(), 0);
  assert.ok(!await restored.evaluate(() => JSON.stringify({...sessionStorage, ...localStorage}).includes('typed before')));
}

export async function without_scripts_it_says_so({browser, base}) {
  const context = await browser.newContext({javaScriptEnabled: false, viewport: {width: 1280, height: 800}});
  const page = await context.newPage();
  await page.goto(base);
  const {y, height} = await page.locator('noscript p').boundingBox();
  assert.ok(y > 0 && y + height < 800, `it stands at ${y}`);
  await shot(page, 'no-scripts');
}

export async function forced_dark_is_dark_before_any_script({browser, base}) {
  const context = await browser.newContext({colorScheme: 'light', viewport: {width: 800, height: 600}});
  const page = await context.newPage();
  await page.goto(base);
  await page.evaluate(() => localStorage.setItem('runabout.theme', '"dark"'));
  // As it is drawn before the page's own scripts have come: they never do.
  await page.route(/\.js$/, route => route.abort());
  await page.reload();
  const [red, green, blue] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  assert.ok(red + green + blue < 150, `it is ${red} ${green} ${blue}`);
}

export async function a_phone_keeps_it_as_an_app({browser, base}) {
  const page = await openPage(browser, base, {role: null});
  await page.goto(base);
  const manifest = await page.evaluate(async () => (await fetch(document.querySelector('link[rel="manifest"]').href)).json());
  assert.equal(manifest.display, 'standalone');
  const sizes = await page.evaluate(async icons => Promise.all(icons.map(async ({src}) => {
    const image = new Image();
    image.src = src;
    await image.decode();
    return image.naturalWidth;
  })), manifest.icons.filter(({type}) => type === 'image/png'));
  assert.deepEqual(sizes, [192, 512]);
  const session = await page.context().newCDPSession(page);
  const {errors} = await session.send('Page.getAppManifest');
  assert.deepEqual(errors, []);
}
