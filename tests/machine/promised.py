"""What a daemon in a machine had promised by the marks of powered.py, and whether it is there on a disk that a power cut left."""

import json
import sqlite3
import subprocess

SECTOR = 512
# The file system ends here; marks follow, a sector each.
FILE_SYSTEM_BYTES = 160 << 20
MARKS_BYTES = 16 << 20


def made(file_system, path):
    """Makes a disk of this file system, and room for marks."""
    with open(path, "wb") as disk:
        disk.truncate(FILE_SYSTEM_BYTES + MARKS_BYTES)
    make = {
        "ext4": ["mkfs.ext4", "-q", path, f"{FILE_SYSTEM_BYTES // 1024}"],
        "btrfs": ["mkfs.btrfs", "-q", "-b", f"{FILE_SYSTEM_BYTES}", path],
        "f2fs": ["mkfs.f2fs", "-q", path, f"{FILE_SYSTEM_BYTES // SECTOR}"],
    }
    subprocess.run(make[file_system], check=True, capture_output=True)


def can_mount(file_system):
    """Whether this kernel has it."""
    subprocess.run(f"modprobe -aq {file_system} loop", shell=True, capture_output=True)
    with open("/proc/filesystems") as known:
        return file_system in known.read().split()


def sectors_of_marks(path):
    """The marks on a disk, in order."""
    with open(path, "rb") as disk:
        disk.seek(FILE_SYSTEM_BYTES)
        while (sector := disk.read(SECTOR)).strip(b"\0"):
            yield sector


def marks_on(path):
    return sum(1 for _sector in sectors_of_marks(path))


class Promised:
    """What the marks say so far."""

    @staticmethod
    def on(path):
        """What those on this disk say."""
        promised = Promised()
        for sector in sectors_of_marks(path):
            promised.read(sector)
        return promised

    def __init__(self):
        self.runs = {}
        self.events = {}
        self.canceled = set()

    def read(self, sector):
        mark = json.loads(sector.rstrip(b"\0"))
        if "run" in mark:
            self.runs[mark["run"]] = mark["name"]
        elif "canceled" in mark:
            self.canceled.add(mark["canceled"])
        else:
            for number, run, seq, kind in mark["events"]:
                self.events[number] = (run, seq, kind)


class Trial:
    def __init__(self, options, directory):
        self.binary = options.binary
        self.file_system = options.file_system
        self.directory = directory
        self.disk = directory / "state.raw"
        self.options = "loop"
        self.mounted = directory / "mounted"
        self.mounted.mkdir()

    def run(self, *command, **more):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, **more)

    def fails(self, promised):
        """Why this state is not one that a power cut may leave, or nothing."""
        try:
            self.run("mount", "-o", self.options, "-t", self.file_system, self.disk, self.mounted)
        except subprocess.CalledProcessError as error:
            return f"the file system is not mounted: {error.stderr}"
        try:
            return self.opened(promised)
        finally:
            self.run("umount", self.mounted)

    def opened(self, promised):
        state = self.mounted / "state"
        if not state.exists():
            return "nothing of it is there" if promised.runs else None
        with open(self.directory / "daemon.log", "w+") as log:
            daemon = subprocess.Popen(
                [self.binary, "serve", "--state-dir", state, "--listen", "none", "--config", "/dev/null"],
                stdout=subprocess.PIPE, stderr=log, text=True, env={"PATH": "/usr/bin:/bin"},
            )  # fmt: skip
            try:
                if "listening on" not in daemon.stdout.readline():
                    daemon.wait(30)
                    return f"the daemon does not serve: {(self.directory / 'daemon.log').read_text()}"
                doctor = subprocess.run(
                    [self.binary, "--state-dir", state, "doctor"], capture_output=True, text=True, timeout=60
                )
                if doctor.returncode not in (0, 1) or "malformed" in doctor.stdout + doctor.stderr:
                    return f"doctor exits {doctor.returncode}: {doctor.stdout}{doctor.stderr}"
                daemon.terminate()
                if daemon.wait(60) != 0:
                    return f"the daemon exits {daemon.returncode}: {(self.directory / 'daemon.log').read_text()}"
            finally:
                daemon.kill()
                daemon.wait()
        return self.compared(state, promised)

    @staticmethod
    def compared(state, promised):
        database = sqlite3.connect(state / "runabout.db")
        try:
            health = database.execute("PRAGMA integrity_check").fetchone()[0]
            if health != "ok":
                return f"the database is not sound: {health}"
            runs = dict(database.execute("SELECT id, name FROM runs"))
            events = {row[0]: row[1:] for row in database.execute("SELECT id, run, seq, kind FROM run_events")}
            last, gaps = {}, []
            for number, (run, seq, _kind) in sorted(events.items()):
                if run != 0 and seq != last.get(run, 0) + 1:
                    gaps.append((number, run, seq))
                last[run] = seq
            twice = database.execute("SELECT run FROM attempts WHERE attempt > 1").fetchall()
            canceled = dict(database.execute("SELECT id, status FROM runs WHERE cancel_requested_at IS NOT NULL"))
        finally:
            database.close()
        lost = {run: name for run, name in promised.runs.items() if runs.get(run) != name}
        if lost:
            return f"runs that were acknowledged are not there: {lost}"
        lost = {number: event for number, event in promised.events.items() if events.get(number) != event}
        if lost:
            return f"events that were shown are not there: {lost}"
        lost = promised.canceled - canceled.keys()
        if lost:
            return f"cancels that were acknowledged are not there: {lost}"
        if gaps:
            return f"runs have gaps (event, run, seq): {gaps}"
        if twice:
            return f"runs were started twice: {twice}"
        return None
