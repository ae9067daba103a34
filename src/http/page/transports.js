// The two ways in which events come to the page: over a WebSocket, or as server-sent events where something between here
// and the daemon lets no WebSocket through.
//
// Each is a function of an address and of `{frame(object), ended(code, hasOpened)}` that answers what closes it; after
// that it calls neither.

/** Events over a WebSocket. */
export function overSocket(url, {frame, ended}) {
  const address = new URL(url);
  address.protocol = address.protocol.replace('http', 'ws');
  const socket = new WebSocket(address, 'runabout.v1');
  let hasOpened = false;
  socket.onopen = () => (hasOpened = true);
  socket.onmessage = message => frame(JSON.parse(message.data));
  socket.onclose = event => ended(event.code, hasOpened);
  return () => {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  };
}

/** Events as the body of one answer. `EventSource` would come back by itself, and tells no refusal from a lost line. */
export function overAnswer(url, {frame, ended}) {
  const leaving = new AbortController();
  let hasOpened = false;
  const opened = () => (hasOpened = true);
  read(url, leaving.signal, frame, opened).catch(() => {}).then(() => leaving.signal.aborted || ended(1006, hasOpened));
  return () => leaving.abort();
}

async function read(url, signal, frame, opened) {
  const response = await fetch(url, {headers: {Accept: 'text/event-stream'}, credentials: 'same-origin', cache: 'no-store', signal});
  if (!response.ok) return;
  opened();
  const pieces = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {done, value} = await pieces.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    // No object of a stream is longer than 60 KiB.
    rest = lines.pop();
    for (const line of lines) {
      // Whoever is told a frame may have closed this meanwhile.
      if (!signal.aborted && line.startsWith('data:')) frame(JSON.parse(line.slice(5)));
    }
  }
}
