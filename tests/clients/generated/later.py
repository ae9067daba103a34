"""What a later daemon might say: words and kinds that no client knows yet must not spoil what it knows."""

AT = "2026-11-23T06:32:01.123Z"


def event(seq, kind, data):
    return {"type": "event", "id": 1000 + seq, "run": 42, "seq": seq, "at": AT, "kind": kind, "data": data}


ENDED = {"status": "expired", "reason": "starved", "exit_code": None, "signal": None, "error": None, "duration_ms": 3,
         "name": None, "queue": "default", "tags": [], "usage": None}
PAGE = {
    "events": [
        event(1, "queued", {"attempt": 1}),
        event(2, "slept", {"for_s": 5}),
        event(3, "output", {"stream": "pty", "text": "hi\n"}),
        event(4, "finished", ENDED),
    ],
    "gaps": [{"type": "gap", "from": 5, "to": 6, "reason": "forgotten"}],
    "first_seq": 1, "last_seq": 6, "status": "expired",
}
PROBLEM = {"type": "about:blank", "title": "Gone", "status": 410, "code": "run_expired", "detail": "", "details": {}}
