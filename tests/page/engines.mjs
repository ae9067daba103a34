// The other engines, each behind the same few calls: Firefox by WebDriver BiDi, WebKitGTK by WebDriver.

import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';

import puppeteer from 'puppeteer-core';

import {DEADLINE} from './browser.mjs';

/** Where Debian and others keep the browser that WebKitGTK brings. */
const MINI_BROWSERS = ['x86_64', 'aarch64', 'arm', 'i386'].flatMap(machine => ['4.1', '6.0', '4.0']
  .map(version => `/usr/lib/${machine}-linux-gnu${machine === 'arm' ? 'eabihf' : ''}/webkit2gtk-${version}/MiniBrowser`));

/** A Firefox with one page. */
export class Firefox {
  #browser;
  #page;

  static async start() {
    const engine = new Firefox();
    engine.#browser = await puppeteer.launch({browser: 'firefox', executablePath: process.env.FIREFOX, headless: true,
      extraPrefsFirefox: {'ui.prefersReducedMotion': 1}});
    engine.#page = await engine.#browser.newPage();
    await engine.#page.setViewport({width: 1280, height: 800});
    return engine;
  }

  open = url => this.#page.goto(url);

  /** Calls a function in the page and answers what it answers, or what that promises. */
  run = (called, ...given) => this.#page.evaluate(called, ...given);

  /** Presses keys one after another, in what has the focus. */
  async press(keys) {
    for (const key of keys) await this.#page.keyboard.press(key);
  }

  shot = path => this.#page.screenshot({path});
  close = () => this.#browser.close();
}

/** A WebKitGTK with one page, on a screen of its own. */
export class WebKit {
  #children = [];
  #session = '';
  #driver = '';

  static async start() {
    const engine = new WebKit();
    try {
      await engine.#start();
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  async #start() {
    const screen = this.#child('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'], 'pipe');
    const display = await new Promise((found, failed) => {
      screen.stdout.once('data', number => found(`:${String(number).trim()}`));
      screen.once('exit', () => failed(new Error('Xvfb did not start')));
    });
    const port = await freePort();
    const still = {DISPLAY: display, GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1', NO_AT_BRIDGE: '1', GSETTINGS_BACKEND: 'memory',
      WEBKIT_DISABLE_COMPOSITING_MODE: '1', WEBKIT_DISABLE_DMABUF_RENDERER: '1'};
    this.#child('WebKitWebDriver', [`--port=${port}`], 'ignore', still);
    this.#driver = `http://127.0.0.1:${port}`;
    const options = {binary: MINI_BROWSERS.find(existsSync), args: ['--automation']};
    const capabilities = {alwaysMatch: {'webkitgtk:browserOptions': options, timeouts: {script: DEADLINE}}};
    await this.#listens();
    const {sessionId} = await this.#call('POST', '/session', {capabilities});
    this.#session = `/session/${sessionId}`;
    await this.#call('POST', `${this.#session}/window/rect`, {x: 0, y: 0, width: 1280, height: 850});
  }

  async #listens() {
    for (const end = Date.now() + DEADLINE; Date.now() < end;) {
      try {
        return await this.#call('GET', '/status');
      } catch {
        await new Promise(done => setTimeout(done, 50));
      }
    }
    throw new Error('WebKitWebDriver does not listen');
  }

  #child(program, options, stdout, more = {}) {
    const child = spawn(program, options, {env: {...process.env, ...more}, stdio: ['ignore', stdout, 'ignore']});
    this.#children.push(child);
    return child;
  }

  async #call(method, path, body) {
    const response = await fetch(this.#driver + path, {method, body: body && JSON.stringify(body)});
    const {value} = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  open = url => this.#call('POST', `${this.#session}/url`, {url});

  async run(called, ...given) {
    const script = `const [...all] = arguments, done = all.pop();
      Promise.resolve((${called})(...all)).then(value => done({value}), error => done({error: String(error)}));`;
    const {value, error} = await this.#call('POST', `${this.#session}/execute/async`, {script, args: given});
    if (error) throw new Error(error);
    return value;
  }

  async press(keys) {
    const codes = {Enter: '\ue007', Escape: '\ue00c', End: '\ue010', Home: '\ue011'};
    const actions = [...keys].flatMap(key => ['keyDown', 'keyUp'].map(type => ({type, value: codes[key] ?? key})));
    await this.#call('POST', `${this.#session}/actions`, {actions: [{type: 'key', id: 'keys', actions}]});
  }

  async shot(path) {
    await writeFile(path, Buffer.from(await this.#call('GET', `${this.#session}/screenshot`), 'base64'));
  }

  async close() {
    if (this.#session) await this.#call('DELETE', this.#session).catch(() => {});
    for (const child of this.#children.reverse()) child.kill();
  }
}

function freePort() {
  return new Promise(done => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address();
      server.close(() => done(port));
    });
  });
}
