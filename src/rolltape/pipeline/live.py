"""The sessions that are captured here, and what the database hears of them meanwhile.

It hears of all of them together, a hundred to a transaction, so that a thousand cost little and nothing stands still.
When it cannot be written, recording goes on and the news waits.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from rolltape.capture import CaptureEvent, Recorder
from rolltape.domain.session import Event, Plan, Session, SessionState, Wish
from rolltape.domain.units import Seconds
from rolltape.services.clock import Clock
from rolltape.services.repeats import Repeats
from rolltape.services.sessions import Beat, Sessions

TICK = Seconds(1)  # between looks at what there is to tell
PROGRESS = Seconds(5)  # between entries of how far a recording is
AT_ONCE = 100  # sessions or events to a transaction; making it ready takes some 10 ms, in which nothing else runs

log = structlog.get_logger(__name__)


@dataclass
class Live:
    """A session that is being captured here."""

    session: Session
    plan: Plan
    recorder: Recorder
    has_begun: bool = False  # its window has opened, and the database knows
    wish: Wish | None = None
    is_ours: bool = True

    def obey(self, epoch: int, wish: Wish | None) -> None:
        """Do what was asked of it; let go of one that somebody else has claimed, or that is gone."""
        if epoch != self.session.epoch:
            self.is_ours = False
            self.recorder.stop()
        elif wish is not None and self.wish is None:
            self.wish = wish
            self.recorder.stop()


class LiveSessions:
    def __init__(self, sessions: Sessions, *, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._live: dict[int, Live] = {}
        self._news: list[Event] = []
        self._look = asyncio.Event()
        self._told = 0.0  # monotonic moment of the last entry of progress
        self._telling = asyncio.Lock()
        self._repeats = Repeats()

    def enter(self, live: Live) -> None:
        self._live[live.session.id] = live
        if live.plan.window.opens <= self._clock():
            self._look.set()

    async def leave(self, live: Live) -> None:
        """It is over here: tell what has not been told yet."""
        del self._live[live.session.id]
        with contextlib.suppress(Exception):  # what cannot be told now is told by the next look
            await asyncio.shield(self._tell_news())

    def hear(self, session: Session, event: CaptureEvent) -> None:
        log.info(event.message, action=f"capture_{event.kind}", session_id=session.id)
        self.note(session, event.kind, event.message, at=event.at)

    def note(self, session: Session, kind: str, message: str, *, at: datetime | None = None) -> None:
        self._news.append(Event(session_id=session.id, at=at or self._clock(), kind=kind, message=message))

    def look(self) -> None:
        """Something was asked of a session: look at once."""
        self._look.set()

    async def attend(self) -> None:
        """Tell the database, and do what it asks, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._look.wait()
            is_asked = self._look.is_set()
            self._look.clear()
            try:
                await self._attend(is_asked)
                self._repeats.well()
            except Exception as exc:
                if self._repeats.is_news(exc):
                    log.exception("the progress of sessions could not be entered", action="beat_failed")

    async def _attend(self, is_asked: bool) -> None:
        await self._tell_news()
        now = self._clock()
        opening = [live for live in self._live.values() if not live.has_begun and live.plan.window.opens <= now]
        is_time = time.monotonic() - self._told >= PROGRESS
        if is_asked or is_time:
            self._told = time.monotonic()
            opening = list(self._live.values())
        for first in range(0, len(opening), AT_ONCE):
            await self._beat(opening[first : first + AT_ONCE], now)

    async def _beat(self, lives: Sequence[Live], now: datetime) -> None:
        """Enter how far these sessions are, and learn what was asked of them."""
        answers = await self._sessions.beat([_beat(live, now) for live in lives])
        for live in lives:
            if not live.has_begun and live.plan.window.opens <= now:
                live.has_begun = True
                live.session.state = SessionState.RECORDING
                self.note(live.session, "recording", "The window has opened.", at=now)
            live.obey(*answers.get(live.session.id, (-1, None)))

    async def _tell_news(self) -> None:
        async with self._telling:
            while self._news:
                news = self._news[:AT_ONCE]
                await self._sessions.enter_events(news)
                del self._news[: len(news)]


def _beat(live: Live, now: datetime) -> Beat:
    progress = live.recorder.progress
    values: dict[str, Any] = {
        "recorded": progress.recorded,
        "take_count": progress.takes,
        "live": {
            "bit_rate": progress.bit_rate,
            "title": progress.title,
            "gaps": progress.gaps,
            "connected": progress.connected,
            "speed": None if progress.speed is None else round(progress.speed, 3),
            "stall": round(progress.stall, 1),
        },
    }
    if not live.has_begun and live.plan.window.opens <= now:
        values |= {"state": SessionState.RECORDING, "started_at": live.session.started_at or now}
    return Beat(live.session.id, live.session.epoch, values)
