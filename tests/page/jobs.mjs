// Jobs: what they are, when they are due, how they ended, and a button for who may start them.

import assert from 'node:assert/strict';

import {goTo, openPage, shot, until} from './browser.mjs';

export async function a_job_is_started_by_its_form({browser, base, api}) {
  const params = {
    room: {type: 'choice', of: ['hall', '<b>attic</b>'], default: 'hall'}, level: {type: 'integer', min: 0, max: 9}, dry: {type: 'boolean'},
  };
  const run = {script: 'echo $PARAM_ROOM $PARAM_LEVEL $PARAM_DRY'};
  await api.call('PUT', '/v1/jobs/lamp', {run, params});
  await api.call('PUT', '/v1/jobs/night', {run, schedule: '30 2 * * *', zone: 'Europe/Berlin'});
  const page = await openPage(browser, base);
  await goTo(page, '#/jobs');
  const lamp = page.getByRole('listitem').filter({has: page.getByRole('heading', {name: 'lamp'})});
  await lamp.getByRole('button', {name: 'Run now'}).click();
  await lamp.getByText('is needed; it has no default').waitFor();
  await lamp.getByLabel('Level').fill('7');
  await lamp.getByLabel('Room').selectOption('<b>attic</b>');
  await lamp.getByLabel('Dry').check();
  await lamp.getByRole('button', {name: 'Run now'}).click();
  await page.getByText(/lamp: run \d+ succeeded/).waitFor();
  const {last} = await api.get('/v1/jobs/lamp');
  assert.equal(await api.get(`/v1/runs/${last.run}/log`), '<b>attic</b> 7 true\n');
  await until('the strip has its end', async () => await lamp.locator('.ends a').count() === 1);
  const night = page.getByRole('listitem').filter({has: page.getByRole('heading', {name: 'night'})});
  await night.getByText('Times').click();
  await night.getByText('The coming week').waitFor();
  assert.equal(await night.locator('.week li').count(), 7);
  await shot(page, 'jobs');
  await lamp.getByRole('link', {name: 'all runs'}).click();
  await page.locator('ol.runs').getByRole('link', {name: 'lamp'}).first().waitFor();
  await goTo(page, '#/runs?job=night');
  await page.getByText(/of the job night/).waitFor();
  await goTo(page, '#/jobs');
  await night.getByRole('button', {name: 'Disable'}).click();
  await night.getByRole('button', {name: 'Enable'}).waitFor();
  for (const name of ['lamp', 'night']) await api.call('DELETE', `/v1/jobs/${name}`);
}

export async function a_link_shows_the_buttons_of_its_jobs_and_nothing_else({browser, base, api}) {
  for (const name of ['open-gate', 'other']) await api.call('PUT', `/v1/jobs/${name}`, {run: {script: 'exit 3'}});
  const {token} = await api.call('POST', '/v1/enrollment-tokens', {role: 'trigger', jobs: ['open-gate']});
  const page = await openPage(browser, base, {role: null, viewport: {width: 360, height: 640}});
  await page.goto(`${base}/#enroll=${token}`);
  await page.getByRole('heading', {name: 'open-gate'}).waitFor();
  assert.equal(await page.getByRole('heading', {name: 'other'}).count(), 0);
  for (const name of ['Runs', 'Queues', 'Submit', 'Access']) assert.equal(await page.getByRole('link', {name, exact: true}).count(), 0, name);
  await page.getByRole('button', {name: 'Run now'}).click();
  await page.getByText(/open-gate: run \d+ failed/).waitFor();
  const button = await page.getByRole('button', {name: 'Run now'}).boundingBox();
  assert.ok(button.height >= 40, `a thumb needs more than ${button.height}`);
  await shot(page, 'trigger');
  for (const name of ['open-gate', 'other']) await api.call('DELETE', `/v1/jobs/${name}`);
}
