// A view of many things at once: it is read anew soon after something happened to one of them.

import {Stream} from './stream.js';

/** How long events are gathered before all is read anew, in milliseconds. */
const GATHER_MS = 400;

/** Has a view read anew when an event of these kinds came, and when a stream begins, until it is stopped. */
export class Soon {
  #read;
  #stream = null;
  #timer = 0;
  isStopped = false;

  constructor(read) {
    this.#read = read;
  }

  follow(kinds) {
    const on = {frame: frame => ['event', 'hello'].includes(frame.type) && this.#soon(), restart: () => this.#soon(), gone: () => {}};
    this.#stream = new Stream({path: `/v1/events?kinds=${kinds}`, unit: 'id', start: 'latest', on});
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.#timer);
    this.#stream?.close();
  }

  #soon() {
    if (this.isStopped) return;
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#read();
    }, GATHER_MS);
  }
}
