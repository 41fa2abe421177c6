"""Transfers: the persisted queue of deliveries."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import case, func, select, update

from rolltape.domain.destination import Destination
from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.session import Plan, Session
from rolltape.domain.transfer import UNDER_WAY, Transfer, TransferState
from rolltape.services.clock import Clock
from rolltape.services.destinations import deliver_again
from rolltape.services.operations import operation
from rolltape.services.paging import Page, page
from rolltape.store import Database


class Transfers:
    """`wake` is called when a transfer has become due."""

    def __init__(self, database: Database, *, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    async def page(
        self, *, state: TransferState | None, destination_id: int | None = None, after: str | None, limit: int
    ) -> Page[Transfer]:
        query = select(Transfer)
        if destination_id is not None:
            query = query.where(Transfer.destination_id == destination_id)
        if state is not None:
            query = query.where(Transfer.state == state)
        async with self._database.read() as db:
            return await page(db, query, [Transfer.id], after=after, limit=limit)

    async def queue(self, limit: int) -> Sequence[Transfer]:
        """What is under way or has been refused, what is being sent first."""
        order = case(
            (Transfer.state == TransferState.SENDING, 0), (Transfer.state == TransferState.REFUSED, 1), else_=2
        )
        waiting = UNDER_WAY | {TransferState.REFUSED}
        query = select(Transfer).where(Transfer.state.in_(waiting)).order_by(order, Transfer.id).limit(limit)
        async with self._database.read() as db:
            return (await db.scalars(query)).all()

    async def counts(self) -> dict[TransferState, int]:
        """How many transfers are in each state."""
        query = select(Transfer.state, func.count()).group_by(Transfer.state)
        async with self._database.read() as db:
            return dict((await db.execute(query)).all())

    async def sessions(self, transfers: Sequence[Transfer]) -> dict[int, Session]:
        """The sessions whose recordings these transfers carry."""
        query = select(Session).where(Session.id.in_({transfer.session_id for transfer in transfers}))
        async with self._database.read() as db:
            return {session.id: session for session in await db.scalars(query)}

    @operation("transfer_retried", "a transfer is tried again on request")
    async def retry(self, transfer_id: int) -> Transfer:
        """Try a transfer now, whatever became of it; one that is delivered is proven anew, or sent again."""
        async with self._database.write() as db:
            row = await db.get(Transfer, transfer_id)
            if row is None:
                raise NotFoundError(f"There is no transfer {transfer_id}.")
            if row.state is TransferState.SENDING:
                raise ConflictError("The transfer is under way.")
            if row.destination_id is None:
                raise ConflictError("The destination of this transfer was deleted.")
            row.state = TransferState.QUEUED
            row.next_attempt_at = self._clock()
            row.fruitless = 0
            row.sent = 0
            row.error_code = row.error_message = row.finished_at = None
            await deliver_again(db, row, f"Sent again to {row.destination_name} on request.")
        self._wake()
        return row

    @operation("transfer_cancelled", "a transfer was cancelled")
    async def cancel(self, transfer_id: int) -> Transfer:
        async with self._database.write() as db:
            row = await db.get(Transfer, transfer_id)
            if row is None:
                raise NotFoundError(f"There is no transfer {transfer_id}.")
            if row.state not in UNDER_WAY | {TransferState.REFUSED}:
                raise ConflictError(f"The transfer is {row.state} already.")
            row.state = TransferState.CANCELLED
            row.finished_at = self._clock()
            row.next_attempt_at = None
        self._wake()
        return row

    # What the runners do

    async def prepare(self, session: Session, plan: Plan, size: int, remote_path: str) -> list[Transfer]:
        """The transfers that a finished recording begins with; not in the database yet."""
        now = self._clock()
        async with self._database.read() as db:
            query = select(Destination).where(Destination.id.in_(plan.stream.destination_ids))
            destinations = {destination.id: destination for destination in await db.scalars(query)}
            known = set(await db.scalars(select(Transfer.destination_id).where(Transfer.session_id == session.id)))
        return [
            Transfer(
                session_id=session.id,
                destination_id=number,
                destination_name=destinations[number].name,
                state=TransferState.QUEUED,
                next_attempt_at=now,
                size=size,
                remote_path=remote_path,
                created_at=now,
            )
            for number in plan.stream.destination_ids
            if number in destinations and number not in known
        ]

    async def of(self, session_id: int) -> Sequence[tuple[Transfer, Destination | None]]:
        """The transfers of a session, each with its destination as it is now."""
        query = (
            select(Transfer, Destination)
            .outerjoin(Destination, Destination.id == Transfer.destination_id)
            .where(Transfer.session_id == session_id)
            .order_by(Transfer.id)
        )
        async with self._database.read() as db:
            return [(row, destination) for row, destination in await db.execute(query)]

    async def write(self, transfer_id: int, **values: Any) -> bool:
        """Change a transfer that nobody has cancelled. False: somebody has."""
        query = update(Transfer).where(Transfer.id == transfer_id, Transfer.state.in_(UNDER_WAY)).values(**values)
        async with self._database.write() as db:
            return (await db.scalars(query.returning(Transfer.id))).one_or_none() is not None

    async def look_again(self) -> None:
        """Queue what was refused long ago: a server that was mended gets its recordings without anybody's doing."""
        now = self._clock()
        query = select(Transfer).where(
            Transfer.state == TransferState.REFUSED,
            Transfer.destination_id.is_not(None),
            Transfer.next_attempt_at <= now,
        )
        async with self._database.write() as db:
            for row in await db.scalars(query):
                row.state = TransferState.QUEUED
                row.next_attempt_at = now
                await deliver_again(db, row, f"Tried again: {row.destination_name} may have been mended.")
