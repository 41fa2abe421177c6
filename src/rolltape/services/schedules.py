"""Schedules: when streams are recorded. The planner turns their occurrences into sessions."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain import calendar
from rolltape.domain.calendar import Occurrence, Rule
from rolltape.domain.errors import ConflictError, InputError, NotFoundError
from rolltape.domain.plain import Plain, from_cron
from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.domain.session import NOT_BEGUN, OVER, Event, Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.units import Seconds
from rolltape.services import week
from rolltape.services.clock import Clock
from rolltape.services.occurrences import rule_of
from rolltape.services.operations import operation
from rolltape.services.paging import Page, page
from rolltape.services.sessions import MISSED, scheduled
from rolltape.services.streams import find as find_stream
from rolltape.services.week import Entry, Week
from rolltape.store import Database

HORIZON = timedelta(days=2)  # sessions are entered this far ahead
REPLAN = timedelta(days=1)  # a schedule planned less far ahead than this is planned again
LOOK_BACK = timedelta(days=366)  # after a longer absence, older occurrences are not entered as missed
MOST_PREVIEWED = 100
_PLANNED_AT_ONCE = 50  # schedules in a transaction; others that write wait for it
_INSERTED_AT_ONCE = 500  # rows; SQLite takes at most 32,766 values in a statement

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Preview:
    """A rule in words, and when it happens next. `end` is `start` and the duration.

    `plain` is the plain choice that says the same, None where there is none.
    """

    sentence: str
    occurrences: Sequence[tuple[Occurrence, datetime]]
    zone: ZoneInfo
    plain: Plain | None


@dataclass(frozen=True)
class Outlook:
    """What is known of a schedule beside its own fields."""

    next_start: datetime | None
    sentence: str
    last_session: Session | None


@dataclass(frozen=True)
class Filters:
    """Which schedules a list shows. `text` is looked for in their names and in those of their streams."""

    stream_id: int | None = None
    enabled: bool | None = None
    text: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.stream_id is not None:
            found.append(Schedule.stream_id == self.stream_id)
        if self.enabled is not None:
            found.append(Schedule.enabled == self.enabled)
        if self.text:
            streams = select(Stream.id).where(Stream.name.icontains(self.text, autoescape=True))
            found.append(Schedule.name.icontains(self.text, autoescape=True) | Schedule.stream_id.in_(streams))
        return found


_ALL = Filters()


@dataclass(frozen=True)
class Dependents:
    """How many sessions a schedule has: to come, under way, and over."""

    coming: int
    running: int
    past: int


class Schedules:
    """`wake` is called when the plan has changed. `most_at_once` sessions record at the same time."""

    def __init__(
        self, database: Database, *, clock: Clock, wake: Callable[[], None], most_at_once: Callable[[], int]
    ) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._most_at_once = most_at_once

    async def page(self, filters: Filters = _ALL, *, after: str | None, limit: int) -> Page[Schedule]:
        query = select(Schedule).where(*filters.conditions())
        async with self._database.read() as db:
            return await page(db, query, [Schedule.id], after=after, limit=limit)

    async def of_streams(self, stream_ids: Sequence[int]) -> list[Schedule]:
        """All schedules of these streams."""
        async with self._database.read() as db:
            query = select(Schedule).where(Schedule.stream_id.in_(stream_ids)).order_by(Schedule.id)
            return list(await db.scalars(query))

    async def get(self, schedule_id: int) -> Schedule:
        async with self._database.read() as db:
            return await _find(db, schedule_id)

    async def dependents(self, schedule_id: int) -> Dependents:
        """What a deletion takes along: the sessions to come go, a running one goes on, the past ones stay."""
        query = select(Session.state, func.count()).where(Session.schedule_id == schedule_id).group_by(Session.state)
        async with self._database.read() as db:
            await _find(db, schedule_id)
            counts = dict((await db.execute(query)).all())
        coming = counts.get(SessionState.SCHEDULED, 0)
        past = sum(count for state, count in counts.items() if state in OVER)
        return Dependents(coming=coming, running=sum(counts.values()) - coming - past, past=past)

    async def upcoming(self, limit: int) -> Sequence[Entry]:
        """What comes next, in order: sessions that wait, and occurrences that are not entered yet."""
        now = self._clock()
        waits = Session.state.in_(NOT_BEGUN)
        not_wanted = select(Session.schedule_id, Session.planned_start).where(~waits, Session.planned_start > now)
        async with self._database.read() as db:
            sessions = await week.read_sessions(db, waits, limit=limit)
            is_full = len(sessions) == limit
            nearer = [Schedule.planned_until < sessions[-1].start] if is_full else []
            schedules = await week.read_schedules(db, *nearer)
            taken = set((await db.execute(not_wanted)).all())
        return await asyncio.to_thread(week.soonest, sessions, schedules, taken, now=now, limit=limit)

    async def week(self, start: date, timezone: str, *, stream_id: int | None = None, limit: int) -> Week:
        """The seven days from `start` on, as they were and will be; at most `limit` entries on each.

        Raises:
            InputError: there is no such zone, or the year is out of range.
        """
        span, now = week.span(start, timezone), self._clock()
        async with self._database.read() as db:
            sessions = await week.read_sessions(db, *week.in_span(span))
            schedules = await week.read_schedules(db) if span.end > now else []

        def build() -> Week:
            entries = week.with_coming(sessions, schedules, span, now=now)
            return week.build(entries, span, stream_id=stream_id, most_at_once=self._most_at_once(), limit=limit)

        return await asyncio.to_thread(build)  # with many schedules it takes a moment, in which others are served

    @operation("schedule_added", "a schedule was added")
    async def create(self, fields: ScheduleFields) -> Schedule:
        now = self._clock()
        rule = rule_of(fields)
        values = fields.model_dump() | {"at": _moment(fields)}
        async with self._database.write() as db:
            stream = await _known_stream(db, fields.stream_id)
            schedule = Schedule(**values, created_at=now, planned_until=_plan_from(fields, rule, now))
            db.add(schedule)
            await db.flush()
            await self._plan(db, [(schedule, stream)], now)
        self._wake()
        return schedule

    @operation("schedule_changed", "a schedule was changed")
    async def update(self, schedule_id: int, changes: dict[str, Any]) -> Schedule:
        """Change the named fields; sessions that have begun keep what they began with."""
        now = self._clock()
        async with self._database.write() as db:
            schedule = await _find(db, schedule_id)
            before = ScheduleFields.model_validate(schedule)
            kind = {"at": None} if changes.get("cron") else {"cron": None} if changes.get("at") else {}
            fields = ScheduleFields.model_validate(before.model_dump() | kind | changes)
            rule = rule_of(fields)
            stream = await _known_stream(db, fields.stream_id)
            for name, value in (fields.model_dump() | {"at": _moment(fields)}).items():
                setattr(schedule, name, value)
            when = {"cron", "at", "timezone", "duration"} & changes.keys()
            if when or (fields.enabled and not before.enabled):
                schedule.planned_until = _plan_from(fields, rule, now) if when else now
            await self._plan(db, [(schedule, stream)], now)
        self._wake()
        return schedule

    @operation("schedule_deleted", "a schedule was deleted")
    async def delete(self, schedule_id: int) -> None:
        """Delete a schedule and its sessions to come. What has begun goes on, and what is over stays."""
        async with self._database.write() as db:
            await self.remove(db, schedule_id)
        self._wake()

    async def remove(self, db: AsyncSession, schedule_id: int) -> None:
        """Delete a schedule, as part of a larger change."""
        schedule = await _find(db, schedule_id)
        await db.execute(_not_begun(schedule_id))
        await db.delete(schedule)

    async def take_over(self, db: AsyncSession, fields: ScheduleFields, schedule_id: int | None = None) -> None:
        """A new schedule, or other fields for one, as part of a larger change. `plan(everything=True)` has to follow.

        A date that has passed is taken as it is: it records nothing any more.
        """
        now = self._clock()
        values = fields.model_dump() | {"at": _moment(fields)}
        try:
            planned = _plan_from(fields, rule_of(fields), now)
        except InputError:
            planned = now
        if schedule_id is None:
            db.add(Schedule(**values, created_at=now, planned_until=planned))
            return
        schedule = await _find(db, schedule_id)
        if any(getattr(schedule, name) != values[name] for name in ("cron", "at", "timezone", "duration")):
            schedule.planned_until = planned
        elif fields.enabled and not schedule.enabled:
            schedule.planned_until = now
        for name, value in values.items():
            setattr(schedule, name, value)
        if not fields.enabled:
            await db.execute(_not_begun(schedule_id))

    def preview(self, fields: ScheduleFields, *, count: int) -> Preview:
        """What a schedule would mean.

        Raises:
            InputError: its cron expression, date or zone cannot be used.
        """
        rule = rule_of(fields)
        coming = islice(calendar.occurrences(rule, self._clock()), min(count, MOST_PREVIEWED))
        length = timedelta(seconds=fields.duration)
        return Preview(
            calendar.sentence(rule, Seconds(fields.duration)),
            [(occurrence, occurrence.start + length) for occurrence in coming],
            calendar.check_zone(fields.timezone),
            from_cron(fields.cron) if fields.cron is not None else None,
        )

    @operation("occurrence_skipped", "an occurrence is left out")
    async def skip(self, schedule_id: int, start: datetime) -> Session:
        """Leave out the occurrence that begins at `start`.

        Raises:
            ConflictError: there is no such occurrence, or it has begun.
        """
        now = self._clock()
        async with self._database.write() as db:
            schedule = await _find(db, schedule_id)
            stream = await find_stream(db, schedule.stream_id)
            if start <= now or not _occurs(rule_of(schedule), start):
                raise ConflictError("The schedule has no occurrence to come at this moment.")
            query = select(Session).where(Session.schedule_id == schedule_id, Session.planned_start == start)
            session = (await db.scalars(query)).one_or_none()
            if session is None:
                session = Session(**scheduled(schedule, stream, start), state=SessionState.SCHEDULED)
                db.add(session)
                await db.flush()
            if session.state not in (SessionState.SCHEDULED, SessionState.SKIPPED):
                raise ConflictError(f"The session of this occurrence is {session.state} already.")
            if session.state is SessionState.SCHEDULED:
                session.state = SessionState.SKIPPED
                session.ended_at = now
                session.epoch += 1  # a runner that got ready for it stops
                db.add(Event(session_id=session.id, at=now, kind="skipped", message="Skipped on request."))
        self._wake()
        return session

    @operation("occurrence_unskipped", "an occurrence is recorded after all")
    async def unskip(self, schedule_id: int, start: datetime) -> Schedule:
        """Take back that the occurrence at `start` is left out.

        Raises:
            ConflictError: it is not left out, its time has come, or the schedule no longer has it.
        """
        now = self._clock()
        async with self._database.write() as db:
            schedule = await _find(db, schedule_id)
            query = select(Session).where(Session.schedule_id == schedule_id, Session.planned_start == start)
            session = (await db.scalars(query)).one_or_none()
            if session is None or session.state is not SessionState.SKIPPED:
                raise ConflictError("The occurrence at this moment is not skipped.")
            if start <= now:
                raise ConflictError("Its time has come; that it was skipped cannot be taken back.")
            if not _occurs(rule_of(schedule), start):
                raise ConflictError("The schedule was changed: it no longer has an occurrence at this moment.")
            if schedule.enabled and start <= now + HORIZON:
                session.state = SessionState.SCHEDULED
                session.ended_at = None
                db.add(Event(session_id=session.id, at=now, kind="unskipped", message="No longer skipped, on request."))
                await db.flush()
                await self._plan(db, [(schedule, await find_stream(db, schedule.stream_id))], now)
            else:  # it is entered again when its time comes near
                await db.delete(session)
        self._wake()
        return schedule

    async def outlooks(self, schedules: Iterable[Schedule]) -> dict[int, Outlook]:
        """Next start, sentence and last result of each."""
        now = self._clock()
        ids = [schedule.id for schedule in schedules]
        skipped: dict[int, set[datetime]] = {number: set() for number in ids}
        newest = (
            select(func.max(Session.planned_start))
            .where(Session.schedule_id.in_(ids), Session.ended_at.is_not(None), Session.planned_start <= now)
            .group_by(Session.schedule_id)
        )
        async with self._database.read() as db:
            rows = select(Session.schedule_id, Session.planned_start).where(
                Session.schedule_id.in_(ids), Session.state == SessionState.SKIPPED, Session.planned_start > now
            )
            for number, start in await db.execute(rows):
                if number is not None:
                    skipped[number].add(start)
            last = {
                session.schedule_id: session
                for session in await db.scalars(
                    select(Session).where(Session.schedule_id.in_(ids), Session.planned_start.in_(newest))
                )
                if session.ended_at is not None
            }
        return {
            schedule.id: _outlook(schedule, skipped[schedule.id], last.get(schedule.id), now) for schedule in schedules
        }

    def wake(self) -> None:
        """The plan has changed by something else than the methods above."""
        self._wake()

    # What the planner does

    async def plan(self, *, everything: bool = False) -> None:
        """Enter the sessions to come, and the missed ones of the time the service was not running.

        `everything`: also those planned far enough already, since the rules of a time zone may have changed.
        """
        now = self._clock()
        async with self._database.read() as db:
            query = select(Schedule.id).where(Schedule.enabled)
            if not everything:
                query = query.where(Schedule.planned_until < now + REPLAN)
            ids = (await db.scalars(query)).all()
        for first in range(0, len(ids), _PLANNED_AT_ONCE):
            async with self._database.write() as db:
                some = Schedule.id.in_(ids[first : first + _PLANNED_AT_ONCE])
                pairs = select(Schedule, Stream).join(Stream, Stream.id == Schedule.stream_id)
                found = await db.execute(pairs.where(some, Schedule.enabled))
                await self._plan(db, [(schedule, stream) for schedule, stream in found], now)

    async def _plan(self, db: AsyncSession, schedules: Sequence[tuple[Schedule, Stream]], now: datetime) -> None:
        """Make the sessions to come those of the schedules: what is missing is entered, what is wrong goes."""
        known = await _known_sessions(db, [schedule for schedule, _ in schedules], now)
        missing: list[dict[str, Any]] = []
        obsolete: list[int] = []
        for schedule, stream in schedules:
            if not schedule.enabled:
                await db.execute(_not_begun(schedule.id))
                continue
            try:
                wanted = _wanted(schedule, stream, now)
            except InputError as exc:  # its zone has gone from the time zone database, say: the others go on
                log.error(exc.message, action="schedule_unusable", schedule_id=schedule.id)  # noqa: TRY400
                continue
            there = known[schedule.id]
            for start, session in there.items():
                if session.state is SessionState.SCHEDULED and start > now:
                    if start not in wanted:
                        obsolete.append(session.id)
                    for name, value in wanted.get(start, {}).items():
                        setattr(session, name, value)
            missing += [values for start, values in wanted.items() if start not in there]
            schedule.planned_until = now + HORIZON
        await db.execute(delete(Session).where(Session.id.in_(obsolete), Session.state == SessionState.SCHEDULED))
        await self._enter(db, missing, now)

    async def _enter(self, db: AsyncSession, rows: list[dict[str, Any]], now: datetime) -> None:
        dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
        defaults = {"epoch": 0, "recorded": 0.0, "gaps": [], "take_count": 0, "attempts": 0}
        for row in rows:
            over = row["planned_end"] + timedelta(seconds=row["end_late"]) <= now
            row |= defaults | {
                "state": SessionState.MISSED if over else SessionState.SCHEDULED,
                "ended_at": now if over else None,
                "error_code": "service_down" if over else None,
                "error_message": MISSED if over else None,
            }
        for first in range(0, len(rows), _INSERTED_AT_ONCE):
            query = dialect.insert(Session).on_conflict_do_nothing().returning(Session.id, Session.state)
            entered = await db.execute(query, rows[first : first + _INSERTED_AT_ONCE])
            for number, state in entered.all():
                if state is SessionState.MISSED:
                    db.add(Event(session_id=number, at=now, kind="missed", message=MISSED))
                    log.warning("a session was missed", action="session_missed", session_id=number)


async def _known_sessions(
    db: AsyncSession, schedules: Sequence[Schedule], now: datetime
) -> dict[int, dict[datetime, Session]]:
    """By schedule and planned start, the sessions that its occurrences not planned yet may have already."""
    found: dict[int, dict[datetime, Session]] = {schedule.id: {} for schedule in schedules}
    earliest = min((_plan_begin(schedule, now) for schedule in schedules), default=now)
    query = select(Session).where(Session.schedule_id.in_(found), Session.planned_start > earliest)
    for session in await db.scalars(query):
        if session.schedule_id is not None:
            found[session.schedule_id][session.planned_start] = session
    return found


def _wanted(schedule: Schedule, stream: Stream, now: datetime) -> dict[datetime, dict[str, Any]]:
    """The sessions that a schedule shall have, by their planned start.

    Raises:
        InputError: its cron expression, date or zone cannot be used.
    """
    coming = calendar.occurrences(rule_of(schedule), _plan_begin(schedule, now), until=now + HORIZON)
    return {occurrence.start: scheduled(schedule, stream, occurrence.start) for occurrence in coming}


def _plan_begin(schedule: Schedule, now: datetime) -> datetime:
    """From when on a schedule's occurrences are entered."""
    return min(max(schedule.planned_until, now - LOOK_BACK), now)


async def _known_stream(db: AsyncSession, stream_id: int) -> Stream:
    stream = await db.get(Stream, stream_id)
    if stream is None:
        raise InputError("stream_id", f"There is no stream {stream_id}.")
    return stream


def _moment(fields: ScheduleFields) -> datetime | None:
    """The one date of a schedule as a moment."""
    if fields.at is None:
        return None
    rule = calendar.date_rule(fields.at, fields.timezone)
    return next(calendar.occurrences(rule, datetime.min.replace(tzinfo=ZoneInfo("UTC")))).start


def _plan_from(fields: ScheduleFields, rule: Rule, now: datetime) -> datetime:
    """From when on occurrences count: now, or the one date as long as something of it is left."""
    moment = _moment(fields)
    if moment is None:
        return now
    if moment + timedelta(seconds=fields.duration) <= now:
        raise InputError("at", "This date has passed.")
    return min(now, moment - timedelta(seconds=1))


def _occurs(rule: Rule, start: datetime) -> bool:
    found = next(calendar.occurrences(rule, start - timedelta(seconds=1), until=start), None)
    return found is not None and found.start == start


def _not_begun(schedule_id: int) -> Any:
    return delete(Session).where(Session.schedule_id == schedule_id, Session.state == SessionState.SCHEDULED)


def _outlook(schedule: Schedule, skipped: set[datetime], last: Session | None, now: datetime) -> Outlook:
    try:
        rule = rule_of(schedule)
    except InputError as exc:
        return Outlook(None, exc.message, last)
    sentence = calendar.sentence(rule, Seconds(schedule.duration))
    coming = (found.start for found in calendar.occurrences(rule, now) if found.start not in skipped)
    return Outlook(next(coming, None) if schedule.enabled else None, sentence, last)


async def _find(db: AsyncSession, schedule_id: int) -> Schedule:
    schedule = await db.get(Schedule, schedule_id)
    if schedule is None:
        raise NotFoundError(f"There is no schedule {schedule_id}.")
    return schedule
