"""Health, and what is going on as a whole."""

from datetime import datetime

from fastapi import Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from rolltape import __version__
from rolltape.domain.session import Session
from rolltape.services.health import NOT_READY
from rolltape.web.params import With


class DiskAnswer(BaseModel):
    total: int
    free: int


class Brief(BaseModel):
    """A session in one line. `recorded` is in seconds."""

    id: int
    name: str
    state: str
    planned_start: datetime
    planned_end: datetime
    recorded: float


class FindingAnswer(BaseModel):
    code: str
    level: str
    message: str
    advice: str
    link: str


class ForecastAnswer(BaseModel):
    """The sessions of the next 48 hours and the room they need, in bytes. `full_at` is null if all fits."""

    sessions: int
    until: datetime
    needed: int
    free: int
    full_at: datetime | None


class SystemAnswer(BaseModel):
    """`uptime` is in seconds; `disk` and `memory` in bytes."""

    version: str
    uptime: float
    disk: DiskAnswer
    memory: int
    recording_hours_left: float
    running: list[Brief]
    next: list[Brief]
    findings: list[FindingAnswer]
    forecast: ForecastAnswer


async def live() -> PlainTextResponse:
    return PlainTextResponse("ok")


async def ready(services: With) -> Response:
    state = await services.health.readiness()
    return PlainTextResponse(state, 503 if state == NOT_READY else 200)


async def read(services: With) -> SystemAnswer:
    """Tell how the service is: figures, what records now, what is next, and what is not well."""
    disk = services.health.disk()
    return SystemAnswer(
        version=__version__,
        uptime=services.health.uptime,
        disk=DiskAnswer(total=disk.total, free=disk.free),
        memory=services.health.memory,
        recording_hours_left=await services.health.hours_left(),
        running=[_brief(session) for session in await services.sessions.running()],
        next=[_brief(session) for session in await services.sessions.upcoming(5)],
        findings=[
            FindingAnswer.model_validate(found, from_attributes=True) for found in await services.health.findings()
        ],
        forecast=ForecastAnswer.model_validate(await services.health.forecast(), from_attributes=True),
    )


def _brief(session: Session) -> Brief:
    return Brief(
        id=session.id,
        name=session.name,
        state=session.state,
        planned_start=session.planned_start,
        planned_end=session.planned_end,
        recorded=session.recorded,
    )
