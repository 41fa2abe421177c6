"""The takes of a session on disk, and what is known of them.

Every connection begins a take of its own. What a server sends twice is not looked for here yet: `begin` is where
the frames of a new connection will be matched to the end of the take before (SPEC 1.5), and `append` where the ones
that were there already will be left out. Until then the clock tells which of two overlapping takes counts
(`domain.recording.account`).
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from math import inf, isfinite
from pathlib import Path
from time import monotonic

from rolltape.capture.clock import Clock
from rolltape.capture.journal import JournalWriter, format_fields
from rolltape.capture.measure import measure
from rolltape.capture.source import Station
from rolltape.domain.take import AudioFormat, TakeFacts
from rolltape.domain.units import BitsPerSecond, Bytes, Seconds

PAUSE = Seconds(3)  # without audio: what follows may have lost its place on the clock
_DISK_THREADS = 2  # a disk does one thing at a time


@cache
def _disk() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_DISK_THREADS, "sync")


class Take:
    """The take that is being recorded.

    A server sends its last seconds at once to whoever connects, then as they are played. So audio is on time when it
    comes earliest, measured against its place in the take; that moment says when the take begins.
    """

    def __init__(self, number: int, path: Path, format: AudioFormat, *, ours: bool) -> None:
        """`ours`: we write the file, not FFmpeg."""
        self.number = number
        self.path = path
        self.format = format
        self.size = 0
        self.media = 0.0  # seconds
        self.zero = inf  # when it begins, by the monotonic clock
        self.opened = monotonic()
        self.arrived = self.opened  # the last audio, by the same clock
        self.is_draining = False  # what comes now came a while ago, and waited in the network's buffers
        self.pause = 0.0  # the longest recent one between two arrivals, in seconds
        self._refused: OSError | None = None  # why the disk took no more
        self._identity: tuple[int, int] | None = None  # device and inode of the file
        self._file = (
            os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600) if ours else None
        )

    def append(self, data: bytes, seconds: float) -> None:
        assert self._file is not None
        if self._refused is not None:  # room came back: what was refused would be missing between the frames
            raise self._refused
        left = data
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as exc:
            self._refused = exc
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)  # to the last whole frame
            raise
        self.reached(self.media + seconds, self.size + len(data))

    def reached(self, media: float, size: int) -> None:
        """The take holds `media` seconds now."""
        if media <= self.media:
            self.size = max(size, self.size)
            return
        now = monotonic()
        self.media, self.size = media, size
        self.zero = min(self.zero, now - media)
        if not self.is_draining:
            self.pause = max(now - self.arrived, self.pause * 0.99)
            self.arrived = now

    def facts(self, clock: Clock, ended_by: str) -> TakeFacts:
        bit_rate = BitsPerSecond(round(self.size * 8 / self.media / 1000) * 1000) if self.media >= 1 else None
        begins = clock.moment(self.zero if isfinite(self.zero) else self.opened)
        format = replace(self.format, bit_rate=bit_rate)
        return TakeFacts(self.number, self.path.name, format, begins, Seconds(self.media), ended_by)

    def sync(self) -> None:
        """Put it on the disk. Waits for the disk.

        Raises:
            OSError: it is not on the disk, or not under its name (any more): nobody would find it there.
        """
        ours = self._file
        if ours is not None:
            os.fdatasync(ours)
            found, expected = self.path.stat(), os.fstat(ours)
        else:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(file)
                found = expected = os.fstat(file)
            finally:
                os.close(file)
        self._identity = self._identity or (expected.st_dev, expected.st_ino)
        if (found.st_dev, found.st_ino) != self._identity:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def finish(self) -> None:
        """No more audio comes: see how much there is in the end."""
        if self._file is None:
            self.size = self.path.stat().st_size
            self.media = measure(self.path, self.format.codec, known=Seconds(self.media), size=self.size)

    def close(self) -> None:
        """Put it on the disk and close it. Waits for the disk."""
        try:
            self.sync()
        finally:
            if self._file is not None:
                os.close(self._file)
                self._file = None


class Tape:
    """The takes of a session: a `Sink` for its sources. `done` are the closed ones."""

    def __init__(
        self, folder: Path, clock: Clock, done: list[TakeFacts], *, on_event: Callable[[str, str], None]
    ) -> None:
        """Raises OSError where the folder cannot be written."""
        self.folder = folder
        self._clock = clock
        self._on_event = on_event
        self._syncing: asyncio.Future[None] | None = None
        self._closing: list[asyncio.Future[None]] = []
        self.journal = JournalWriter(folder)
        self.done = done
        self.take: Take | None = None
        self.is_connected = False
        self.station: str | None = None
        self.current_title: str | None = None

    # The sink:

    def connected(self, station: Station) -> None:
        self.is_connected = True
        name = station.name
        if name and name != self.station:
            self.station = name
            self.journal.write("station", self._clock.now(), name=name)
        self._on_event("connected", f"Connected to {name}." if name else "Connected.")

    def title(self, title: str) -> None:
        if title == self.current_title:
            return
        self.current_title = title
        place = {"take": self.take.number, "media": round(self.take.media, 3)} if self.take is not None else {}
        self.journal.write("title", self._clock.now(), title=title, **place)
        if title:
            self._on_event("title", title)

    def note(self, kind: str, message: str) -> None:
        self._on_event(kind, message)

    def begin(self, format: AudioFormat, suffix: str, *, ours: bool = True) -> Path:
        if self.take is not None:
            self.close_take("The format of the stream changed.")
            self.is_connected = True
        number = self._free_number()
        path = self.folder / f"take-{number:03d}{suffix}"
        self.take = Take(number, path, format, ours=ours)
        self.journal.write("opened", self._clock.now(), take=number, file=path.name, **format_fields(format))
        self._on_event("format", f"Take {number}: {describe(format)}.")
        return path

    def append(self, frames: bytes, seconds: Seconds) -> None:
        assert self.take is not None
        silence = monotonic() - self.take.arrived
        if self.take.media and silence > max(PAUSE, 3 * self.take.pause):
            self._begin_anew(self.take, silence)
        self.take.append(frames, seconds)

    def reached(self, seconds: Seconds, size: Bytes) -> None:
        assert self.take is not None
        self.take.reached(seconds, size)

    # For the recorder:

    def facts(self, ended_by: str = "") -> list[TakeFacts]:
        """All takes with audio, the present one too."""
        if self.take is None or not self.take.media:
            return self.done
        return [*self.done, self.take.facts(self._clock, ended_by)]

    def sync_soon(self) -> None:
        """Note how far the take is, and have it put on the disk by another thread.

        Raises:
            OSError: the journal cannot be written; or the last time, the take could not be put on the disk.
        """
        if self.take is None or (self._syncing is not None and not self._syncing.done()):
            return
        if self._syncing is not None:
            self._syncing.result()
        self._write_take("sync", self.take)
        self._syncing = self._on_disk(partial(self._sync, self.take))

    def close_take(self, ended_by: str) -> None:
        """End the present take, if there is one, and be ready for the next. `close` waits until it is on the disk.

        On a disk that takes nothing more it is ended all the same; `make_up_for` enters later what is missing.
        """
        self.is_connected = False
        take, self.take = self.take, None
        if take is None:
            return
        with contextlib.suppress(OSError):  # it is gone: then it holds what is known of it
            take.finish()
        facts = take.facts(self._clock, ended_by)
        with contextlib.suppress(OSError):
            self._write_take("closed", take, ended_by=ended_by)
        if facts.duration:
            self.done = [*self.done, facts]
        self._closing.append(self._on_disk(take.close))

    async def close(self) -> None:
        """Have everything on the disk. Many sessions end in the same second, and the others go on meanwhile.

        Raises:
            OSError: the disk is full or broken.
        """
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
            self._syncing.exception()  # what it says is told by closing, too
        closings = [*self._closing, self._on_disk(self.journal.close)]
        results = await asyncio.gather(*closings, return_exceptions=True)
        for error in results:
            if error is not None:
                raise error

    def _on_disk(self, action: Callable[[], None]) -> asyncio.Future[None]:
        """Done by another thread, because it waits for the disk."""
        return asyncio.get_running_loop().run_in_executor(_disk(), action)

    def _begin_anew(self, take: Take, silence: float) -> None:
        """A take of its own for what comes after a pause: only its own clock tells whether any audio is missing."""
        why = f"Nothing came for {silence:.1f} s."
        self.close_take(why)
        self.begin(take.format, take.path.suffix)
        self.is_connected = True
        assert self.take is not None
        self.take.pause = silence  # some servers send in gushes; the next one is no surprise
        self._on_event("paused", why)

    def _sync(self, take: Take) -> None:
        try:
            take.sync()
            os.fdatasync(self.journal.descriptor)
        except OSError:
            if take is self.take:  # else it was closed meanwhile, and closing puts it on the disk itself
                raise

    def _write_take(self, event: str, take: Take, **more: str) -> None:
        facts = take.facts(self._clock, "")
        self.journal.write(
            event,
            self._clock.now(),
            take=take.number,
            begins=facts.begins.isoformat(timespec="milliseconds"),
            media=round(take.media, 3),
            bytes=take.size,
            **more,
        )

    def _free_number(self) -> int:
        numbers = (path.name[5:].partition(".")[0] for path in self.folder.glob("take-*"))
        return max((int(number) for number in numbers if number.isdigit()), default=0) + 1


def describe(format: AudioFormat) -> str:
    """A format in words, like "MP3, 44.1 kHz, stereo"."""
    words = [_CODEC_NAMES.get(format.codec.value, format.codec.value.upper())]
    if format.sample_rate:
        words.append(f"{format.sample_rate / 1000:g} kHz")
    if format.channels:
        words.append({1: "mono", 2: "stereo"}.get(format.channels, f"{format.channels} channels"))
    return ", ".join(words)


_CODEC_NAMES = {"vorbis": "Vorbis", "opus": "Opus", "other": "another format"}
