"""What a reader was given, held against what there is."""

import collections
import re


class Verdict:
    """`word` says it in a word: `itself`, `loop`, `late`, `no`, or what is wrong; `notes` are what the client did."""

    FINE = {"itself", "loop", "late"}

    def __init__(self, follower, events):
        number = follower.number
        given = [one for one in follower.objects if one["type"] == "event"]
        counts = collections.Counter(one[number] for one in given)
        wanted = {one[number]: one for one in events}
        self.lost = len(wanted.keys() - counts.keys())
        self.twice = sum(count - 1 for count in counts.values())
        self.changed = sum(one != wanted.get(one[number]) for one in given)
        self.broken = follower.broken
        numbers = [one[number] for one in given]
        self.is_ordered = numbers == sorted(numbers)
        self.hellos = sum(one["type"] == "hello" for one in follower.objects)
        self.has_ended = follower.has_ended
        self.notes = follower.notes
        self.events = len(given)
        self.phases = {phase for phase, note in follower.notes if note.startswith("again")}
        self.late = follower.late
        self.word = self.judge(follower)

    def judge(self, follower):
        wrong = [f"{name} {count}" for name, count in
                 (("lost", self.lost), ("twice", self.twice), ("changed", self.changed), ("cut", self.broken)) if count]
        if not self.events:
            return "no"
        if wrong or not self.is_ordered:
            return ", ".join(wrong) or "disordered"
        if follower.form == "run" and not self.has_ended:
            return "no end"
        if follower.form == "run" and follower.client.comes_back and not any("stopped" in note for _, note in self.notes):
            return "no stop"
        if self.late:
            return "late"
        return "loop" if self.phases else "itself"

    def why(self):
        """What a reader said, each once and without what differs from one time to another."""
        seen = {}
        for phase, note in self.notes:
            note = re.sub(r"\b0x[0-9a-f]+\b|\b\d{4,}\b", "…", note)
            seen.setdefault((phase, note), 0)
            seen[phase, note] += 1
        return [f"{phase}: {note}{f' ({count} times)' if count > 1 else ''}" for (phase, note), count in seen.items()]
