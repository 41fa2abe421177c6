"""Destinations: where recordings go."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape import transfer
from rolltape.domain.destination import Destination, DestinationFields, HostKey
from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.session import Event, Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.transfer import UNDER_WAY, Transfer, TransferState
from rolltape.services.clock import Clock
from rolltape.services.names import unique_name
from rolltape.services.operations import operation
from rolltape.services.paging import Page, page
from rolltape.store import Database


class Destinations:
    """`wake` is called when refused transfers may go on."""

    def __init__(
        self,
        database: Database,
        *,
        transfer_settings: transfer.TransferSettings,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._settings = transfer_settings
        self._clock = clock
        self._wake = wake

    async def page(self, *, after: str | None, limit: int) -> Page[Destination]:
        async with self._database.read() as db:
            return await page(db, select(Destination), [Destination.id], after=after, limit=limit)

    async def get(self, destination_id: int) -> Destination:
        async with self._database.read() as db:
            return await find(db, destination_id)

    async def names(self) -> list[tuple[int, str]]:
        """All destinations by name, for choices."""
        async with self._database.read() as db:
            rows = await db.execute(select(Destination.id, Destination.name))
        return sorted(((number, name) for number, name in rows), key=lambda row: row[1].casefold())

    async def streams(self, destination_id: int) -> list[tuple[int, str]]:
        """The streams whose recordings go to a destination, by name."""
        async with self._database.read() as db:
            rows = await db.execute(select(Stream.id, Stream.name, Stream.destination_ids).order_by(Stream.name))
            return [(number, name) for number, name, ids in rows if destination_id in ids]

    async def under_way(self, destination_id: int) -> int:
        """How many transfers to a destination have not arrived, and would not any more without it."""
        open_states = UNDER_WAY | {TransferState.REFUSED}
        query = select(func.count(Transfer.id)).where(
            Transfer.destination_id == destination_id, Transfer.state.in_(open_states)
        )
        async with self._database.read() as db:
            return await db.scalar(query) or 0

    @operation("destination_added", "a destination was added")
    async def create(self, fields: DestinationFields) -> Destination:
        async with self._database.write() as db:
            return await self.enter(db, fields)

    async def enter(self, db: AsyncSession, fields: DestinationFields) -> Destination:
        """A new destination, as part of a larger change."""
        destination = Destination(**fields.model_dump(), created_at=self._clock())
        db.add(destination)
        with unique_name("destination", fields.name):
            await db.flush()
        return destination

    @operation("destination_changed", "a destination was changed")
    async def update(self, destination_id: int, changes: dict[str, Any]) -> Destination:
        """Change the named fields. Another host or port is another server: its key has to be accepted anew."""
        async with self._database.write() as db:
            destination = await find(db, destination_id)
            before = DestinationFields.model_validate(destination)
            await self.replace(db, destination, DestinationFields.model_validate(before.model_dump() | changes))
        self._wake()
        return destination

    async def replace(self, db: AsyncSession, destination: Destination, fields: DestinationFields) -> None:
        """Give a destination these fields, as part of a larger change."""
        before = DestinationFields.model_validate(destination)
        for name, value in fields.model_dump().items():
            setattr(destination, name, value)
        if (fields.kind, fields.host, fields.port) != (before.kind, before.host, before.port):
            _set_host_key(destination, None)
        with unique_name("destination", fields.name):
            await db.flush()
        await self._queue_again(db, destination)

    @operation("destination_deleted", "a destination was deleted")
    async def delete(self, destination_id: int) -> None:
        """Delete a destination; what is under way to it is cancelled, and streams no longer name it."""
        async with self._database.write() as db:
            await self.remove(db, destination_id)
        self._wake()

    async def remove(self, db: AsyncSession, destination_id: int) -> None:
        """Delete a destination, as part of a larger change."""
        destination = await find(db, destination_id)
        for stream in await db.scalars(select(Stream)):
            if destination_id in stream.destination_ids:
                stream.destination_ids = [number for number in stream.destination_ids if number != destination_id]
        await db.execute(
            update(Transfer)
            .where(Transfer.destination_id == destination_id, Transfer.state != TransferState.DELIVERED)
            .values(state=TransferState.CANCELLED, error_message="The destination was deleted.")
        )
        await db.delete(destination)

    @operation("destination_tested", "a destination was tested")
    async def test(self, destination_id: int) -> transfer.Trial:
        """Log in, write, rename and delete a small file; says how much space is free."""
        destination = await self.get(destination_id)
        trial = await transfer.test(
            DestinationFields.model_validate(destination), host_key(destination), self._settings
        )
        if trial.ok:
            async with self._database.write() as db:
                await self._queue_again(db, await find(db, destination_id))
            self._wake()
        return trial

    @operation("host_key_accepted", "a server's key was accepted")
    async def accept_host_key(self, destination_id: int, fingerprint: str) -> Destination:
        """Accept the key that the server shows, if it is the one with this fingerprint.

        Raises:
            ConflictError: the server shows another key, or none.
        """
        destination = await self.get(destination_id)
        if destination.kind != "ssh":
            raise ConflictError("A local folder has no host key.")
        # Asked without the accepted key, a server shows its own and nothing is logged in to.
        trial = await transfer.test(DestinationFields.model_validate(destination), None, self._settings)
        if trial.host_key is None:
            raise ConflictError(trial.message)
        if trial.host_key.fingerprint != fingerprint:
            raise ConflictError(f"The server shows another key: {trial.host_key.type} {trial.host_key.fingerprint}")
        async with self._database.write() as db:
            destination = await find(db, destination_id)
            _set_host_key(destination, trial.host_key)
            await self._queue_again(db, destination)
        self._wake()
        return destination

    async def _queue_again(self, db: AsyncSession, destination: Destination) -> None:
        """Something was done about a destination: what it refused is worth another try."""
        now = self._clock()
        query = select(Transfer).where(
            Transfer.destination_id == destination.id,
            Transfer.state.in_((TransferState.REFUSED, TransferState.WAITING)),
        )
        for row in await db.scalars(query):
            row.state = TransferState.QUEUED
            row.next_attempt_at = now
            row.fruitless = 0
            await deliver_again(db, row, f"Tried again: {destination.name} was changed or tested.")


async def deliver_again(db: AsyncSession, row: Transfer, message: str) -> None:
    """The session of a transfer that failed for good is being delivered again."""
    session = await db.get(Session, row.session_id)
    if session is not None and session.state in (SessionState.FAILED, SessionState.DONE) and session.sha256:
        session.state = SessionState.DELIVERING
        session.ended_at = session.error_code = session.error_message = None
        now = row.next_attempt_at
        assert now is not None
        db.add(Event(session_id=session.id, at=now, kind="retry", message=message))


def host_key(destination: Destination) -> HostKey | None:
    """The accepted key of a destination."""
    if destination.host_key is None:
        return None
    return HostKey(
        type=destination.host_key_type or "",
        key=destination.host_key,
        fingerprint=destination.host_key_fingerprint or "",
    )


async def find(db: AsyncSession, destination_id: int) -> Destination:
    destination = await db.get(Destination, destination_id)
    if destination is None:
        raise NotFoundError(f"There is no destination {destination_id}.")
    return destination


def _set_host_key(destination: Destination, key: HostKey | None) -> None:
    destination.host_key_type = key.type if key else None
    destination.host_key = key.key if key else None
    destination.host_key_fingerprint = key.fingerprint if key else None
