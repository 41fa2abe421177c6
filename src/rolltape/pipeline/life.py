"""Claim a session, run the step of its state, and say what comes next."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import structlog

from rolltape.disk import GONE, TROUBLES, reason, try_out
from rolltape.domain.errors import FfmpegMissing, ProcessingError, RolltapeError
from rolltape.domain.session import NOT_BEGUN, OVER, Session, SessionState
from rolltape.pipeline.deliver import Delivering
from rolltape.pipeline.finish import Finishing
from rolltape.pipeline.leftovers import Leftovers
from rolltape.pipeline.outage import ENOUGH, Halted
from rolltape.pipeline.record import Recording
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.findings import Finding
from rolltape.services.sessions import Sessions
from rolltape.services.transfers import Transfers
from rolltape.store import is_no_answer

MOST_ATTEMPTS = 5  # of a step that fails; after them somebody has to look
LONGEST_DELAY = timedelta(minutes=5)  # between looks whether a disk has room again
AWAY = timedelta(days=1)  # after the end of a session, that its takes may be out of reach
FIRST_DELAY = timedelta(seconds=5)  # after the first failure; doubled by each further one

log = structlog.get_logger(__name__)


class Queue(StrEnum):
    """What a step waits in line for."""

    CAPTURE = "capture"
    PROCESS = "process"
    TRANSFER = "transfer"


class Next(NamedTuple):
    """What a session needs next; `at` None means at once."""

    queue: Queue
    at: datetime | None = None


def queue_of(state: SessionState) -> Queue:
    if state is SessionState.PROCESSING:
        return Queue.PROCESS
    if state is SessionState.DELIVERING:
        return Queue.TRANSFER

    return Queue.CAPTURE


class Pipeline:
    def __init__(self, sessions: Sessions, transfers: Transfers, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._transfers = transfers
        self._workshop = workshop
        self._clock = clock
        self._halted = Halted()
        self._recording = Recording(sessions, workshop, self._halted, clock=clock)
        self._finishing = Finishing(sessions, transfers, workshop, clock=clock)
        self._delivering = Delivering(sessions, transfers, workshop, clock=clock)
        self._leftovers = Leftovers(sessions, workshop, clock=clock)

    async def run(self, session_id: int) -> Next | None:
        """Run the step of a session's state; None when there is nothing left to do (for this runner)."""
        session = await self._sessions.claim(session_id)
        if session is None:
            return None
        structlog.contextvars.bind_contextvars(stream_id=session.stream_id)  # for all that is told on its behalf
        try:
            goes_on, at = await self._step(session.state)(session)
        except Exception as exc:
            if is_no_answer(exc):  # that says nothing about the session: whoever runs it comes back
                raise
            return await self._failed(session, exc)

        self._halted.remove(session.id)
        return Next(queue_of(session.state), at) if goes_on and session.state not in OVER else None

    async def attend(self) -> None:
        """Enter the progress of what records, and do what was asked of it, until cancelled."""
        await self._recording.live.attend()

    async def tidy(self) -> None:
        """Do what has become due without anybody's asking."""
        await self._sessions.expire_waiting()
        await self._transfers.look_again()
        await self._leftovers.tidy()

    def look(self) -> None:
        """Something was asked of a session: look at once."""
        self._recording.live.look()

    def findings(self) -> list[Finding]:
        """What sessions wait for that somebody has to do."""
        return self._halted.findings()

    def _step(self, state: SessionState) -> Callable[[Session], Awaitable[tuple[bool, datetime | None]]]:
        """The step of a state. It returns whether the session is still ours, and when to go on."""
        if state is SessionState.PROCESSING:
            return self._finishing.run
        if state is SessionState.DELIVERING:
            return self._delivering.run

        assert state in NOT_BEGUN or state is SessionState.RECORDING
        return self._recording.run

    async def _failed(self, session: Session, error: Exception) -> Next | None:
        """Try the step again, a few times; then the session has failed. Its takes are kept."""
        trouble = await asyncio.to_thread(self._trouble, session, error)
        if trouble is not None:
            return await self._wait_for_disk(session, trouble)
        attempts = session.attempts + 1
        message = self._message(error)
        code = error.code if isinstance(error, RolltapeError) else "unexpected"
        permanent = isinstance(error, RolltapeError) and error.permanent
        log.error(message, exc_info=error, action="step_failed", session_id=session.id, attempts=attempts)
        if permanent or attempts >= MOST_ATTEMPTS:
            await self._sessions.advance(
                session, SessionState.FAILED, "failed", message, error_code=code, error_message=message
            )
            return None
        delay = FIRST_DELAY * 2 ** (attempts - 1)
        told = f"{message} Tried again in {delay.total_seconds():.0f} s."
        if not await self._sessions.advance(session, session.state, "step_failed", told, attempts=attempts):
            return None
        return Next(queue_of(session.state), self._clock() + delay)

    def _trouble(self, session: Session, error: Exception) -> OSError | None:
        """The disk's part in a failure; None where it has none. Waits for the disk."""
        if isinstance(error, OSError) and error.errno in TROUBLES:
            is_gone_for_good = error.errno in GONE and self._clock() > session.planned_end + AWAY
            return None if is_gone_for_good else error
        if isinstance(error, ProcessingError | FfmpegMissing):
            if (words := os.strerror(errno.ENOSPC)) in str(error):
                return OSError(errno.ENOSPC, words)
            try:
                try_out(self._workshop.takes(session), ENOUGH)
            except OSError as exc:
                return exc
        return None

    async def _wait_for_disk(self, session: Session, trouble: OSError) -> Next | None:
        """Try again as often as it takes: nothing is wrong with the session, and its takes are kept."""
        why = self._message(trouble)
        if session.id not in self._halted:
            told = f"{why} What was recorded is kept; it is tried again by itself."
            if not await self._sessions.advance(session, session.state, "disk", told):
                return None
            log.error("the disk keeps a session waiting", exc_info=trouble, action="disk_failed", session_id=session.id)
        delay = min(FIRST_DELAY * 2 ** self._halted.add(session.id, why), LONGEST_DELAY)
        # What was made of it so far would take the room from sessions that record.
        await asyncio.to_thread(self._finishing.clear, session)
        return Next(queue_of(session.state), self._clock() + delay)

    def _message(self, error: Exception) -> str:
        if isinstance(error, OSError):
            folder = self._workshop.recordings
            return f"{error.filename or folder}: {reason(error, folder)}."
        return str(error) if isinstance(error, RolltapeError) else f"An unexpected error: {error!r}"
