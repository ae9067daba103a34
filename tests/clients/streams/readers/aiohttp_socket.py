"""A WebSocket with aiohttp: its iterator ends without an error, however the connection did."""

import asyncio

import aiohttp

from reader import BEARER, Reader


async def main():
    reader = Reader()
    async with aiohttp.ClientSession(headers=BEARER) as session:
        while not reader.is_over:
            try:
                timeout = aiohttp.ClientWSTimeout(ws_receive=45)
                async with session.ws_connect(reader.url(), timeout=timeout) as socket:
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            reader.got(message.data)
                why = f"closed with {socket.close_code}"
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                why = error
            if not reader.is_over:
                reader.again(why)


asyncio.run(main())
