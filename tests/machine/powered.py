#!/usr/bin/env python3
"""In the machine: `powered.py FILE_SYSTEM BYTES SECONDS [--plant] [--after EVENT] [--marks N]`. A daemon on the second disk is given
work for so long, and each promise of it and each event that it shows is marked on that disk, beyond the file system's BYTES, by a
sector of JSON. With --plant its flushes do nothing; --after leaves out the events up to one; N marks are there already."""

import json
import mmap
import os
import random
import socket
import subprocess
import sys
import threading
import time

file_system, bytes_of_it, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
disk, place = "/dev/vdb", "/srv/disk"
state = f"{place}/state"
os.makedirs(place, exist_ok=True)
subprocess.run(["modprobe", file_system], check=True)
subprocess.run(["mount", "-t", file_system, disk, place], check=True)
# Whether the trial finds a daemon that does not flush: its calls lead to a library that does nothing.
world = os.environ | ({"LD_PRELOAD": "/hand/no_flush.so"} if "--plant" in sys.argv else {})


def option(name):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else 0


after = option("--after")
daemon = subprocess.Popen(
    ["./runabout", "serve", "--state-dir", state, "--listen", "none", "--log", "warn"], stdout=subprocess.PIPE, text=True, env=world
)
assert "listening on" in daemon.stdout.readline()

marks = os.open(disk, os.O_WRONLY | os.O_DIRECT)
aligned = mmap.mmap(-1, 4096)
lock = threading.Lock()
marked = option("--marks")


def mark(promise):
    """After this, the log says that it was promised before."""
    global marked
    text = json.dumps(promise, separators=(",", ":")).encode()
    assert len(text) <= 512, text
    with lock:
        aligned[:512] = text.ljust(512, b"\0")
        os.pwrite(marks, memoryview(aligned)[:512], bytes_of_it + 512 * marked)
        marked += 1


class Connection:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{state}/runabout.sock")
        self.lines = self.socket.makefile("rb")

    def ask(self, method, path, body=None):
        body = json.dumps(body).encode() if body is not None else b""
        kind = "content-type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{kind}content-length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        status, headers = self.head()
        return status, json.loads(self.lines.read(int(headers["content-length"])))

    def head(self):
        status = int(self.lines.readline().split()[1])
        headers = {}
        while (line := self.lines.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers


def submits(number, until):
    connection, chosen, count = Connection(), random.Random(number), 0
    while time.monotonic() < until:
        count += 1
        name = f"{number}-{count}"
        script = chosen.choice(["true", "seq 1 500", "echo out; echo err >&2; exit 3", "sleep 30", "echo a; sleep 1; echo b"])
        status, run = connection.ask("POST", "/v1/runs", {"script": script, "name": name, "queue": "many"})
        assert status == 201, run
        mark({"run": run["id"], "name": name})
        if chosen.random() < 0.3 or script == "sleep 30":
            status, answer = connection.ask("POST", f"/v1/runs/{run['id']}/cancel", {})
            assert status in (200, 202), answer
            if answer["cancel_requested_at"]:
                mark({"canceled": run["id"]})


def reads():
    """Events of all kinds, as they are pushed; each chunk that came is marked before the next is read."""
    connection = Connection()
    path = f"/v1/events?follow=true&after={after}&kinds=queued,started,output,cancel_requested,attempt_ended,finished"
    connection.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n".encode())
    assert connection.head()[0] == 200
    rest, shown = b"", []
    while size := int(connection.lines.readline().split(b";")[0], 16):
        rest += connection.lines.read(size)
        connection.lines.readline()
        *lines, rest = rest.split(b"\n")
        for line in lines:
            event = json.loads(line) if line.strip() else {}
            if "seq" in event and "kind" in event:
                shown.append([event["id"], event["run"], event["seq"], event["kind"]])
                if len(shown) == 8:
                    mark({"events": shown})
                    shown = []
        if shown:
            mark({"events": shown})
            shown = []


status, answer = Connection().ask("PUT", "/v1/queues/many", {"slots": 4})
assert status in (200, 201), answer
until = time.monotonic() + seconds
threading.Thread(target=reads, daemon=True).start()
workers = [threading.Thread(target=submits, args=(number, until)) for number in range(3)]
for worker in workers:
    worker.start()
while time.monotonic() < until:
    time.sleep(5)
    status, answer = Connection().ask("POST", "/v1/maintenance")
    assert status == 200, answer
for worker in workers:
    worker.join()
print(f"powered: {marked} marks")
# The power goes: nothing is stopped in order.
sys.stdout.flush()
os.fsync(sys.stdout.fileno())
