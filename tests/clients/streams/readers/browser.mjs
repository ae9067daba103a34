// A browser's own EventSource and WebSocket, each in a page of the daemon's origin: `browser.mjs chromium|firefox`.

import {openSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';

import puppeteer from 'puppeteer-core';

import {Reader} from './reader.mjs';

const [name] = process.argv.slice(2);
const {STREAM_COOKIE, BROWSER} = process.env;
// Of each reader its stream (`events` or `socket`), address, number and file.
const readers = JSON.parse(process.env.STREAM_READERS);
const options = name === 'firefox' ? {browser: 'firefox', headless: true}
  : {browser: 'chrome', headless: 'shell', args: ['--no-sandbox', '--disable-gpu']};
const browser = await puppeteer.launch({...options, executablePath: BROWSER, acceptInsecureCerts: true});
process.once('SIGTERM', () => browser.close().finally(() => process.exit(143)));
const at = new URL(readers[0].url.replace(/^ws/u, 'http'));

/** A page that may open streams: the daemon's own, which opens none before somebody has let it in. */
async function opened() {
  const page = await browser.newPage();
  await page.goto(new URL('/', at).href);
  return page;
}

/** Is run in the page: follows until the client has given up, and gathers what came. */
const inPage = (kind, url) => {
  const told = globalThis.told = {lines: [], why: ''};
  if (kind === 'socket') {
    const socket = new WebSocket(url);
    socket.onmessage = ({data}) => told.lines.push(data);
    socket.onclose = ({code, reason}) => { told.why = `closed with ${code} ${reason}`; };
  } else {
    const source = new EventSource(url);
    for (const type of ['hello', 'event', 'gap', 'cursor', 'caught_up', 'heartbeat', 'end']) {
      source.addEventListener(type, ({data}) => told.lines.push(data));
    }
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) told.why = 'gave up'; };
  }
};
const taken = () => ({lines: globalThis.told.lines.splice(0), why: globalThis.told.why});

async function follow({stream, url, number, file}, page) {
  const reader = new Reader({url, number, out: openSync(file, 'a')});
  while (!reader.isOver) {
    await page.evaluate(inPage, stream, reader.url);
    let why = '';
    while (why === '') {
      await sleep(100);
      const told = await page.evaluate(taken);
      for (const text of told.lines) reader.got(text);
      ({why} = told);
    }
    if (reader.isOver) reader.note(`stopped: ${why}`);
    else await reader.again(why);
  }
}

try {
  const pages = [];
  for (const _ of readers) pages.push(await opened());
  const [cookie, value] = STREAM_COOKIE.split('=');
  await browser.setCookie({name: cookie, value, domain: at.hostname, path: '/', httpOnly: true, sameSite: 'Strict',
    secure: at.protocol === 'https:'});
  await Promise.all(readers.map((reader, index) => follow(reader, pages[index])));
} finally {
  await browser.close();
}
