"""Where in a recording each title begins that the station told while it was on the air."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rolltape.domain.recording import Cut
from rolltape.domain.units import Seconds

MOST = 2000  # of one recording; a station that tells more counts something, and nobody reads it
LONGEST = 300  # characters

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}  # control, format (with bidirectional marks), and what is no character


@dataclass(frozen=True)
class Mark:
    """`title` is heard from `start` on, in seconds from the start of the recording's audio."""

    start: Seconds
    title: str


def marks(cuts: Sequence[Cut], told: Iterable[tuple[datetime, str]]) -> list[Mark]:
    """The titles of a recording made of `cuts`, from what was told when. An empty one says that nothing is known.

    What was on the air before the recording begins is its first title. One told while nothing came begins with what
    came next; of several in the same place only the last was heard.
    """
    found: dict[Seconds, str] = {}
    for moment, title in sorted(told, key=lambda pair: pair[0]):
        position = _position(cuts, moment)
        if position is not None:
            found[position] = shown(title)
    result: list[Mark] = []
    for position, title in found.items():
        if title != (result[-1].title if result else ""):
            result.append(Mark(position, title))
    return result[:MOST]


def shown(title: str) -> str:
    """A title on one line, without what cannot be seen or turns the direction of writing."""
    kept = "".join(char if unicodedata.category(char) not in _INVISIBLE else " " for char in title[: 4 * LONGEST])
    return " ".join(kept.split())[:LONGEST].strip()


def _position(cuts: Sequence[Cut], moment: datetime) -> Seconds | None:
    """Where in the audio that moment is; None once the audio is over."""
    passed = 0.0
    for cut in cuts:
        if moment < cut.ends:
            return Seconds(round(passed + max(0.0, (moment - cut.begins).total_seconds()), 3))
        passed += cut.length
    return None
