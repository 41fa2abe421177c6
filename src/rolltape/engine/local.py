"""The default engine: asyncio tasks in this process, and no other service."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from rolltape.domain.session import NOT_BEGUN
from rolltape.domain.units import Seconds
from rolltape.engine.slots import Slots
from rolltape.pipeline import Pipeline, Queue
from rolltape.pipeline.life import queue_of
from rolltape.services.clock import Clock
from rolltape.services.repeats import Repeats
from rolltape.services.sessions import Sessions

SWEEP = Seconds(3)  # between looks for lost sessions
LONGEST_SLEEP = Seconds(60)  # the wall clock may be set meanwhile; a sweep wakes what is due

log = structlog.get_logger(__name__)


@dataclass
class Job:
    """A session that this process has taken on."""

    session_id: int
    queue: Queue
    at: datetime | None
    rank: tuple[int, float]
    is_waiting: bool = False  # for room to record
    is_running: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class LocalEngine:
    def __init__(self, pipeline: Pipeline, sessions: Sessions, *, limits: Mapping[Queue, int], clock: Clock) -> None:
        self._pipeline = pipeline
        self._sessions = sessions
        self._clock = clock
        self._slots = {queue: Slots(limits[queue]) for queue in Queue}
        self._jobs: dict[int, Job] = {}
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._repeats = Repeats()

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._pipeline.attend())]

    def submit(self, session_id: int, queue: Queue, at: datetime | None, rank: tuple[int, float]) -> None:
        job = self._jobs.get(session_id)
        if job is None:
            job = self._jobs[session_id] = Job(session_id, queue, at, rank)
            job.task = asyncio.create_task(self._live(job))
        elif at is None or (job.at is not None and at < job.at):
            job.at = at
            job.changed.set()

    async def lost(self) -> None:
        running = {job.session_id for job in self._jobs.values() if job.is_running}
        for due in await self._sessions.due(but=running):
            # A thousand shows may begin at the same second: each is claimed as soon as it is known, and its recorder
            # waits for the moment.
            at = None if due.state in NOT_BEGUN else due.at
            self.submit(due.session_id, queue_of(due.state), at, due.rank)

    def look(self) -> None:
        """Something has become due, or was asked: look at once."""
        self._look.set()
        self._pipeline.look()

    def set_limits(self, limits: Mapping[Queue, int]) -> None:
        """Other limits from now on; what runs goes on."""
        for queue, size in limits.items():
            self._slots[queue].resize(size)

    async def stop(self) -> None:
        tasks = [job.task for job in self._jobs.values() if job.task is not None] + self._tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            self._look.clear()
            try:
                await self.lost()
                await self._sessions.enter_waiting([job.session_id for job in self._jobs.values() if job.is_waiting])
                await self._pipeline.tidy()
                self._repeats.well()
            except Exception as exc:
                if self._repeats.is_news(exc):
                    log.exception("lost sessions could not be looked for", action="sweep_failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._look.wait()

    async def _live(self, job: Job) -> None:
        structlog.contextvars.bind_contextvars(session_id=job.session_id)  # for all that is told on its behalf
        try:
            while True:
                await self._until(job)
                job.is_waiting = job.queue is Queue.CAPTURE
                async with self._slots[job.queue].hold(job.rank):
                    job.is_waiting, job.is_running = False, True
                    coming = await self._pipeline.run(job.session_id)
                job.is_running = False
                if coming is None:
                    return
                job.queue, job.at = coming
        except Exception as exc:
            # The database did not answer, most likely. The sweep finds the session again.
            if self._repeats.is_news(exc):
                log.exception("a session could not go on", action="run_failed", session_id=job.session_id)
            await asyncio.sleep(SWEEP)
        finally:
            del self._jobs[job.session_id]

    async def _until(self, job: Job) -> None:
        """Return when the job is due by the wall clock, which may be set while this waits."""
        while job.at is not None and (left := (job.at - self._clock()).total_seconds()) > 0:
            job.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LONGEST_SLEEP)):
                    await job.changed.wait()
