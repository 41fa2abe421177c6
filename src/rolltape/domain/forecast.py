"""Whether what is planned fits on the disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rolltape.domain.units import Bytes

NOTHING = Bytes(0)
FINISHING = timedelta(minutes=5)  # after the end of a session, until only its recording is left
COPIES = 2  # beside the takes while a recording is finished: the MP3 made of them, and the same with its tags


@dataclass(frozen=True)
class Need:
    """The room that a session takes from its start on. `is_kept`: also after its end; else it is delivered then.

    `made` is the size of its recording, which lies there several times while it is finished.
    """

    start: datetime
    end: datetime
    size: Bytes
    is_kept: bool
    made: Bytes = NOTHING
    session_id: int = 0


@dataclass(frozen=True)
class Forecast:
    """`needed` is the most room that is taken at once. `full_at` is when the disk is full, None if all fits."""

    sessions: int
    until: datetime
    needed: Bytes
    free: Bytes
    full_at: datetime | None


def forecast(needs: Iterable[Need], free: Bytes, until: datetime) -> Forecast:
    """What becomes of `free` bytes until that moment.

    A session takes its room at its start, all of it: rather a warning too early than one too late.
    """
    changes: list[tuple[datetime, int]] = []
    sessions = 0
    for need in needs:
        sessions += 1
        finished = need.end + FINISHING
        changes += [(need.start, need.size), (need.end, COPIES * need.made), (finished, -COPIES * need.made)]
        if not need.is_kept:
            changes.append((finished, -need.size))
    taken = most = 0
    full_at = None
    for moment, change in sorted(changes):
        taken += change
        most = max(most, taken)
        if taken > free and full_at is None:
            full_at = moment

    return Forecast(sessions, until, Bytes(most), free, full_at)
