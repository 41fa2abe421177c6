"""The pages of destinations: where recordings go."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.destination import Destination, DestinationFields, DestinationKind
from rolltape.domain.transfer import TransferState
from rolltape.services import Services
from rolltape.transfer import Trial
from rolltape.web.forms import Form, Typed, or_none
from rolltape.web.params import After, Id, With
from rolltape.web.rendering import redirect, render

PAGE = 50  # destinations
RECENT = 5  # transfers that the page of one shows
KIB = 1024


async def listing(request: Request, services: With, after: After = None) -> HTMLResponse:
    found = await services.destinations.page(after=after, limit=PAGE)
    return render(request, "destinations/list.html", destinations=found.items, more=found.next)


async def new(request: Request, services: With) -> HTMLResponse:
    keys = await services.keys.all()
    defaults = {"kind": DestinationKind.SSH, "port": "22", "key_file": keys[0].name if len(keys) == 1 else ""}
    return await _form(request, services, Form(defaults), None)


async def create(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        destination = await services.destinations.create(_fields(form))
    if not form.is_good:
        return await _form(request, services, form, None)
    return redirect(request, f"/destinations/{destination.id}", note="saved")


async def show(request: Request, services: With, destination_id: Id) -> HTMLResponse:
    return await _page(request, services, await services.destinations.get(destination_id))


async def edit(request: Request, services: With, destination_id: Id) -> HTMLResponse:
    destination = await services.destinations.get(destination_id)
    return await _form(request, services, Form(_shown(destination)), destination)


async def change(request: Request, services: With, destination_id: Id, form: Typed) -> Response:
    destination = await services.destinations.get(destination_id)
    with form.checked():
        await services.destinations.update(destination_id, _fields(form).model_dump())
    if not form.is_good:
        return await _form(request, services, form, destination)
    return redirect(request, f"/destinations/{destination_id}", note="saved")


async def test(request: Request, services: With, destination_id: Id) -> HTMLResponse:
    """Try a destination; the whole page, or for a script the part that tells how it went."""
    trial = await services.destinations.test(destination_id)
    destination = await services.destinations.get(destination_id)
    if request.headers.get("hx-request"):
        return render(request, "destinations/trial.html", destination=destination, trial=trial)
    return await _page(request, services, destination, trial)


async def accept_key(request: Request, services: With, destination_id: Id, form: Typed) -> Response:
    await services.destinations.accept_host_key(destination_id, form.text("fingerprint"))
    return redirect(request, f"/destinations/{destination_id}", note="accepted")


async def ask_delete(request: Request, services: With, destination_id: Id) -> HTMLResponse:
    destination = await services.destinations.get(destination_id)
    return render(
        request,
        "destinations/delete.html",
        destination=destination,
        streams=await services.destinations.streams(destination_id),
        under_way=await services.destinations.under_way(destination_id),
    )


async def delete(request: Request, services: With, destination_id: Id) -> Response:
    await services.destinations.delete(destination_id)
    return redirect(request, "/destinations", note="deleted")


async def keys(request: Request, services: With) -> HTMLResponse:
    return await _keys(request, services, Form({}))


async def create_key(request: Request, services: With, form: Typed) -> Response:
    with form.checked():
        await services.keys.create(form.text("key_name"))
    if not form.is_good:
        return await _keys(request, services, form)
    return redirect(request, "/destinations/keys", note="saved")


async def _keys(request: Request, services: Services, form: Form) -> HTMLResponse:
    found = await services.keys.all()
    return render(request, "destinations/keys.html", status=200 if form.is_good else 422, keys=found, form=form)


async def _page(
    request: Request, services: Services, destination: Destination, trial: Trial | None = None
) -> HTMLResponse:
    recent = await services.transfers.page(state=None, destination_id=destination.id, after=None, limit=RECENT)
    return render(
        request,
        "destinations/show.html",
        destination=destination,
        trial=trial,
        transfers=recent.items,
        carried=await services.transfers.sessions(recent.items),
        streams=await services.destinations.streams(destination.id),
        public=next((key.public for key in await services.keys.all() if key.name == destination.key_file), None),
        delivered=TransferState.DELIVERED,
    )


async def _form(request: Request, services: Services, form: Form, destination: Destination | None) -> HTMLResponse:
    return render(
        request,
        "destinations/form.html",
        status=200 if form.is_good else 422,
        form=form,
        destination=destination,
        keys=await services.keys.all(),
        kinds=((DestinationKind.SSH, "A server over SSH"), (DestinationKind.LOCAL, "A folder on this machine")),
    )


def _fields(form: Form) -> DestinationFields:
    """The destination that was typed.

    Raises:
        ValidationError: a field cannot be taken.
    """
    names = ("name", "kind", "host", "user", "key_file", "directory")
    typed: dict[str, Any] = {name: form.text(name) for name in names}
    limit = or_none(form.text("bandwidth_limit"))
    return DestinationFields(
        **typed
        | {
            "port": form.text("port") or "22",
            "bandwidth_limit": int(limit) * KIB if limit and limit.isdecimal() else limit,
        }
    )


def _shown(destination: Destination) -> dict[str, Any]:
    """A destination as the form shows it; the limit in KiB per second."""
    values = DestinationFields.model_validate(destination).model_dump()
    limit = values["bandwidth_limit"]
    return values | {"bandwidth_limit": f"{limit // KIB}" if limit else ""}
