"""Lines of JSON with aiohttp."""

import asyncio

import aiohttp

from reader import BEARER, Reader


async def main():
    reader = Reader()
    headers = {**BEARER, "Accept": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, raise_for_status=True) as session:
        while not reader.is_over:
            try:
                async with session.get(reader.url()) as answer:
                    async for line in answer.content:
                        reader.got(line.decode())
                why = "the stream ended"
            except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
                why = error
            if not reader.is_over:
                reader.again(why)


asyncio.run(main())
