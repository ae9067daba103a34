"""A WebSocket with websocket-client."""

import websocket

from reader import BEARER, Reader

reader = Reader()
while not reader.is_over:
    try:
        socket = websocket.create_connection(reader.url(), timeout=45, header=BEARER)
        while text := socket.recv():
            reader.got(text)
        why = "an empty message, as it gives at a close"
    except (OSError, websocket.WebSocketException) as error:
        why = error
    if not reader.is_over:
        reader.again(why)
