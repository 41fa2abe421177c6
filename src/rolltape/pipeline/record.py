"""The first step: capture a session's window."""

import asyncio
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from rolltape.capture import Journal, Recorder, read_journal
from rolltape.disk import reason
from rolltape.domain.errors import RolltapeError, SourceError
from rolltape.domain.facts import plan_facts_of
from rolltape.domain.recording import Account, account
from rolltape.domain.session import NOT_BEGUN, Plan, Session, SessionState, Wish
from rolltape.pipeline.live import Live, LiveSessions
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.facts import write_plan
from rolltape.services.sessions import MISSED, Sessions

DISK_RETRY = timedelta(seconds=5)  # after the folder could not be written

log = structlog.get_logger(__name__)


class Recording:
    def __init__(self, sessions: Sessions, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._workshop = workshop
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

        try:
            live, error = await self._capture(session, plan, folder)
        except OSError as exc:
            if plan.window.closes > self._clock():
                self.live.note(session, "disk", f"{folder}: {reason(exc, self._workshop.recordings)}; tried again.")
                log.error("the takes cannot be written", exc_info=exc, session_id=session.id)  # noqa: TRY400
                return True, self._clock() + DISK_RETRY
            raise
        if not live.is_ours:
            return False, None
        if live.wish is Wish.CANCEL:
            return await self._cancelled(session, folder)
        return await self._recorded(session, plan, await asyncio.to_thread(read_journal, folder), error)

    async def _capture(self, session: Session, plan: Plan, folder: Path) -> tuple[Live, SourceError | None]:
        await asyncio.to_thread(_prepare, folder, plan)
        recorder = Recorder(plan, folder, self._workshop.capture, on_event=lambda event: self.live.hear(session, event))
        live = Live(session, plan, recorder)
        if session.wish is Wish.STOP:
            recorder.stop()
        self.live.enter(live)
        self._workshop.ahead.begin(folder, quality=plan.stream.mp3_quality, ffmpeg=self._workshop.capture.ffmpeg)
        try:
            await recorder.run()
        except SourceError as exc:
            return live, exc
        except asyncio.CancelledError:
            self.live.note(session, "interrupted", "Interrupted; goes on at the next start.")
            raise
        finally:
            self._workshop.ahead.end(folder)
            await self.live.leave(live)
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
            await self._workshop.ahead.drop(folder)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return ours, None


def _prepare(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_plan(plan_facts_of(plan), folder)
    except (OSError, ValueError) as exc:  # the takes come first; if they cannot be written either, that is told
        log.warning("the plan could not be put beside the takes", action="facts_missing", exc_info=exc)


def _sentence(found: Account) -> str:
    takes = "1 take" if found.takes == 1 else f"{found.takes} takes"
    gaps = "no gap" if not found.gaps else "1 gap" if len(found.gaps) == 1 else f"{len(found.gaps)} gaps"
    return f"Recorded {found.recorded:.1f} of {found.planned:.1f} s in {takes}, {gaps}."
