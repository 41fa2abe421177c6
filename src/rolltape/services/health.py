"""Whether the service is well, what it has left, and whether that will do."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Generic, TypeVar

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import BackupError, RolltapeError
from rolltape.domain.forecast import Forecast, forecast
from rolltape.domain.units import HOUR, Bytes, Seconds
from rolltape.ffmpeg import cage
from rolltape.ffmpeg.run import run_to_end
from rolltape.services import findings
from rolltape.services.backups import Backup
from rolltape.services.clock import BUILT, Clock
from rolltape.services.clock_steps import ClockSteps
from rolltape.services.findings import Finding as Finding
from rolltape.services.lost import Lost, words
from rolltape.services.sessions import Sessions
from rolltape.services.space import AHEAD, ASSUMED_RATE, coming
from rolltape.store import Database

READY, DEGRADED, NOT_READY = "ready", "degraded", "not ready"

LATE_BEAT = Seconds(60)  # the scheduler ticks each second; after this long it hangs
REMEMBERED = Seconds(5)  # how long an answer counts that took many rows: tabs ask at each change of anything

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Disk:
    total: Bytes
    free: Bytes


class _Remembered(Generic[Answer]):
    """The answer of `ask`, asked again only when it is older than REMEMBERED."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._answer: Answer | None = None
        self._until = 0.0  # monotonic
        self._turn = asyncio.Lock()

    async def get(self) -> Answer:
        async with self._turn:
            if self._answer is None or time.monotonic() >= self._until:
                self._answer = await self._ask()
                self._until = time.monotonic() + REMEMBERED
            return self._answer


class Health:
    """`beat` tells how many seconds ago the scheduler last ticked, `log_problem` why no log files are kept,
    `last_backup` which one is the newest, and `more` what others have found.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        *,
        folders: Mapping[str, Path],
        find_ffmpeg: Callable[[], str],
        beat: Callable[[], Seconds],
        clock: Clock,
        log_problem: Callable[[], str | None] = lambda: None,
        lost: Callable[[], Lost | None] = lambda: None,
        last_backup: Callable[[], Awaitable[Backup | None]] | None = None,
        more: Callable[[], Sequence[Finding]] = lambda: (),
        built: date = BUILT,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._folders = folders
        self._find_ffmpeg = find_ffmpeg
        self._beat = beat
        self._clock = clock
        self._log_problem = log_problem
        self._lost = lost
        self._last_backup = last_backup
        self._more = more
        self._built = built
        self._coming = _Remembered(self._look_ahead)
        self._troubles = _Remembered(self._look_back)
        self._steps = ClockSteps(wall)
        self._ffmpeg_version = ""  # it stays the same while the service runs
        self._started = time.monotonic()

    @property
    def uptime(self) -> Seconds:
        return Seconds(time.monotonic() - self._started)

    @property
    def memory(self) -> Bytes:
        """What the process holds in memory."""
        return Bytes(psutil.Process().memory_info().rss)

    def disk(self) -> Disk:
        """The disk that recordings go to; one without room where it was taken away."""
        return self.disks().get("recordings", Disk(Bytes(0), Bytes(0)))

    def disks(self) -> dict[str, Disk]:
        """The disk of each folder, by the folder's name; those that can be looked at."""
        found = {}
        for name, folder in self._folders.items():
            with contextlib.suppress(OSError):
                usage = shutil.disk_usage(folder)
                found[name] = Disk(Bytes(usage.total), Bytes(usage.free))
        return found

    async def ffmpeg_version(self) -> str:
        """What FFmpeg calls itself, "" if it cannot be asked."""
        if not self._ffmpeg_version:
            try:
                _, output, _ = await run_to_end(self._find_ffmpeg(), ["-version"], folder=self._folders["recordings"])
            except (RolltapeError, OSError):
                return ""
            self._ffmpeg_version = output.partition("\n")[0].partition(" Copyright")[0].strip()
        return self._ffmpeg_version

    @property
    def ffmpeg_cage(self) -> str:
        """How FFmpeg is confined on this machine, for people."""
        return cage.described()

    async def hours_left(self) -> float:
        """Hours that everything that records now (or one usual stream) can go on until the disk is full."""
        running = await self._sessions.running()
        rates = [(session.live or {}).get("bit_rate") or ASSUMED_RATE for session in running] or [ASSUMED_RATE]
        return self.disk().free * 8 / sum(rates) / HOUR

    async def forecast(self) -> Forecast:
        """The room that the coming sessions take, by the bit rates of their streams' last recordings."""
        return await self._coming.get()

    async def _look_ahead(self) -> Forecast:
        now = self._clock()
        async with self._database.read() as db:
            needs = await coming(db, now)
        return forecast(needs, self.disk().free, now + AHEAD)

    async def findings(self) -> list[Finding]:
        """All that is not well, errors first."""
        found = await self._vital()
        if (lost := self._lost_finding()) is not None:  # it hinders no recording: what is planned anew is recorded
            found.append(lost)
        if all(finding.code != "database" for finding in found):
            found += [*self._more(), *filter(None, [await self._forecast_finding()])]
            found += await self._troubles.get()
        return sorted(found, key=lambda finding: finding.level != "error")

    async def _look_back(self) -> list[Finding]:
        now = self._clock()
        async with self._database.read() as db:
            return [
                *await findings.of_streams(db, now),
                *await findings.of_destinations(db),
                *await findings.of_missed(db, now),
                *await findings.of_channels(db),
                *await self._backup_findings(db, now),
            ]

    async def _backup_findings(self, db: AsyncSession, now: datetime) -> list[Finding]:
        return await findings.of_backups(db, now, await self.backup_at())

    async def backup_at(self) -> datetime | None:
        """When the newest backup was made, None if there is none."""
        try:
            last = await self._last_backup() if self._last_backup is not None else None
        except BackupError:  # the folder cannot be read; then there is none that could be used
            last = None
        return last.created if last is not None else None

    async def readiness(self) -> str:
        """READY, DEGRADED where the service itself lacks something that hinders no recording, or NOT_READY."""
        levels = {finding.level for finding in await self._vital()}
        return NOT_READY if "error" in levels else DEGRADED if levels else READY

    async def is_ready(self) -> bool:
        """Whether sessions can be recorded. What needs attention, but is no hindrance, does not count."""
        return all(finding.level != "error" for finding in await self._vital())

    async def _vital(self) -> list[Finding]:
        """What the service itself lacks; an error is a hindrance to recording."""
        found = [self._folder_finding(name, folder) for name, folder in self._folders.items()]
        found += [await self._database_finding(), self._beat_finding(), self._ffmpeg_finding()]
        found += [self._clock_finding(), self._steps.finding(), self._log_finding()]
        return [finding for finding in found if finding is not None]

    async def _database_finding(self) -> Finding | None:
        try:
            async with self._database.read() as db:
                await db.execute(text("SELECT 1"))
        except Exception as exc:
            return Finding("database", "error", f"The database does not answer: {exc}", "See the log for the reason.")
        return None

    def _lost_finding(self) -> Finding | None:
        lost = self._lost()
        if lost is None:
            return None
        if not lost.is_all:
            return Finding("database_changes_lost", "warning", words(lost), lost.advice, "/sessions")
        return Finding("database_moved", "error", words(lost), lost.advice, "/system/backups")

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

    def _clock_finding(self) -> Finding | None:
        now = self._clock()
        if now.date() >= self._built:
            return None
        message = f"The clock of this machine is wrong: it says {now:%d.%m.%Y %H:%M} UTC. Nothing is planned by it."
        return Finding("clock", "error", message, "Set the clock, best by having it set from the network.")

    def _log_finding(self) -> Finding | None:
        problem = self._log_problem()
        if problem is None:
            return None
        advice = "Give the folder of the log to this user, or make room on its disk. Recording goes on meanwhile."
        return Finding("log_not_writable", "warning", f"The log is not kept: {problem}.", advice)

    async def _forecast_finding(self) -> Finding | None:
        coming = await self.forecast()
        if coming.full_at is None or self.disk().total == 0:
            return None
        message = (
            f"The disk will be full on {findings.when(coming.full_at, self._sessions.timezone)}: the recordings of "
            f"the next 48 hours need {_gigabytes(coming.needed)}, and {_gigabytes(coming.free)} are free."
        )
        advice = "Make room on the disk before then. A recording that runs is never stopped to save space."
        return Finding("space_forecast", "warning", message, advice, "/sessions")


def _gigabytes(size: Bytes) -> str:
    return f"{size / 1e9:.1f} GB"
