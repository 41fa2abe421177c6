"""Schedules in the API."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.domain.session import Session
from rolltape.services import Services
from rolltape.services.schedules import MOST_PREVIEWED
from rolltape.web.params import After, Id, Limit, Listing, With, given, partial
from rolltape.web.api.sessions import SessionAnswer, session_answer

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
    """A rule that is not saved yet: a cron expression or a date."""

    model_config = ConfigDict(extra="forbid")

    cron: Annotated[str, Field(max_length=200)] | None = None
    at: datetime | None = None
    timezone: str = "UTC"
    duration: Annotated[float, Field(ge=1, le=7 * 24 * 3600, allow_inf_nan=False)] = 3600
    count: Annotated[int, Field(ge=1, le=MOST_PREVIEWED)] = 5


class OccurrenceAnswer(BaseModel):
    """`local_start` is in the schedule's zone; `note` says where daylight saving moves it."""

    start: datetime
    end: datetime
    local_start: datetime
    note: str | None


class PreviewAnswer(BaseModel):
    sentence: str
    occurrences: list[OccurrenceAnswer]


class SkipQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime


async def listing(services: With, limit: Limit = 50, after: After = None) -> Listing[ScheduleAnswer]:
    found = await services.schedules.page(after=after, limit=limit)
    return Listing(items=await _answers(services, list(found.items)), next=found.next)


async def create(services: With, fields: ScheduleFields) -> ScheduleAnswer:
    return await _answer(services, await services.schedules.create(fields))


async def read(services: With, schedule_id: Id) -> ScheduleAnswer:
    return await _answer(services, await services.schedules.get(schedule_id))


async def change(services: With, schedule_id: Id, changes: ScheduleChanges) -> ScheduleAnswer:  # type: ignore[valid-type]
    return await _answer(services, await services.schedules.update(schedule_id, given(changes)))


async def delete(services: With, schedule_id: Id) -> Response:
    await services.schedules.delete(schedule_id)
    return Response(status_code=204)


async def preview(services: With, question: PreviewQuestion) -> PreviewAnswer:
    fields = ScheduleFields(stream_id=1, **question.model_dump(exclude={"count"}))
    found = services.schedules.preview(fields, count=question.count)
    return PreviewAnswer(
        sentence=found.sentence,
        occurrences=[
            OccurrenceAnswer(
                start=occurrence.start,
                end=end,
                local_start=occurrence.start.astimezone(found.zone),
                note=occurrence.note,
            )
            for occurrence, end in found.occurrences
        ],
    )


async def skip(services: With, schedule_id: Id, question: SkipQuestion) -> SessionAnswer:
    return await session_answer(services, await services.schedules.skip(schedule_id, question.start))


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
