// A page of somebody's own, on another origin that the daemon allows: the example that users copy.

import assert from 'node:assert/strict';

import {harness, until} from './browser.mjs';

export async function a_page_of_another_origin_is_told_live({browser, base, api}) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(process.env.ELSEWHERE);
  const enrolled = await fetch(`${base}/v1/enroll`, {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({token: await harness('enroll viewer')}),
  });
  await page.getByLabel('Daemon').fill(base);
  await page.getByLabel('Token').fill((await enrolled.json()).session_token);
  await page.getByRole('button', {name: 'Watch'}).click();
  await page.getByText('live').waitFor();
  const run = await api.submit({command: ['true'], name: '<img src=x onerror=alert(1)>'});
  const lines = () => page.locator('li', {hasText: `run ${run} `}).allTextContents();
  await until('the run is told', async () => (await lines()).length === 3);
  assert.match((await lines())[0], /succeeded {2}<img src=x onerror=alert\(1\)>$/);
  // The daemon dies and comes back: nothing is told twice.
  await harness('kill');
  await page.getByText('trying again').waitFor();
  await harness('start');
  await page.getByText('live').waitFor();
  const next = await api.sh('true');
  await until('the next is told', async () => (await page.locator('li', {hasText: `run ${next} `}).count()) === 3);
  assert.equal((await lines()).length, 3);
}
