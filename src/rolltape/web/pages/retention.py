"""The pages of what is kept: what a stream's rule would delete, and what is missing."""

from fastapi import Request
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.errors import ConflictError
from rolltape.domain.retention import Rule
from rolltape.domain.stream import StreamFields
from rolltape.services import Services
from rolltape.web.forms import Form, Typed, or_none
from rolltape.web.params import Id, With
from rolltape.web.rendering import redirect, render

SHOWN = 500  # recordings; the rest is counted


async def show(request: Request, services: With, stream_id: Id) -> HTMLResponse:
    return await _page(request, services, stream_id)


async def agree(request: Request, services: With, stream_id: Id, form: Typed) -> Response:
    """Have deleted what was shown; show it anew if it would be something else by now."""
    try:
        await services.retention.agree(stream_id, form.text("fingerprint"))
    except ConflictError as exc:
        return await _page(request, services, stream_id, message=exc.message)
    return redirect(request, f"/streams/{stream_id}/retention", note="going")


async def part(request: Request, services: With, form: Typed) -> HTMLResponse:
    """The part of the form of a stream that says what its rule would delete now."""
    stream_id = form.text("id")
    found, message = None, ""
    try:
        rule = _rule(form)
    except ValueError:
        message = "That is no number that can be used."
    else:
        if stream_id.isdecimal() and len(stream_id) < 10 and rule.is_set:
            found = await services.retention.preview(int(stream_id), rule)
    return render(request, "streams/retention_part.html", found=found, message=message, stream_id=stream_id)


async def missing(request: Request, services: With) -> HTMLResponse:
    return await _missing(request, services)


async def forget_missing(request: Request, services: With, form: Typed) -> Response:
    """Take note that what is missing was removed on purpose."""
    count = form.text("count")
    try:
        await services.retention.forget_missing(int(count) if count.isdecimal() and len(count) < 10 else -1)
    except ConflictError as exc:
        return await _missing(request, services, message=exc.message)
    return redirect(request, "/system/missing", note="saved")


def _rule(form: Form) -> Rule:
    """The rule that was typed.

    Raises:
        ValueError: it is none.
    """
    days, count, gigabytes = (or_none(form.text(f"keep_{name}")) for name in ("days", "count", "gigabytes"))
    limits = StreamFields.model_validate(
        {"name": "rule", "url": "http://rule/", "keep_days": days, "keep_count": count, "keep_gigabytes": gigabytes}
    )
    return Rule.of(limits)


async def _page(request: Request, services: Services, stream_id: int, *, message: str = "") -> HTMLResponse:
    return render(
        request,
        "streams/retention.html",
        status=409 if message else 200,
        stream=await services.streams.get(stream_id),
        found=await services.retention.preview(stream_id),
        shown=SHOWN,
        message=message,
    )


async def _missing(request: Request, services: Services, *, message: str = "") -> HTMLResponse:
    count, rows = await services.retention.missing(SHOWN)
    return render(
        request, "system/missing.html", status=409 if message else 200, count=count, rows=rows, message=message
    )
