#!/bin/sh
# An EventSource that waits to come back does not keep the program alive: Node ends in the middle of following.
#
# undici 7.30.2, `EventSource` (experimental), Node 20. The server sends one event, closes, and would take the next connection;
# the stream's `retry:` is 300 ms. undici waits for that with a timer that it takes out of what keeps Node alive (`unref`), so
# that a program which does nothing but follow ends there: with 13, where it awaits, and with 0, where it does not. With a
# timer of its own it follows on.
#
# Guess: following is work in progress also between two connections, as it is with npm's eventsource.
# Seen:
#   undici, awaits: got 1, exit code 13
#   undici, does not await: got 1, exit code 0
#   undici, beside a timer: got 1 2 3, exit code 0
#   eventsource 4.1.1: got 1 2 3, exit code 0
set -eu

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts undici@7.30.2 eventsource@4.1.1
cat >server.mjs <<'JS'
import {createServer} from 'node:http';
// One event a connection, numbered on from the one that the client names.
createServer((request, response) => {
  const next = Number(request.headers['last-event-id'] ?? 0) + 1;
  response.writeHead(200, {'Content-Type': 'text/event-stream'});
  response.end(`retry: 300\nid: ${next}\ndata: ${next}\n\n`);
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
JS
cat >follow.mjs <<'JS'
const [module, port, how] = process.argv.slice(2);
const {EventSource} = await import(module);
const source = new EventSource(`http://127.0.0.1:${port}/`);
const third = new Promise(done => {
  source.onmessage = ({data}) => {
    process.stdout.write(` ${data}`);
    if (data === '3') done();
  };
});
const after = () => { source.close(); process.exit(0); };
if (how === 'beside a timer') setInterval(() => {}, 1000);
if (how === 'does not await') third.then(after);
else after(await third);
JS
node server.mjs >port &
server=$!
while [ ! -s port ]; do sleep 0.1; done
try() { # NAME MODULE HOW
	code=0
	got=$(node follow.mjs "$2" "$(cat port)" "$3" 2>/dev/null) || code=$?
	echo "$1: got$got, exit code $code"
}
{
	try "undici, awaits" undici awaits
	try "undici, does not await" undici "does not await"
	try "undici, beside a timer" undici "beside a timer"
	try "eventsource 4.1.1" eventsource awaits
} >seen
cat seen
cat >expected <<'TEXT'
undici, awaits: got 1, exit code 13
undici, does not await: got 1, exit code 0
undici, beside a timer: got 1 2 3, exit code 0
eventsource 4.1.1: got 1 2 3, exit code 0
TEXT
diff expected seen
