"""The first step: capture a session's window, and keep the database up to date about it while it runs.

The database hears of all running sessions at once, each second at most: a thousand of them cost one transaction.
When it cannot be written, recording goes on and the news waits.
"""

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from rolltape.capture import CaptureEvent, Journal, Recorder, read_journal
from rolltape.domain.errors import RolltapeError, SourceError
from rolltape.domain.recording import Account, account
from rolltape.domain.session import NOT_BEGUN, Event, Plan, Session, SessionState, Wish
from rolltape.domain.units import Seconds
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.sessions import MISSED, Beat, Sessions

TICK = Seconds(1)  # between looks at what there is to tell
PROGRESS = Seconds(5)  # between entries of how far a recording is
DISK_RETRY = timedelta(seconds=5)  # after the folder could not be written

log = structlog.get_logger(__name__)


@dataclass
class Live:
    """A session that is being captured here."""

    session: Session
    plan: Plan
    recorder: Recorder
    begun: bool = False  # its state is "recording" in the database
    wish: Wish | None = None
    is_ours: bool = True
    values: dict[str, Any] = field(default_factory=dict)


class Recording:
    def __init__(self, sessions: Sessions, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._workshop = workshop
        self._clock = clock
        self._live: dict[int, Live] = {}
        self._news: list[Event] = []
        self._look = asyncio.Event()
        self._told = 0.0  # monotonic moment of the last entry of progress
        self._telling = asyncio.Lock()

    async def run(self, session: Session) -> tuple[bool, datetime | None]:
        """Record until the window closes or somebody stops it, then hand over to processing."""
        plan = await self._sessions.plan(session)
        folder = self._workshop.takes(session)
        if session.wish is Wish.CANCEL:
            return await self._cancelled(session, folder)
        is_over = plan.window.closes <= self._clock()
        if is_over and session.state in NOT_BEGUN and not read_journal(folder).takes:
            values: dict[str, Any] = {"error_code": "service_down", "error_message": MISSED}
            return await self._sessions.advance(session, SessionState.MISSED, "missed", MISSED, **values), None

        try:
            live, error = await self._capture(session, plan, folder)
        except OSError as exc:
            if plan.window.closes > self._clock():
                await self._tell([_event(session, self._clock(), "disk", f"{folder}: {exc.strerror}; tried again.")])
                log.error("the takes cannot be written", exc_info=exc, session_id=session.id)  # noqa: TRY400
                return True, self._clock() + DISK_RETRY
            raise
        if not live.is_ours:
            return False, None
        if live.wish is Wish.CANCEL:
            return await self._cancelled(session, folder)
        return await self._recorded(session, plan, await asyncio.to_thread(read_journal, folder), error)

    async def _capture(self, session: Session, plan: Plan, folder: Path) -> tuple[Live, SourceError | None]:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        recorder = Recorder(plan, folder, self._workshop.capture, on_event=lambda event: self._heard(session, event))
        live = self._live[session.id] = Live(session, plan, recorder)
        if plan.window.opens <= self._clock():
            self._look.set()
        if session.wish is Wish.STOP:
            recorder.stop()
        try:
            await recorder.run()
        except SourceError as exc:
            return live, exc
        except asyncio.CancelledError:
            self._news.append(_event(session, self._clock(), "interrupted", "Interrupted; goes on at the next start."))
            raise
        finally:
            del self._live[session.id]
            with contextlib.suppress(Exception):  # what could not be told now is told by the next look
                await asyncio.shield(self._tell([]))
        return live, None

    async def _recorded(
        self, session: Session, plan: Plan, journal: Journal, error: RolltapeError | None
    ) -> tuple[bool, datetime | None]:
        found = account(journal.takes, journal.window or plan.window)
        if not found.cuts:
            message = error.message if error else "Nothing was recorded: no audio arrived in time."
            code = error.code if error else "no_audio"
            why: dict[str, Any] = {"error_code": code, "error_message": message}
            return await self._sessions.advance(session, SessionState.FAILED, "failed", message, **why), None
        first = found.cuts[0]
        values: dict[str, Any] = {
            "started_at": first.take.begins + timedelta(seconds=first.skip),
            "recorded": found.recorded,
            "take_count": found.takes,
            "live": None,
            "attempts": 0,
        }
        ours = await self._sessions.advance(
            session, SessionState.PROCESSING, "recorded", _sentence(found), takes=journal.takes, **values
        )
        return ours, None

    async def _cancelled(self, session: Session, folder: Path) -> tuple[bool, datetime | None]:
        ours = await self._sessions.advance(
            session, SessionState.CANCELLED, "cancelled", "Cancelled; what it had recorded is discarded."
        )
        if ours:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return ours, None

    # Keeping the database up to date

    def look(self) -> None:
        self._look.set()

    async def attend(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._look.wait()
            asked = self._look.is_set()
            self._look.clear()
            try:
                await self._attend(asked)
            except Exception:
                log.exception("the progress of sessions could not be entered", action="beat_failed")

    async def _attend(self, asked: bool) -> None:
        now = self._clock()
        begin = [live for live in self._live.values() if not live.begun and live.plan.window.opens <= now]
        is_time = self._live and time.monotonic() - self._told >= PROGRESS
        if asked or begin or is_time or self._news:
            await self._tell(begin)

    async def _tell(self, begin: list[Any]) -> None:
        """Enter what is new, and learn what was asked. `begin` are sessions whose window has opened, and events."""
        async with self._telling:
            lives = list(self._live.values())
            news, self._news = self._news + [each for each in begin if isinstance(each, Event)], []
            opened = [live for live in begin if isinstance(live, Live)]
            beats = [_beat(live, live in opened, self._clock()) for live in lives]
            news += [_event(live.session, self._clock(), "recording", "The window has opened.") for live in opened]
            if not beats and not news:
                return
            try:
                answers = await self._sessions.beat(beats, news)
            except BaseException:
                self._news = news + self._news
                raise
            self._told = time.monotonic()
        for live in opened:
            live.begun = True
            live.session.state = SessionState.RECORDING
        for live in lives:
            _obey(live, *answers.get(live.session.id, (-1, None)))

    def _heard(self, session: Session, event: CaptureEvent) -> None:
        log.info(event.message, action=f"capture_{event.kind}", session_id=session.id)
        self._news.append(_event(session, event.at, event.kind, event.message))


def _beat(live: Live, opens: bool, now: datetime) -> Beat:
    progress = live.recorder.progress
    values: dict[str, Any] = {
        "recorded": progress.recorded,
        "take_count": progress.takes,
        "live": {
            "bit_rate": progress.bit_rate,
            "title": progress.title,
            "gaps": progress.gaps,
            "connected": progress.connected,
        },
    }
    if opens:
        values |= {"state": SessionState.RECORDING}
        if live.session.started_at is None:
            values |= {"started_at": now}
    return Beat(live.session.id, live.session.epoch, values)


def _obey(live: Live, epoch: int, wish: Wish | None) -> None:
    """Do what was asked of a session; let go of one that somebody else has claimed, or that is gone."""
    if epoch != live.session.epoch:
        live.is_ours = False
        live.recorder.stop()
    elif wish is not None and live.wish is None:
        live.wish = wish
        live.recorder.stop()


def _event(session: Session, at: datetime, kind: str, message: str) -> Event:
    return Event(session_id=session.id, at=at, kind=kind, message=message)


def _sentence(found: Account) -> str:
    takes = "1 take" if found.takes == 1 else f"{found.takes} takes"
    gaps = "no gap" if not found.gaps else "1 gap" if len(found.gaps) == 1 else f"{len(found.gaps)} gaps"
    return f"Recorded {found.recorded:.1f} of {found.planned:.1f} s in {takes}, {gaps}."
