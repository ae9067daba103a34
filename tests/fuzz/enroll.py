"""Trades an enrollment token for a session: `enroll.py URL TOKEN`; prints the session's token."""

import json
import sys
import urllib.request

url, token = sys.argv[1:]
body = json.dumps({"token": token, "name": "fuzz"}).encode()
request = urllib.request.Request(f"{url}/v1/enroll", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["session_token"])
