"""Whether the service is well, and what it has left."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import select, text

from rolltape.domain.session import Session, SessionState
from rolltape.domain.units import HOUR, BitsPerSecond, Bytes, Seconds
from rolltape.services.clock import Clock
from rolltape.services.sessions import Sessions
from rolltape.store import Database

LATE_BEAT = Seconds(60)  # the scheduler ticks each second; after this long it hangs
LITTLE_SPACE = Bytes(1024**3)  # a warning below; half a day of one 192 kbit/s stream
ASSUMED_RATE = BitsPerSecond(128_000)  # of a recording, where nothing records at the moment


@dataclass(frozen=True)
class Finding:
    """Something that is not well. `level` is "warning" or "error"; `advice` says what to do."""

    code: str
    level: str
    message: str
    advice: str


@dataclass(frozen=True)
class Disk:
    total: Bytes
    free: Bytes


class Health:
    """`beat` tells how many seconds ago the scheduler last ticked."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        *,
        folders: Mapping[str, Path],
        find_ffmpeg: Callable[[], str],
        beat: Callable[[], Seconds],
        clock: Clock,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._folders = folders
        self._find_ffmpeg = find_ffmpeg
        self._beat = beat
        self._clock = clock
        self._started = time.monotonic()

    @property
    def uptime(self) -> Seconds:
        return Seconds(time.monotonic() - self._started)

    @property
    def memory(self) -> Bytes:
        """What the process holds in memory."""
        return Bytes(psutil.Process().memory_info().rss)

    def disk(self) -> Disk:
        """The disk that recordings go to."""
        usage = shutil.disk_usage(self._folders["recordings"])
        return Disk(Bytes(usage.total), Bytes(usage.free))

    async def hours_left(self) -> float:
        """Hours that everything that records now (or one usual stream) can go on until the disk is full."""
        running = await self._sessions.running()
        rates = [(session.live or {}).get("bit_rate") or ASSUMED_RATE for session in running] or [ASSUMED_RATE]
        return self.disk().free * 8 / sum(rates) / HOUR

    async def findings(self) -> list[Finding]:
        """All that is not well; the service is ready when none of them is an error."""
        found = [self._folder_finding(name, folder) for name, folder in self._folders.items()]
        found += [await self._database_finding(), self._beat_finding(), self._ffmpeg_finding(), self._space_finding()]
        found.append(await self._missed_finding())
        return [finding for finding in found if finding is not None]

    async def is_ready(self) -> bool:
        return all(finding.level != "error" for finding in await self.findings())

    async def _database_finding(self) -> Finding | None:
        try:
            async with self._database.read() as db:
                await db.execute(text("SELECT 1"))
        except Exception as exc:
            return Finding("database", "error", f"The database does not answer: {exc}", "See the log for the reason.")
        return None

    def _folder_finding(self, name: str, folder: Path) -> Finding | None:
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return None
        return Finding(
            "folder_not_writable", "error", f"{folder} cannot be written.", f"Give the folder of {name} to this user."
        )

    def _beat_finding(self) -> Finding | None:
        silent = self._beat()
        if silent < LATE_BEAT:
            return None
        return Finding("scheduler", "error", f"The scheduler has not moved for {silent:.0f} s.", "Restart the service.")

    def _ffmpeg_finding(self) -> Finding | None:
        try:
            self._find_ffmpeg()
        except Exception as exc:
            return Finding("ffmpeg_missing", "error", str(exc), "Install FFmpeg, or correct ROLLTAPE_FFMPEG.")
        return None

    def _space_finding(self) -> Finding | None:
        free = self.disk().free
        if free >= LITTLE_SPACE:
            return None
        return Finding(
            "little_space", "warning", f"Only {free // 1024**2} MiB are left for recordings.", "Make room on the disk."
        )

    async def _missed_finding(self) -> Finding | None:
        query = (
            select(Session).where(Session.state == SessionState.MISSED).order_by(Session.planned_start.desc()).limit(1)
        )
        async with self._database.read() as db:
            last = (await db.scalars(query)).one_or_none()
        if last is None or (self._clock() - last.planned_start).days >= 1:
            return None
        message = f"{last.name} of {last.planned_start:%Y-%m-%d %H:%M} UTC was missed: {last.error_message}"
        return Finding("missed", "warning", message, "Nothing can be done about it; it goes away after a day.")
