"""A second connection beside one that has fallen silent.

A network may swallow a connection without a word, and waiting for it costs audio that the server would still send. So
another one is opened beside it, and whichever has something new first goes on. Until then nobody hears this one.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from rolltape.capture.flow import Flow
from rolltape.capture.source import Sink, Source, Station
from rolltape.capture.splice import Match, Splice
from rolltape.capture.tape import Tape
from rolltape.domain.errors import SourceLost
from rolltape.domain.take import AudioFormat
from rolltape.domain.units import Bytes, Seconds

SILENT = Seconds(1.5)  # without audio, or three times as long as is usual here: then a second connection may help


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


class Relief:
    """Calls an understudy when the present connection falls silent, and sends it away when that one speaks again.

    `on_speaks` is called when it has something new. Then the present connection has to be ended, for its last frame
    comes only then, and before those of the understudy; and `hand_over` follows.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        url: str,
        tape: Tape,
        *,
        patience: Seconds,
        on_speaks: Callable[[], None],
    ) -> None:
        """`patience`: after so long without audio the present connection is given up anyway."""
        self._open_source = open_source
        self._url = url
        self._tape = tape
        self._patience = patience
        self._on_speaks = on_speaks
        self._called: tuple[Source, Understudy] | None = None
        self._next = 0.0  # not before this moment is another one called
        self._delay = SILENT
        self.receiving: asyncio.Task[None] | None = None  # by the second connection
        self.speaks = False
        self.suspects = False  # that nothing comes any more; our own event loop may have been held up, so look again

    def look(self, flow: Flow, now: float) -> None:
        """See whether the present connection is silent."""
        is_silent = flow.silence > max(SILENT, 3 * flow.pause)
        if self.receiving is not None:
            if not self.speaks and (not is_silent or self.receiving.done()):
                self._dismiss(self.receiving)
        elif is_silent and self.suspects:
            self.suspects = False
            self._call()
        else:
            take = self._tape.take
            self.suspects = is_silent and now >= self._next and take is not None and take.is_ours

    def hand_over(self) -> tuple[Source, Understudy, "asyncio.Task[None]"]:
        """The connection that takes over, and be ready for the next silence."""
        assert self._called is not None
        assert self.receiving is not None
        found = (*self._called, self.receiving)
        self._called, self.receiving, self.speaks = None, None, False
        return found

    def _call(self) -> None:
        source = self._open_source()
        understudy = Understudy(self._tape, speaks=self._begin_to_speak)
        self._called = (source, understudy)
        self.receiving = asyncio.create_task(source.receive(self._url, understudy))

    def _begin_to_speak(self) -> None:
        if self.receiving is not None and not self.speaks:  # one that was sent away is not heard any more
            self.speaks = True
            self._on_speaks()

    def _dismiss(self, receiving: "asyncio.Task[None]") -> None:
        """The first connection speaks again, or this one failed; then the next one has time."""
        if receiving.done() and not receiving.cancelled():
            receiving.exception()  # what is wrong is told when the first one fails as well
            self._next = monotonic() + self._delay
            self._delay = Seconds(min(2 * self._delay, self._patience))
        receiving.cancel()
        self._called, self.receiving = None, None
