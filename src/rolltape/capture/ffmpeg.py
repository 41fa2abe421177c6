"""Streams that FFmpeg receives: HLS, RTMP, RTSP, SRT, and over HTTP everything but MP3 and ADTS.

It writes the take itself; we read its progress and, from the file, what is in it. Its exit code is not believed.
Over HTTP and TLS it reaches the network through our proxy; else it gets the numeric address that was checked.
"""

import asyncio
import contextlib
import errno
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from rolltape import __version__
from rolltape.capture.connect import resolve
from rolltape.capture.faults import fault
from rolltape.capture.frames import FrameReader
from rolltape.capture.icecast import MOST_AHEAD, Found
from rolltape.capture.proxy import Passage, Proxy
from rolltape.capture.sniff import ENOUGH, Kind
from rolltape.capture.source import Sink, Station
from rolltape.disk import try_out
from rolltape.domain.address import DEFAULT_PORTS, Egress, mask
from rolltape.domain.errors import FfmpegMissing, FormatUnsupported, SourceError, SourceLost, SourceUnreachable
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Bytes, Seconds
from rolltape.ffmpeg.cage import Network
from rolltape.ffmpeg.command import MP3_SUFFIX, capture, suffix_for
from rolltape.ffmpeg.probe import read_matroska
from rolltape.ffmpeg.progress import RunProgress, read_progress
from rolltape.ffmpeg.run import Run

PROXIED = ("http", "https", "rtmps")  # FFmpeg's TLS takes the proxy, too
USER_AGENT = f"Rolltape/{__version__}"
AUTHORITIES = (  # where systems keep the certificates that TLS is verified by
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
INCOMING = ".incoming"  # the name of a take before it is known what is in it


class FfmpegSource:
    """Has FFmpeg receive a stream. It is ended and started again where the stream turns out to be MP3."""

    def __init__(
        self, program: str, egress: Egress, proxy: Proxy, *, verify_tls: bool, connect_timeout: Seconds
    ) -> None:
        self._program = program
        self._egress = egress
        self._proxy = proxy
        self._verify_tls = verify_tls
        self._connect_timeout = connect_timeout

    async def receive(self, url: str, sink: Sink) -> None:
        await self._receive(url, sink, codec=None, station=Station(), typed=True)

    async def receive_found(self, found: Found, sink: Sink) -> None:
        """Receive a stream that was looked into already."""
        codec = found.content.codec if found.content.kind is not Kind.HLS else None
        await self._receive(found.url, sink, codec=codec, station=found.station, typed=found.typed)

    def gather(self, span: Seconds) -> None:
        """FFmpeg writes what comes as it comes."""

    async def _receive(self, url: str, sink: Sink, *, codec: Codec | None, station: Station, typed: bool) -> NoReturn:
        with await self._way(url, sink, typed=typed) as way:
            while True:
                capture = _Capture(url, sink, codec, station, way, connect_timeout=self._connect_timeout)
                codec = await capture.run(self._program, verify_tls=self._verify_tls)

    async def _way(self, url: str, sink: Sink, *, typed: bool) -> "AbstractContextManager[_Way]":
        """How FFmpeg gets to `url`, for the time of the context, if it may."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        port = parts.port or DEFAULT_PORTS.get(scheme, 0)
        if scheme == "srt" and not typed and "mode" in dict(parse_qsl(parts.query, keep_blank_values=True)):
            why = "a public address led to one that says who calls whom, which only a typed address may"
            raise SourceUnreachable(f"{mask(url)}: {why}.", code="egress_refused")
        addresses = await resolve(parts.hostname or "", port, self._egress, typed=typed)
        if scheme not in PROXIED:
            return nullcontext(_Way(Network((port,)), addresses[0]))
        may_be_local = typed and all(self._egress.is_local(address) for address in addresses)
        return self._through_proxy(sink, may_be_local=may_be_local)

    @contextmanager
    def _through_proxy(self, sink: Sink, *, may_be_local: bool) -> "Iterator[_Way]":
        def refused(failure: SourceError) -> None:
            sink.note("refused", failure.message)

        with self._proxy.passage(self._egress, may_be_local=may_be_local, refused=refused) as passage:
            yield _Way(Network((passage.port,), passage.url, _authorities()), None, passage)


@dataclass(frozen=True)
class _Way:
    """How FFmpeg gets there: to a numeric address, or through a passage of the proxy."""

    network: Network
    address: str | None
    passage: Passage | None = None


class _Capture:
    """One run of FFmpeg."""

    def __init__(
        self, url: str, sink: Sink, codec: Codec | None, station: Station, way: _Way, *, connect_timeout: Seconds
    ) -> None:
        self._url = url
        self._sink = sink
        self._codec = codec
        self._station = station
        self._way = way
        self._connect_timeout = connect_timeout
        self._file = sink.folder / f"{INCOMING}{suffix_for(codec)}"
        self._has_begun = False
        self._began = asyncio.get_running_loop().time()

    async def run(self, program: str, *, verify_tls: bool) -> Codec:
        """Receive until the stream ends, which is an error; or, if it is MP3 in the wrong container, return that.

        Raises:
            SourceError: why it ended.
            OSError: it could not write.
        """
        self._sink.folder.stat()  # where that is gone, FFmpeg is not to blame
        self._file.unlink(missing_ok=True)
        arguments = capture(
            self._url, self._file,
            address=self._way.address, verify_tls=verify_tls, authorities=_authorities(), user_agent=USER_AGENT,
        )  # fmt: skip
        try:
            run = await Run.start(program, arguments, folder=self._sink.folder, network=self._way.network)
        except FfmpegMissing as exc:  # it is upgraded, or the machine is out of processes: until the end it may be back
            raise SourceUnreachable(f"{exc.message}.", code=exc.code) from exc
        try:
            if await self._watch(run):
                return Codec.MP3
            code = await run.wait()
        finally:
            await self._stop(run)
        await asyncio.to_thread(_blame_disk, code, run.last_words, self._file)
        raise self._ended(run.last_words)

    async def _watch(self, run: Run) -> bool:
        """Follow the progress to its end; True as soon as it is MP3 in the wrong container."""
        try:
            async with asyncio.timeout(self._connect_timeout) as deadline:
                async for progress in read_progress(run.stdout):
                    if not self._has_begun and progress.recorded:
                        format = self._format()
                        if format is None:
                            continue
                        if format.codec is Codec.MP3 and self._file.suffix != MP3_SUFFIX:
                            return True
                        self._begin(format)
                        deadline.reschedule(None)
                    self._note(progress)
                    if (progress.recorded or 0) > MOST_AHEAD + asyncio.get_running_loop().time() - self._began:
                        raise FormatUnsupported("This is a finished file, not a live stream.", code="not_live")
        except TimeoutError as exc:
            why = f"no audio within {self._connect_timeout:.0f} s"
            raise SourceUnreachable(f"{mask(self._url)}: {why}.", code="connect_timeout") from exc
        return False

    def _format(self) -> AudioFormat | None:
        """The format of what is in the file; None where too little of it is."""
        if self._file.suffix == MP3_SUFFIX:
            return _mp3_format(self._file)
        with contextlib.suppress(FileNotFoundError):
            return read_matroska(self._file).format
        return None

    def _begin(self, format: AudioFormat) -> None:
        self._has_begun = True
        self._sink.connected(self._station)
        path = self._sink.begin(format, self._file.suffix, ours=False)
        self._file = self._file.rename(path)

    async def _stop(self, run: Run) -> None:
        """End FFmpeg, and count what it wrote to the last."""
        await run.stop()
        async for progress in read_progress(run.stdout):
            self._note(progress)
        if not self._has_begun:
            self._file.unlink(missing_ok=True)

    def _note(self, progress: RunProgress) -> None:
        if self._has_begun and progress.recorded:
            self._sink.reached(progress.recorded, progress.size or Bytes(0))

    def _ended(self, last_words: str) -> SourceError:
        failure = self._way.passage.failure if self._way.passage is not None else None
        if failure is not None and self._has_begun:
            return SourceLost(failure.message, code=failure.code)
        if failure is not None:
            return failure
        if self._has_begun:
            return SourceLost("The stream ended.", code="closed")
        return fault(self._url, last_words)


def _blame_disk(code: int, last_words: str, file: Path) -> None:
    """Find out whether FFmpeg ended because it could not write to `file`. Waits for the disk.

    Raises:
        OSError: it was that.
    """
    if code == -signal.SIGXFSZ:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        if os.strerror(number) in last_words:
            raise OSError(number, os.strerror(number), str(file))
    # These are said of connections as well, so the disk is asked itself.
    if any(os.strerror(number) in last_words for number in (errno.EIO, errno.ENOENT, errno.EACCES, errno.EMFILE)):
        try_out(file.parent, Bytes(1))


def _mp3_format(path: Path) -> AudioFormat | None:
    """The format of the first frames in an MP3 file; None where there are too few."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return next((frames.format for frames in FrameReader(Codec.MP3).feed(file.read(ENOUGH))), None)
    return None


def _authorities() -> str | None:
    named = ssl.get_default_verify_paths().cafile
    return named or next((file for file in AUTHORITIES if Path(file).is_file()), None)
