"""The pages of schedules: the list, the week and the form."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from rolltape.domain.calendar import check_zone, zone_names
from rolltape.domain.errors import InputError
from rolltape.domain.schedule import Schedule
from rolltape.domain.stream import Text
from rolltape.services import Services
from rolltape.services.schedules import Filters, Preview
from rolltape.web.forms import Form, Typed
from rolltape.web.pages import schedule_form
from rolltape.web.pages import week as drawing
from rolltape.web.params import After, Id, With
from rolltape.web.rendering import reader_zone, redirect, render

PAGE = 50  # schedules
MOST_ON_A_DAY = 40  # showings; the page stays small, and filters show the rest
PREVIEWED = 5  # occurrences

Short = Annotated[str, Query(max_length=100)]


async def listing(
    request: Request, services: With, text: Text = "", stream_id: Short = "", state: Short = "", after: After = None
) -> HTMLResponse:
    enabled = {"enabled": True, "disabled": False}.get(state)
    filters = Filters(_stream_number(stream_id), enabled, text)
    found = await services.schedules.page(filters, after=after, limit=PAGE)
    return render(
        request,
        "schedules/list.html",
        schedules=found.items,
        more=found.next,
        outlooks=await services.schedules.outlooks(found.items),
        streams=await services.streams.names(),
        text=text,
        stream_id=stream_id,
        state=state if enabled is not None else "",
    )


async def week(
    request: Request, services: With, start: Short = "", zone: Short = "", stream_id: Short = ""
) -> HTMLResponse:
    form = Form({"zone": zone or reader_zone(request), "start": start, "stream_id": stream_id})
    found = None
    with form.checked():
        first = _first_day(form)
        form.values = {**form.values, "start": first.isoformat()}
        found = await services.schedules.week(
            first, form.text("zone"), stream_id=_stream_number(stream_id), limit=MOST_ON_A_DAY
        )
    return render(
        request,
        "schedules/week.html",
        status=200 if form.is_good else 422,
        form=form,
        week=found,
        drawing=drawing,
        local_now=datetime.now(found.zone) if found else None,
        streams=dict(await services.streams.names()),
        zones=zone_names(),
        step=timedelta(days=7),
        zone_of=ZoneInfo,
        asked=urlencode({name: form.text(name) for name in ("start", "zone", "stream_id")}),
    )


async def show(request: Request, schedule_id: Id) -> RedirectResponse:
    return redirect(request, f"/schedules/{schedule_id}/edit")


async def new(request: Request, services: With, stream_id: Short = "") -> HTMLResponse:
    form = schedule_form.new(_stream_number(stream_id), reader_zone(request))
    return await _form(request, services, form, None)


async def create(request: Request, services: With, form: Typed) -> Response:
    fields = schedule_form.read(schedule_form.prepared(form))
    with form.checked():
        if fields is not None:
            await services.schedules.create(fields)
    if not form.is_good:
        return await _form(request, services, form, None)
    return redirect(request, "/schedules", note="saved")


async def edit(request: Request, services: With, schedule_id: Id) -> HTMLResponse:
    schedule = await services.schedules.get(schedule_id)
    return await _form(request, services, schedule_form.of(schedule), schedule)


async def change(request: Request, services: With, schedule_id: Id, form: Typed) -> Response:
    schedule = await services.schedules.get(schedule_id)
    fields = schedule_form.read(schedule_form.prepared(form))
    with form.checked():
        if fields is not None:
            await services.schedules.update(schedule_id, _changes(schedule, fields.model_dump()))
    if not form.is_good:
        return await _form(request, services, form, schedule)
    return redirect(request, "/schedules", note="saved")


async def preview(request: Request, services: With, form: Typed) -> HTMLResponse:
    """The form again, with what it would mean: for a browser without scripts. Nothing is saved."""
    number = form.text("id")
    schedule = await services.schedules.get(int(number)) if number.isdecimal() and len(number) < 10 else None
    schedule_form.prepared(form)
    schedule_form.read(form)
    return await _form(request, services, form, schedule)


async def preview_part(request: Request, services: With, form: Typed) -> HTMLResponse:
    """What the form would mean, and the part of it that follows from what was typed."""
    schedule_form.prepared(form)
    return render(request, "schedules/preview_part.html", **_context(services, form))


async def enable(request: Request, services: With, schedule_id: Id) -> RedirectResponse:
    await services.schedules.update(schedule_id, {"enabled": True})
    return _back(request, "/schedules", note="enabled")


async def disable(request: Request, services: With, schedule_id: Id) -> RedirectResponse:
    await services.schedules.update(schedule_id, {"enabled": False})
    return _back(request, "/schedules", note="disabled")


async def skip(request: Request, services: With, schedule_id: Id, form: Typed) -> RedirectResponse:
    await services.schedules.skip(schedule_id, _moment(form))
    return _back(request, "/schedules/week", note="skipped")


async def unskip(request: Request, services: With, schedule_id: Id, form: Typed) -> RedirectResponse:
    await services.schedules.unskip(schedule_id, _moment(form))
    return _back(request, "/schedules/week", note="unskipped")


async def ask_delete(request: Request, services: With, schedule_id: Id) -> HTMLResponse:
    schedule = await services.schedules.get(schedule_id)
    return render(
        request,
        "schedules/delete.html",
        schedule=schedule,
        stream=await services.streams.get(schedule.stream_id),
        outlook=(await services.schedules.outlooks([schedule]))[schedule_id],
        found=await services.schedules.dependents(schedule_id),
    )


async def delete(request: Request, services: With, schedule_id: Id) -> RedirectResponse:
    await services.schedules.delete(schedule_id)
    return redirect(request, "/schedules", note="deleted")


async def _form(request: Request, services: Services, form: Form, schedule: Schedule | None) -> HTMLResponse:
    return render(
        request,
        "schedules/form.html",
        status=200 if form.is_good else 422,
        schedule=schedule,
        streams=[("", "Choose a stream"), *await services.streams.names()],
        zones=zone_names(),
        **_context(services, form),
    )


def _context(services: Services, form: Form) -> dict[str, Any]:
    """What the form and its parts are made of."""
    found, message = _preview(services, form)
    return {
        "form": form,
        "choices": schedule_form,
        "says_more": found is not None and schedule_form.says_more(form),
        "preview": found,
        "message": message,
    }


def _preview(services: Services, form: Form) -> tuple[Preview | None, str]:
    """What the form would mean, or why that cannot be told yet. A stream is not needed for it."""
    trial = Form({**form.values, "stream_id": "1", "name": ""})
    fields = schedule_form.read(trial)
    found = None
    with trial.checked():
        if fields is not None:
            found = services.schedules.preview(fields, count=PREVIEWED)

    return found, trial.message or next(iter(trial.errors.values()), "")


def _changes(schedule: Schedule, wanted: dict[str, Any]) -> dict[str, Any]:
    """What of `wanted` the form does not say of the schedule already: what is not touched is not planned anew."""
    present = schedule_form.read(schedule_form.of(schedule))
    return {name: value for name, value in wanted.items() if present is None or value != getattr(present, name)}


def _first_day(form: Form) -> date:
    """The day that was asked for, or the Monday of this week.

    Raises:
        InputError: it is no date, or there is no such zone.
    """
    text, zone = form.text("start"), _zone(form.text("zone"))
    if not text:
        today = datetime.now(zone).date()
        return today - timedelta(days=today.weekday())
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise InputError("start", "A date is needed, like 2026-12-24.") from exc


def _zone(name: str) -> ZoneInfo:
    try:
        return check_zone(name)
    except InputError as exc:
        raise InputError("zone", exc.message) from exc


def _moment(form: Form) -> datetime:
    """The occurrence that a button stands for."""
    try:
        moment = datetime.fromisoformat(form.text("at"))
    except ValueError as exc:
        raise InputError("at", "This is no moment.") from exc
    if moment.tzinfo is None:
        raise InputError("at", "This moment has no time zone.")

    return moment


def _stream_number(text: str) -> int | None:
    """The stream of a filter; None, which is all of them, where it is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _back(request: Request, path: str, *, note: str) -> RedirectResponse:
    """To the list or the week, with the filters that the button was pressed under."""
    filters = urlencode([(name, value) for name, value in request.query_params.items() if name != "note"])
    return redirect(request, f"{path}?{filters}" if filters else path, note=note)
