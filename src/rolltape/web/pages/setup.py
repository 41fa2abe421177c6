"""The first visit: an account, a stream, a recording that can be heard. All but the account can be left out."""

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from rolltape.domain.calendar import check_zone, zone_names
from rolltape.domain.errors import ConflictError, InputError, SourceError, TooManyAttempts
from rolltape.domain.session import OVER, Session
from rolltape.domain.stream import LONGEST_TEXT, StreamFields
from rolltape.domain.units import Seconds
from rolltape.services import Services
from rolltape.services.clock import utc_now
from rolltape.web.forms import Form, Typed
from rolltape.web.pages.login import peer, sign_in, too_many
from rolltape.web.params import Id, With
from rolltape.web.rendering import reader_zone, redirect, render

TEST_LENGTH = Seconds(30)  # of the recording that shows whether it works

# Where the clock of the first visit can be set: not when the environment fixes the zone.
ZONE = "timezone"


async def ask(request: Request, services: With, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    if await services.users.exist():
        return redirect(request, "/" if request.state.user else "/login")
    form = Form({"code": code, "name": "", "password": "", "again": "", "timezone": reader_zone(request)})
    return _account_form(request, services, form)


async def set_up(request: Request, services: With, form: Typed) -> Response:
    """Make the account, keep the time zone, and sign this browser in."""
    if await services.users.exist():
        raise ConflictError("Rolltape is set up already. Sign in instead.")
    answer = redirect(request, "/setup/stream")
    try:
        with form.checked():
            await _make_account(request, services, form)
            await sign_in(request, answer, services, form.text("name"), form.text("password"), remember=False)
    except TooManyAttempts as exc:
        return too_many(_account_form(request, services, Form(form.values, message=exc.message), 429), exc)
    if not form.is_good:
        return _account_form(request, services, form, 403 if set(form.errors) == {"code"} else 422)
    return answer


async def ask_stream(request: Request) -> Response:
    return _stream_form(request, Form({"url": ""}), offer=None)


async def probe(request: Request, services: With, form: Typed) -> Response:
    """Listen to the address, and fill in what the station says of itself."""
    offer = None
    with form.checked():
        url = StreamFields(name="probe", url=form.text("url")).url
        try:
            offer = await services.streams.probe(url)
        except SourceError as exc:
            raise InputError("url", exc.message) from exc
    if offer is None:
        return _stream_form(request, form, offer=None, status=422)
    told = {"name": offer.station, "genre": offer.genre}
    known = {name: (form.text(name) or value or "")[:LONGEST_TEXT] for name, value in told.items()}
    return _stream_form(request, Form(dict(form.values) | known), offer=offer)


async def add_stream(request: Request, services: With, form: Typed) -> Response:
    """Keep the stream and, unless it is only to be kept, record a moment of it."""
    with form.checked():
        typed = StreamFields(**{name: form.text(name) for name in ("url", "name", "artist", "genre")})  # type: ignore[arg-type]
        stream = await services.streams.create(services.preferences.for_new(typed))
    if not form.is_good:
        return _stream_form(request, form, offer=None, is_known=True, status=422)
    if form.text("then") != "test":
        return redirect(request, "/", note="welcome")
    return await _record(request, services, stream.id)


async def record_again(request: Request, services: With, stream_id: Id) -> Response:
    return await _record(request, services, stream_id)


async def recording(request: Request, services: With, session_id: Id) -> Response:
    """How far the test recording is; then, how it sounds."""
    session = await services.sessions.get(session_id)
    return render(
        request,
        "setup/recording.html",
        session=session,
        is_over=session.state in OVER,
        can_be_heard=session.state in OVER and session.file is not None,
        length=TEST_LENGTH,
        passed=_passed(session),
    )


def _passed(session: Session) -> float:
    """Seconds that the recording has been going on."""
    if session.started_at is None:
        return 0.0
    return min((utc_now() - session.started_at).total_seconds(), TEST_LENGTH)


async def _make_account(request: Request, services: Services, form: Form) -> None:
    zone = form.text(ZONE)
    if zone:
        _check_zone(zone)
    if form.text("password") != form.text("again"):
        raise InputError("again", "This is not the same password as above.")
    await services.users.set_up(form.text("name"), form.text("password"), form.text("code"), peer(request))
    if zone and not _is_locked(services):
        await services.preferences.change({ZONE: zone})


async def _record(request: Request, services: Services, stream_id: int) -> Response:
    session = await services.sessions.record_now(stream_id, TEST_LENGTH, "Test recording", deliver=False)
    return redirect(request, f"/setup/recording/{session.id}")


def _check_zone(zone: str) -> None:
    try:
        check_zone(zone)
    except InputError as exc:
        raise InputError(ZONE, exc.message) from exc


def _is_locked(services: Services) -> bool:
    return any(row.name == ZONE and row.locked_by for row in services.preferences.read())


def _account_form(request: Request, services: Services, form: Form, status: int = 200) -> Response:
    locked = services.preferences.values.timezone if _is_locked(services) else None
    return render(request, "setup/account.html", status=status, form=form, zones=zone_names(), locked_zone=locked)


def _stream_form(request: Request, form: Form, *, offer: Any, is_known: bool = False, status: int = 200) -> Response:
    """Asks for an address; and, once it `is_known` to work, what the stream is called."""
    return render(
        request, "setup/stream.html", status=status, form=form, offer=offer, is_known=is_known or offer is not None
    )
