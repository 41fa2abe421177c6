"""One connection to an HTTP server, from the request to the last byte of the body.

Thousands of these share one buffer: the event loop fills it and we empty it in the same breath. And what comes is
collected in rounds, from many connections at once. Between them the kernel is asked (SO_RCVLOWAT) to call only for
more than a round should bring, or for the end.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import NoReturn, cast

from rolltape.capture.beat import beat
from rolltape.capture.http import ChunkedReader, Head, request, split_head
from rolltape.capture.icy import IcyCutter
from rolltape.domain.errors import SourceLost, SourceUnreachable
from rolltape.domain.units import Seconds

BUFFER = 64 * 1024  # bytes
MOST_WAITING = 256 * 1024  # bytes that are kept before anybody wants them
UNEXPECTED = 4  # times what a round should bring: we are called for that at once


class _Shared(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(BUFFER))


_shared = _Shared()


class Connection(asyncio.BufferedProtocol):
    """Sends the request for `url` and reads the answer. `name` is how messages call the server."""

    def __init__(self, connection: socket.socket, url: str, name: str) -> None:
        self._socket = connection
        self._url = url
        self._name = name
        self._transport: asyncio.Transport | None = None
        self._buffer = _shared.view
        self._chunks: ChunkedReader | None = None
        self._left: int | None = None  # bytes of the body still to come, where the server said how many
        self._icy: IcyCutter | None = None
        self._waiting = bytearray()  # what came before anybody wanted it
        self._consume: Callable[[bytes], None] | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._most = 0  # bytes that may wait for the next round; 0: there are none
        self._round = Seconds(0)  # from one to the next
        self._timer: asyncio.TimerHandle | None = None
        self.head: Head | None = None

    @property
    def title(self) -> str | None:
        """The last title that the server sent."""
        return self._icy.title if self._icy else None

    async def answer(self) -> Head:
        """The head of the answer.

        Raises:
            SourceUnreachable: there was none, or none in HTTP.
        """
        while self.head is None:
            if self._ended:
                why = "the server closed the connection without an answer"
                raise SourceUnreachable(f"{self._name}: {why}.", code="no_answer") from self._error
            await self._more()
            if self.head is None and self._waiting:
                self._read_head()
        return self.head

    async def peek(self, size: int) -> bytes:
        """The first `size` bytes of the body, or fewer where there are no more. They are not consumed."""
        while len(self._waiting) < size and not self._ended:
            await self._more()
        return bytes(self._waiting[:size])

    async def peek_more(self, known: int) -> bytes:
        """The first bytes of the body, as soon as there are more than `known` of them or it ended."""
        return await self.peek(known + 1) and bytes(self._waiting)

    @property
    def has_ended(self) -> bool:
        return self._ended

    async def play(self, consume: Callable[[bytes], None]) -> NoReturn:
        """Call `consume` with the body as it comes.

        Raises:
            SourceLost: the connection ended.
            Exception: what `consume` raised.
        """
        waiting, self._waiting = bytes(self._waiting), bytearray()
        if waiting:
            consume(waiting)
        self._consume = consume
        self._resume()
        while not self._ended:
            await self._more()
        if self._error is None or isinstance(self._error, ConnectionError):
            raise _lost(self._error) from self._error
        raise self._error

    def gather(self, size: int, span: Seconds) -> None:
        """Collect what comes in rounds, one in each `span`, which should bring `size` bytes. 0: take it as it comes."""
        self._most, self._round = size * UNEXPECTED, span
        if self._timer is not None:
            self._timer.cancel()
        self._collect()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(request(self._url))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self.head is not None:
            self._take_body(data)
        else:
            self._waiting += data
        if self._most:
            self._call_for(self._most)
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._error = self._error or exc
        self._wake()

    def _collect(self) -> None:
        """Be called for what is there, with the other connections whose round it is, and for the next round."""
        self._call_for(1)
        if self._most and not self._ended:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(beat(loop.time(), self._round), self._collect)

    def _call_for(self, size: int) -> None:
        """Be called for so many bytes at once; what the system makes of it is only ever a matter of CPU time."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _take_body(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
        try:
            if self._chunks is not None:
                data = self._chunks.feed(data)
            if self._icy is not None:
                data = self._icy.cut(data)
            if self._consume is not None:
                self._consume(data)
        except Exception as exc:  # it is raised again by play()
            self._fail(exc)
            return
        if self._consume is None:
            self._waiting += data
            if len(self._waiting) > MOST_WAITING and self._transport is not None:
                self._transport.pause_reading()
        if (self._chunks is not None and self._chunks.ended) or (self._left is not None and self._left <= 0):
            self.close()

    def _read_head(self) -> None:
        try:
            found = split_head(bytes(self._waiting))
        except ValueError as exc:
            self.close()
            raise SourceUnreachable(
                f"{self._name}: what answers there is no HTTP server ({exc}).", code="no_http"
            ) from exc
        if found is None:
            return
        self.head, body = found
        self._waiting = bytearray()
        self._chunks = ChunkedReader() if self.head.is_chunked else None
        self._left = None if self._chunks else self.head.number("content-length") or None
        interval = self.head.number("icy-metaint")
        self._icy = IcyCutter(interval) if interval else None
        if body:
            self._take_body(body)

    def _fail(self, exc: Exception) -> None:
        self._error = self._error or (
            SourceLost(f"The server broke the rules of HTTP: {exc}.") if isinstance(exc, ValueError) else exc
        )
        self.close()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    async def _more(self) -> None:
        """Wait until something came, or the end."""
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done() and (self._consume is None or self._ended):
            self._arrival.set_result(None)


def _lost(error: Exception | None) -> SourceLost:
    if error is None:
        return SourceLost("The server closed the connection.", code="closed")
    return SourceLost("The connection broke off.", code="reset")
