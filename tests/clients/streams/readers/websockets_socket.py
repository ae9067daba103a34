"""A WebSocket with websockets. Its `async for socket in connect(…)` comes back to the same address, hence from the start."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from reader import BEARER, Reader


async def main():
    reader = Reader()
    while not reader.is_over:
        try:
            async with connect(reader.url(), additional_headers=BEARER) as socket:
                async for text in socket:
                    reader.got(text)
            why = f"closed with {socket.close_code}"
        except ConnectionClosed as closed:
            why = closed
        except (OSError, WebSocketException) as error:
            why = error
        if not reader.is_over:
            reader.again(why)


asyncio.run(main())
