"""The frames of a new connection, matched to the tail of what is written already.

A server sends its last seconds again to whoever connects. Where the first frame of the new connection stands in the
tail, and all that follows it there follows in the new connection, too, recording goes on at the first frame that is not
there yet: nothing is lost and nothing doubled. Everything is compared, byte for byte; encoded audio does not repeat
itself, unless it is silence. Then several places fit, and the one that the clock expects is taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rolltape.capture.frames import HEADERS, Header, HeaderReader
from rolltape.domain.recording import RESENT
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds

LONGEST_TAIL = Seconds(RESENT.total_seconds())
WIDEST_TAIL = 8 * 1024 * 1024  # bytes; two minutes of 320 kbit/s are 5 MB
LEAST_TAIL = 64 * 1024  # bytes, where a take is too short to know its rate
FAR = Seconds(30)  # off the clock: another server of the same station may be as far behind; beyond, it is a repeat
NEAR = Seconds(1)  # off the clock: where only the clock can tell what is sent again from what is played again


@dataclass(frozen=True)
class Match:
    """The new connection goes on behind the tail: its first `seen` bytes are in it."""

    seen: int


@dataclass(frozen=True)
class NoMatch:
    """Nothing that the new connection sends is in the tail."""


class Splice:
    """The beginning of a new connection, as long as it is not known where in the tail it belongs.

    `head` is what came of it until now, in whole frames.
    """

    def __init__(self, tail: bytes, codec: Codec, *, is_all: bool) -> None:
        """`tail`: the end of what is written, up to the last whole frame. `is_all`: there is nothing before it."""
        self._tail = tail
        self._read = HEADERS[codec]
        self._is_all = is_all
        self._places: list[int] | None = None  # in the tail, where the head may belong
        self.head = b""

    def feed(self, frames: bytes) -> None:
        """More whole frames of the new connection."""
        if self._places is None:
            self._places = _places(self._tail, _first(self._read, frames))
        known = len(self.head)
        self._places = [place for place in self._places if _agree(self._tail, place + known, frames)]
        self.head += frames
        self._drop_unneeded()

    def result(self, expected: Seconds, *, clock_is_sure: bool) -> Match | NoMatch | None:
        """Where the head belongs; None as long as that cannot be said.

        `expected` is how many of its seconds are in the tail by the clock, below 0 where some are missing in between.
        The clock is not sure of it as long as the server sends faster than in real time.
        """
        if not self._places:
            return NoMatch() if self._places is not None else None
        is_unique = len(self._places) == 1
        if not is_unique and not clock_is_sure:
            return None
        place, off = self._nearest(self._places, expected)
        # Who plays a file to each listener from its start sends the same again, too, and that is no resending.
        is_sure = is_unique and not (self._is_all and place == 0)
        if off > (FAR if is_sure else NEAR):
            return NoMatch() if clock_is_sure else None
        seen = len(self._tail) - place
        return Match(seen) if len(self.head) >= seen else None

    def _nearest(self, places: list[int], expected: Seconds) -> tuple[int, float]:
        """The place that the clock expects, and how many seconds it is off."""
        lasting = dict(self._seconds_behind(places[0]))
        off, place = min((abs(lasting.get(place, LONGEST_TAIL) - expected), place) for place in places)
        return place, off

    def _seconds_behind(self, first: int) -> Iterator[tuple[int, float]]:
        """The frames of the tail from `first` on: where each begins, and how many seconds are from there to the end."""
        frames = list(_walk(self._read, self._tail, first))
        left = sum(header.seconds for _, header in frames)
        for place, header in frames:
            yield place, left
            left -= header.seconds

    def _drop_unneeded(self) -> None:
        """Of the tail, only what is behind the first place may still be compared."""
        first = self._places[0] if self._places else len(self._tail)
        if first:
            self._is_all = False
            self._tail = self._tail[first:]
            self._places = [place - first for place in self._places or []]


def read_tail(path: Path, size: int, duration: Seconds) -> bytes:
    """The last two minutes of the `size` bytes at `path`, which last `duration`. Raises OSError."""
    rate = size / duration if duration else 0
    length = min(size, WIDEST_TAIL, max(LEAST_TAIL, int(rate * LONGEST_TAIL)))
    with path.open("rb") as file:
        file.seek(size - length)
        return file.read(length)


def _places(tail: bytes, frame: bytes) -> list[int]:
    """Where in the tail the frame stands."""
    found = []
    place = tail.find(frame)
    while place != -1:
        found.append(place)
        place = tail.find(frame, place + 1)
    return found


def _agree(tail: bytes, place: int, frames: bytes) -> bool:
    """Whether the tail from `place` on and the frames are the same, as far as both of them go."""
    length = max(0, min(len(frames), len(tail) - place))
    return tail[place : place + length] == frames[:length]


def _first(read: HeaderReader, frames: bytes) -> bytes:
    header = read(frames, 0)
    assert header is not None, "only whole frames come here"
    return frames[: header.size]


def _walk(read: HeaderReader, data: bytes, place: int) -> Iterator[tuple[int, Header]]:
    """The frames from `place` on, where one begins."""
    while (header := read(data, place)) is not None:
        yield place, header
        place += header.size
