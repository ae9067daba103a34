"""A daemon of its own in a folder, that is killed and started again on the same port."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Daemon:
    def __init__(self, program, folder):
        self.program = program
        self.state = folder / "state"
        self.port = free_port()
        self.log = open(folder / "daemon.log", "ab")
        self.child = None
        self.token = None
        (folder / "config.toml").write_text('[access]\nallowed_hosts = ["runabout.example"]\ntrusted_proxies = ["127.0.0.1"]\n')
        self.arguments = ["--state-dir", str(self.state)]
        self.options = ["--config", str(folder / "config.toml"), "--listen", f"127.0.0.1:{self.port}"]

    def start(self):
        command = [self.program, "serve", *self.arguments, *self.options]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not self.child.stdout.readline().startswith("listening on"):
            raise SystemExit(f"the daemon does not start: {self.log.name}")

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.terminate()
            self.child.wait()

    def enroll(self, role, **wish):
        """What `POST /v1/enroll` answers, and its cookie."""
        command = [self.program, *self.arguments, "enroll", "--role", role]
        token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        with self.send("POST", "/v1/enroll", {"token": token, "name": role, **wish}) as answer:
            return json.load(answer), (answer.headers["Set-Cookie"] or "").split(";")[0]

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        return urllib.request.urlopen(request, timeout=30)

    def call(self, method, path, body=None):
        with self.send(method, path, body) as answer:
            return json.load(answer)

    def events(self, path, number):
        """All events of a page's address, by its pages."""
        events, after = [], 0
        while page := self.call("GET", f"{path}{'&' if '?' in path else '?'}after={after}&limit=2000")["events"]:
            events += page
            after = page[-1][number]
        return events

    def append(self, run, data):
        """Appends messages. One whose answer is lost may have been stored: what is there at the end counts."""
        try:
            self.call("POST", f"/v1/runs/{run}/events", [{"kind": "message", "data": one} for one in data])
            return True
        except (OSError, urllib.error.URLError):
            return False
