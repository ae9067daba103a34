"""One way to the daemon, with every client on it: what is stored and live, an idle minute, restarts, cuts within an event."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time

from clients import LANGUAGES
from daemon import Daemon
from proxies import Path
from relay import Relay

# How long a reader may take to see what is there, in seconds; from then on it counts as having lost it.
PATIENCE_S = 60
# Within this an event is there that nothing keeps back.
LIVE_S = 3
# How long the daemon and the proxy are away.
AWAY_S = 6


class Follower:
    """A client that reads a stream, seen by what it prints."""

    def __init__(self, client, form, file):
        self.client = client
        self.form = form
        self.number = "seq" if form == "run" else "id"
        self.file = file
        file.touch()
        self.input = open(file, "rb")
        self.rest = b""
        self.objects = []
        self.broken = 0
        self.last = 0
        self.notes = []
        self.is_caught_up = False
        self.has_ended = False
        # In which phases it had to wait for what nobody else waited for.
        self.late = set()
        # It did not get to where the others were, and is not waited for again.
        self.is_left = False

    def look(self, phase):
        lines = (self.rest + self.input.read()).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if not line.startswith(b"= "):
                self.notes.append((phase, line.decode(errors="replace").removeprefix("! ")))
                continue
            try:
                said = json.loads(line[2:])
            except ValueError:
                self.broken += 1
                continue
            self.objects.append(said)
            if said["type"] == "event":
                self.last = max(self.last, said[self.number])
            self.is_caught_up |= said["type"] == "caught_up"
            self.has_ended |= said["type"] == "end"


class Scenario:
    def __init__(self, name, clients, tools, folder, authority, docs, program, options):
        self.folder = folder
        self.clients = clients
        self.tools = tools
        self.idle_s = options.idle
        self.burst = options.burst
        self.path = Path(name, folder, authority, docs)
        self.daemon = Daemon(program, folder)
        self.relay = Relay(self.daemon.port, options.plant)
        self.phase = "start"
        self.run = None
        self.rounds = 0
        self.sent = 0
        self.followers = []
        self.processes = []

    async def play(self):
        """All phases; what each reader was given, and what it ought to have been."""
        try:
            return await self.phases()
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.terminate()
            for process in self.processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
            self.path.close()
            # Nothing goes on behind it: the command ends by itself, and its keeper with it.
            (self.folder / "printed" / "end").touch()
            if self.run and self.daemon.child.poll() is None:
                await asyncio.to_thread(self.daemon.stop)

    async def phases(self):
        await self.prepare()
        self.say("connect")
        await asyncio.to_thread(self.start_readers)
        await self.until(lambda one: one.is_caught_up)
        self.say("live")
        await self.one_live()
        await self.load(self.burst)
        await self.all_have_it()
        self.say("idle")
        await asyncio.sleep(self.idle_s)
        await self.one_live()
        await self.all_have_it()
        self.say("restart")
        await self.under_load(self.restart)
        for how in ("fin", "rst"):
            self.say(f"cut ({how})")
            await self.under_load(lambda how=how: self.cut(how))
        if self.path.child:
            self.say("proxy")
            await self.under_load(self.restart_proxy)
        self.say("end")
        (self.folder / "printed" / "end").touch()
        await asyncio.to_thread(self.daemon.call, "GET", f"/v1/runs/{self.run}?wait_s=60")
        await self.until(lambda one: one.has_ended or one.form == "all")
        await self.all_have_it()
        await self.until(lambda one: not one.client.comes_back or one.form == "all" or
                         any(note.startswith("stopped") for _, note in one.notes), seconds=15)
        events = {form: self.daemon.events(self.address(form, "page"), number) for form, number in
                  (("run", "seq"), ("all", "id"))}
        return self.followers, events

    def say(self, phase):
        self.phase = phase
        print(f"{time.strftime('%H:%M:%S')} {self.folder.name}: {phase}", file=sys.stderr, flush=True)

    async def prepare(self):
        self.folder.joinpath("printed").mkdir()
        await asyncio.to_thread(self.daemon.start)
        self.daemon.token = self.daemon.enroll("operator")[0]["session_token"]
        self.token = self.daemon.enroll("viewer")[0]["session_token"]
        self.cookie = self.daemon.enroll("viewer", cookie=True)[1]
        command = [sys.executable, str(self.tools / "odd.py"), str(self.folder / "printed")]
        self.run = self.daemon.call("POST", "/v1/runs", {"command": command, "survive": True})["id"]
        await self.load(self.burst)
        await self.relay.open()
        await asyncio.to_thread(self.path.open, self.relay.port)

    def address(self, form, stream):
        path = f"/v1/runs/{self.run}/events" if form == "run" else f"/v1/events?runs={self.run}"
        if stream == "lines":
            path += f"{'&' if '?' in path else '?'}follow=true"
        if stream == "page":
            return path
        scheme = self.path.scheme if stream != "socket" else {"http": "ws", "https": "wss"}[self.path.scheme]
        return f"{scheme}://127.0.0.1:{self.path.port}{path}"

    def start_readers(self):
        browsers = {}
        for client in self.clients:
            for form in ("run", "all"):
                file = self.folder / f"{client.name}.{form}"
                follower = Follower(client, form, file)
                self.followers.append(follower)
                if client.browser:
                    browsers.setdefault(client.browser, []).append(follower)
                else:
                    self.start_reader([follower])
        for followers in browsers.values():
            self.start_reader(followers)

    def start_reader(self, followers):
        first = followers[0]
        client = first.client
        ca = str(self.path.authority.folder / "ca.pem")
        reads = [{"stream": one.client.stream, "url": self.address(one.form, one.client.stream), "number": one.number,
                  "file": str(one.file)} for one in followers]
        environment = {
            **os.environ, "STREAM_URL": reads[0]["url"], "STREAM_TOKEN": self.token, "STREAM_NUMBER": first.number,
            "STREAM_COOKIE": self.cookie, "STREAM_READERS": json.dumps(reads), "BROWSER": client.needs or "",
            "HOME": str(self.folder),
            # Each kind of client is told whom to trust in its own way.
            "NODE_EXTRA_CA_CERTS": ca, "SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca, "CURL_CA_BUNDLE": ca,
            "WEBSOCKET_CLIENT_CA_BUNDLE": ca, "MOJO_CA_FILE": ca,
        }
        script = self.tools / "readers" / client.reader
        command = [LANGUAGES[script.suffix], str(script), *([client.browser] if client.browser else [])]
        command[0] = shutil.which(command[0]) if script.suffix != ".py" else sys.executable
        with open(first.file if not client.browser else self.folder / f"{client.browser}.log", "ab") as out:
            errors = open(self.folder / f"{client.name}.{first.form}.errors", "ab")
            self.processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                                   stderr=errors, start_new_session=True))

    async def load(self, count, pause_s=0.02):
        """A round of what the command prints, and messages beside it."""
        (self.folder / "printed" / str(self.rounds)).touch()
        self.rounds += 1
        until = self.sent + count
        while self.sent < until:
            some = [{"n": self.sent + at, "text": ODD_TEXTS[at % len(ODD_TEXTS)]} for at in range(25)]
            if await asyncio.to_thread(self.daemon.append, self.run, some):
                self.sent += len(some)
            await asyncio.sleep(pause_s)

    async def under_load(self, disturb):
        """Something happens while events come, and some time later all have what they missed."""
        load = asyncio.ensure_future(self.load(self.burst, 0.1))
        await asyncio.sleep(0.5)
        await disturb()
        await load
        await self.all_have_it()

    async def restart(self):
        self.daemon.kill()
        self.relay.refuse()
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self.daemon.start)
        await self.relay.open()

    async def cut(self, how):
        self.relay.cut(how)

    async def restart_proxy(self):
        await asyncio.to_thread(self.path.close)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self.path.start)

    async def one_live(self):
        """A single event, for which nobody has to wait."""
        await self.load(25)
        await asyncio.sleep(2)
        await self.look()
        late = [one for one in self.followers if one.is_caught_up]
        number = {form: (await self.newest(form)) for form in ("run", "all")}
        until = time.monotonic() + LIVE_S
        while late and time.monotonic() < until:
            await self.look()
            late = [one for one in late if one.last < number[one.form]]
            await asyncio.sleep(0.1)
        for one in late:
            one.late.add(self.phase)

    async def newest(self, form):
        address = f"{self.address(form, 'page')}{'?' if form == 'run' else '&'}after=-1"
        page = await asyncio.to_thread(self.daemon.call, "GET", address)
        return page["events"][-1]["seq" if form == "run" else "id"]

    async def all_have_it(self):
        number = {form: (await self.newest(form)) for form in ("run", "all")}
        await self.until(lambda one: one.last >= number[one.form])

    async def until(self, holds, seconds=PATIENCE_S):
        """Waits for all that still follow; who does not get there is not waited for again."""
        until = time.monotonic() + seconds
        waiting = [one for one in self.followers if one.is_caught_up or self.phase == "connect"]
        waiting = [one for one in waiting if not one.is_left]
        while waiting and time.monotonic() < until:
            await self.look()
            waiting = [one for one in waiting if not holds(one)]
            await asyncio.sleep(0.1)
        for one in waiting:
            one.notes.append((self.phase, "waited for in vain"))
            one.is_left = True

    async def look(self):
        for one in self.followers:
            one.look(self.phase)


ODD_TEXTS = ["plain", "é 日本 🦀", "\u2028\u2029\u0085", "data: x\n\nid: 1\n\n", "\r\n\r", "\0\x01\x7f", "x" * 300]