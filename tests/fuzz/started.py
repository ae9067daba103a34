"""Prints the runs that were ever started, by their highest id and their number: nothing may join them."""

import json
import os
import urllib.request


def get(path):
    headers = {"Authorization": f"Bearer {os.environ['FUZZ_TOKEN']}"}
    with urllib.request.urlopen(urllib.request.Request(os.environ["FUZZ_URL"] + path, headers=headers)) as answer:
        return answer.read().decode()


count = sum(
    int(float(line.rsplit(" ", 1)[1]))
    for line in get("/metrics").splitlines()
    if line.startswith('runabout_events_total{kind="started"}') or line.startswith("runabout_run_wait_seconds_count")
)
print(count)
