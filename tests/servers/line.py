"""Lines between clients and a server on loopback, which are cut, reset and held up on command.

One thread carries what goes over all of them, so that many recorders can meet the same faults at the same moments.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar, cast

Result = TypeVar("Result")


class Line:
    """A port that leads to another port. `heard` is when a connection brought the first of what was asked for (200)."""

    def __init__(self, lines: "Lines", to_port: int) -> None:
        self._lines = lines
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._closed = 1  # how often more than opened
        self._ends: set[_End] = set()
        self.port = 0
        self.heard: list[float] = []  # by the monotonic clock

    def cut(self, *, reset: bool = False) -> None:
        """End the connections there are, by FIN or RST. New ones are let through."""
        self._lines.do(self._cut(reset))

    def close(self) -> None:
        """Cut it, and refuse every new connection until it is opened as often as it was closed."""
        self._lines.do(self._close())

    def open(self) -> None:
        self._lines.do(self._open())

    def stall(self) -> None:
        """Carry nothing more to the clients of now, for good. New ones are served."""
        self._lines.do(self._stall())

    async def _open(self) -> None:
        self._closed -= 1
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self, None), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._closed += 1
        if self._closed == 1 and self._server is not None:
            self._server.close()
        await self._cut(False)

    async def _cut(self, reset: bool) -> None:
        for end in list(self._ends):
            end.drop(reset)
        self._ends.clear()

    async def _stall(self) -> None:
        for end in self._ends:
            end.stall()

    async def begin(self, client: "_End") -> None:
        """Connect a new client to the server."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _End(self, client), "127.0.0.1", self._to_port)
        except OSError:
            client.drop(False)
            return
        self._ends.add(client)


class _End(asyncio.Protocol):
    """One end of a connection: the client's (made with None), or the server's."""

    def __init__(self, line: Line, other: "_End | None") -> None:
        self._line = line
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._early = b""  # what came before there was another end
        self._is_new = other is not None
        self._is_gone = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._other is None:
            self._task = asyncio.create_task(self._line.begin(self))
        else:
            self._other._other = self
            self._transport.write(self._other._early)
            if self._other._is_gone:  # who only looked whether anybody listens
                self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._is_new:
            self._is_new = False
            if b" 200" in data[:20]:
                self._line.heard.append(time.monotonic())
        if self._other is None:
            self._early += data
        elif self._other._transport is not None and not self._other._transport.is_closing():
            self._other._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone = True
        if self._other is not None and self._other._transport is not None:
            self._other._transport.close()
        self._line._ends.discard(self)

    def drop(self, reset: bool) -> None:
        if self._transport is None:
            return
        if reset:
            connection = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it is closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def stall(self) -> None:
        if self._other is not None and self._other._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._other._transport.pause_reading()


class Lines:
    """Makes lines, and carries what goes over them in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._made: list[Line] = []
        self._thread.start()

    def to(self, port: int) -> Line:
        """A new line to `port` of 127.0.0.1."""
        line = Line(self, port)
        line.open()
        self._made.append(line)
        return line

    def do(self, what: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    def end(self) -> None:
        for line in self._made:
            line.cut(reset=True)  # what is on its way is wanted by nobody any more
            line.close()
        self.do(asyncio.sleep(0.05))  # the transports close in the next rounds of the loop
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def lines() -> Iterator[Lines]:
    """Lines until the block ends."""
    made = Lines()
    try:
        yield made
    finally:
        made.end()
