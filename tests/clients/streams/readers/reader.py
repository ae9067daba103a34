"""What every reader here does beside its client: it prints what it was given, and remembers how far it has come.

A line `= JSON` is an object as the client gave it, `! TEXT` something that the client did beside that.
"""

import json
import os
import time

URL = os.environ["STREAM_URL"]
TOKEN = os.environ["STREAM_TOKEN"]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# `seq` of one run's events, `id` of those of all runs.
NUMBER = os.environ["STREAM_NUMBER"]


class Reader:
    def __init__(self):
        self.after = 0
        self.is_over = False

    def url(self):
        return f"{URL}{'&' if '?' in URL else '?'}after={self.after}"

    def got(self, text):
        """Takes an object. One that is no JSON was cut: that is a ValueError, and not remembered."""
        said = json.loads(text)
        print("=", text.rstrip("\n"), flush=True)
        if said["type"] == "event":
            self.after = said[NUMBER]
        elif said["type"] == "gap" and not said.get("partial"):
            self.after = said["to"]
        elif said["type"] == "cursor":
            self.after = said["id"]
        elif said["type"] == "end":
            self.is_over = True

    def note(self, what):
        print("!", " ".join(str(what).split())[:160], flush=True)

    def again(self, why):
        """Says why it has to connect once more by itself, and waits a moment."""
        if isinstance(why, BaseException):
            why = f"{type(why).__name__}: {why}"
        self.note(f"again: {why}")
        time.sleep(1)
