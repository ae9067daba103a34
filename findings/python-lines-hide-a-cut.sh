#!/bin/sh
# Whether a cut answer is noticed depends on how it is read: by lines it looks whole.
#
# Python's urllib.request and http.client, 3.11.7; 3.11.2, 3.12.1 and 3.13.0 do the same. The server sends one chunk and
# closes, without the last chunk that says that this was all. `read()` and `shutil.copyfileobj` raise IncompleteRead, as
# they should; `for line in answer` and `readline()` end as at a good end. With a Content-Length that is not reached
# `read()` alone raises, and a loop of `read(1024)` ends well, as do lines and `copyfileobj`.
#
# Guess: all ways of reading one answer agree on whether it is whole.
# Seen:
#   chunked: read raises, blocks raises, copyfileobj raises, lines ends, readline ends
#   with a length: read raises, blocks ends, copyfileobj ends, lines ends, readline ends
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/show.py" <<'PY'
import http.client, io, shutil, socket, threading, urllib.request

ANSWERS = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n",
    "with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello\n",
}
WAYS = {
    "read": lambda answer: answer.read(),
    "blocks": lambda answer: b"".join(iter(lambda: answer.read(1024), b"")),
    "copyfileobj": lambda answer: shutil.copyfileobj(answer, io.BytesIO()),
    "lines": lambda answer: list(answer),
    "readline": lambda answer: list(iter(answer.readline, b"")),
}


def served(raw):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        client.recv(65536)
        client.sendall(raw)
        client.close()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def ends(way, raw):
    try:
        with urllib.request.urlopen(served(raw)) as answer:
            way(answer)
        return "ends"
    except http.client.IncompleteRead:
        return "raises"


for name, raw in ANSWERS.items():
    print(f"{name}: " + ", ".join(f"{way} {ends(WAYS[way], raw)}" for way in WAYS))
PY
python3 "$dir/show.py" >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'TEXT'
chunked: read raises, blocks raises, copyfileobj raises, lines ends, readline ends
with a length: read raises, blocks ends, copyfileobj ends, lines ends, readline ends
TEXT
diff "$dir/expected" "$dir/seen"
