"""Stands in front of the daemon and passes bytes on, until it is told to cut every connection in the middle of an object."""

import asyncio
import contextlib
import re
import socket
import struct

# Less than this is a heartbeat or the end of something: a cut waits for more, so that it lies within an event.
CUT_BYTES_MIN = 200


# What a reader that comes back says of where it stands.
CURSOR = re.compile(rb"(after=|last-event-id: \w{12}-)([1-9]\d*)", re.I)
NUMBERED = re.compile(rb'("n":\d*)7([,}])')


def planted(fault, to_daemon, data):
    """The bytes with a fault that the verdict has to find: a trial that cannot fail proves nothing. None changes a length."""
    if fault == "changed" and not to_daemon:
        return NUMBERED.sub(rb"\g<1>8\2", data)
    if fault in ("lost", "twice") and to_daemon:
        by = 1 if fault == "lost" else -1

        def moved(found):
            return found[1] + str(int(found[2]) + by).zfill(len(found[2])).encode()[-len(found[2]):]

        return CURSOR.sub(moved, data)
    return data


class Connection:
    cut = None


class Relay:
    """Listens on a port of its own. While the daemon is away it does not, so that connections are refused as they would be."""

    def __init__(self, to, fault=None):
        self.to = to
        self.fault = fault
        self.port = None
        self.server = None
        self.connections = set()
        self.cut_count = 0

    async def open(self):
        for _ in range(100):
            try:
                self.server = await asyncio.start_server(self.pass_on, "127.0.0.1", self.port or 0, backlog=512)
                break
            except OSError:
                await asyncio.sleep(0.1)
        self.port = self.server.sockets[0].getsockname()[1]

    def refuse(self):
        self.server.close()

    def cut(self, how):
        """Cuts what is open at its next event: `fin` as by an orderly end, `rst` as by a lost one."""
        for connection in self.connections:
            connection.cut = how

    async def pass_on(self, client_in, client_out):
        try:
            daemon_in, daemon_out = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            client_out.transport.abort()
            return
        connection = Connection()
        self.connections.add(connection)
        there = asyncio.ensure_future(self.copy(client_in, daemon_out, None))
        back = asyncio.ensure_future(self.copy(daemon_in, client_out, connection))
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        if not back.done() and not there.exception():
            # The client has said all; what it asked for may still be on its way.
            await asyncio.wait([back], timeout=1)
        for task in (there, back):
            task.cancel()
        for out in (client_out, daemon_out):
            out.close()
        self.connections.discard(connection)

    async def copy(self, source, sink, connection):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await source.read(65536):
                if self.fault:
                    data = planted(self.fault, connection is None, data)
                if connection and connection.cut and len(data) >= CUT_BYTES_MIN:
                    sink.write(data[: len(data) - CUT_BYTES_MIN // 2])
                    await sink.drain()
                    self.cut_count += 1
                    if connection.cut == "rst":
                        linger = struct.pack("ii", 1, 0)
                        sink.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        sink.transport.abort()
                    return
                sink.write(data)
                await sink.drain()
