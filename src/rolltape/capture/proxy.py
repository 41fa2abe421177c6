"""A forward proxy on loopback, through which FFmpeg reaches the network over HTTP and TLS.

FFmpeg follows redirects, segments and keys by itself. Each of them comes through here: its name is looked up once, the
address is held against the rules, and the connection goes to that very address. Who has no passage is not let through:
its secret is in the environment of the child, where other users of this machine do not see it.

It listens as long as there are passages, and answers one request per connection. Source: RFC 9110, 7.6 and 9.3.6.
"""

import asyncio
import base64
import contextlib
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from rolltape.capture.connect import connect, resolve
from rolltape.capture.http import LONGEST_HEAD
from rolltape.domain.address import Egress
from rolltape.domain.errors import SourceError, SourceUnreachable
from rolltape.domain.units import Seconds

PATIENCE = Seconds(15)  # with a request, a connection, and the head of an answer
MOST_AT_ONCE = 32  # connections of one passage; FFmpeg has one or two
BACKLOG = 100
REST = Seconds(1)  # where no connection can be accepted, for want of open files
PIECE = 64 * 1024  # bytes

_REQUEST = re.compile(rb"(GET|CONNECT) (\S+) HTTP/1\.[01]")
_ANSWER = re.compile(rb"(HTTP/1\.[01]|ICY) \d{3}")
_ABSOLUTE = re.compile(rb"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_OF_ONE_HOP = (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate")

log = structlog.get_logger(__name__)

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Passage:
    """The right to go through. `may_be_local`: what it was opened for lies in the local network itself.

    `failure` is why a request last came to nothing; a refusal stays. `refused` is called with the first one.
    """

    egress: Egress
    may_be_local: bool
    refused: Callable[[SourceError], None]
    port: int = 0
    failure: SourceError | None = None
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    @property
    def url(self) -> str:
        """The address of the proxy, as programs take it."""
        return f"http://{self.secret}:x@127.0.0.1:{self.port}"

    def went(self, failure: SourceError | None) -> None:
        """Note how a request went."""
        if self.failure is not None and self.failure.code == "egress_refused":
            return
        self.failure = failure
        if failure is not None and failure.code == "egress_refused":
            log.warning("a stream led to where it may not", action="egress_refused", why=failure.message)
            self.refused(failure)


class Proxy:
    """The proxy of this process. Nothing of it is there while nobody has a passage."""

    def __init__(self) -> None:
        self._passages: dict[str, Passage] = {}
        self._talks: dict[asyncio.Task[None], Passage | None] = {}
        self._listener: socket.socket | None = None

    @contextmanager
    def passage(
        self, egress: Egress, *, may_be_local: bool, refused: Callable[[SourceError], None] = lambda failure: None
    ) -> Iterator[Passage]:
        """A passage for the time of the block. What goes through it at its end is cut off."""
        passage = Passage(egress, may_be_local, refused)
        self._passages[passage.secret] = passage
        try:
            passage.port = self._listen()
            yield passage
        finally:
            del self._passages[passage.secret]
            if not self._passages:
                self._close()
            for talk, of in self._talks.items():
                if of is passage or not self._passages:
                    talk.cancel()

    def _listen(self) -> int:
        """The port, once somebody listens."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
            self._listener.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)
        port: int = self._listener.getsockname()[1]
        return port

    def _close(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            log.warning("FFmpeg's connection cannot be accepted", action="proxy_full", error=exc.strerror)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(REST, self._go_on, listener)
            return
        talk = asyncio.create_task(self._talk(connection))
        self._talks[talk] = None
        talk.add_done_callback(self._talks.pop)

    def _go_on(self, listener: socket.socket) -> None:
        if listener is self._listener:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _talk(self, connection: socket.socket) -> None:
        """All of one connection."""
        client = await _line(connection)
        try:
            async with asyncio.timeout(PATIENCE):
                request = await _read_head(client[0])
            passage = self._passage_of(request)
            if passage is None:
                await _answer(client, "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="Rolltape"')
            elif list(self._talks.values()).count(passage) >= MOST_AT_ONCE:
                await _answer(client, "503 Service Unavailable")
            else:
                this = asyncio.current_task()
                assert this is not None
                self._talks[this] = passage
                await _serve(passage, request, client)
        except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # a child that ended, or that does not speak as it should
        finally:
            client[1].close()

    def _passage_of(self, request: "_Head") -> Passage | None:
        kind, _, login = request.header(b"proxy-authorization").partition(b" ")
        if kind.lower() != b"basic":
            return None
        return self._passages.get(base64.b64decode(login).decode("latin-1").partition(":")[0])


@dataclass(frozen=True)
class _Head:
    """The head of a request or an answer: its first line, and the others as they came."""

    first: bytes
    lines: list[bytes]

    def header(self, name: bytes) -> bytes:
        return next((line.partition(b":")[2].strip() for line in self.lines if _name(line) == name), b"")

    def for_one_request(self, first: bytes) -> bytes:
        """The same for the next one on the way, who is to close the connection afterwards."""
        kept = [line for line in self.lines if _name(line) not in _OF_ONE_HOP]
        return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()


async def _serve(passage: Passage, request: _Head, client: Line) -> None:
    match = _REQUEST.fullmatch(request.first)
    if match is None:
        await _answer(client, "405 Method Not Allowed")
        return
    method, target = match.groups()
    absolute = _ABSOLUTE.fullmatch(target)
    if method == b"GET" and absolute is None:
        await _answer(client, "400 Bad Request")
        return
    authority = absolute[1] if absolute is not None else target
    parts = urlsplit(f"//{authority.decode()}")
    host, port = parts.hostname or "", parts.port or 80
    server = await _reach(passage, host, port, client)
    if server is None:
        return
    try:
        if absolute is None:
            client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _both_ways(client, server)
        else:
            path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
            server[1].write(request.for_one_request(b"GET " + path + b" HTTP/1.1"))
            await _hand_over_answer(passage, f"{host}:{port}", client, server)
    finally:
        server[1].transport.abort()


async def _reach(passage: Passage, host: str, port: int, client: Line) -> Line | None:
    """A connection to the server, if there may be one; else the client is told."""
    try:
        async with asyncio.timeout(PATIENCE):
            addresses = await resolve(host, port, passage.egress, typed=passage.may_be_local)
            server = await _dial(host, port, addresses)
    except SourceUnreachable as exc:
        passage.went(exc)
        await _answer(client, "403 Forbidden" if exc.code == "egress_refused" else "502 Bad Gateway")
        return None
    except TimeoutError:
        passage.went(SourceUnreachable(f"{host}:{port} does not answer.", code="connect_timeout"))
        await _answer(client, "504 Gateway Timeout")
        return None
    passage.went(None)
    return server


async def _hand_over_answer(passage: Passage, name: str, client: Line, server: Line) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            head = await _read_head(server[0])
        if not _ANSWER.match(head.first):
            raise ValueError("no HTTP")
    except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        passage.went(SourceUnreachable(f"{name}: what answers there is no HTTP server.", code="no_http"))
        await _answer(client, "502 Bad Gateway")
        return
    client[1].write(head.for_one_request(head.first))
    await _both_ways(client, server)


async def _both_ways(client: Line, server: Line) -> None:
    """Carry what comes, until one of the two ends."""
    ways = [asyncio.create_task(_carry(server[0], client[1])), asyncio.create_task(_carry(client[0], server[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(PIECE):
            sink.write(piece)
            await sink.drain()


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    """Raises ValueError or LimitOverrunError where it does not end, EOFError where it breaks off."""
    lines: list[bytes] = []
    size = 0
    while True:
        line = await reader.readuntil(b"\n")
        size += len(line)
        if size > LONGEST_HEAD:
            raise ValueError("a head that does not end")
        line = line.rstrip(b"\r\n")
        if not line:
            return _Head(lines[0] if lines else b"", lines[1:])
        lines.append(line)


async def _answer(client: Line, status: str, *headers: str) -> None:
    client[1].write(
        "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close", "", ""]).encode()
    )
    await client[1].drain()


async def _line(connection: socket.socket) -> Line:
    reader = asyncio.StreamReader(limit=LONGEST_HEAD)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_accepted_socket(lambda: asyncio.StreamReaderProtocol(reader), connection)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _dial(host: str, port: int, addresses: list[str]) -> Line:
    reader = asyncio.StreamReader(limit=LONGEST_HEAD)
    writers: list[asyncio.StreamWriter] = []
    await connect(
        lambda _: asyncio.StreamReaderProtocol(reader, lambda _reader, writer: writers.append(writer)),
        host, port, addresses, None,
    )  # fmt: skip
    return reader, writers[0]
