"""Transfers in the API."""

from datetime import datetime

from pydantic import BaseModel

from rolltape.domain.transfer import Proof, Transfer, TransferState
from rolltape.web.params import After, Id, Limit, Listing, With


class TransferFailure(BaseModel):
    code: str
    message: str


class TransferAnswer(BaseModel):
    """`sent` and `size` are in bytes, `rate` in bytes per second. `sha256` is that of the proven copy."""

    id: int
    session_id: int
    destination_id: int | None
    destination: str
    state: TransferState
    attempts: int
    next_attempt_at: datetime | None
    sent: int
    size: int
    rate: float | None
    remote_path: str | None
    sha256: str | None
    verified_by: Proof | None
    error: TransferFailure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


async def listing(
    services: With, limit: Limit = 50, after: After = None, state: TransferState | None = None
) -> Listing[TransferAnswer]:
    """List transfers."""
    found = await services.transfers.page(state=state, after=after, limit=limit)
    return Listing(items=[transfer_answer(transfer) for transfer in found.items], next=found.next)


async def retry(services: With, transfer_id: Id) -> TransferAnswer:
    """Try a transfer now, whatever became of it."""
    return transfer_answer(await services.transfers.retry(transfer_id))


async def cancel(services: With, transfer_id: Id) -> TransferAnswer:
    """Give a transfer up."""
    return transfer_answer(await services.transfers.cancel(transfer_id))


def transfer_answer(transfer: Transfer) -> TransferAnswer:
    error = None
    if transfer.error_code is not None:
        error = TransferFailure(code=transfer.error_code, message=transfer.error_message or "")
    return TransferAnswer(
        id=transfer.id,
        session_id=transfer.session_id,
        destination_id=transfer.destination_id,
        destination=transfer.destination_name,
        state=transfer.state,
        attempts=transfer.attempts,
        next_attempt_at=transfer.next_attempt_at,
        sent=transfer.sent,
        size=transfer.size,
        rate=transfer.rate,
        remote_path=transfer.remote_path,
        sha256=transfer.sha256,
        verified_by=transfer.verified_by,
        error=error,
        created_at=transfer.created_at,
        started_at=transfer.started_at,
        finished_at=transfer.finished_at,
    )
