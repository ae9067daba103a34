"""Server-sent events with sseclient-py over requests."""

import requests
import sseclient

from reader import BEARER, URL, Reader

reader = Reader()
url = f"{URL}{'&' if '?' in URL else '?'}after=0"
last = {}
while not reader.is_over:
    try:
        headers = {**BEARER, **last, "Accept": "text/event-stream"}
        answer = requests.get(url, headers=headers, stream=True, timeout=(5, 30))
        answer.raise_for_status()
        for event in sseclient.SSEClient(answer).events():
            reader.got(event.data)
            # Behind `got`, which fails where half an event is given.
            if event.id:
                last = {"Last-Event-ID": event.id}
        why = "the stream ended"
    except (requests.RequestException, ValueError) as error:
        why = error
    if not reader.is_over:
        reader.again(why)
