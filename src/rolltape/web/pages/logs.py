"""The page of the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from rolltape.domain.errors import InputError
from rolltape.domain.log import COMPONENTS, LogLevel
from rolltape.services.logs import LogEntry, LogFilters
from rolltape.web.forms import Form
from rolltape.web.params import After, With
from rolltape.web.rendering import reader_zone, render

PAGE = 100  # lines
LONGEST_SHOWN = 300  # characters of a sentence; the rest is folded

LEVELS = (
    ("", "Everything"),
    (LogLevel.INFO, "What happens"),
    (LogLevel.WARNING, "Warnings and errors"),
    (LogLevel.ERROR, "Errors only"),
)
# What the parts of the program are called by people.
PARTS = {
    "app": "Start and stop",
    "capture": "Receiving",
    "engine": "Running sessions",
    "ffmpeg": "FFmpeg",
    "logs": "Log",
    "pipeline": "Steps of a session",
    "process": "Finishing",
    "scheduler": "Calendar",
    "services": "Records and settings",
    "store": "Database",
    "tag": "Tags and covers",
    "transfer": "Delivery",
    "web": "Web interface",
}

Text = Annotated[str, Query(max_length=200)]


async def listing(
    request: Request,
    services: With,
    level: Text = "",
    component: Text = "",
    session_id: Text = "",
    text: Text = "",
    after: After = None,
) -> HTMLResponse:
    form = Form({"level": level, "component": component, "session_id": session_id, "text": text})
    page = None
    with form.checked():
        page = await services.logs.page(_filters(form), after=after, limit=PAGE)
    asked = {name: value for name, value in form.values.items() if value}
    return render(
        request,
        "logs/list.html",
        status=200 if form.is_good else 422,
        form=form,
        asked=asked,
        levels=LEVELS,
        parts=[("", "All"), *((name, PARTS.get(name, name)) for name in COMPONENTS)],
        part_of=PARTS,
        entries=_numbered(page.items, ZoneInfo(reader_zone(request))) if page else [],
        is_cut=page is not None and page.is_cut,
        more=page.next if page else None,
        longest=LONGEST_SHOWN,
    )


def _filters(form: Form) -> LogFilters:
    number = form.text("session_id").strip()
    if number and not (number.isascii() and number.isdecimal() and 0 < int(number) < 2**31):
        raise InputError("session_id", "The number of a session is in the address of its page, like 12.")
    level = form.text("level")
    if level and level not in list(LogLevel):
        raise InputError("level", "There is no such level.")
    return LogFilters(
        level=LogLevel(level) if level else None,
        component=form.text("component") or None,
        session_id=int(number) if number else None,
        text=form.text("text"),
    )


def _numbered(entries: Sequence[LogEntry], zone: ZoneInfo) -> list[tuple[str, LogEntry, bool]]:
    """Each with an id of its own in the page, so that what is open stays open, and whether it is of today."""
    today = datetime.now(zone).date()
    seen: dict[datetime, int] = {}
    numbered = []
    for entry in entries:
        nth = seen[entry.time] = seen.get(entry.time, 0) + 1
        name = f"at-{entry.time.timestamp() * 1e6:.0f}-{nth}"
        numbered.append((name, entry, entry.time.astimezone(zone).date() == today))
    return numbered
