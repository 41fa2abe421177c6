"""The pages of sessions: what was recorded, how it went, and the recording itself."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import TypeAdapter
from starlette.responses import HTMLResponse

from rolltape.domain.errors import NotFoundError
from rolltape.domain.recording import Verdict
from rolltape.domain.session import NOT_BEGUN, OVER, Event, Session, SessionState
from rolltape.domain.units import HOUR, Seconds
from rolltape.domain.waveform import POINTS
from rolltape.services import Services
from rolltape.services.sessions import Filters
from rolltape.web import drawing
from rolltape.web.api.sessions import RecordNow
from rolltape.web.forms import Form, Typed, hours_and_minutes, split_length
from rolltape.web.params import After, ChosenId, Id, With
from rolltape.web.rendering import reader_zone, redirect, render
from rolltape.web.words import STATES, VERDICTS

PAGE = 50  # sessions
MOST_EVENTS = 500  # shown; the story of a broken night has thousands
MOST_TITLES = 500  # listed; a station that tells more does not tell songs
USUAL_LENGTH = Seconds(HOUR)  # of a record now, before somebody types another

SENTENCES = {  # where the log speaks more technically
    "created": "Started by hand.",
    "recording": "The time of the recording has begun.",
}
TAGS = {
    "title": "Title",
    "artist": "Artist",
    "album": "Album",
    "album_artist": "Album artist",
    "genre": "Genre",
    "track": "Track number",
    "recorded": "Recorded",
    "station": "Station",
    "source_url": "Source",
    "comment": "Comment",
}


async def listing(
    request: Request,
    services: With,
    state: str = "",
    verdict: str = "",
    stream_id: ChosenId = None,
    schedule_id: ChosenId = None,
    day_from: Annotated[str, Query(alias="from", max_length=20)] = "",
    day_to: Annotated[str, Query(alias="to", max_length=20)] = "",
    text: Annotated[str, Query(max_length=200)] = "",
    after: After = None,
) -> HTMLResponse:
    zone = ZoneInfo(reader_zone(request))
    filters = Filters(
        state=SessionState(state) if state in set(SessionState) else None,
        verdict=Verdict(verdict) if verdict in set(Verdict) else None,
        stream_id=stream_id,
        schedule_id=schedule_id,
        since=_begin_of(day_from, zone),
        until=_begin_of(day_to, zone, days=1),
        text=text,
    )
    found = await services.sessions.page(filters, after=after, limit=PAGE)
    streams = await services.streams.names()
    return render(
        request,
        "sessions/list.html",
        sessions=found.items,
        more=found.next,
        filters=filters,
        is_filtered=filters != Filters(),
        day_from=day_from,
        day_to=day_to,
        streams=streams,
        stream_names=dict(streams),
        schedule=await _schedule_name(services, schedule_id),
        states=STATES,
        verdicts=VERDICTS,
    )


async def show(request: Request, services: With, session_id: Id) -> HTMLResponse:
    session = await services.sessions.get(session_id)
    peaks = await services.sessions.waveform(session_id)
    titles = drawing.titles(session, POINTS)
    gaps = drawing.gaps(session, POINTS)
    story = await services.sessions.events(session_id)
    return render(
        request,
        "sessions/show.html",
        session=session,
        stream=dict(await services.streams.names()).get(session.stream_id or 0),
        schedule=await _schedule_name(services, session.schedule_id),
        state_is_over=session.state in OVER,
        can_stop=session.state is SessionState.RECORDING,
        can_retry=session.state is SessionState.FAILED and session.take_count > 0,
        file=await _file(services, session),
        wave=drawing.wave_path(peaks) if peaks else "",
        points=POINTS,
        titles=titles[:MOST_TITLES],
        gaps=[
            (gap, mark, session.opens + timedelta(seconds=gap["start"]))
            for gap, mark in zip(session.gaps or [], gaps, strict=True)
        ],
        verdicts=_verdicts(session),
        events=story[-MOST_EVENTS:],
        left_out=max(0, len(story) - MOST_EVENTS),
        says=_says,
        takes=await services.sessions.takes(session_id),
        transfers=(await services.sessions.transfers([session_id]))[session_id],
        tags=_tags(session),
    )


async def new(request: Request, services: With, stream_id: ChosenId = None) -> HTMLResponse:
    values = {"stream_id": stream_id, "name": ""} | split_length("duration", USUAL_LENGTH)
    return await _form(request, services, Form(values))


async def create(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        # Through JSON's types: what is typed is text.
        wanted = TypeAdapter(RecordNow).validate_python(
            {
                "stream_id": form.text("stream_id"),
                "duration": hours_and_minutes(form, "duration"),
                "name": form.text("name"),
            }
        )
        session = await services.sessions.record_now(wanted.stream_id, Seconds(wanted.duration), wanted.name)
    if not form.is_good:
        return await _form(request, services, form)
    return redirect(request, f"/sessions/{session.id}", note="started")


async def stop(request: Request, services: With, session_id: Id) -> Response:
    await services.sessions.stop(session_id)
    return redirect(request, f"/sessions/{session_id}", note="stopped")


async def ask_cancel(request: Request, services: With, session_id: Id) -> HTMLResponse:
    session = await services.sessions.get(session_id)
    return render(request, "sessions/cancel.html", session=session, has_begun=session.state not in NOT_BEGUN)


async def cancel(request: Request, services: With, session_id: Id) -> Response:
    await services.sessions.cancel(session_id)
    return redirect(request, f"/sessions/{session_id}", note="cancelled")


async def retry(request: Request, services: With, session_id: Id) -> Response:
    await services.sessions.retry(session_id)
    return redirect(request, f"/sessions/{session_id}", note="retried")


async def ask_delete(request: Request, services: With, session_id: Id) -> HTMLResponse:
    session = await services.sessions.get(session_id)
    transfers = (await services.sessions.transfers([session_id]))[session_id]
    return render(
        request,
        "sessions/delete.html",
        session=session,
        file=await _file(services, session),
        delivered=[transfer for transfer in transfers if transfer.state == "delivered"],
    )


async def delete(request: Request, services: With, session_id: Id, form: Typed) -> Response:
    await services.sessions.delete(session_id, with_file=form.is_on("with_file"))
    return redirect(request, "/sessions", note="deleted")


async def _form(request: Request, services: Services, form: Form) -> HTMLResponse:
    return render(
        request,
        "sessions/new.html",
        status=200 if form.is_good else 422,
        form=form,
        streams=await services.streams.names(),
    )


async def _file(services: Services, session: Session) -> str | None:
    """The name of the recording, if it is (still) here."""
    try:
        return (await services.sessions.audio(session.id)).name
    except NotFoundError:
        return None


async def _schedule_name(services: Services, schedule_id: int | None) -> tuple[int, str] | None:
    """Number and name of a schedule, if it is still there."""
    if schedule_id is None:
        return None
    try:
        schedule = await services.schedules.get(schedule_id)
    except NotFoundError:
        return None
    return schedule.id, schedule.name or "its schedule"


def _begin_of(day: str, zone: ZoneInfo, *, days: int = 0) -> datetime | None:
    """The first moment of a day that was typed, or of the one `days` later; None where it is no day."""
    try:
        local = datetime.combine(date.fromisoformat(day) + timedelta(days=days), time(), zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _verdicts(session: Session) -> Sequence[Verdict]:
    """All that hold, the one that counts first."""
    if session.verdict is None:
        return []
    told = [Verdict(one) for one in (session.account or {}).get("verdicts", []) if one in set(Verdict)]
    return told or [session.verdict]


def _says(event: Event) -> str:
    """An event as a sentence."""
    if event.kind == "title":
        return f"On the air: {event.message}"
    return SENTENCES.get(event.kind, event.message)


def _tags(session: Session) -> list[tuple[str, Any]]:
    """The tags in the file, each with the word for it."""
    tags = dict(session.tags or {})
    if isinstance(tags.get("recorded"), str):
        tags["recorded"] = tags["recorded"].replace("T", " ")[:16]
    return [(word, tags[name]) for name, word in TAGS.items() if tags.get(name)]
