// A line to the daemon that takes its time: what goes through arrives whole and in order, a while later.

import {connect, createServer} from 'node:net';

/** A proxy to `base` whose every piece is `delayMs()` late; answers its own address and what closes it. */
export async function slowLine(base, delayMs) {
  const {hostname, port} = new URL(base), open = new Set();
  const server = createServer(client => {
    const daemon = connect(Number(port), hostname);
    for (const [from, to] of [[client, daemon], [daemon, client]]) {
      open.add(from);
      const waiting = [];
      let free = 0;
      const later = act => {
        // Nothing overtakes what was sent before it: of two timers for the same moment the later may ring first.
        waiting.push(act);
        free = Math.max(free, performance.now() + delayMs());
        setTimeout(() => waiting.shift()(), free - performance.now());
      };
      from.on('data', piece => later(() => to.writable && to.write(piece)));
      from.on('end', () => later(() => to.end()));
      from.on('error', () => to.destroy());
      from.on('close', () => open.delete(from));
    }
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
