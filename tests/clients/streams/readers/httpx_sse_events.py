"""Server-sent events with httpx-sse, which neither comes back by itself nor waits longer than httpx does."""

import httpx
from httpx_sse import SSEError, connect_sse

from reader import BEARER, URL, Reader

reader = Reader()
last = f"{URL}{'&' if '?' in URL else '?'}after=0", {}
with httpx.Client(headers=BEARER, timeout=httpx.Timeout(5, read=30)) as client:
    while not reader.is_over:
        try:
            url, headers = last
            with connect_sse(client, "GET", url, headers=headers) as source:
                for event in source.iter_sse():
                    reader.got(event.data)
                    if event.id:
                        last = url, {"Last-Event-ID": event.id}
            why = "the stream ended"
        except (httpx.TransportError, SSEError, ValueError) as error:
            why = error
        if not reader.is_over:
            reader.again(why)
