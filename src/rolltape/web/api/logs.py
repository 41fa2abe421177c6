"""The log in the API."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from rolltape.domain.log import LogLevel
from rolltape.services.clock import utc_now
from rolltape.services.logs import LogEntry, LogFilters
from rolltape.web.params import After, Limit, With


class LogAnswer(BaseModel):
    """The newest lines first. `scanned` bytes were looked through.

    `is_cut`: the search stopped because it had looked through enough; `next` goes on with it.
    """

    items: list[LogEntry]
    next: str | None
    scanned: int
    is_cut: bool


def _filters(
    level: Annotated[LogLevel | None, Query(description="this one and everything above")] = None,
    component: Annotated[str | None, Query(max_length=100, description="like capture or transfer")] = None,
    session_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    text: Annotated[str, Query(max_length=200, description="words that the line has, in any case")] = "",
    since: AwareDatetime | None = None,
) -> LogFilters:
    return LogFilters(level, component or None, session_id, text, since)


Wanted = Annotated[LogFilters, Depends(_filters)]


async def listing(services: With, wanted: Wanted, limit: Limit = 100, after: After = None) -> LogAnswer:
    """List lines of the log, the newest first."""
    page = await services.logs.page(wanted, after=after, limit=limit)
    return LogAnswer(items=list(page.items), next=page.next, scanned=page.scanned, is_cut=page.is_cut)


async def download(services: With, wanted: Wanted) -> StreamingResponse:
    """Download the log as text, the oldest line first."""
    name = f"rolltape-log-{utc_now():%Y%m%d-%H%M%S}.txt"
    return StreamingResponse(
        (piece.encode("utf-8", "replace") for piece in services.logs.download(wanted)),
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
