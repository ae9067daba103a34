// What every reader here does beside its client: it prints what it was given, and remembers how far it has come.
//
// A line `= JSON` is an object as the client gave it, `! TEXT` something that the client did beside that.

import {writeSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';

const {STREAM_URL, STREAM_TOKEN, STREAM_NUMBER} = process.env;
export const BEARER = {Authorization: `Bearer ${STREAM_TOKEN}`};

export class Reader {
  after = 0;
  isOver = false;
  #base;
  #number;
  #out;

  constructor({url = STREAM_URL, number = STREAM_NUMBER, out = 1} = {}) {
    this.#base = url;
    this.#number = number;
    this.#out = out;
  }

  /** The stream from where this reader stands. */
  get url() {
    return `${this.#base}${this.#base.includes('?') ? '&' : '?'}after=${this.after}`;
  }

  /** Takes an object. One that is no JSON was cut: that throws, and is not remembered. */
  got(text) {
    const said = JSON.parse(text);
    line(this.#out, `= ${text}`);
    if (said.type === 'event') this.after = said[this.#number];
    else if (said.type === 'gap' && !said.partial) this.after = said.to;
    else if (said.type === 'cursor') this.after = said.id;
    else if (said.type === 'end') this.isOver = true;
  }

  note(what) {
    line(this.#out, `! ${what.replaceAll(/\s+/gu, ' ').slice(0, 160)}`);
  }

  /** Says why it has to connect once more by itself, and waits a moment. */
  async again(why) {
    this.note(`again: ${why}`);
    await sleep(1000);
  }
}

/** All of a line, also into a pipe that takes no more for a moment. */
function line(out, text) {
  let rest = Buffer.from(`${text}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(out, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

/** Follows a WebSocket as the standard has it, for as long as it takes. */
export async function followSocket(open) {
  const reader = new Reader();
  while (!reader.isOver) {
    const why = await new Promise(done => {
      const socket = open(reader.url);
      socket.addEventListener('message', ({data}) => reader.got(data));
      socket.addEventListener('error', event => { if (event.message) reader.note(`error: ${event.message}`); });
      socket.addEventListener('close', ({code, reason}) => done(`closed with ${code} ${reason}`));
    });
    if (!reader.isOver) await reader.again(why);
  }
}

/** Server-sent events by an `EventSource`, which comes back by itself until it gives up; then a new one takes over. */
export async function followSource(open) {
  const reader = new Reader();
  while (!reader.isOver) {
    const why = await new Promise(done => {
      const source = open(reader.url);
      for (const type of ['hello', 'event', 'gap', 'cursor', 'caught_up', 'heartbeat', 'end']) {
        source.addEventListener(type, ({data}) => {
          reader.got(data);
          // It is left alone then: the daemon's 204 is what ends it.
        });
      }
      source.addEventListener('error', ({code, message}) => {
        if (source.readyState === 2) done(`gave up: ${code ?? ''} ${message ?? ''}`);
        else reader.note(`comes back: ${message ?? ''}`);
      });
    });
    if (reader.isOver) reader.note(`stopped: ${why}`);
    else await reader.again(why);
  }
}
