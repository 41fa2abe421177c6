"""The queue of deliveries: what people ask of it, and what it does by itself."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.session import Session, SessionState
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.units import Seconds
from tests.services.conftest import Bench


async def transfer(bench: Bench, state: TransferState, session_state: SessionState, **values: object) -> Transfer:
    """A transfer of a recorded session to a folder."""
    folder = DestinationFields(name="Folder", kind=DestinationKind.LOCAL, directory=str(bench.folder))
    destination = await bench.services.destinations.create(folder)
    session = await bench.services.sessions.record_now(
        await bench.stream(destination_ids=[destination.id]), Seconds(60)
    )
    async with bench.database.write() as db:
        recorded = {"state": session_state, "file": "a.mp3", "size": 5, "sha256": "x", "duration": 1.0}
        await db.execute(update(Session).where(Session.id == session.id).values(**recorded))
        row = Transfer(
            session_id=session.id,
            destination_id=destination.id,
            destination_name="Folder",
            state=state,
            size=5,
            created_at=bench.clock(),
            **values,
        )
        db.add(row)
    return row


async def states(bench: Bench, row: Transfer) -> tuple[TransferState, SessionState]:
    (found,) = (await bench.services.sessions.transfers([row.session_id]))[row.session_id]
    return found.state, (await bench.services.sessions.get(row.session_id)).state


async def test_a_refused_transfer_is_looked_at_again_when_its_time_has_come(bench: Bench) -> None:
    later = bench.clock() + timedelta(hours=6)
    row = await transfer(bench, TransferState.REFUSED, SessionState.FAILED, next_attempt_at=later)

    await bench.services.transfers.look_again()
    assert await states(bench, row) == (TransferState.REFUSED, SessionState.FAILED)
    bench.clock.move(hours=6)
    await bench.services.transfers.look_again()

    assert await states(bench, row) == (TransferState.QUEUED, SessionState.DELIVERING)


async def test_what_waits_for_a_person_is_not_tried_by_itself(bench: Bench) -> None:
    row = await transfer(bench, TransferState.REFUSED, SessionState.FAILED, next_attempt_at=None)

    bench.clock.move(days=30)
    await bench.services.transfers.look_again()

    assert await states(bench, row) == (TransferState.REFUSED, SessionState.FAILED)


@pytest.mark.parametrize("session_state", [SessionState.FAILED, SessionState.DONE, SessionState.DELIVERING])
async def test_a_transfer_is_sent_again_on_request(bench: Bench, session_state: SessionState) -> None:
    state = TransferState.DELIVERED if session_state is SessionState.DONE else TransferState.REFUSED
    row = await transfer(bench, state, session_state)

    await bench.services.transfers.retry(row.id)

    assert await states(bench, row) == (TransferState.QUEUED, SessionState.DELIVERING)


async def test_what_is_being_sent_or_was_never_there_cannot_be_sent_again(bench: Bench) -> None:
    row = await transfer(bench, TransferState.SENDING, SessionState.DELIVERING)

    with pytest.raises(ConflictError):
        await bench.services.transfers.retry(row.id)
    with pytest.raises(NotFoundError):
        await bench.services.transfers.retry(row.id + 1)


async def test_a_transfer_is_cancelled_once_and_nothing_is_written_to_it_then(bench: Bench) -> None:
    row = await transfer(bench, TransferState.SENDING, SessionState.DELIVERING)

    await bench.services.transfers.cancel(row.id)

    assert not await bench.services.transfers.write(row.id, state=TransferState.DELIVERED)
    assert (await states(bench, row))[0] is TransferState.CANCELLED
    with pytest.raises(ConflictError):
        await bench.services.transfers.cancel(row.id)


async def test_deleting_a_destination_cancels_what_is_under_way_and_streams_forget_it(bench: Bench) -> None:
    row = await transfer(bench, TransferState.WAITING, SessionState.DELIVERING, next_attempt_at=bench.clock())
    assert row.destination_id is not None

    await bench.services.destinations.delete(row.destination_id)

    assert (await states(bench, row))[0] is TransferState.CANCELLED
    (stream,) = (await bench.services.streams.page(after=None, limit=5)).items
    assert stream.destination_ids == []
