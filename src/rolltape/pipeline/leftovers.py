"""Takes that outlived their session, because they could not be removed when their time came, are removed later."""

import asyncio
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from rolltape.domain.errors import InputError
from rolltape.domain.facts import PLAN
from rolltape.domain.session import Session
from rolltape.domain.take import TAKES
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.facts import read_plan
from rolltape.services.sessions import Sessions

EVERY = timedelta(hours=1)  # between looks; the first one comes with the start

log = structlog.get_logger(__name__)


class Leftovers:
    def __init__(self, sessions: Sessions, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._workshop = workshop
        self._clock = clock
        self._looked_at: datetime | None = None

    async def tidy(self) -> None:
        """Remove the takes of sessions that are done, once an hour."""
        now = self._clock()
        if self._looked_at is not None and abs(now - self._looked_at) < EVERY:
            return
        self._looked_at = now
        found = await asyncio.to_thread(_numbers, self._workshop.recordings / TAKES)
        for session in await self._sessions.done(found) if found else ():
            await asyncio.to_thread(self._remove, session)

    def _remove(self, session: Session) -> None:
        folder = self._workshop.takes(session)
        if session.sha256 is not None and _are_of(folder, session):
            log.info(f"takes that were left in {folder} are removed", action="leftovers_removed")
            remove_takes(folder)


def remove_takes(folder: Path) -> None:
    """Remove the takes of a session, if there are any. What says whose they are goes last: a part may have to stay."""
    try:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == PLAN):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as exc:  # the recording is safe, and this is tried again
        log.warning(f"{folder} could not be removed yet", action="takes_left", exc_info=exc)


def _are_of(folder: Path, session: Session) -> bool:
    """Whether these takes are those of the session, and not of one that had its number in another database."""
    try:
        plan = read_plan(folder).plan
    except InputError:
        return False
    return (plan.session_id, plan.start) == (session.id, session.planned_start)


def _numbers(takes: Path) -> list[int]:
    """The sessions that have takes."""
    try:
        return [int(folder.name) for folder in takes.iterdir() if folder.name.isdecimal()]
    except FileNotFoundError:
        return []
