"""How a week is drawn: each day as a strip of 24 hours, with a bar for each recording, and the lines below it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from rolltape.domain.recording import Verdict
from rolltape.domain.session import SessionState
from rolltape.services.week import Day, Showing

HEIGHT = 288  # px of a day: one for each 5 minutes
LOWEST = 3  # px; a shorter bar could not be seen
MARGIN = 14  # % of the width, for the hours
MOST_LANES = 6  # bars side by side
MOST_SINGLE = 4  # showings of a schedule on a day; what comes more often is folded into one line

_TONES = {
    SessionState.RECORDING: "live",
    SessionState.DONE: "ok",
    SessionState.FAILED: "bad",
    SessionState.MISSED: "bad",
    SessionState.CANCELLED: "off",
    SessionState.SKIPPED: "off",
}
_MINUTES = 24 * 60


@dataclass(frozen=True)
class Bar:
    """A recording in the strip: `x` and `width` in per cent, `y` and `height` in pixels."""

    x: float
    width: float
    y: float
    height: float
    tone: str
    name: str


def bars(day: Day) -> list[Bar]:
    """The bars of a day; those at the same time lie side by side."""
    spans = [(_minutes(day.date, showing), showing) for showing in (*day.carried, *day.showings)]
    spans.sort(key=lambda span: span[0])
    lanes: list[int] = []  # the minute at which each one becomes free
    placed = []
    for (begin, end), showing in spans:
        free = (number for number, until in enumerate(lanes) if until <= begin)
        lane = next(free, min(len(lanes), MOST_LANES - 1))
        lanes[lane : lane + 1] = [end]
        placed.append((lane, begin, end, showing))
    width = (100 - MARGIN) / max(len(lanes), 1)

    return [
        Bar(
            x=round(MARGIN + lane * width, 2),
            width=round(width * 0.94, 2),
            y=_pixels(begin),
            height=max(_pixels(end - begin) - 1, LOWEST),
            tone=tone(showing),
            name=f"{showing.local_start:%H:%M} {showing.entry.name}",
        )
        for lane, begin, end, showing in placed
    ]


def lines(day: Day) -> list[Sequence[Showing]]:
    """The showings of a day in order: each by itself, or with all of its schedule where that comes often."""
    often = Counter(showing.entry.schedule_id for showing in day.showings)
    found: dict[object, list[Showing]] = {}
    for number, showing in enumerate(day.showings):
        schedule_id = showing.entry.schedule_id
        is_folded = schedule_id is not None and often[schedule_id] > MOST_SINGLE
        found.setdefault(("schedule", schedule_id) if is_folded else number, []).append(showing)

    return list(found.values())


def tone(showing: Showing) -> str:
    """The colour of a showing; beside it, its state is always said in words."""
    if showing.entry.verdict not in (None, Verdict.COMPLETE):
        return "warn"
    return _TONES.get(showing.entry.state, "info") if showing.entry.state else "info"


def now_line(day: Day, local_now: datetime) -> float | None:
    """Where the strip shows the present, None on another day."""
    return _pixels(_minute(local_now)) if local_now.date() == day.date else None


def _minutes(day: date, showing: Showing) -> tuple[int, int]:
    """From which minute of the day to which, as its clocks show them."""
    begin = _minute(showing.local_start) if showing.local_start.date() == day else 0
    end = _minute(showing.local_end) if showing.local_end.date() == day else _MINUTES
    if end <= begin:  # the clocks were moved back meanwhile
        end = begin + int((showing.entry.end - showing.entry.start).total_seconds() // 60)

    return begin, min(max(end, begin + 1), _MINUTES)


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute


def _pixels(minutes: int) -> float:
    return round(minutes * HEIGHT / _MINUTES, 1)
