"""Lets nothing that schemathesis makes up be executed, or lock it out.

Every request passes here last, whatever made it: `true` stands for every command and script, every queue is paused, nobody
waits long, and who logs out logs out somebody else. What is wrong with a request stays wrong.
"""

import itertools
import json
import os
import re
import urllib.request
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import schemathesis
from requests.adapters import HTTPAdapter

BASE = os.environ["FUZZ_URL"]
TOKEN = os.environ["FUZZ_TOKEN"]
# What stands for it in a request that is to be let through.
NAME = f"Bearer {os.environ['FUZZ_NAME']}"
# Runs of every kind that were there before, from 1 on.
FIXTURES = int(os.environ["FUZZ_FIXTURES"])

numbers = itertools.count()
send = HTTPAdapter.send


def post(path, body):
    """An answer to a request of our own, as admin."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def spare_session():
    """A session that may be lost."""
    token = post("/v1/enrollment-tokens", {"role": "admin", "session_ttl_s": 600})["token"]
    return post("/v1/enroll", {"token": token})["session_token"]


def is_queue(name):
    return isinstance(name, str) and re.fullmatch(r"[a-z0-9_-]{1,64}", name)


def harmless_submit(body):
    """The same kind of submit, right or wrong, of which nothing but `true` could be executed."""
    command, script = body.get("command"), body.get("script")
    if isinstance(command, list) and command and isinstance(command[0], str) and command[0]:
        body["command"] = ["true"] + command[1:]
    if isinstance(script, str) and script.strip():
        # What makes a script wrong stays in it, as a comment.
        body["script"] = "true #" + script.replace("\n", " ").replace("\r", " ")
    env = body.get("env")
    if isinstance(env, dict):
        body["env"] = {f"K_{key}" if key.isidentifier() else key: value for key, value in env.items()}
    if is_queue(body.get("queue")):
        body["queue"] = "default"


def harmless_body(method, path, kind, body):
    """The body to send instead."""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        return b"" if body is not None else None
    if "shellscript" in kind.lower():
        return b"true #" + re.sub(rb"[\r\n]", b" ", body) if body.strip() else body
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        # The daemon reads no JSON that Python does not.
        return body
    if not isinstance(value, dict):
        return body
    if method == "POST" or "command" in value or "script" in value:
        harmless_submit(value)
    if method == "PATCH" and is_queue(value.get("queue")):
        value["queue"] = "default"
    if method == "PUT" and path.startswith("/v1/queues/") and isinstance(value.get("paused"), (bool, type(None))):
        value["paused"] = True
    return json.dumps(value).encode()


# What a submit takes in its query belongs to a script as the body, which no schema can say.
OF_A_SCRIPT = {
    "name": r"[^\x00-\x1f\x7f-\x9f]{1,255}",
    "tag": r"[^\x00-\x1f\x7f-\x9f]{1,100}",
    "queue": r"[a-z0-9_-]{1,64}",
    "cwd": r"/[^\x00]*",
    "follow": r"true|false",
}
NUMBERS_OF_A_SCRIPT = {"priority": (-1_000, 1_000), "timeout_s": (1, 315_360_000), "delay_s": (0, 315_360_000)}


def is_of_a_script(key, value):
    low, high = NUMBERS_OF_A_SCRIPT.get(key, (1, 0))
    is_number = re.fullmatch(r"-?[0-9]{1,9}", value) and low <= int(value) <= high
    return is_number or re.fullmatch(OF_A_SCRIPT.get(key, "(?!)"), value)


def harmless_query(query, nth, is_json_submit):
    """The query without what would take long: seven waits in eight, streams that do not end."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if is_json_submit and all(is_of_a_script(key, value) for key, value in pairs):
        return ""
    changed = []
    for key, value in pairs:
        if key == "wait_s" and re.fullmatch(r"[0-9]{1,3}", value) and 1 <= int(value) <= 300:
            if nth % 8:
                continue
            value = "1"
        if key == "follow" and value == "true":
            value = "false"
        if key == "queue" and is_queue(value):
            value = "default"
        changed.append((key, value))
    return query if changed == pairs else urlencode(changed)


def make_harmless(request):
    nth = next(numbers)
    parts = urlsplit(request.url)
    path = parts.path
    # A number that was made up leads nowhere; every other one leads to a run that is there.
    found = re.match(r"/v1/runs/([0-9]{4,})(?=/|$)", path)
    if found and int(found[1]) % 2:
        path = f"/v1/runs/{int(found[1]) % FIXTURES + 1}" + path[found.end() :]
    is_last = request.method == "DELETE" and re.match(r"/v1/sessions?(/|$)", path)
    if request.headers.get("Authorization") == NAME:
        request.headers["Authorization"] = f"Bearer {spare_session() if is_last else TOKEN}"
    if is_last:
        # The first session is the one that all else depends on.
        path = re.sub(r"^/v1/sessions/0*1$", "/v1/sessions/999999", path)
    kind = request.headers.get("Content-Type", "")
    kind = kind.decode("latin-1") if isinstance(kind, bytes) else kind
    is_json_submit = path == "/v1/runs" and "json" in kind
    request.url = urlunsplit(parts._replace(path=path, query=harmless_query(parts.query, nth, is_json_submit)))
    key = request.headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[!-~]{1,200}", key):
        request.headers["Idempotency-Key"] = f"{key}{nth}"
    # Bad tokens are counted by address.
    request.headers["X-Forwarded-For"] = f"10.{nth >> 16 & 255}.{nth >> 8 & 255}.{nth & 255}"
    if request.body is not None:
        request.body = harmless_body(request.method, path, kind, request.body)
        request.headers.pop("Transfer-Encoding", None)
        request.prepare_content_length(request.body)


def send_harmless(self, request, *args, **kwargs):
    make_harmless(request)
    return send(self, request, *args, **kwargs)


HTTPAdapter.send = send_harmless


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    """Any text as the text of an event; what is no text stays what it is."""
    if isinstance(value, bytes):
        return value
    event = {"kind": "message", "data": {"text": value}} if isinstance(value, str) and value else value
    return json.dumps(event).encode()
