"""Listen to a session while it records: its takes as one MP3 that goes on as they grow.

MP3 takes are handed out as they are. Anything else goes through an FFmpeg for each listener, of which there are only
a few. The takes are read from the disk like by any other program: the recording does not notice.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from rolltape.capture.frames import HEADERS, FrameReader
from rolltape.domain.errors import BusyError, ConflictError
from rolltape.domain.session import SessionState
from rolltape.domain.take import Codec, takes_folder
from rolltape.domain.units import Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.command import MP3_SUFFIX, OTHER_SUFFIX
from rolltape.ffmpeg.probe import last_clusters
from rolltape.ffmpeg.run import Run
from rolltape.services.sessions import Sessions

BEHIND = Seconds(5)  # before the end of what is recorded; players want some audio before they begin
LOOK = Seconds(0.5)  # between looks for more; a take grows some times a second
PATIENCE = Seconds(10)  # for the first bytes
MOST_ENCODED = 4  # listeners at once for whom FFmpeg has to encode
NICE = 10  # recordings come first

_PIECE = 32 * 1024  # bytes to hand on at a time: two seconds
_TAIL = 512 * 1024  # bytes in which the last seconds are looked for; more than they are in any MP3 or AAC
_STEP = 2048  # bytes; how exactly the place is found where to begin
_CLUSTERS = 10  # of half a second


class Listening:
    def __init__(self, sessions: Sessions, *, recordings: Path, ffmpeg: str) -> None:
        self._sessions = sessions
        self._recordings = recordings
        self._ffmpeg = ffmpeg
        self._over = asyncio.Event()
        self._encoded = 0  # how many listen by FFmpeg
        self._encoders: dict[Run, asyncio.Task[None]] = {}  # with the task that feeds it
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self, session_id: int) -> AsyncIterator[bytes]:
        """The MP3 of what is recorded, from some seconds ago on, until the recording ends.

        Raises:
            ConflictError: it does not record, or nothing came yet.
            BusyError: too many listen already.
        """
        session = await self._sessions.get(session_id)
        if session.state is not SessionState.RECORDING:
            raise ConflictError("Nothing can be heard: this session does not record at the moment.")
        stream = self._stream(session_id)
        try:
            async with asyncio.timeout(PATIENCE):
                first = await anext(stream)
        except (StopAsyncIteration, TimeoutError) as exc:
            raise ConflictError("Nothing came from the station yet. Try again in a moment.") from exc
        return _joined(first, stream)

    async def close(self) -> None:
        """Let all listeners go, at once and for good."""
        self._over.set()
        for run in list(self._encoders):
            self._let_go(run)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _stream(self, session_id: int) -> AsyncGenerator[bytes]:
        take, is_first = self._next_take(session_id, newest=True), True
        while take is not None and not self._over.is_set():
            start = await asyncio.to_thread(_near_end, take) if is_first else 0
            if take.suffix == MP3_SUFFIX:
                pieces = self._grown(session_id, take, start)
            else:
                pieces = self._as_mp3(session_id, take, start)
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield piece
            take, is_first = self._next_take(session_id, behind=take), False

    async def _grown(self, session_id: int, take: Path, start: int) -> AsyncGenerator[bytes]:
        """What is in the file of a take from `start` on, and what is added to it, until nothing will be."""
        with take.open("rb", buffering=0) as file:
            file.seek(start)
            while not self._over.is_set():
                is_done = await self._is_done(session_id, take)
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    yield piece
                if is_done:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._over.wait()

    async def _as_mp3(self, session_id: int, take: Path, start: int) -> AsyncGenerator[bytes]:
        if self._encoded >= MOST_ENCODED:
            raise BusyError(
                f"{MOST_ENCODED} people listen to stations like this one already, as many as can at once. "
                "Try again when one of them has stopped."
            )
        self._encoded += 1
        try:
            format = "matroska" if take.suffix == OTHER_SUFFIX else "aac"
            run = await Run.start(
                self._ffmpeg, encoding.live_to_mp3(format), folder=take.parent, nice=NICE, stdin=asyncio.subprocess.PIPE
            )
        except BaseException:
            self._encoded -= 1
            raise
        feeding = self._feed(run, self._grown(session_id, take, start), _header(take, start))
        self._encoders[run] = asyncio.create_task(feeding)
        try:
            while piece := await run.stdout.read(_PIECE):
                yield piece
        finally:
            self._let_go(run)

    async def _feed(self, run: Run, pieces: AsyncIterator[bytes], header: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it ended by itself
            run.stdin.write(header)
            async for piece in pieces:
                run.stdin.write(piece)
                await run.stdin.drain()
        run.stdin.close()

    def _let_go(self, run: Run) -> None:
        """End an FFmpeg. That takes a moment, and whoever listened has no right to wait any more."""
        feeding = self._encoders.pop(run, None)
        if feeding is not None:
            ending = asyncio.create_task(self._end(run, feeding))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _end(self, run: Run, feeding: "asyncio.Task[None]") -> None:
        feeding.cancel()
        await asyncio.wait([feeding])
        run.stdin.close()
        await run.stop()
        self._encoded -= 1

    async def _is_done(self, session_id: int, take: Path) -> bool:
        """Whether nothing will be added to a take any more."""
        if self._next_take(session_id, behind=take) is not None:
            return True
        return (await self._sessions.get(session_id)).state is not SessionState.RECORDING

    def _next_take(self, session_id: int, *, newest: bool = False, behind: Path | None = None) -> Path | None:
        """The newest take with audio, or the one that was recorded after the one given; None if there is none."""
        takes = sorted(takes_folder(self._recordings, session_id).glob("take-*.*"), key=_number)
        found = [take for take in takes if behind is None or _number(take) > _number(behind)]
        return None if not found else found[-1] if newest else found[0]


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def _number(take: Path) -> int:
    digits = take.stem.removeprefix("take-")
    return int(digits) if digits.isdecimal() else 0


def _near_end(take: Path) -> int:
    """The position in the file of a take, some seconds before its end, from which on it can be played."""
    if take.suffix == OTHER_SUFFIX:
        return last_clusters(take, _CLUSTERS)[1]
    codec = Codec(take.suffix.removeprefix("."))
    size = take.stat().st_size
    if codec not in HEADERS:
        return 0
    with take.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    return size - len(tail) + _last_seconds(tail, codec)


def _last_seconds(tail: bytes, codec: Codec) -> int:
    """Where in `tail` the frame is that begins some seconds before its end."""
    reader = FrameReader(codec)
    steps = (tail[begin : begin + _STEP] for begin in range(0, len(tail), _STEP))
    begins: list[tuple[int, float]] = []  # of runs of frames: position, and the seconds up to there
    position, seconds = 0, 0.0
    for step in steps:
        position += len(step)
        for frames in reader.feed(step):
            begins.append((position - len(reader.rest) - len(frames.data), seconds))
            seconds += frames.seconds
    return next((at for at, passed in begins if passed >= seconds - BEHIND), 0)


def _header(take: Path, start: int) -> bytes:
    """What has to come before the audio from `start` on."""
    if take.suffix != OTHER_SUFFIX or not start:
        return b""
    with take.open("rb") as file:
        return file.read(last_clusters(take, 1)[0])
