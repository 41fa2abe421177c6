"""Schedules in the API."""

from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError
from rolltape.domain.plain import Kind, Plain
from rolltape.domain.recording import Verdict
from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.domain.session import Session, SessionState
from rolltape.domain.stream import Text
from rolltape.services import Services
from rolltape.services.schedules import MOST_PREVIEWED, Filters
from rolltape.services.week import Day, Entry, Showing
from rolltape.web.api.sessions import SessionAnswer, session_answer
from rolltape.web.params import After, Id, Limit, Listing, With, given, partial

ScheduleChanges = partial(ScheduleFields, "ScheduleChanges")


class LastSession(BaseModel):
    id: int
    state: str
    verdict: str | None
    planned_start: datetime


class ScheduleAnswer(ScheduleFields):
    id: int
    next_start: datetime | None
    sentence: str
    last_session: LastSession | None
    created_at: datetime


class PreviewQuestion(BaseModel):
    """A rule that is not saved yet: a cron expression or a date. `reader_timezone` is that of who asks."""

    model_config = ConfigDict(extra="forbid")

    cron: Annotated[str, Field(max_length=200)] | None = None
    at: datetime | None = None
    timezone: str = "UTC"
    duration: Annotated[float, Field(ge=1, le=7 * 24 * 3600, allow_inf_nan=False)] = 3600
    count: Annotated[int, Field(ge=1, le=MOST_PREVIEWED)] = 5
    reader_timezone: str | None = None


class OccurrenceAnswer(BaseModel):
    """`local_start` is in the schedule's zone, `reader_start` in the reader's, where that was given.

    `note` says where daylight saving moves it.
    """

    start: datetime
    end: datetime
    local_start: datetime
    reader_start: datetime | None
    note: str | None


class PlainAnswer(BaseModel):
    """A plain choice. Days of the week are 1 (Monday) to 7; among weeks and dates of the month, 0 is the last."""

    kind: Kind
    days: list[int]
    weeks: list[int]
    dates: list[int]
    interval: int
    hour: int
    minute: int


class PreviewAnswer(BaseModel):
    """`plain` is the plain choice that says the same as the expression; null where there is none."""

    sentence: str
    plain: PlainAnswer | None
    occurrences: list[OccurrenceAnswer]


class EntryAnswer(BaseModel):
    """A session, or an occurrence that has none yet. `note` says where daylight saving moves it."""

    name: str
    stream_id: int | None
    schedule_id: int | None
    session_id: int | None
    state: SessionState | None
    verdict: Verdict | None
    start: datetime
    end: datetime
    timezone: str
    note: str | None


class Upcoming(BaseModel):
    items: list[EntryAnswer]


class OverlapAnswer(BaseModel):
    name: str
    schedule_id: int | None
    session_id: int | None
    start: datetime


class ShowingAnswer(EntryAnswer):
    """The local times are in the zone of the week.

    `overlaps` are some others of the same stream at the same time. `over_limit`: as many sessions as may record at
    once do so already when it begins.
    """

    local_start: datetime
    local_end: datetime
    skipped: bool
    overlaps: list[OverlapAnswer]
    over_limit: bool


class DayAnswer(BaseModel):
    """`items` begin on this day, `carried` earlier; `hidden` counts those of both that are not here.

    `change` is a sentence where the clocks are moved.
    """

    date: date
    change: str | None
    items: list[ShowingAnswer]
    carried: list[ShowingAnswer]
    hidden: int


class WeekAnswer(BaseModel):
    start: date
    timezone: str
    days: list[DayAnswer]


class SkipQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime


StreamId = Annotated[int | None, Query(ge=1, lt=2**31)]


async def listing(
    services: With,
    limit: Limit = 50,
    after: After = None,
    stream_id: StreamId = None,
    enabled: bool | None = None,
    text: Text = "",
) -> Listing[ScheduleAnswer]:
    """List schedules."""
    found = await services.schedules.page(Filters(stream_id, enabled, text), after=after, limit=limit)
    return Listing(items=await _answers(services, list(found.items)), next=found.next)


async def create(services: With, fields: ScheduleFields) -> ScheduleAnswer:
    """Set up a schedule."""
    return await _answer(services, await services.schedules.create(fields))


async def upcoming(services: With, limit: Limit = 5) -> Upcoming:
    """What comes next: sessions that wait, and occurrences that are not entered yet."""
    return Upcoming(items=[EntryAnswer(**_entry(entry)) for entry in await services.schedules.upcoming(limit)])


async def week(
    services: With,
    start: date,
    timezone: Annotated[str, Query(max_length=100)] = "UTC",
    stream_id: StreamId = None,
    limit: Limit = 200,
) -> WeekAnswer:
    """The seven days from `start` on, as they were and will be; at most `limit` entries on each."""
    found = await services.schedules.week(start, timezone, stream_id=stream_id, limit=limit)
    return WeekAnswer(start=start, timezone=timezone, days=[_day(day) for day in found.days])


async def read(services: With, schedule_id: Id) -> ScheduleAnswer:
    """Read one schedule."""
    return await _answer(services, await services.schedules.get(schedule_id))


async def change(services: With, schedule_id: Id, changes: ScheduleChanges) -> ScheduleAnswer:  # type: ignore[valid-type]
    """Change the named fields of a schedule. Sessions that have begun keep what they began with."""
    return await _answer(services, await services.schedules.update(schedule_id, given(changes)))


async def delete(services: With, schedule_id: Id) -> Response:
    """Delete a schedule and its sessions to come."""
    await services.schedules.delete(schedule_id)
    return Response(status_code=204)


async def preview(services: With, question: PreviewQuestion) -> PreviewAnswer:
    """Say in words what a rule means, and when it happens next. Nothing is saved."""
    fields = ScheduleFields(stream_id=1, **question.model_dump(exclude={"count", "reader_timezone"}))
    reader = _reader_zone(question.reader_timezone)
    found = services.schedules.preview(fields, count=question.count)
    return PreviewAnswer(
        sentence=found.sentence,
        plain=_plain(found.plain),
        occurrences=[
            OccurrenceAnswer(
                start=occurrence.start,
                end=end,
                local_start=occurrence.start.astimezone(found.zone),
                reader_start=occurrence.start.astimezone(reader) if reader else None,
                note=occurrence.note,
            )
            for occurrence, end in found.occurrences
        ],
    )


async def skip(services: With, schedule_id: Id, question: SkipQuestion) -> SessionAnswer:
    """Leave out one occurrence."""
    return await session_answer(services, await services.schedules.skip(schedule_id, question.start))


async def unskip(services: With, schedule_id: Id, question: SkipQuestion) -> ScheduleAnswer:
    """Take back that an occurrence is left out."""
    return await _answer(services, await services.schedules.unskip(schedule_id, question.start))


async def _answers(services: Services, schedules: list[Schedule]) -> list[ScheduleAnswer]:
    outlooks = await services.schedules.outlooks(schedules)
    return [
        ScheduleAnswer(
            **ScheduleFields.model_validate(schedule).model_dump(),
            id=schedule.id,
            next_start=outlooks[schedule.id].next_start,
            sentence=outlooks[schedule.id].sentence,
            last_session=_last(outlooks[schedule.id].last_session),
            created_at=schedule.created_at,
        )
        for schedule in schedules
    ]


async def _answer(services: Services, schedule: Schedule) -> ScheduleAnswer:
    return (await _answers(services, [schedule]))[0]


def _last(session: Session | None) -> LastSession | None:
    if session is None:
        return None
    return LastSession(id=session.id, state=session.state, verdict=session.verdict, planned_start=session.planned_start)


def _reader_zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return check_zone(name)
    except InputError as exc:
        raise InputError("reader_timezone", exc.message) from exc


def _plain(plain: Plain | None) -> PlainAnswer | None:
    if plain is None:
        return None
    chosen = {name: sorted(getattr(plain, name)) for name in ("days", "weeks", "dates")}
    return PlainAnswer(kind=plain.kind, interval=plain.interval, hour=plain.hour, minute=plain.minute, **chosen)


def _day(day: Day) -> DayAnswer:
    return DayAnswer(
        date=day.date,
        change=day.change,
        items=[_showing(showing) for showing in day.showings],
        carried=[_showing(showing) for showing in day.carried],
        hidden=day.hidden,
    )


def _showing(showing: Showing) -> ShowingAnswer:
    return ShowingAnswer(
        **_entry(showing.entry),
        local_start=showing.local_start,
        local_end=showing.local_end,
        skipped=showing.entry.is_skipped,
        overlaps=[OverlapAnswer.model_validate(other, from_attributes=True) for other in showing.overlaps],
        over_limit=showing.is_over_limit,
    )


def _entry(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in EntryAnswer.model_fields}
