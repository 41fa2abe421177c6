"""The takes of a session on disk, and what is known of them.

A connection begins a take of its own, unless its first frames are in the last take already: then that one goes on
behind the last frame it has (`splice`). What comes after a pause goes on as well, unless the clock says that something
is missing. As long as that cannot be said, the frames are on trial, in memory.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic

from rolltape.capture.clock import Clock
from rolltape.capture.flow import Flow
from rolltape.capture.frames import HEADERS
from rolltape.capture.journal import JournalWriter, format_fields
from rolltape.capture.pace import Stall
from rolltape.capture.source import Station
from rolltape.capture.splice import Match, Splice, read_tail
from rolltape.capture.syncing import syncing
from rolltape.capture.take import Take
from rolltape.disk import TOO_LARGE
from rolltape.domain.recording import CLOCK
from rolltape.domain.take import AudioFormat, TakeFacts
from rolltape.domain.units import Bytes, Seconds

PAUSE = Seconds(3)  # without audio: what follows may have lost its place on the clock


class _Trial:
    """Frames of which it is not known yet whether they go on with the last take.

    Those of a new connection have a `splice`. Those that came after a pause of `silence` have none: they go on with
    the present take, or with a new one.
    """

    def __init__(self, format: AudioFormat, suffix: str, *, splice: Splice | None = None, silence: float = 0) -> None:
        self.format = format
        self.suffix = suffix
        self.splice = splice
        self.silence = silence
        self.pieces: list[tuple[bytes, float]] = []

    def add(self, frames: bytes, seconds: float) -> None:
        self.pieces.append((frames, seconds))
        if self.splice is not None:
            self.splice.feed(frames)

    def unseen(self, seen: int) -> list[tuple[bytes, float]]:
        """What comes behind the first `seen` bytes, which are whole frames."""
        header = HEADERS[self.format.codec]
        left = []
        for frames, seconds in self.pieces:
            at = 0
            while at < len(frames) and seen > 0:
                first = header(frames, at)
                assert first is not None, "only whole frames come here"
                at, seen, seconds = at + first.size, seen - first.size, seconds - first.seconds
            if at < len(frames):
                left.append((frames[at:], seconds))
        return left


class Tape:
    """The takes of a session: a `Sink` for its sources. `done` are the closed ones.

    `flow` is how audio comes by the present connection, None as long as none has sent any.
    """

    def __init__(
        self, folder: Path, clock: Clock, done: list[TakeFacts], *, on_event: Callable[[str, str], None]
    ) -> None:
        """Raises OSError where the folder cannot be written."""
        self.folder = folder
        self._clock = clock
        self._on_event = on_event
        self._disk = syncing()
        self._syncing: asyncio.Future[None] | None = None
        self._closing: list[asyncio.Future[None]] = []
        self._trial: _Trial | None = None
        self._began = 0.0  # when the present connection sent its first audio, by the monotonic clock
        self.journal = JournalWriter(folder)
        self.done = done
        self.take: Take | None = None
        self.flow: Flow | None = None
        self.stall = Stall()
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
        if self.flow is not None:
            self.close_take("The format of the stream changed.")
            self.is_connected = True
        self.flow = Flow()
        self._began = self.flow.opened
        splice = self.splice(format, suffix) if ours else None
        if splice is None:
            return self._open(format, suffix, ours=ours).path
        self._trial = _Trial(format, suffix, splice=splice)
        return self.folder / self.done[-1].file

    def append(self, frames: bytes, seconds: Seconds) -> None:
        assert self.flow is not None
        if self._trial is None and self.take is not None and self._has_paused(self.flow):
            self._trial = _Trial(self.take.format, self.take.path.suffix, silence=self.flow.silence)
            # Some servers send in gushes; the next one is no surprise.
            self.flow = Flow(pause=self.flow.silence)
        self.flow.came(seconds)
        self.stall.came(self.flow.arrived)
        if self._trial is None:
            assert self.take is not None
            self.take.append(frames, seconds)
        else:
            self._trial.add(frames, seconds)
            self.judge()

    def reached(self, seconds: Seconds, size: Bytes) -> None:
        assert self.flow is not None
        assert self.take is not None
        if seconds > self.take.media:
            self.flow.came(seconds - self.take.media)
            self.stall.came(self.flow.arrived)
        self.take.reached(seconds, size)

    # For the recorder:

    @property
    def lasted(self) -> Seconds:
        """How long the present connection has been sending audio."""
        return Seconds(monotonic() - self._began) if self.flow is not None and self.flow.media else Seconds(0)

    @property
    def reaches(self) -> float:
        """Up to when there is audio by the present connection, by the monotonic clock."""
        assert self.flow is not None
        return self.flow.ends if self._trial is not None or self.take is None else self.take.ends

    @property
    def lag(self) -> Seconds:
        """How much later than the audio before it the present connection sends its own: another server may."""
        if self.take is None or self.flow is None or self._trial is not None or not self.flow.media:
            return Seconds(0)
        return Seconds(max(0.0, self.flow.ends - self.take.ends))

    @property
    def has_audio(self) -> bool:
        """Whether there is a take with audio."""
        return bool(self.done) or (self.take is not None and self.take.media > 0)

    def facts(self, ended_by: str = "") -> list[TakeFacts]:
        """All takes with audio, the present one too."""
        if self.take is None or not self.take.media:
            return self.done
        return [*self.done, self.take.facts(self._clock, ended_by)]

    def judge(self, *, at_end: bool = False) -> None:
        """Where it can be said now, put what is on trial where it belongs. `at_end`: no more of it comes."""
        trial = self._trial
        if trial is None or not trial.pieces:
            return
        if trial.splice is None:
            self._judge_pause(trial, at_end=at_end)
        else:
            self._judge_splice(trial, trial.splice, at_end=at_end)

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
        self._syncing = self._disk.soon(partial(self._sync, self.take))

    def close_take(self, ended_by: str) -> None:
        """End the present take, if there is one, and be ready for the next. `close` waits until it is on the disk.

        On a disk that takes nothing more it is ended all the same; `make_up_for` enters later what is missing.

        Raises:
            OSError: what was on trial could not be written.
        """
        try:
            self.judge(at_end=True)
        finally:
            self._trial = None
            self._end_take(ended_by)

    async def close(self) -> None:
        """Have everything on the disk. Many sessions end in the same second, and the others go on meanwhile.

        Raises:
            OSError: the disk is full or broken.
        """
        if self._syncing is not None:
            self._disk.hurry()
            await asyncio.wait([self._syncing])
            self._syncing.exception()  # what it says is told by closing, too
        closings = [*self._closing, self._disk.now(self.journal.close)]
        results = await asyncio.gather(*closings, return_exceptions=True)
        for error in results:
            if error is not None:
                raise error

    def _end_take(self, ended_by: str) -> None:
        self.is_connected = False
        self.flow = None
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
        self._closing.append(self._disk.now(take.close))

    # What goes on, and what begins anew:

    def splice(self, format: AudioFormat, suffix: str) -> Splice | None:
        """What matches a new connection to the last take; None where that cannot be what it goes on with."""
        takes = self.facts()
        if not takes or format.codec not in HEADERS:
            return None
        last = takes[-1]
        path = self.folder / last.file
        if not _is_alike(format, last.format) or path.suffix != suffix or last.ended_by == TOO_LARGE:
            return None
        try:
            tail = read_tail(path, last.size, last.duration)
        except OSError:  # it was taken away; the new connection gets a take of its own
            return None
        return Splice(tail, format.codec, is_all=len(tail) == last.size)

    def overlap(self, flow: Flow) -> Seconds:
        """How much of what comes by a new connection is in the takes, by the clock; below 0: so much is missing."""
        return Seconds(self._clock.monotonic(self.facts()[-1].ends) - flow.zero)

    def _judge_splice(self, trial: _Trial, splice: Splice, *, at_end: bool) -> None:
        assert self.flow is not None
        result = splice.result(self.overlap(self.flow), clock_is_sure=at_end or self.flow.is_even)
        if result is None:
            return
        self._trial = None
        if isinstance(result, Match):
            self._resume(self.done[-1], trial.unseen(result.seen))
        else:
            self._open(trial.format, trial.suffix)
            self._fill(trial.pieces)

    def _judge_pause(self, trial: _Trial, *, at_end: bool) -> None:
        assert self.flow is not None
        assert self.take is not None
        if not at_end and not self.flow.is_even:
            return
        self._trial = None
        if self.flow.zero - self.take.ends > CLOCK:
            flow, why = self.flow, f"Nothing came for {trial.silence:.1f} s."
            self.close_take(why)
            self.flow, self.is_connected = flow, True
            self._open(trial.format, trial.suffix, continues=True)
            self._on_event("paused", why)
        self._fill(trial.pieces)

    def _open(self, format: AudioFormat, suffix: str, *, ours: bool = True, continues: bool = False) -> Take:
        number = self._free_number()
        path = self.folder / f"take-{number:03d}{suffix}"
        self.take = Take(number, path, format, ours=ours, continues=continues)
        more = {"continues": True} if continues else {}
        self.journal.write("opened", self._clock.now(), take=number, file=path.name, **format_fields(format), **more)
        self._on_event("format", f"Take {number}: {describe(format)}.")
        return self.take

    def _resume(self, last: TakeFacts, unseen: list[tuple[bytes, float]]) -> None:
        """Go on with the last take."""
        self.take = Take.resumed(last, self.folder, clock=self._clock)
        self.done = self.done[:-1]
        self._write_take("resumed", self.take)
        self._fill(unseen)
        self._on_event("spliced", "It goes on where the last connection ended; nothing is missing, nothing doubled.")

    def _fill(self, pieces: list[tuple[bytes, float]]) -> None:
        """Put into the take what was on trial."""
        assert self.take is not None
        assert self.flow is not None
        if not self.take.media:
            self.take.zero = self.flow.zero
        for frames, seconds in pieces:
            self.take.append(frames, seconds)

    def _has_paused(self, flow: Flow) -> bool:
        return flow.media > 0 and flow.silence > max(PAUSE, 3 * flow.pause)

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
            stall=round(self.stall.longest, 1),
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


def _is_alike(one: AudioFormat, other: AudioFormat) -> bool:
    return (one.codec, one.sample_rate, one.channels) == (other.codec, other.sample_rate, other.channels)
