// The browser, the daemon behind it, and what every scenario does with both.
//
// The daemon is the test's in Rust: a line that begins with @ on standard output asks it for something, one line on
// standard input answers.

import {mkdirSync} from 'node:fs';
import {createInterface} from 'node:readline';

import {chromium} from 'playwright-core';

/** How long anything may take that should take no time: generous, for a loaded machine. */
export const DEADLINE = 60_000;
const SHOTS = process.env.SHOTS;

const answers = createInterface({input: process.stdin})[Symbol.asyncIterator]();

/** Asks the test in Rust: `enroll ROLE`, `kill`, `start`, `freeze`, `thaw`, `backup`, `restore`, `grace SECONDS`. */
export async function harness(words) {
  process.stdout.write(`@${words}\n`);
  const {value} = await answers.next();
  if (value === undefined) throw new Error('the test is gone');
  return value;
}

/** The daemon's own interface, as an admin with a token. */
export class Api {
  constructor(base, token) {
    [this.base, this.token] = [base, token];
  }

  async call(method, path, body) {
    const options = {method, headers: {Authorization: `Bearer ${this.token}`}};
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers['Content-Type'] = 'application/json';
    }
    const response = await fetch(this.base + path, options);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text && response.headers.get('content-type').includes('json') ? JSON.parse(text) : text;
  }

  get = path => this.call('GET', path);
  submit = async run => (await this.call('POST', '/v1/runs', run)).id;
  sh = script => this.submit({script});
  ended = id => this.get(`/v1/runs/${id}?wait_s=30`);
}

export async function startBrowser() {
  const flags = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
    '--disable-component-update', '--disable-default-apps', '--disable-sync', '--no-first-run'];
  return chromium.launch({executablePath: process.env.BROWSER, args: flags});
}

/** A page of its own with a session of a role; what goes wrong in it fails the scenario. */
export async function openPage(browser, base, {role = 'admin', hasClock = false, ...options} = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 800}, colorScheme: 'light', ...options});
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  // Its time goes on as ever, and can be moved.
  if (hasClock) await page.clock.install();
  page.troubles = [];
  page.on('pageerror', error => page.troubles.push(`error: ${error.stack}`));
  page.on('dialog', dialog => {
    page.troubles.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('console', message => {
    // A refusal that the page shows is no fault of it; the browser tells of each.
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) page.troubles.push(message.text());
  });
  if (role) {
    await page.goto(`${base}/#enroll=${await harness(`enroll ${role}`)}`);
    await page.waitForSelector('header');
  }
  return page;
}

/** Goes to a part of the page, as a link in it does. */
export const goTo = (page, hash) => page.evaluate(hash => { location.hash = hash; }, hash);

/** The texts of the lines that are in the page now, without the page's own. */
export const shownLines = page => page.$$eval('.log .line:is(.stdout, .stderr) .text', all => all.map(one => one.textContent));

/** Waits until a line like this is in the page. */
export const line = (page, text) => page.locator('.log .line .text', {hasText: text}).first().waitFor();

/** Keeps what the page looks like, for people. */
export async function shot(page, name, options = {}) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, {recursive: true});
  await page.screenshot({path: `${SHOTS}/${name}.png`, ...options});
}

/** Waits until it is so, and looks every `pause` milliseconds: what is dear to look at takes from what is waited for. */
export async function until(what, condition, ms = DEADLINE, pause = 30) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise(done => setTimeout(done, pause));
  }
}
