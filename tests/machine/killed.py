#!/usr/bin/env python3
"""In the machine of tests/machine/killed: `killed.py FILE_SYSTEM look|work [--plant]`. Holds a daemon on the second disk to what
the marks on it say, and has powered.py work on it, which makes more."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from promised import FILE_SYSTEM_BYTES, Promised, Trial, marks_on

DISK = Path("/dev/vdb")
file_system, what, *more = sys.argv[1:]
subprocess.run(["modprobe", file_system], check=True)
print("looking", flush=True)
promised, marks = Promised.on(DISK), marks_on(DISK)
scratch = Path("/tmp/killed")
scratch.mkdir()
trial = Trial(SimpleNamespace(binary=Path("runabout").resolve(), file_system=file_system), scratch)
trial.disk, trial.options = DISK, "rw"
if marks and (why := trial.fails(promised)):
    print(f"FAIL: {why}", flush=True)
    sys.exit(1)
print(f"found {len(promised.runs)} runs, {len(promised.events)} events of {marks} marks", flush=True)
if what == "work":
    after = max(promised.events, default=0)
    command = ["./powered.py", file_system, f"{FILE_SYSTEM_BYTES}", "3600", "--after", f"{after}", "--marks", f"{marks}", *more]
    sys.exit(subprocess.run(command).returncode)
