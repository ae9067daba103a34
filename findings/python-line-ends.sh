#!/bin/sh
# Two Python readers of streams end a line where the stream does not.
#
# httpx 0.28.1 (`iter_lines`) and sseclient 0.0.27, with Python 3.11. JSON allows U+0085, U+2028 and U+2029 unescaped in a
# string, and lines of NDJSON and of server-sent events end at CR and LF alone. Both split them by Unicode's line ends:
# one object of NDJSON comes as four pieces, and an event has its data cut at the first of the three, without an error.
# aiohttp 3.14.5 and requests 2.34.2 (`iter_lines` of bytes) give the line whole.
#
# Guess: a library that reads lines of HTTP, or server-sent events, ends them where their formats do.
# Seen:
#   httpx: 4 lines, the first is {"text": "one
#   sseclient: data is {"text": "one
#   aiohttp: 1 line
#   requests: 1 line
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check httpx==0.28.1 sseclient==0.0.27 aiohttp==3.14.5 requests==2.34.2
cat >"$dir/show.py" <<'PY'
import asyncio, http.server, threading

import aiohttp, httpx, requests
from sseclient import SSEClient

TEXT = '{"text": "one\u0085two\u2028three\u2029four"}'


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, text = {
            "/lines": ("application/x-ndjson", f"{TEXT}\n"),
            "/events": ("text/event-stream; charset=utf-8", f"data: {TEXT}\n\n"),
        }[self.path]
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


async def with_aiohttp():
    async with aiohttp.ClientSession() as client, client.get(f"{url}/lines") as answer:
        return [line async for line in answer.content]


with httpx.stream("GET", f"{url}/lines") as answer:
    lines = list(answer.iter_lines())
print(f"httpx: {len(lines)} lines, the first is {lines[0]}")
print("sseclient: data is", next(iter(SSEClient(f"{url}/events"))).data)
print(f"aiohttp: {len(asyncio.run(with_aiohttp()))} line")
print(f"requests: {len(list(requests.get(f'{url}/lines', stream=True).iter_lines()))} line")
PY
"$dir/venv/bin/python" "$dir/show.py" >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'TEXT'
httpx: 4 lines, the first is {"text": "one
sseclient: data is {"text": "one
aiohttp: 1 line
requests: 1 line
TEXT
diff "$dir/expected" "$dir/seen"
