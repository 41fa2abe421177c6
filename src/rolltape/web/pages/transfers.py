"""The page of transfers: what is on its way, what waits, what arrived."""

from fastapi import Request
from fastapi.responses import Response
from starlette.responses import HTMLResponse

from rolltape.domain.transfer import TransferState
from rolltape.web.params import After, ChosenId, Id, With
from rolltape.web.rendering import redirect, render

PAGE = 50  # transfers


async def listing(
    request: Request,
    services: With,
    state: str = "",
    destination_id: ChosenId = None,
    after: After = None,
) -> HTMLResponse:
    wanted = TransferState(state) if state in set(TransferState) else None
    found = await services.transfers.page(state=wanted, destination_id=destination_id, after=after, limit=PAGE)
    return render(
        request,
        "transfers/list.html",
        transfers=found.items,
        more=found.next,
        carried=await services.transfers.sessions(found.items),
        counts=await services.transfers.counts(),
        state=wanted or "",
        states=list(TransferState),
        destination_id=destination_id,
        destinations=await services.destinations.names(),
    )


async def retry(request: Request, services: With, transfer_id: Id) -> Response:
    await services.transfers.retry(transfer_id)
    return redirect(request, "/transfers", note="retried")


async def cancel(request: Request, services: With, transfer_id: Id) -> Response:
    await services.transfers.cancel(transfer_id)
    return redirect(request, "/transfers", note="cancelled")
