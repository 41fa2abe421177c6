"""Waveforms that could not be made when their recordings were: made up for when there is time and room."""

import asyncio
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import exists, select

from rolltape.domain.errors import RolltapeError
from rolltape.domain.session import OVER, Session
from rolltape.domain.units import MINUTE, Seconds
from rolltape.domain.waveform import Waveform
from rolltape.process.verify import verify
from rolltape.services.clock import Clock
from rolltape.services.resources import Resources
from rolltape.store import Database

EVERY = Seconds(10 * MINUTE)
MOST_AT_ONCE = 10  # recordings; each is decoded as a whole, one after the other
BACK_TO = timedelta(days=30)  # whoever has done without for longer does not need it

log = structlog.get_logger(__name__)


class Waveforms:
    def __init__(
        self, database: Database, resources: Resources, *, recordings: Path, ffmpeg: str, clock: Clock
    ) -> None:
        self._database = database
        self._resources = resources
        self._recordings = recordings
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._tried: set[int] = set()  # sessions; what failed once fails again

    async def attend(self) -> None:
        """Make up for what is missing, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.make_up()
            except Exception:
                log.exception("waveforms could not be made up for", action="waveforms_failed")

    async def make_up(self) -> int:
        """Make the waveforms of some recordings that have none. Returns how many were made."""
        has_none = ~exists().where(Waveform.session_id == Session.id)
        is_here = (
            Session.file.is_not(None),
            Session.sha256.is_not(None),
            Session.deleted_at.is_(None),
            Session.missing_since.is_(None),
        )
        query = (
            select(Session.id, Session.file, Session.duration)
            .where(Session.state.in_(OVER), Session.planned_start > self._clock() - BACK_TO, *is_here, has_none)
            .order_by(Session.planned_start.desc())
        )
        async with self._database.read() as db:
            rows = (await db.execute(query)).all()
        made = 0
        new = [(row.id, row.file or "", row.duration or 0.0) for row in rows if row.id not in self._tried]
        for number, file, duration in new[:MOST_AT_ONCE]:
            if not self._resources.may_do("waveforms"):
                break
            self._tried.add(number)
            made += await self._make(number, self._recordings / file, Seconds(duration))
        return made

    async def _make(self, session_id: int, file: Path, duration: Seconds) -> bool:
        try:
            peaks = (await verify(file, ffmpeg=self._ffmpeg, length=duration)).peaks
        except (RolltapeError, OSError) as exc:
            log.warning("a waveform cannot be made", action="waveform_missing", session_id=session_id, exc_info=exc)
            return False
        async with self._database.write() as db:
            if peaks and await db.get(Session, session_id) is not None:
                await db.merge(Waveform(session_id=session_id, peaks=peaks))
        return bool(peaks)
