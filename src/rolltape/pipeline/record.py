"""The first step: capture a session's window."""

import asyncio
import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from rolltape.capture import Recorder, make_up_for, read_journal
from rolltape.capture.recorder import CaptureEvent
from rolltape.disk import cause
from rolltape.domain.errors import DiskError, RolltapeError, SourceError
from rolltape.domain.facts import plan_facts_of
from rolltape.domain.recording import Account, account
from rolltape.domain.session import NOT_BEGUN, Plan, Session, SessionState, Wish
from rolltape.domain.take import TakeFacts
from rolltape.pipeline.live import Live, LiveSessions
from rolltape.pipeline.outage import Halted, Outages, Place
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.facts import write_plan
from rolltape.services.sessions import MISSED, Sessions

log = structlog.get_logger(__name__)


class Recording:
    def __init__(self, sessions: Sessions, workshop: Workshop, halted: Halted, *, clock: Clock) -> None:
        self._sessions = sessions
        self._workshop = workshop
        self._halted = halted
        self._clock = clock
        self.live = LiveSessions(sessions, clock=clock)

    async def run(self, session: Session) -> tuple[bool, datetime | None]:
        """Record until the window closes or somebody stops it, then hand over to processing."""
        plan = await self._sessions.plan(session)
        folder = self._workshop.takes(session)
        if session.wish is Wish.CANCEL:
            return await self._cancelled(session, folder)
        is_over = plan.begins_until <= self._clock()
        if is_over and session.state in NOT_BEGUN and not read_journal(folder).takes:
            values: dict[str, Any] = {"error_code": "service_down", "error_message": MISSED}
            return await self._sessions.advance(session, SessionState.MISSED, "missed", MISSED, **values), None
        if is_over and session.take_count and not folder.is_dir():
            return await self._out_of_reach(session, plan, folder, ())

        live, error = await self._capture(session, plan, folder)
        if not live.is_ours:
            return False, None
        if live.wish is Wish.CANCEL:
            return await self._cancelled(session, folder)
        return await self._recorded(session, plan, folder, live.recorder.takes, error)

    async def _capture(self, session: Session, plan: Plan, folder: Path) -> tuple[Live, RolltapeError | None]:
        """Record to the end of the window, over all that the disk does meanwhile."""
        if session.state in NOT_BEGUN:
            await self._warn_of_room(session)
        place, outages = Place(self._workshop.recordings, folder), Outages()
        live = Live(session, plan, self._recorder(session, plan, folder))
        if session.wish is Wish.STOP:
            live.recorder.stop()
        self.live.enter(live)
        known: Sequence[TakeFacts] = ()
        self._workshop.ahead.begin(folder, quality=plan.stream.mp3_quality, ffmpeg=self._workshop.capture.ffmpeg)
        try:
            while True:
                try:
                    await asyncio.to_thread(_prepare, place, plan, known)
                    await live.recorder.run()
                except OSError as exc:
                    known = live.recorder.takes or known
                    if not await self._outlast(live, place, exc, outages):
                        return live, DiskError(f"{folder}: {cause(exc, self._workshop.recordings)}")
                    live.recorder = self._recorder(session, plan, folder)
                    if live.wish is not None or not live.is_ours:
                        live.recorder.stop()
                else:
                    return live, None
        except SourceError as exc:
            return live, exc
        except asyncio.CancelledError:
            self.live.note(session, "interrupted", "Interrupted; goes on at the next start.")
            raise
        finally:
            self._workshop.ahead.end(folder)
            self._halted.remove(session.id)
            await self.live.leave(live)

    def _recorder(self, session: Session, plan: Plan, folder: Path) -> Recorder:
        def hear(event: CaptureEvent) -> None:
            self.live.hear(session, event)

        return Recorder(plan, folder, self._workshop.capture, on_event=hear)

    async def _warn_of_room(self, session: Session) -> None:
        """Tell if the recording that is about to begin does not fit on the disk. It begins all the same."""
        try:
            warning = await self._workshop.room_warning(session.id)
        except Exception as exc:
            log.warning("it is not known whether the recording fits", action="room_unknown", exc_info=exc)
            return
        if warning is not None:
            log.warning(warning, action="room_short", session_id=session.id)
            self.live.note(session, "room", warning)

    async def _outlast(self, live: Live, place: Place, error: OSError, outages: Outages) -> bool:
        """Wait until the disk takes audio again; False when there is nothing left to record by then."""
        session, began = live.session, time.monotonic()
        why = cause(error, place.recordings)
        is_news = outages.is_news
        if is_news:
            told = f"{why} What was recorded is kept; it goes on by itself as soon as it can be written again."
            log.error(f"{place.takes}: {told}", action="disk_failed", session_id=session.id, exc_info=error)
            self.live.note(session, "disk", told)
        self._halted.add(session.id, f"{place.takes}: {why}")
        while live.wish is None and live.is_ours and live.plan.begins_until > self._clock():
            if not await outages.over(place):
                continue
            self._halted.remove(session.id)
            if is_news:
                told = f"It can be written again after {time.monotonic() - began:.0f} s; recording goes on."
                log.info(told, action="disk_well", session_id=session.id)
                self.live.note(session, "disk", told)
            return True
        return False

    async def _recorded(
        self, session: Session, plan: Plan, folder: Path, known: Sequence[TakeFacts], error: RolltapeError | None
    ) -> tuple[bool, datetime | None]:
        journal = await asyncio.to_thread(read_journal, folder)
        window = journal.window or plan.window
        found = account(journal.takes, window)
        if not found.cuts and (known or session.take_count) and not folder.is_dir():
            return await self._out_of_reach(session, plan, folder, known)
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
        }
        return await self._to_processing(session, _sentence(found), journal.takes, values)

    async def _out_of_reach(
        self, session: Session, plan: Plan, folder: Path, known: Sequence[TakeFacts]
    ) -> tuple[bool, datetime | None]:
        """It was recorded, and its disk is away: it is made into a recording when that comes back."""
        count, recorded = max(len(known), session.take_count), account(known, plan.window).recorded
        values = {"take_count": count, "recorded": recorded or session.recorded}
        return await self._to_processing(session, f"Recorded; but {folder} is gone.", known, values)

    async def _to_processing(
        self, session: Session, message: str, takes: Sequence[TakeFacts], values: dict[str, Any]
    ) -> tuple[bool, datetime | None]:
        values = {"live": None, "attempts": 0} | values
        ours = await self._sessions.advance(
            session, SessionState.PROCESSING, "recorded", message, takes=takes, **values
        )
        return ours, None

    async def _cancelled(self, session: Session, folder: Path) -> tuple[bool, datetime | None]:
        ours = await self._sessions.advance(
            session, SessionState.CANCELLED, "cancelled", "Cancelled; what it had recorded is discarded."
        )
        if ours:
            await self._workshop.ahead.drop(folder)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return ours, None


def _prepare(place: Place, plan: Plan, known: Sequence[TakeFacts]) -> None:
    place.make()
    make_up_for(place.takes, known)
    try:
        write_plan(plan_facts_of(plan), place.takes)
    except (OSError, ValueError) as exc:  # the takes come first; if they cannot be written either, that is told
        log.warning("the plan could not be put beside the takes", action="facts_missing", exc_info=exc)


def _sentence(found: Account) -> str:
    takes = "1 take" if found.takes == 1 else f"{found.takes} takes"
    gaps = "no gap" if not found.gaps else "1 gap" if len(found.gaps) == 1 else f"{len(found.gaps)} gaps"
    return f"Recorded {found.recorded:.1f} of {found.planned:.1f} s in {takes}, {gaps}."
