"""The pages of streams: what can be recorded."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import File, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.responses import HTMLResponse

from rolltape.domain import pattern
from rolltape.domain.errors import InputError, SourceError
from rolltape.domain.retention import Rule
from rolltape.domain.schedule import Schedule
from rolltape.domain.stream import DEFAULT_FILE_NAME, DEFAULT_TITLE, CaptureEngine, Stream, StreamFields
from rolltape.services import Services
from rolltape.services.streams import Preview
from rolltape.services.streams import preview as previewed
from rolltape.web.errors import fields_of
from rolltape.web.forms import Form, Typed, hours_and_minutes, lines, or_none, split_length
from rolltape.web.params import After, Id, With
from rolltape.web.rendering import reader_zone, redirect, render

PAGE = 50  # streams

ENGINES = (
    (CaptureEngine.AUTO, "Automatic"),
    (CaptureEngine.NATIVE, "Rolltape's own reader (HTTP only)"),
    (CaptureEngine.FFMPEG, "FFmpeg"),
)
QUALITIES = (
    ("V0", "V0: best, about 245 kbit/s"),
    ("V2", "V2: very good, about 190 kbit/s"),
    ("V4", "V4: good, about 165 kbit/s"),
    ("V6", "V6: for speech, about 115 kbit/s"),
    ("320k", "320 kbit/s, constant"),
    ("192k", "192 kbit/s, constant"),
    ("128k", "128 kbit/s, constant"),
    ("96k", "96 kbit/s, constant"),
    ("64k", "64 kbit/s, constant"),
)


@dataclass(frozen=True)
class Shown:
    """What the next recording will be called, or a sentence why that cannot be said. `show` is empty for none."""

    made: Preview | None = None
    start: datetime | None = None
    zone: str = ""
    show: str = ""
    message: str = ""


async def listing(
    request: Request, services: With, text: Annotated[str, Query(max_length=200)] = "", after: After = None
) -> HTMLResponse:
    found = await services.streams.page(text=text, after=after, limit=PAGE)
    outlooks = await services.streams.outlooks([stream.id for stream in found.items])
    far_off = [number for number, outlook in outlooks.items() if outlook.next_start is None]
    return render(
        request,
        "streams/list.html",
        streams=found.items,
        more=found.next,
        text=text,
        outlooks=outlooks,
        next_starts=await _next_starts(services, far_off),
    )


async def new(request: Request, services: With, url: Annotated[str, Query(max_length=2048)] = "") -> HTMLResponse:
    defaults = services.preferences.for_new(StreamFields.model_construct(name="", url=url))
    return await _form(request, services, Form(_shown(defaults)), None)


async def create(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        stream = await services.streams.create(_fields(form))
    if not form.is_good:
        return await _form(request, services, form, None)
    return redirect(request, f"/streams/{stream.id}", note="saved")


async def show(request: Request, services: With, stream_id: Id) -> HTMLResponse:
    return await _page(request, services, stream_id)


async def edit(request: Request, services: With, stream_id: Id) -> HTMLResponse:
    stream = await services.streams.get(stream_id)
    return await _form(request, services, Form(_shown(StreamFields.model_validate(stream))), stream)


async def change(request: Request, services: With, stream_id: Id, form: Typed) -> Response:
    stream = await services.streams.get(stream_id)
    with form.checked():
        fields = _fields(form)
        await services.streams.update(stream_id, fields.model_dump())
    if not form.is_good:
        return await _form(request, services, form, stream)
    if Rule.of(fields).is_tighter_than(Rule.of(stream)) and (await services.retention.preview(stream_id)).going:
        return redirect(request, f"/streams/{stream_id}/retention", note="saved")
    return redirect(request, f"/streams/{stream_id}", note="saved")


async def preview(request: Request, services: With, form: Typed) -> HTMLResponse:
    """The part of the form that says what the next recording will be called."""
    stream_id = form.text("id")
    try:
        fields = _fields(form, name=form.text("name").strip() or "Station", url="http://example.org/")
        shown = await _preview(request, services, fields, int(stream_id) if stream_id.isdecimal() else None)
    except ValueError as exc:
        shown = Shown(message=_why_not(exc))
    return render(request, "streams/preview.html", preview=shown)


async def probe(request: Request, services: With, form: Typed) -> HTMLResponse:
    """What an address offers: the part that says it, or for a browser without scripts the whole page of its stream."""
    offer, sample, message = None, None, ""
    with form.checked():
        fields = StreamFields(name="probe", url=form.text("url"), verify_tls=form.is_on("verify_tls"))
        try:
            if form.is_on("listen"):
                sample = await services.samples.record(fields.url, verify_tls=fields.verify_tls)
                offer = sample.offer
            else:
                offer = await services.streams.probe(fields.url, verify_tls=fields.verify_tls)
        except SourceError as exc:
            message = exc.message
    message = message or form.errors.get("url", "") or form.message
    stream_id = form.text("id")
    if request.headers.get("hx-request") or not (stream_id.isdecimal() and len(stream_id) < 10):
        return render(request, "streams/probe.html", offer=offer, sample=sample, message=message, form=form)
    return await _page(request, services, int(stream_id), offer=offer, sample=sample, message=message, form=form)


async def cover(services: With, stream_id: Id) -> Response:
    """The cover as a JPEG of ours; its address changes with the cover, so it may be kept."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(await services.streams.cover(stream_id), media_type="image/jpeg", headers=headers)


async def put_cover(
    request: Request, services: With, stream_id: Id, file: Annotated[UploadFile | None, File()] = None
) -> Response:
    try:
        content = await file.read() if file else b""
        if not content:
            raise InputError("file", "Choose a picture first.")
        await services.streams.set_artwork(stream_id, content)
    except InputError as exc:
        stream = await services.streams.get(stream_id)
        return render(
            request,
            "streams/cover.html",
            status=422,
            stream=stream,
            cover_form=Form({}, {"file": exc.message}),
        )
    return redirect(request, f"/streams/{stream_id}", note="cover")


async def delete_cover(request: Request, services: With, stream_id: Id) -> Response:
    await services.streams.delete_artwork(stream_id)
    return redirect(request, f"/streams/{stream_id}", note="cover")


async def ask_delete(request: Request, services: With, stream_id: Id) -> HTMLResponse:
    stream = await services.streams.get(stream_id)
    found = await services.streams.dependents(stream_id)
    return render(request, "streams/delete.html", stream=stream, found=found)


async def delete(request: Request, services: With, stream_id: Id) -> Response:
    await services.streams.delete(stream_id)
    return redirect(request, "/streams", note="deleted")


def _why_not(exc: ValueError) -> str:
    """Why there is no preview. What is wrong with other fields than the patterns is said when the stream is saved."""
    if isinstance(exc, InputError):
        return exc.message
    told = fields_of(exc.errors()) if isinstance(exc, ValidationError) else {}
    return told.get("title_pattern") or told.get("filename_pattern") or "This cannot be shown yet."


async def _page(request: Request, services: Services, stream_id: int, **probed: Any) -> HTMLResponse:
    stream = await services.streams.get(stream_id)
    schedules = await services.schedules.of_streams([stream_id])
    return render(
        request,
        "streams/show.html",
        stream=stream,
        kept=Rule.of(stream),
        outlook=(await services.streams.outlooks([stream_id]))[stream_id],
        schedules=schedules,
        schedule_outlooks=await services.schedules.outlooks(schedules),
        destinations=await _destinations(services, stream.destination_ids),
        preview=await _preview(request, services, StreamFields.model_validate(stream), stream_id),
        cover_form=Form({}),
        **probed,
    )


def _fields(form: Form, **given: Any) -> StreamFields:
    """The stream that was typed.

    Raises:
        ValidationError: a field cannot be taken.
    """
    typed: dict[str, Any] = {
        name: form.text(name)
        for name in (
            "name", "url", "artist", "album", "album_artist", "genre", "title_pattern", "filename_pattern", "engine",
            "mp3_quality", "start_early", "end_late", "stall_timeout",
        )
    }  # fmt: skip
    return StreamFields(
        **typed
        | {
            "fallback_urls": lines(form.text("fallback_urls")),
            "max_duration": hours_and_minutes(form, "max_duration"),
            "max_attempts": or_none(form.text("max_attempts")),
            **{name: or_none(form.text(name)) for name in ("keep_days", "keep_count", "keep_gigabytes")},
            "verify_tls": form.is_on("verify_tls"),
            "destination_ids": form.chosen("destination_ids"),
            "delete_after_delivery": form.is_on("delete_after_delivery"),
        }
        | given
    )


def _shown(fields: StreamFields) -> dict[str, Any]:
    """A stream as the form shows it."""
    values = fields.model_dump()
    for name in ("start_early", "end_late", "stall_timeout"):
        values[name] = f"{values[name]:g}"
    if fields.keep_gigabytes is not None:
        values["keep_gigabytes"] = f"{fields.keep_gigabytes:g}"
    return (
        values | {"fallback_urls": "\n".join(fields.fallback_urls)} | split_length("max_duration", fields.max_duration)
    )


async def _form(request: Request, services: Services, form: Form, stream: Stream | None) -> HTMLResponse:
    try:
        shown = await _preview(
            request, services, _fields(form, url="http://example.org/"), stream.id if stream else None
        )
    except ValueError:
        shown = Shown()
    return render(
        request,
        "streams/form.html",
        status=200 if form.is_good else 422,
        form=form,
        stream=stream,
        engines=ENGINES,
        qualities=_qualities(form.text("mp3_quality")),
        destinations=await services.destinations.names(),
        preview=shown,
        pattern_names=pattern.NAMES,
        default_title=DEFAULT_TITLE,
        default_file=DEFAULT_FILE_NAME,
    )


def _qualities(present: str) -> list[tuple[str, str]]:
    """The usual choices, and the one a stream has already."""
    is_listed = not present or any(value == present for value, _ in QUALITIES)
    return [*QUALITIES, *([] if is_listed else [(present, present)])]


async def _preview(request: Request, services: Services, fields: StreamFields, stream_id: int | None) -> Shown:
    """What the next recording of a stream will be called: of its next show, or of one that begins now."""
    start, show, zone = datetime.now(UTC), "", reader_zone(request)
    if stream_id is not None:
        schedules = await services.schedules.of_streams([stream_id])
        found = await _next(services, schedules)
        if found is not None:
            schedule, start = found
            show, zone = schedule.name, schedule.timezone
    local = start.astimezone(ZoneInfo(zone))
    return Shown(previewed(fields, show, local), start, zone, show)


async def _next(services: Services, schedules: list[Schedule]) -> tuple[Schedule, datetime] | None:
    """The schedule that comes next, and when."""
    outlooks = await services.schedules.outlooks(schedules)
    coming = [(outlooks[schedule.id].next_start, schedule) for schedule in schedules]
    dated = [(start, schedule) for start, schedule in coming if start is not None]
    if not dated:
        return None
    start, schedule = min(dated, key=lambda pair: pair[0])
    return schedule, start


async def _next_starts(services: Services, stream_ids: list[int]) -> dict[int, datetime]:
    """When each stream is recorded next."""
    schedules = await services.schedules.of_streams(stream_ids)
    outlooks = await services.schedules.outlooks(schedules)
    found: dict[int, datetime] = {}
    for schedule in schedules:
        start = outlooks[schedule.id].next_start
        if start is not None:
            found[schedule.stream_id] = min(start, found.get(schedule.stream_id, start))
    return found


async def _destinations(services: Services, ids: list[int]) -> list[tuple[int, str]]:
    return [(number, name) for number, name in await services.destinations.names() if number in ids]
