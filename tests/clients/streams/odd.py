"""What the run prints: a round of odd bytes for each file `N` that appears in a folder, until there is one named `end`."""

import os
import sys
import time

folder = sys.argv[1]
CRAB = "🦀".encode()
PIECES = [
    b"plain\n",
    bytes(range(256)),
    "é 日本 🦀\n".encode(),
    "line \u2028 paragraph \u2029 next \u0085 end\n".encode(),
    b"\rback\r\ndos\r\n\r\n",
    b"data: no\n\nevent: end\ndata: {}\n\nid: 9\n\n",
    b'{"type":"end","run":1}\n',
    b"\xff\xfe\xc3\n",
    b"\0\n\0\0",
    b"\x1b[31mred\x1b[0m\x7f\x9b\n",
    b"\xef\xbb\xbfbom\n",
    CRAB[:2],
    CRAB[2:] + b"\n",
    b"\n\n\n",
    b": comment\nretry: 1\n",
    ("w" * 40_000 + "\n").encode(),
    b"\x01" * 9_000,
    b"unfinished",
]
rounds = 0
while not os.path.exists(os.path.join(folder, "end")):
    if not os.path.exists(os.path.join(folder, str(rounds))):
        time.sleep(0.05)
        continue
    rounds += 1
    for turn, piece in enumerate(PIECES):
        os.write(1 + turn % 2, piece)
        time.sleep(0.03)
os.write(1, b"last\n")
