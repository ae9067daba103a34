#!/bin/sh
# An answer whose server dies in the middle of it arrives as a whole one, with its last chunk.
#
# Caddy 2.6.2 (Debian 12), `reverse_proxy`, as it is and with `flush_interval -1`. The server sends one chunk of an answer and
# closes. Asked directly, curl says that the transfer was cut (exit code 18), as it should. Caddy writes "aborting with
# incomplete response" into its log, and ends the answer for its client as if that was all: no client can know.
#
# Guess: a proxy passes a cut on, in whatever form.
# Seen:
#   directly: half, curl exits 18
#   caddy: half, curl exits 0
#   caddy, flush_interval -1: half, curl exits 0
#   its log: aborting with incomplete response, unexpected EOF
set -eu

dir=$(mktemp -d)
chmod 755 "$dir"
children=
trap 'for child in $children; do kill "$child" 2>/dev/null || true; done; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq caddy=2.6.2-5 >/dev/null 2>&1
dpkg -x caddy_*.deb root
cat >server.py <<'PY'
import socket, threading

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def answer(client):
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    client.close()


while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
PY
python3 server.py >port &
children=$!
while [ ! -s port ]; do sleep 0.1; done
free_port() { python3 -c 'import socket; one = socket.create_server(("127.0.0.1", 0)); print(one.getsockname()[1])'; }
plain=$(free_port) flushed=$(free_port)
cat >Caddyfile <<TEXT
{
	admin off
}
http://127.0.0.1:$plain {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:$(cat port)
}
http://127.0.0.1:$flushed {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:$(cat port) {
		flush_interval -1
	}
}
TEXT
XDG_DATA_HOME=$dir XDG_CONFIG_HOME=$dir root/usr/bin/caddy run --adapter caddyfile --config Caddyfile >caddy.log 2>&1 &
children="$children $!"
ask() { # NAME PORT
	code=0
	got=$(curl -s "http://127.0.0.1:$2/") || code=$?
	echo "$1: $got, curl exits $code"
}
until curl -s -o /dev/null "http://127.0.0.1:$plain/"; do sleep 0.1; done
{
	ask directly "$(cat port)"
	ask caddy "$plain"
	ask "caddy, flush_interval -1" "$flushed"
	sed -n 's/.*"msg":"\(aborting with incomplete response\)".*"error":"\(unexpected EOF\)".*/its log: \1, \2/p' caddy.log | head -n 1
} >seen
cat seen
cat >expected <<'TEXT'
directly: half, curl exits 18
caddy: half, curl exits 0
caddy, flush_interval -1: half, curl exits 0
its log: aborting with incomplete response, unexpected EOF
TEXT
diff expected seen
