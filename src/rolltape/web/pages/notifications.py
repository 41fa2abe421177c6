"""The pages of notifications: who is told what happens, and whether it arrives."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.address import HIDDEN
from rolltape.domain.notification import Channel, ChannelFields, ChannelKind, Occasion, masked
from rolltape.services import Services
from rolltape.services.notifications import LABELS, Trial
from rolltape.web.forms import Form, Typed
from rolltape.web.params import Id, With
from rolltape.web.rendering import redirect, render

PAGE = "/system/notifications"
RECENT = 10  # messages that the page of a channel shows
KINDS = (
    (ChannelKind.APPRISE, "Mail or a messenger, by Apprise"),
    (ChannelKind.WEBHOOK, "A webhook: JSON for another program"),
    (ChannelKind.PING, "A sign of life: an address that is fetched while all is well"),
)
EVENTS = tuple((occasion, label) for occasion, (label, _) in LABELS.items())


async def listing(request: Request, services: With) -> HTMLResponse:
    return render(
        request, "notifications/list.html", path=PAGE, channels=await services.notifications.all(), kinds=dict(KINDS)
    )


async def new(request: Request) -> HTMLResponse:
    defaults = {"kind": ChannelKind.APPRISE, "events": list(Occasion), "interval": "5", "enabled": "on"}
    return _form(request, Form(defaults), None)


async def create(request: Request, services: With, form: Typed) -> Response:
    """Set a channel up. A secret that was made for it is shown on the page that answers, this once."""
    with form.checked():
        channel = await services.notifications.create(_fields(form))
    if not form.is_good:
        return _form(request, form, None)
    if channel.secret and not form.text("secret"):
        return await _page(request, services, channel, shown=channel.secret, status=201)
    return redirect(request, f"{PAGE}/{channel.id}", note="saved")


async def show(request: Request, services: With, channel_id: Id) -> HTMLResponse:
    return await _page(request, services, await services.notifications.get(channel_id))


async def edit(request: Request, services: With, channel_id: Id) -> HTMLResponse:
    channel = await services.notifications.get(channel_id)
    return _form(request, Form(_shown(channel)), channel)


async def change(request: Request, services: With, channel_id: Id, form: Typed) -> Response:
    channel = await services.notifications.get(channel_id)
    with form.checked():
        await services.notifications.update(channel_id, _typed(form))
    if not form.is_good:
        return _form(request, form, channel)
    return redirect(request, f"{PAGE}/{channel_id}", note="saved")


async def test(request: Request, services: With, channel_id: Id) -> HTMLResponse:
    """Send a test; the whole page, or for a script the part that tells how it went."""
    trial = await services.notifications.test(channel_id)
    if request.headers.get("hx-request"):
        return render(request, "notifications/trial.html", trial=trial)
    return await _page(request, services, await services.notifications.get(channel_id), trial)


async def ask_delete(request: Request, services: With, channel_id: Id) -> HTMLResponse:
    return render(request, "notifications/delete.html", channel=await services.notifications.get(channel_id))


async def delete(request: Request, services: With, channel_id: Id) -> Response:
    await services.notifications.delete(channel_id)
    return redirect(request, PAGE, note="deleted")


async def _page(
    request: Request,
    services: Services,
    channel: Channel,
    trial: Trial | None = None,
    *,
    shown: str = "",
    status: int = 200,
) -> HTMLResponse:
    return render(
        request,
        "notifications/show.html",
        status=status,
        path=PAGE,
        channel=channel,
        address=masked(channel.kind, channel.address),
        messages=await services.notifications.messages(channel.id, RECENT),
        kinds=dict(KINDS),
        events=[label for occasion, label in EVENTS if occasion in channel.events],
        trial=trial,
        shown=shown,
    )


def _form(request: Request, form: Form, channel: Channel | None) -> HTMLResponse:
    return render(
        request,
        "notifications/form.html",
        status=200 if form.is_good else 422,
        path=PAGE,
        form=form,
        channel=channel,
        kinds=KINDS,
        events=EVENTS,
    )


def _fields(form: Form) -> ChannelFields:
    """The channel that was typed.

    Raises:
        ValidationError: a field cannot be taken.
    """
    return ChannelFields.model_validate(_typed(form))


def _typed(form: Form) -> dict[str, Any]:
    return {
        "name": form.text("name"),
        "kind": form.text("kind"),
        "address": form.text("address"),
        "secret": form.text("secret"),
        "events": form.chosen("events"),
        "interval": form.text("interval") or "5",
        "enabled": form.is_on("enabled"),
    }


def _shown(channel: Channel) -> dict[str, Any]:
    """A channel as the form shows it, without what is secret."""
    return {
        "name": channel.name,
        "kind": channel.kind,
        "address": masked(channel.kind, channel.address),
        "secret": HIDDEN if channel.secret else "",
        "events": channel.events,
        "interval": f"{channel.interval}",
        "enabled": "on" if channel.enabled else "",
    }
