// Coming in, and going out.

import assert from 'node:assert/strict';

import {goTo, harness, openPage, shot, until} from './browser.mjs';

export async function enroll_by_link({browser, base}) {
  const page = await openPage(browser, base, {role: null});
  await page.goto(base);
  await page.getByText('runabout enroll --web').waitFor();
  await shot(page, 'no-session');
  const token = await harness('enroll operator');
  // Whatever the address bar ever held while a request went out must not hold the token.
  const addresses = [];
  page.on('request', request => addresses.push(`${page.url()} ${request.url()} ${request.headers().referer ?? ''}`));
  await page.evaluate(hash => { location.hash = hash; }, `enroll=${token}`);
  await page.getByRole('navigation', {name: 'Main'}).waitFor();
  assert.equal(new URL(page.url()).hash, '#/runs');
  assert.ok(addresses.every(address => !address.includes(token)), addresses.join('\n'));
  assert.equal(await page.evaluate(() => document.cookie), '', 'a script can read the cookie');
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.name.startsWith('runabout_') && cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));
  assert.equal(await page.getByRole('link', {name: 'Access'}).count(), 0, 'an operator is shown what is for admins');
  await page.reload();
  await page.getByRole('navigation', {name: 'Main'}).waitFor();
  await page.getByRole('button', {name: 'Log out'}).click();
  await page.getByText('runabout enroll --web').waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  // The same link again.
  await page.goto(`${base}/?again#enroll=${token}`);
  await page.getByText('does not work any more').waitFor();
  assert.ok(!page.url().includes(token));
}

export async function enroll_by_a_pasted_token({browser, base}) {
  const page = await openPage(browser, base, {role: null});
  await page.goto(base);
  await page.getByRole('button', {name: 'Come in'}).click();
  await page.getByText('Paste a token first').waitFor();
  await page.getByLabel('Or paste a token here').fill('rbe_0000');
  await page.getByRole('button', {name: 'Come in'}).click();
  await page.getByText('does not work any more').waitFor();
  await page.getByLabel('Or paste a token here').fill(`  ${base}/#enroll=${await harness('enroll viewer')}`);
  await page.getByRole('button', {name: 'Come in'}).click();
  await page.getByRole('navigation', {name: 'Main'}).waitFor();
  for (const name of ['Submit', 'Access']) assert.equal(await page.getByRole('link', {name, exact: true}).count(), 0, name);
}

export async function an_admin_lets_in_and_revokes({browser, base, api}) {
  const page = await openPage(browser, base);
  await goTo(page, '#/access');
  await page.getByLabel('For whom').fill('wall <b>display</b>');
  await page.getByRole('button', {name: 'Make a link'}).click();
  const link = await page.getByLabel('A link for the role viewer').inputValue();
  assert.match(link, new RegExp(`^${base}/#enroll=rbe_`));
  // It was made on the machine itself, where nobody else finds it; a phone reads the same from the code.
  await page.getByText('It works on this machine alone.').waitFor();
  const code = await page.getByRole('img', {name: 'The link as a QR code'}).boundingBox();
  assert.ok(code.width >= 150 && code.width === code.height, JSON.stringify(code));
  await shot(page, 'link');
  const made = page.locator('.list li', {hasText: 'wall <b>display</b>'});
  await made.getByText('not used yet').waitFor();
  const guest = await openPage(browser, base, {role: null});
  await guest.goto(link);
  await guest.getByRole('navigation', {name: 'Main'}).waitFor();
  const id = await api.sh('cat >/dev/null');
  await goTo(guest, `#/runs/${id}`);
  await guest.getByRole('heading', {name: String(id)}).waitFor();
  assert.equal(await guest.getByRole('button', {name: 'Cancel …'}).count(), 0);
  // The lists follow by themselves: the link is used, and nothing that could be withdrawn; the browser is told apart.
  await page.getByText('The link for the role viewer was used.').waitFor();
  await made.getByText('used', {exact: true}).waitFor();
  assert.equal(await page.getByRole('button', {name: 'Withdraw wall <b>display</b>'}).count(), 0);
  await made.getByText(/^Chrome on Linux, from 127\.0\.0\.1; used/).waitFor();
  await shot(page, 'access-live');
  await page.getByRole('button', {name: 'Revoke … wall <b>display</b>'}).click();
  await shot(page, 'revoke');
  await page.getByRole('button', {name: 'Revoke it'}).click();
  await page.getByText('is revoked').waitFor();
  // Its stream ends, or its next request: either way it is told how to come in again.
  await guest.evaluate(() => { location.hash = '#/queues'; });
  await guest.getByText('runabout enroll --web').waitFor();
}

export async function queues_are_changed({browser, base, api}) {
  const page = await openPage(browser, base);
  await goTo(page, '#/queues');
  const form = page.locator('form.make');
  await form.getByLabel('Name').fill('Not Good');
  await form.getByRole('button', {name: 'Make it'}).click();
  await form.getByText('must be 1 to 64').waitFor();
  await form.getByLabel('Name').fill('side');
  await form.getByLabel('Slots').fill('2');
  await form.getByRole('button', {name: 'Make it'}).click();
  await page.getByRole('button', {name: 'Pause side'}).click();
  await page.getByRole('button', {name: 'Resume side'}).waitFor();
  await page.getByLabel('Slots of side').fill('3');
  await page.getByLabel('Slots of side').press('Enter');
  const changed = async () => {
    const queue = await api.get('/v1/queues/side');
    return queue.paused && queue.slots === 3;
  };
  await until('the queue is changed', changed);
  const id = await api.submit({command: ['true'], queue: 'side', name: 'waits'});
  await page.reload();
  await page.getByRole('link', {name: 'waits'}).waitFor();
  await page.getByRole('button', {name: 'Resume side'}).click();
  await api.ended(id);
  await page.getByRole('button', {name: 'Delete … side'}).click();
  await page.getByRole('button', {name: 'Delete the queue'}).click();
  await page.getByRole('heading', {name: 'side'}).waitFor({state: 'detached'});
}
