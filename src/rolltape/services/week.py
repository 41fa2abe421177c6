"""A week as it was and will be, and what comes next.

What is past comes from the sessions alone, so it has what really happened. What is to come is worked out from the
schedules as well, since sessions are entered only some days ahead.
"""

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain import calendar
from rolltape.domain.calendar import FIRST_YEAR, LAST_YEAR, Occurrence, Rule
from rolltape.domain.errors import InputError
from rolltape.domain.recording import Verdict
from rolltape.domain.schedule import Schedule
from rolltape.domain.session import NOT_BEGUN, Session, SessionState
from rolltape.domain.stream import LONGEST_SESSION, Stream
from rolltape.services.occurrences import between, rule_of
from rolltape.services.sessions import CAPTURED, scheduled

DAYS = 7
MOST_OTHERS = 5  # that an overlap names
LONGEST = timedelta(seconds=LONGEST_SESSION)
LEFT_OUT = frozenset({SessionState.SKIPPED, SessionState.CANCELLED})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A session, or an occurrence that has none yet. `start` and `end` are the planned ones.

    `opens` and `closes` count the early start and the late end. `note` is a sentence where daylight saving touches an
    occurrence to come.
    """

    name: str
    stream_id: int | None
    schedule_id: int | None
    start: datetime
    end: datetime
    opens: datetime
    closes: datetime
    timezone: str
    priority: int
    session_id: int | None = None
    state: SessionState | None = None
    verdict: Verdict | None = None
    note: str | None = None

    @property
    def is_skipped(self) -> bool:
        return self.state is SessionState.SKIPPED


@dataclass(frozen=True)
class Showing:
    """An entry in its week. The local times are in the zone of the week.

    `overlaps` are others of the same stream at the same time, some of them where there are many. `is_over_limit`: at
    its start, as many sessions record as may at once, so that it has to wait for room.
    """

    entry: Entry
    local_start: datetime
    local_end: datetime
    overlaps: Sequence[Entry]
    is_over_limit: bool


@dataclass(frozen=True)
class Day:
    """A day from `begin` to `end`, in UTC. `change` is a sentence where the clocks are moved.

    `showings` begin on it, in order; `carried` began earlier and go on into it. `hidden` counts those of both that are
    not here, since there were too many.
    """

    date: date
    begin: datetime
    end: datetime
    change: str | None
    showings: Sequence[Showing]
    carried: Sequence[Showing]
    hidden: int


@dataclass(frozen=True)
class Week:
    zone: ZoneInfo
    days: Sequence[Day]


@dataclass(frozen=True)
class Span:
    """The days of a week in a zone, and their moments."""

    start: date
    zone: ZoneInfo

    @property
    def begin(self) -> datetime:
        return calendar.begin_of_day(self.start, self.zone)

    @property
    def end(self) -> datetime:
        return calendar.begin_of_day(self.start + timedelta(days=DAYS), self.zone)


def span(start: date, timezone: str) -> Span:
    """Seven days from `start` on.

    Raises:
        InputError: there is no such zone, or the year is out of range.
    """
    if not FIRST_YEAR < start.year < LAST_YEAR:
        raise InputError("start", f"The year has to lie between {FIRST_YEAR} and {LAST_YEAR}.")
    return Span(start, calendar.check_zone(timezone))


async def read_sessions(db: AsyncSession, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Entry]:
    """The sessions that meet the conditions, by their start."""
    query = select(*_COLUMNS).where(*conditions).order_by(Session.planned_start, Session.id).limit(limit)
    return [_entry_of_row(*row) for row in await db.execute(query)]


async def read_schedules(db: AsyncSession, *conditions: ColumnElement[bool]) -> list[tuple[Schedule, Stream]]:
    """The enabled schedules that meet the conditions, with their streams."""
    query = select(Schedule, Stream).join(Stream, Stream.id == Schedule.stream_id)
    return list((await db.execute(query.where(Schedule.enabled, *conditions))).all())


def in_span(span: Span) -> tuple[ColumnElement[bool], ...]:
    """The condition for sessions that begin in `span`, or before it and go on into it."""
    return (
        Session.planned_start >= span.begin - LONGEST,  # so that the index serves
        Session.planned_start < span.end,
        (Session.planned_start >= span.begin) | (Session.planned_end > span.begin),
    )


def with_coming(
    sessions: Iterable[Entry], schedules: Iterable[tuple[Schedule, Stream]], span: Span, *, now: datetime
) -> list[Entry]:
    """The sessions of `span`, and the occurrences after `now` that have none yet."""
    begin, end = span.begin, span.end
    entries = {(entry.schedule_id or -(entry.session_id or 0), entry.start): entry for entry in sessions}
    for schedule, stream in schedules if end > now else ():
        length = timedelta(seconds=schedule.duration)
        found = _occurrences(schedule, begin - length, end)
        for entry in _entries_of(schedule, stream, (it for it in found if now < it.start < end)):
            known = entries.setdefault((schedule.id, entry.start), entry)
            if known is not entry and entry.note:
                entries[schedule.id, entry.start] = replace(known, note=entry.note)

    return list(entries.values())


def soonest(
    sessions: Sequence[Entry],
    schedules: Iterable[tuple[Schedule, Stream]],
    taken: Set[tuple[int | None, datetime]],
    *,
    now: datetime,
    limit: int,
) -> list[Entry]:
    """The next entries: `sessions`, and the occurrences that are not entered yet, but for those that are `taken`."""

    def beyond(schedule: Schedule, stream: Stream) -> Iterator[Entry]:
        found = _occurrences(schedule, max(schedule.planned_until, now), None)
        return _entries_of(schedule, stream, (it for it in found if (schedule.id, it.start) not in taken))

    coming = (beyond(schedule, stream) for schedule, stream in schedules)
    return list(islice(heapq.merge(sessions, *coming, key=lambda entry: entry.start), limit))


def build(entries: Iterable[Entry], span: Span, *, stream_id: int | None, most_at_once: int, limit: int) -> Week:
    """The week of `entries`: those of one stream where `stream_id` is given, and at most `limit` on a day."""
    ordered = sorted(entries, key=attrgetter("start", "name"))
    overlaps, late = _overlaps(ordered), _late(ordered, most_at_once)
    chosen = [number for number, entry in enumerate(ordered) if stream_id in (None, entry.stream_id)]

    starts = [ordered[number].start for number in chosen]

    def show(number: int) -> Showing:
        entry = ordered[number]
        start, end = entry.start.astimezone(span.zone), entry.end.astimezone(span.zone)
        return Showing(entry, start, end, overlaps.get(number, ()), number in late)

    days = []
    for day in (span.start + timedelta(days=count) for count in range(DAYS)):
        begin, end = (calendar.begin_of_day(edge, span.zone) for edge in (day, day + timedelta(days=1)))
        first, behind = (bisect_left(starts, edge) for edge in (begin, end))
        fresh = chosen[first:behind]
        carried = [number for number in chosen[:first] if ordered[number].end > begin]
        days.append(
            Day(
                date=day,
                begin=begin,
                end=end,
                change=calendar.clock_change(day, span.zone),
                showings=[show(number) for number in fresh[:limit]],
                carried=[show(number) for number in carried[:limit]],
                hidden=len(fresh[limit:]) + len(carried[limit:]),
            )
        )
    return Week(span.zone, days)


def _occurrences(schedule: Schedule, after: datetime, until: datetime | None) -> Iterable[Occurrence]:
    """The occurrences of a schedule; `until` None is without end."""
    try:
        rule = rule_of(schedule)
    except InputError as exc:  # its zone has gone from the time zone database, say: the others are shown
        log.warning(exc.message, action="schedule_unusable", schedule_id=schedule.id)
        return ()
    return _endless(rule, after) if until is None else between(rule, after, until)


def _endless(rule: Rule, after: datetime) -> Iterator[Occurrence]:
    """The occurrences after a moment. Those of the coming days are kept: who asks again today has them at once."""
    today = after.replace(hour=0, minute=0, second=0, microsecond=0)
    soon = today + timedelta(days=DAYS)
    for occurrence in between(rule, today, soon):
        if occurrence.start > after:
            yield occurrence
    yield from calendar.occurrences(rule, soon)


def _entries_of(schedule: Schedule, stream: Stream, found: Iterable[Occurrence]) -> Iterator[Entry]:
    """Occurrences that have no session yet."""
    values = scheduled(schedule, stream, schedule.created_at)  # what is the same for all of them, once
    name, timezone, priority = values["name"], values["timezone"], values["priority"]
    length, early, late = (
        timedelta(seconds=seconds) for seconds in (schedule.duration, values["start_early"], values["end_late"])
    )
    for occurrence in found:
        start = occurrence.start
        yield Entry(
            name, stream.id, schedule.id, start, start + length, start - early, start + length + late,
            timezone, priority, note=occurrence.note,
        )  # fmt: skip


_COLUMNS = (
    Session.name,
    Session.stream_id,
    Session.schedule_id,
    Session.planned_start,
    Session.planned_end,
    Session.opens,
    Session.end_late,
    Session.timezone,
    Session.priority,
    Session.id,
    Session.state,
    Session.verdict,
)


def _entry_of_row(
    name: str, stream_id: int | None, schedule_id: int | None, start: datetime, end: datetime, opens: datetime,
    end_late: float, *rest: Any,
) -> Entry:  # fmt: skip
    """An entry of what `_COLUMNS` name."""
    return Entry(name, stream_id, schedule_id, start, end, opens, end + timedelta(seconds=end_late), *rest)


def _overlaps(entries: Sequence[Entry]) -> dict[int, list[Entry]]:
    """By number: others of the same stream at the same time. `entries` are in order of their start."""
    found: dict[int, list[Entry]] = defaultdict(list)
    open_ones: dict[int, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if entry.stream_id is None or entry.state in LEFT_OUT:
            continue
        others = [other for other in open_ones[entry.stream_id] if entries[other].end > entry.start]
        for other in others:
            found[number].append(entries[other])
            if len(found[other]) < MOST_OTHERS:
                found[other].append(entry)
        open_ones[entry.stream_id] = [*others, number][-MOST_OTHERS:]
    return found


def _late(entries: Sequence[Entry], most_at_once: int) -> Set[int]:
    """The numbers of those that find no room when they are to open: as the engine will take them, by priority."""
    coming = [number for number, entry in enumerate(entries) if entry.state is None or entry.state in CAPTURED]
    coming.sort(key=lambda number: (entries[number].opens, -entries[number].priority))
    late: set[int] = set()
    busy: list[datetime] = []  # when each of those that record frees its place, the earliest first
    for number in coming:
        entry = entries[number]
        while busy and busy[0] <= entry.opens:
            heapq.heappop(busy)
        if len(busy) < most_at_once:
            heapq.heappush(busy, entry.closes)
            continue
        if entry.state is None or entry.state in NOT_BEGUN:
            late.add(number)
        if busy[0] < entry.closes:
            heapq.heapreplace(busy, entry.closes)

    return late
