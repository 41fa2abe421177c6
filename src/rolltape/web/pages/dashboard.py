"""The first page: what records now, what comes next, what went wrong, what is on its way, and how much room is left."""

from datetime import UTC, datetime, timedelta

from fastapi import Request
from starlette.responses import HTMLResponse

from rolltape.web.params import With
from rolltape.web.rendering import render

MOST_RUNNING = 20  # sessions shown; the list of sessions has them all
COMING = 5
MOST_TROUBLES = 8
MOST_TRANSFERS = 6
RECENT = timedelta(days=7)
TOLD_BELOW = {"missed", "stream_failed"}  # findings that the list of what went wrong tells one by one


async def show(request: Request, services: With) -> HTMLResponse:
    since = datetime.now(UTC) - RECENT
    running = await services.sessions.running()
    transfers = await services.transfers.queue(MOST_TRANSFERS)
    return render(
        request,
        "dashboard/show.html",
        running=running[:MOST_RUNNING],
        running_count=len(running),
        coming=await services.schedules.upcoming(COMING),
        troubles=await services.sessions.troubles(since, MOST_TROUBLES),
        counts=await services.sessions.counts(since),
        transfers=transfers,
        carried=await services.transfers.sessions(transfers),
        transfer_counts=await services.transfers.counts(),
        disk=services.health.disk(),
        hours_left=await services.health.hours_left(),
        findings=[found for found in await services.health.findings() if found.code not in TOLD_BELOW],
        has_streams=bool((await services.streams.page(after=None, limit=1)).items),
    )
