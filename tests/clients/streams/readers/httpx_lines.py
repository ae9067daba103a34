"""Lines of JSON with httpx. A line that was cut is given like a whole one where the answer ends well."""

import httpx

from reader import BEARER, Reader

reader = Reader()
headers = {**BEARER, "Accept": "application/x-ndjson"}
with httpx.Client(headers=headers, timeout=httpx.Timeout(5, read=30)) as client:
    while not reader.is_over:
        try:
            with client.stream("GET", reader.url()) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    reader.got(line)
            why = "the stream ended"
        except (httpx.HTTPError, ValueError) as error:
            why = error
        if not reader.is_over:
            reader.again(why)
