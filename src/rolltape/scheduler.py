"""The calendar becomes sessions, and an alarm clock starts them.

The planner enters the sessions of the coming days. The alarm clock is APScheduler with dates only, in memory: its own
cron counts Monday as 0 and fires twice on an autumn night, and what it would keep in a database it unpickles.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from rolltape.domain.units import MINUTE, Seconds
from rolltape.services.clock import BUILT, Clock
from rolltape.services.repeats import Repeats
from rolltape.services.schedules import Schedules
from rolltape.services.sessions import LEAD, Sessions

PLAN_EVERY = MINUTE
ALARMS_AHEAD = 5 * LEAD + LEAD  # alarms are set for what opens within this; longer than PLAN_EVERY and the lead
CLOCK_CHECK = Seconds(1)  # after a step of the wall clock, APScheduler keeps its old deadline until it is woken

log = structlog.get_logger(__name__)


class Scheduler:
    """`submit` hands a session whose time is near to the engine."""

    def __init__(self, schedules: Schedules, sessions: Sessions, *, submit: Callable[[], None], clock: Clock) -> None:
        self._schedules = schedules
        self._sessions = sessions
        self._submit = submit
        self._clock = clock
        self._alarms = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
        self._set: set[datetime] = set()  # moments that have an alarm
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._repeats = Repeats()
        self.last_beat = time.monotonic()  # of the planner; health looks at it

    async def start(self) -> None:
        """Enter what was missed, plan what comes, and set the alarms."""
        self._alarms.start()
        await self._plan(everything=True)
        self._task = asyncio.create_task(self._run())

    def look(self) -> None:
        """The plan has changed: look at once."""
        self._look.set()

    async def stop(self) -> None:
        self._alarms.shutdown(wait=False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        planned = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOCK_CHECK):
                    await self._look.wait()
            self.last_beat = time.monotonic()
            self._alarms.wakeup()
            if self._look.is_set() or time.monotonic() - planned >= PLAN_EVERY:
                self._look.clear()
                await self._plan()
                planned = time.monotonic()

    async def _plan(self, *, everything: bool = False) -> None:
        try:
            if self._clock().date() < BUILT:
                log.warning("the clock is wrong: nothing is planned by it", action="clock_wrong")
            else:
                await self._schedules.plan(everything=everything)
            await self._set_alarms()
            self._repeats.well()
        except Exception as exc:
            if self._repeats.is_news(exc):
                log.exception("the plan could not be made", action="plan_failed")

    async def _set_alarms(self) -> None:
        """Have the engine look when the lead of the coming sessions begins. Those of one moment share an alarm."""
        opening = await self._sessions.opening(self._clock() + ALARMS_AHEAD)
        wanted = {opens - LEAD for _, opens in opening if opens - LEAD > self._clock()}
        for moment in wanted - self._set:
            self._alarms.add_job(self._submit, DateTrigger(moment, timezone=UTC), id=moment.isoformat())
        for moment in self._set - wanted:
            if self._alarms.get_job(moment.isoformat()) is not None:
                self._alarms.remove_job(moment.isoformat())
        self._set = wanted
