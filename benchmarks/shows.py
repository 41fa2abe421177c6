"""Shows that a service records while things go wrong, and what it has of them in the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.known_stream import Count, OnAir, Stretch
from tests.servers.rolltape import Rolltape

EDGE = 0.5  # s at start and end that are not counted


@dataclass(frozen=True)
class Show:
    """A session that was planned. `start` and `end` are by the monotonic clock."""

    session: int
    air: OnAir
    start: float
    end: float

    @property
    def expected(self) -> range:
        return self.air.between(self.start + EDGE, self.end - EDGE)


@dataclass(frozen=True)
class Result:
    """What became of a show. `count` is None where there is no recording.

    `off` is how far the account is from the truth: the sum of its gaps less what is missing inside of the recording.
    """

    show: Show
    state: str
    verdict: str | None
    count: Count | None
    off: float
    transfers: tuple[str, ...] = ()
    error: str | None = None

    @property
    def words(self) -> str:
        """For the list of those that one should look into."""
        return f"session {self.show.session}: {self.state}, {self.verdict}, account off {self.off:.3f} s, {self.error}"

    @property
    def lost(self) -> tuple[Stretch, ...]:
        wanted = self.show.expected
        return (Stretch(wanted.start, len(wanted)),) if self.count is None else self.count.lost


def plan(service: Rolltape, stream: int, air: OnAir, *, after: float, duration: float) -> Show:
    """Plan a show that begins in `after` seconds."""
    now, start = time.monotonic(), datetime.now(UTC) + timedelta(seconds=after)
    session = service.plan_show(stream, start, duration)
    begins = datetime.fromisoformat(session["planned_start"])
    shift = now + (begins - start).total_seconds() + after
    return Show(session["id"], air, shift, shift + duration)


def result(service: Rolltape, show: Show, folder: Path) -> Result:
    """What there is of a show. `folder` is where its recording lies."""
    session = service.session(show.session)
    states = tuple(transfer["state"] for transfer in session["transfers"])
    recording, stream = session["recording"], show.air.stream
    error = session["error"]["message"] if session["error"] else None
    if recording is None or not (folder / recording["file"]).exists():
        return Result(show, session["state"], session["verdict"], None, 0, states, error)
    file = folder / recording["file"]
    told = sum(gap["length"] for gap in session["gaps"])
    off = abs(told - stream.count(file).lost_seconds)
    count = stream.count(file, expected=show.expected, unsent=show.air.unsent)
    return Result(show, session["state"], session["verdict"], count, off, states, error)


def wait_for_all(service: Rolltape, shows: Sequence[Show], *, within: float) -> list[Show]:
    """Those that are in no final state in the end."""
    left, deadline = list(shows), time.monotonic() + within
    over = {"done", "failed", "missed", "cancelled", "skipped"}
    while left and time.monotonic() < deadline:
        left = [show for show in left if service.session(show.session)["state"] not in over]
        time.sleep(0.5)
    return left
