"""Whether what is planned fits on the disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rolltape.domain.units import Bytes


@dataclass(frozen=True)
class Need:
    """The room that a session takes from its start on. `is_kept`: also after its end; else it is delivered then."""

    start: datetime
    end: datetime
    size: Bytes
    is_kept: bool


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
        changes.append((need.start, need.size))
        if not need.is_kept:
            changes.append((need.end, -need.size))
    taken = most = 0
    full_at = None
    for moment, change in sorted(changes):
        taken += change
        most = max(most, taken)
        if taken > free and full_at is None:
            full_at = moment

    return Forecast(sessions, until, Bytes(most), free, full_at)
