#!/bin/sh
# A recording lacks the end of what a command printed before it ended.
#
# asciinema 2.2.0, which Debian 12 has, Python 3.11, Linux. It gives a command a terminal and reads that by 1,024 bytes. When the
# command has ended it reads no more, whatever is still there: of 4,000 letters that are printed at once it records 2,048 in
# most of the tries, and exits 0. A command that waits a second before it ends is recorded whole. 2.4.0 records all of it.
#
# Guess: what was printed is recorded, up to its last letter.
# Seen, of ten tries each:
#   2.2.0: some are cut
#   2.2.0, a second later: all are whole
#   2.4.0: all are whole
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for version in 2.2.0 2.4.0; do
	python3 -m venv "$version"
	"$version/bin/pip" install -q --disable-pip-version-check "asciinema==$version"
done
cat >show.py <<'PY'
import json, os, pty, subprocess, threading

os.environ.update(HOME=os.getcwd(), TERM="xterm", LC_ALL="C.UTF-8")
PRINT = "printf %04000d 0"


def drain(terminal):
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass


def run(command):
    """At a terminal of its own, whose other end is read."""
    near, far = pty.openpty()
    threading.Thread(target=drain, args=(near,), daemon=True).start()
    subprocess.run(command, stdin=far, stdout=far, stderr=far, check=True, timeout=60)
    os.close(far)


def recorded(version, command):
    run([f"{version}/bin/asciinema", "rec", "-q", "--overwrite", "-c", command, "cast"])
    lines = open("cast").read().splitlines()[1:]
    return "".join(json.loads(line)[2] for line in lines)


def told(version, command):
    cut = sum(recorded(version, command).count("0") < 4000 for _ in range(10))
    return "some are cut" if cut else "all are whole"


print("2.2.0:", told("2.2.0", PRINT))
print("2.2.0, a second later:", told("2.2.0", PRINT + "; sleep 1"))
print("2.4.0:", told("2.4.0", PRINT))
PY
python3 show.py >seen
cat seen
cat >expected <<'TEXT'
2.2.0: some are cut
2.2.0, a second later: all are whole
2.4.0: all are whole
TEXT
diff expected seen
