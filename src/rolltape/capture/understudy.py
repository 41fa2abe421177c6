"""A second connection beside one that has fallen silent.

A network may swallow a connection without a word, and waiting for it costs audio that the server would still send. So
another one is opened beside it, and whichever has something new first goes on. Until then nobody hears this one.
"""

from collections.abc import Callable
from pathlib import Path

from rolltape.capture.flow import Flow
from rolltape.capture.source import Sink, Station
from rolltape.capture.splice import Match, Splice
from rolltape.capture.tape import Tape
from rolltape.domain.errors import SourceLost
from rolltape.domain.take import AudioFormat
from rolltape.domain.units import Bytes, Seconds


class Understudy:
    """A sink that keeps what comes until some of it is not on `tape` yet. Then it calls `speaks`, once.

    `take_over` puts everything on the tape, and what comes from then on as well.
    """

    def __init__(self, tape: Tape, *, speaks: Callable[[], None]) -> None:
        self.folder = tape.folder
        self._tape = tape
        self._speaks = speaks
        self._station = Station()
        self._title: str | None = None
        self._begun: tuple[AudioFormat, str] | None = None
        self._pieces: list[tuple[bytes, Seconds]] = []
        self._splice: Splice | None = None
        self._flow = Flow()
        self._stage: Sink | None = None  # once it took over

    def take_over(self) -> None:
        """Play on the tape, whose take has been closed."""
        assert self._begun is not None
        self._stage = self._tape
        self._tape.connected(self._station)
        self._tape.begin(*self._begun)
        for frames, seconds in self._pieces:
            self._tape.append(frames, seconds)
        self._pieces = []
        if self._title is not None:
            self._tape.title(self._title)

    def connected(self, station: Station) -> None:
        self._station = station

    def title(self, title: str) -> None:
        self._title = title
        if self._stage is not None:
            self._stage.title(title)

    def note(self, kind: str, message: str) -> None:
        if self._stage is not None:
            self._stage.note(kind, message)

    def begin(self, format: AudioFormat, suffix: str, *, ours: bool = True) -> Path:
        if self._stage is not None:
            return self._stage.begin(format, suffix, ours=ours)
        if self._begun is not None or not ours:
            raise SourceLost("The second connection sends something else.", code="not_audio")
        self._begun = (format, suffix)
        self._splice = self._tape.splice(format, suffix)
        self._flow = Flow()
        return self.folder

    def append(self, frames: bytes, seconds: Seconds) -> None:
        if self._stage is not None:
            self._stage.append(frames, seconds)
            return
        self._flow.came(seconds)
        self._pieces.append((frames, seconds))
        if self._has_news(frames):
            self._speaks()

    def reached(self, seconds: Seconds, size: Bytes) -> None:
        if self._stage is not None:
            self._stage.reached(seconds, size)

    def _has_news(self, frames: bytes) -> bool:
        """Whether something came that is not on the tape."""
        if self._splice is None:
            return True
        self._splice.feed(frames)
        result = self._splice.result(self._tape.overlap(self._flow), clock_is_sure=self._flow.is_even)
        if isinstance(result, Match):
            return len(self._splice.head) > result.seen
        return result is not None
