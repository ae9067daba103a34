"""Lines of JSON with requests: `iter_lines` splits by `str.splitlines` only where it decodes, so it is left to bytes."""

import requests

from reader import BEARER, Reader

reader = Reader()
headers = {**BEARER, "Accept": "application/x-ndjson"}
while not reader.is_over:
    try:
        answer = requests.get(reader.url(), headers=headers, stream=True, timeout=(5, 30))
        answer.raise_for_status()
        for line in answer.iter_lines(chunk_size=None):
            reader.got(line.decode())
        why = "the stream ended"
    except (requests.RequestException, ValueError) as error:
        why = error
    if not reader.is_over:
        reader.again(why)
