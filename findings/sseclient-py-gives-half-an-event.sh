#!/bin/sh
# An event that was cut off is handed to the program like a whole one, with its id, by some readers of server-sent events.
#
# sseclient-py 1.9.0 beside httpx-sse 0.4.3 and npm's eventsource 4.1.1, Python 3.11 and Node 20. The answer
# ends well, as it does behind an HTTP/1.0 proxy whatever happened before, in the middle of an event. The standard ("If the file
# ends in the middle of an event, before the final empty line, the incomplete event is not dispatched") has it thrown away.
# Whoever remembers the id and comes back with it never sees the rest.
#
# Guess: half an event is no event, in each of them.
# Seen:
#   sseclient-py: 1 {"n": 1}; 2 {"n":
#   httpx-sse: 1 {"n": 1}
#   eventsource: 1 {"n": 1}
set -eu

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check sseclient-py==1.9.0 requests==2.34.2 httpx==0.28.1 httpx-sse==0.4.3
npm install --silent --no-audit --no-fund --ignore-scripts eventsource@4.1.1
cat >server.py <<'PY'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STREAM = b'id: 1\ndata: {"n": 1}\n\nid: 2\ndata: {"n":'


class Cut(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(STREAM)))
        self.end_headers()
        self.wfile.write(STREAM)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Cut)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >sseclient_py.py <<'PY'
import sys, requests, sseclient
answer = requests.get(sys.argv[1], stream=True)
print("; ".join(f"{event.id} {event.data}" for event in sseclient.SSEClient(answer).events()))
PY
cat >httpx_sse_.py <<'PY'
import sys, httpx
from httpx_sse import connect_sse
with httpx.Client() as client, connect_sse(client, "GET", sys.argv[1]) as source:
    print("; ".join(f"{event.id} {event.data}" for event in source.iter_sse()))
PY
cat >eventsource.mjs <<'JS'
import {EventSource} from 'eventsource';
const source = new EventSource(process.argv[2]), got = [];
source.onmessage = ({lastEventId, data}) => got.push(`${lastEventId} ${data}`);
source.onerror = () => { console.log(got.join('; ')); process.exit(0); };
JS
venv/bin/python server.py >port &
server=$!
while [ ! -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)/
{
	echo "sseclient-py: $(venv/bin/python sseclient_py.py "$url")"
	echo "httpx-sse: $(venv/bin/python httpx_sse_.py "$url")"
	echo "eventsource: $(node eventsource.mjs "$url")"
} >seen
cat seen
cat >expected <<'TEXT'
sseclient-py: 1 {"n": 1}; 2 {"n":
httpx-sse: 1 {"n": 1}
eventsource: 1 {"n": 1}
TEXT
diff expected seen
