"""Streams over HTTP: Icecast, SHOUTcast and their kin, by way of redirects and playlists.

MP3 and ADTS are read here. What only FFmpeg can read is handed on to it, with the address that was found.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NoReturn, Protocol
from urllib.parse import urljoin, urlsplit

from rolltape.capture.connect import connect, resolve, tls_context
from rolltape.capture.connection import Connection
from rolltape.capture.frames import FrameReader, Frames
from rolltape.capture.http import refusal
from rolltape.capture.icy import clean
from rolltape.capture.playlist import LONGEST, entries
from rolltape.capture.sniff import ENOUGH, WEB_PAGE, Content, Kind, sniff
from rolltape.capture.source import Sink, Station
from rolltape.domain.address import DEFAULT_PORTS, Egress, check_url, mask
from rolltape.domain.errors import FormatUnsupported, InputError, SourceError, SourceLost, SourceUnreachable
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Seconds

MOST_REDIRECTS = 8
MOST_PLAYLISTS = 3  # one inside of the other
MOST_JUNK = 64 * 1024  # bytes in a row that are no frames, until we give the connection up
MOST_AHEAD = Seconds(180)  # of the clock; no server bursts for longer, so it is a file
SNIFF_FROM = 1024  # bytes


@dataclass(frozen=True)
class Found:
    """What an address led to: `url` is where it is in the end."""

    url: str
    content: Content
    station: Station
    connection: Connection
    typed: bool = True  # a person gave the address, or one in the local network led to it


@dataclass(frozen=True)
class _Step:
    """One address on the way. `typed`: a person gave it, or one in the local network led to it."""

    url: str
    typed: bool
    seen: tuple[str, ...] = ()
    playlists: int = 0

    def to(self, url: str, *, typed: bool) -> "_Step":
        return replace(self, url=url, typed=typed, seen=(*self.seen, self.url))


class HttpFinder:
    """Follows an address to the stream that it stands for."""

    def __init__(self, egress: Egress, *, verify_tls: bool) -> None:
        self._egress = egress
        self._verify_tls = verify_tls

    async def find(self, url: str) -> Found:
        """The stream behind `url`, connected.

        Raises:
            SourceUnreachable: there is none.
            FormatUnsupported: it is no audio.
        """
        return await self._follow(_Step(url, typed=True))

    async def _follow(self, step: _Step) -> Found:
        while True:
            connection, is_local = await self._request(step)
            try:
                head = await connection.answer()
                refused = refusal(head, step.url, now=datetime.now(UTC))
                if refused is not None:
                    raise refused
                if head.location is None:
                    return await self._look_into(connection, step, typed=step.typed and is_local)
            except BaseException:
                connection.close()
                raise
            connection.close()
            step = _redirected(step, head.location, typed=step.typed and is_local)
            if urlsplit(step.url).scheme not in ("http", "https"):
                raise SourceUnreachable(
                    f"{mask(step.url)}: a redirect to this kind of address is not followed.", code="bad_redirect"
                )

    async def _request(self, step: _Step) -> tuple[Connection, bool]:
        """A connection with the request sent, and whether it leads into the local network."""
        parts = urlsplit(step.url)
        host = parts.hostname or ""
        port = parts.port or DEFAULT_PORTS[parts.scheme.lower()]
        addresses = await resolve(host, port, self._egress, typed=step.typed)
        tls = tls_context(verify=self._verify_tls) if parts.scheme.lower() == "https" else None
        made = await connect(lambda sock: Connection(sock, step.url, f"{host}:{port}"), host, port, addresses, tls)
        return made, all(self._egress.is_local(address) for address in addresses)

    async def _look_into(self, connection: Connection, step: _Step, *, typed: bool) -> Found:
        content = await _content(connection)
        if content.kind is Kind.PLAYLIST:
            return await self._follow_playlist(connection, step, typed=typed)
        if content.kind is Kind.FOREIGN:
            raise _foreign(content, step.url)
        assert connection.head is not None
        name, genre = (clean(connection.head.headers.get(f"icy-{told}", b"")) or None for told in ("name", "genre"))
        return Found(step.url, content, Station(name, genre), connection, step.typed)

    async def _follow_playlist(self, connection: Connection, step: _Step, *, typed: bool) -> Found:
        """The first stream of a playlist that works."""
        listed = entries(await connection.peek(LONGEST), step.url)
        connection.close()
        if step.playlists >= MOST_PLAYLISTS:
            raise SourceUnreachable(
                f"{mask(step.url)}: playlists lead to playlists, without end.", code="too_many_redirects"
            )
        failure: SourceError = SourceUnreachable(f"{mask(step.url)}: the playlist is empty.", code="empty_playlist")
        for url in listed:
            if urlsplit(url).scheme.lower() not in ("http", "https"):
                return Found(url, Content(Kind.CONTAINER, "a stream"), Station(), connection, typed)
            try:
                following = replace(step.to(url, typed=typed), playlists=step.playlists + 1)
                return await self._follow(following)
            except SourceError as exc:
                failure = exc
        raise failure


class Handover(Protocol):
    """What takes over the streams that are not read here."""

    async def receive_found(self, found: Found, sink: Sink) -> None:
        """As `Source.receive`, for a stream that has been looked into already."""


class IcecastSource:
    """Receives an HTTP stream. What is not for us goes to `other`; `native` is False where all of it does."""

    def __init__(self, finder: HttpFinder, other: Handover | None, *, connect_timeout: Seconds, native: bool) -> None:
        self._finder = finder
        self._other = other
        self._connect_timeout = connect_timeout
        self._native = native
        self._player: _Player | None = None

    async def receive(self, url: str, sink: Sink) -> None:
        found = await self.find(url)
        if self._native and found.content.kind is Kind.FRAMES and found.content.codec is not None:
            await self._play(found, found.content.codec, sink)
        found.connection.close()
        if self._other is None:
            raise FormatUnsupported(
                f"{mask(found.url)}: the native engine reads MP3 and AAC; this is {found.content.name}."
            )
        try:
            await self._other.receive_found(found, sink)
        except SourceUnreachable as exc:
            if found.content.kind is Kind.UNKNOWN and exc.code == SourceUnreachable.code:
                why = "what the server sends is no audio format that Rolltape knows"
                raise FormatUnsupported(f"{mask(found.url)}: {why}.") from exc
            raise

    async def find(self, url: str) -> Found:
        """Raises SourceUnreachable where it takes longer than `connect_timeout` in all."""
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._finder.find(url)
        except TimeoutError as exc:
            why = f"no stream within {self._connect_timeout:.0f} s"
            raise SourceUnreachable(f"{mask(url)}: {why}.", code="connect_timeout") from exc

    def gather(self, span: Seconds) -> None:
        if self._player is not None:
            self._player.gather(span)

    async def _play(self, found: Found, codec: Codec, sink: Sink) -> NoReturn:
        sink.connected(found.station)
        self._player = _Player(found.connection, sink, codec)
        try:
            await self._player.play()
        finally:
            self._player = None
            found.connection.close()


class _Player:
    """Cuts the body of an answer into frames, and puts them into the sink."""

    def __init__(self, connection: Connection, sink: Sink, codec: Codec) -> None:
        self._connection = connection
        self._sink = sink
        self._codec = codec
        self._reader = FrameReader(codec)
        self._format: AudioFormat | None = None
        self._title: str | None = None
        self._junk = b""  # the end of what came, as far as it is no frames
        self._began = asyncio.get_running_loop().time()
        self._seconds = 0.0
        self._bytes = 0

    async def play(self) -> NoReturn:
        try:
            await self._connection.play(self._consume)
        finally:
            self._put(self._reader.flush())

    def gather(self, span: Seconds) -> None:
        rate = self._bytes / self._seconds if self._seconds else 0
        self._connection.gather(int(rate * span), span)

    def _consume(self, data: bytes) -> None:
        self._put(self._reader.feed(data))
        if self._connection.title != self._title:
            self._title = self._connection.title
            self._sink.title(self._title or "")
        if self._reader.junk:
            self._look_at_junk(data)

    def _put(self, found: list[Frames]) -> None:
        for frames in found:
            if frames.format is not self._format:
                self._format = frames.format
                self._sink.begin(frames.format, f".{self._codec.value}")
            self._sink.append(frames.data, frames.seconds)
            self._seconds += frames.seconds
            self._bytes += len(frames.data)
        if found and self._seconds > MOST_AHEAD + asyncio.get_running_loop().time() - self._began:
            raise FormatUnsupported("This is a finished file, not a live stream.", code="not_live")

    def _look_at_junk(self, data: bytes) -> None:
        """Frames of this codec come no more: perhaps another one began."""
        unread = self._reader.junk + len(self._reader.rest)
        self._junk = (self._junk + data)[-unread:]
        if unread < ENOUGH:
            return
        content = sniff(self._junk, complete=True)
        if content is not None and content.kind is Kind.FRAMES and content.codec not in (None, self._codec):
            self._codec = content.codec or self._codec
            self._reader = FrameReader(self._codec)
            self._put(self._reader.feed(self._junk))
        elif unread > MOST_JUNK:
            raise SourceLost("The server sends something that is no audio any more.", code="not_audio")


async def _content(connection: Connection) -> Content:
    """What the body is, told from its first bytes."""
    data = await connection.peek(SNIFF_FROM)
    if not data:
        raise SourceUnreachable("The server answered, and sent nothing.", code="empty")
    while True:
        complete = connection.has_ended or len(data) >= ENOUGH
        content = sniff(data[:ENOUGH] if complete else data, complete=complete)
        if content is not None:
            return content
        data = await connection.peek_more(len(data))


def _redirected(step: _Step, location: str, *, typed: bool) -> _Step:
    try:
        url = check_url(urljoin(step.url, location))
    except (InputError, ValueError) as exc:
        raise SourceUnreachable(
            f"{mask(step.url)}: the server redirects to something that is no address.", code="bad_redirect"
        ) from exc
    if url in (*step.seen, step.url):
        raise SourceUnreachable(f"{mask(step.url)}: the server redirects in a circle.", code="too_many_redirects")
    if len(step.seen) >= MOST_REDIRECTS:
        raise SourceUnreachable(f"{mask(step.url)}: more than {MOST_REDIRECTS} redirects.", code="too_many_redirects")
    return step.to(url, typed=typed)


def _foreign(content: Content, url: str) -> SourceError:
    if content is WEB_PAGE:
        # A page for maintenance or for logging in passes; a format stays.
        return SourceUnreachable(f"{mask(url)}: the server sent a web page, not audio.", code="not_audio_html")
    return FormatUnsupported(f"{mask(url)}: the server sent {content.name}, which cannot be recorded.")
