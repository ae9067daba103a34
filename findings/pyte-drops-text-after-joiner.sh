#!/bin/sh
# A terminal's screen lacks the rest of a text after an emoji, and what it has depends on how the bytes were cut.
#
# pyte 0.8.2, Python 3.11. Of a text it draws one letter after the other, and leaves off at the first one without width that is no
# combining accent: U+FE0F, which asks for the coloured form of many a check mark or warning sign, U+200D, which joins emoji, or
# U+200B. What is left of the text, to the next control character or escape sequence, is gone, and no error tells it. The same
# bytes fed one at a time lose nothing. Who compares screens of a program that prints such a sign compares less than is there.
#
# Guess: the sign without width is ignored or joined to the one before it.
# Seen:
#   at once: [accent é, passed] [check ✔] [joined 👩] [none a]
#   byte by byte: [accent é, passed] [check ✔ 3 passed] [joined 👩💻 3 passed] [none ab, passed]
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyte==0.8.2 wcwidth==0.2.13
cat >show.py <<'PY'
import pyte

TEXTS = "accent e\u0301, passed", "check \u2714\ufe0f 3 passed", \
    "joined \U0001F469\u200d\U0001F4BB 3 passed", "none a\u200bb, passed"


def screen(text, pieces):
    shown = pyte.Screen(40, 1)
    stream = pyte.ByteStream(shown)
    for piece in pieces(text.encode()):
        stream.feed(piece)
    return f"[{shown.display[0].rstrip()}]"


for name, pieces in ("at once", lambda all: [all]), ("byte by byte", lambda all: [bytes([byte]) for byte in all]):
    print(f"{name}:", *(screen(text, pieces) for text in TEXTS))
PY
PYTHONIOENCODING=utf-8 venv/bin/python show.py >seen
cat seen
cat >expected <<'TEXT'
at once: [accent é, passed] [check ✔] [joined 👩] [none a]
byte by byte: [accent é, passed] [check ✔ 3 passed] [joined 👩💻 3 passed] [none ab, passed]
TEXT
diff expected seen
