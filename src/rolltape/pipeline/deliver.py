"""The last step: send a recording to each of its destinations, until each has proven that it has it."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import structlog

from rolltape.domain.destination import Destination, DestinationFields
from rolltape.domain.errors import TargetError, TargetRefused
from rolltape.domain.session import Plan, Session, SessionState
from rolltape.domain.transfer import UNDER_WAY, Receipt, Transfer, TransferState
from rolltape.domain.units import Bytes, Seconds
from rolltape.pipeline.leftovers import remove_takes
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.destinations import host_key
from rolltape.services.facts import remove_facts
from rolltape.services.sessions import Sessions
from rolltape.services.transfers import Transfers
from rolltape.transfer import Breaker, Delivery, after, deliver, fruitless

PROGRESS = Seconds(1)  # between entries of how far a transfer is

log = structlog.get_logger(__name__)


class Delivering:
    def __init__(self, sessions: Sessions, transfers: Transfers, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._transfers = transfers
        self._workshop = workshop
        self._clock = clock
        self._breaker = Breaker()
        self._room: dict[int, asyncio.Semaphore] = {}  # by destination

    async def run(self, session: Session) -> tuple[bool, datetime | None]:
        """Try every transfer that is due. Comes back later for what is not done."""
        now = self._clock()
        await self._remove_takes(session)
        due = [
            (row, destination)
            for row, destination in await self._transfers.of(session.id)
            if row.state in UNDER_WAY and (row.next_attempt_at is None or row.next_attempt_at <= now)
        ]
        await asyncio.gather(*(self._attempt(session, row, destination) for row, destination in due))
        rows = [row for row, _ in await self._transfers.of(session.id)]
        waiting = [row.next_attempt_at or now for row in rows if row.state in UNDER_WAY]
        if waiting:
            return True, min(waiting)
        return await self._finish(session, rows), None

    async def _remove_takes(self, session: Session) -> None:
        """The recording is finished and known to the database: now its takes may go. What stays is a leftover."""
        await asyncio.to_thread(remove_takes, self._workshop.takes(session))

    async def _attempt(self, session: Session, row: Transfer, destination: Destination | None) -> None:
        if destination is None:
            await self._transfers.write(row.id, state=TransferState.CANCELLED, finished_at=self._clock())
            return
        async with self._room_at(destination.id):
            now = self._clock()
            if row.state is TransferState.QUEUED and row.attempts > 0:  # somebody did something about it
                self._breaker.reset(destination.id)
            closed_until = self._breaker.opens_at(destination.id, now)
            if closed_until is not None:
                await self._transfers.write(row.id, state=TransferState.WAITING, next_attempt_at=closed_until)
                return
            begun = {"state": TransferState.SENDING, "attempts": row.attempts + 1, "started_at": now}
            if await self._transfers.write(row.id, **begun):
                await self._try(session, row, destination, now)

    async def _try(self, session: Session, row: Transfer, destination: Destination, now: datetime) -> None:
        self._breaker.begun(destination.id, now)
        sent = Sent()
        try:
            receipt = await self._send(session, row, destination, sent)
        except TargetError as exc:
            await self._failed(session, row, destination, exc, sent)
        except BaseException:
            self._breaker.abandoned(destination.id)
            raise
        else:
            if receipt is None:
                self._breaker.abandoned(destination.id)
            else:
                await self._delivered(session, row, destination, receipt)

    async def _send(self, session: Session, row: Transfer, destination: Destination, sent: "Sent") -> Receipt | None:
        """The receipt; None when somebody has cancelled the transfer meanwhile."""
        assert session.file is not None
        assert session.size is not None
        assert session.sha256 is not None
        file = self._workshop.recordings / session.file
        if not file.is_file():
            raise TargetRefused(f"{file} is gone: there is nothing to send.", code="local_file_missing")
        sending = asyncio.create_task(
            deliver(
                Delivery(file, PurePosixPath(session.file), Bytes(session.size), session.sha256),
                DestinationFields.model_validate(destination),
                host_key(destination),
                self._workshop.transfer,
                on_progress=sent.count,
            )
        )
        try:
            while not (await asyncio.wait([sending], timeout=PROGRESS))[0]:
                if not await self._transfers.write(row.id, sent=sent.bytes, rate=sent.rate):
                    return None
            return sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)  # what it ended by is told above, or was our wish

    async def _delivered(self, session: Session, row: Transfer, destination: Destination, receipt: Receipt) -> None:
        self._breaker.succeeded(destination.id)
        rate = receipt.size / receipt.took if receipt.took > 0 else None
        await self._transfers.write(
            row.id,
            state=TransferState.DELIVERED,
            finished_at=self._clock(),
            next_attempt_at=None,
            sent=receipt.size,
            rate=rate,
            remote_path=receipt.remote_path,
            sha256=receipt.sha256,
            verified_by=receipt.verified_by,
            error_code=None,
            error_message=None,
        )
        message = (
            f"Delivered to {destination.name} as {receipt.remote_path}: {receipt.size} bytes in {receipt.took:.1f} s, "
            f"proven by {receipt.verified_by}."
        )
        await self._tell(session, "delivered", message)

    async def _failed(
        self, session: Session, row: Transfer, destination: Destination, error: TargetError, sent: "Sent"
    ) -> None:
        now = self._clock()
        self._breaker.failed(destination.id, error, now, random=random.random())
        gained = Bytes(max(0, sent.bytes - row.sent))
        count = fruitless(row.fruitless, row.error_code, error, gained=gained)
        coming = after(error, fruitless=count, now=now, random=random.random())
        values: dict[str, Any] = {
            "fruitless": count,
            "sent": max(sent.bytes, row.sent),
            "error_code": error.code,
            "error_message": error.message,
        }
        if coming.at is None:
            values |= {"state": TransferState.REFUSED, "next_attempt_at": coming.recheck_at, "finished_at": now}
            told = f"{destination.name} refused it: {error.message}"
        else:
            values |= {"state": TransferState.WAITING, "next_attempt_at": coming.at}
            told = f"{destination.name}: {error.message} Tried again at {coming.at:%Y-%m-%d %H:%M:%S} UTC."
        log.warning(told, exc_info=error, action="transfer_failed", session_id=session.id)
        await self._transfers.write(row.id, **values)
        await self._tell(session, "delivery_failed", told)

    async def _finish(self, session: Session, rows: list[Transfer]) -> bool:
        refused = [row for row in rows if row.state is TransferState.REFUSED]
        if refused:
            message = f"Recorded, but not delivered: {refused[0].error_message}"
            values: dict[str, Any] = {"error_code": refused[0].error_code, "error_message": message}
            return await self._sessions.advance(session, SessionState.FAILED, "failed", message, **values)
        plan = await self._sessions.plan(session)
        values = {}
        if plan.stream.delete_after_delivery and rows and all(row.state is TransferState.DELIVERED for row in rows):
            values = await self._delete_local(session, plan)
        is_ours = await self._sessions.advance(session, SessionState.DONE, "done", "Done.", **values)
        self._workshop.on_done()
        return is_ours

    async def _delete_local(self, session: Session, plan: Plan) -> dict[str, Any]:
        """Delete the recording here. Returns what its session has to tell about that."""
        assert session.file is not None
        file = self._workshop.recordings / session.file
        await asyncio.to_thread(file.unlink, missing_ok=True)
        await asyncio.to_thread(remove_facts, file)
        await self._tell(session, "deleted", f"Deleted {session.file} here: {plan.stream.name} keeps no copy.")
        why = "It was delivered, and its stream keeps no copy here."
        return {"deleted_at": self._clock(), "deleted_why": why}

    async def _tell(self, session: Session, kind: str, message: str) -> None:
        log.info(message, action=kind, session_id=session.id)
        await self._sessions.tell(session.id, kind, message)

    @contextlib.asynccontextmanager
    async def _room_at(self, destination_id: int) -> AsyncIterator[None]:
        room = self._room.setdefault(destination_id, asyncio.Semaphore(self._workshop.transfers_per_destination))
        async with room:
            yield


class Sent:
    """How much of a file the other side has acknowledged; counted by the thread that sends."""

    def __init__(self) -> None:
        self.bytes = Bytes(0)
        self._first: tuple[float, int] | None = None

    def count(self, acknowledged: Bytes) -> None:
        if self._first is None:
            self._first = (time.monotonic(), acknowledged)
        self.bytes = acknowledged

    @property
    def rate(self) -> float | None:
        """Bytes per second since the first that were acknowledged; what was there already does not count."""
        if self._first is None:
            return None
        since, begin = self._first
        passed = time.monotonic() - since
        return (self.bytes - begin) / passed if passed > 0 else None
