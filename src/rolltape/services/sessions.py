"""Sessions: what is recorded, was recorded or will be. The one place that writes their rows.

Who runs a session claims it first, which raises its epoch. Everything the runner writes afterwards is bound to that
epoch: the last to claim a session owns it, and an older runner's writes do nothing.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import ColumnElement, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.recording import Verdict
from rolltape.domain.schedule import Schedule
from rolltape.domain.session import NOT_BEGUN, OVER, Event, Plan, Session, SessionState, Wish
from rolltape.domain.stream import Stream, StreamFields
from rolltape.domain.take import Take, TakeFacts, takes_folder
from rolltape.domain.transfer import UNDER_WAY, Transfer, TransferState
from rolltape.domain.units import Seconds
from rolltape.domain.waveform import Waveform
from rolltape.services.clock import Clock
from rolltape.services.facts import remove_facts
from rolltape.services.operations import operation
from rolltape.services.paging import Page, page
from rolltape.services.streams import find as find_stream
from rolltape.store import Database

LEAD = timedelta(seconds=30)  # a session is handed to the engine this long before its window opens
MISSED = "The service was not running when it was due, and its time has passed."
NO_ROOM = "Other sessions took all the room until its time had passed."

MOST_ASKED = 10_000  # recordings of which it is known when somebody asked for them

CAPTURED = NOT_BEGUN | {SessionState.RECORDING}
ENDED = (SessionState.DONE, SessionState.FAILED, SessionState.MISSED)  # and not because somebody wanted it so
FAILURES = (SessionState.FAILED, SessionState.MISSED)
FLAWS = tuple(verdict for verdict in Verdict if verdict is not Verdict.COMPLETE)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Filters:
    """Which sessions a list shows. `since` and `until` are about the planned start, `text` has words of the name."""

    state: SessionState | None = None
    verdict: Verdict | None = None
    stream_id: int | None = None
    schedule_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        equal = {
            Session.state: self.state,
            Session.verdict: self.verdict,
            Session.stream_id: self.stream_id,
            Session.schedule_id: self.schedule_id,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.since is not None:
            found.append(Session.planned_start >= self.since)
        if self.until is not None:
            found.append(Session.planned_start < self.until)
        # The index by start has the name in it: what does not fit is passed over without a look at its row.
        return found + [Session.name.icontains(word, autoescape=True) for word in self.text.split()]


@dataclass(frozen=True)
class Counts:
    """How many sessions came to an end, how many of them with a complete recording where it belongs, how many not."""

    finished: int
    complete: int
    troubled: int


@dataclass(frozen=True)
class Due:
    """A session that somebody should be running: where it stands, and when to go on with it."""

    session_id: int
    state: SessionState
    at: datetime | None
    rank: tuple[int, float]  # the lowest goes first where room is short


@dataclass(frozen=True)
class Beat:
    """What a runner tells about a session that records."""

    session_id: int
    epoch: int
    values: Mapping[str, Any]


class Sessions:
    """`wake` is called when something has become due or wants attention at once."""

    def __init__(
        self, database: Database, *, recordings: Path, timezone: str, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._clock = clock
        self._asked: dict[int, datetime] = {}  # when somebody last asked for a recording, by session
        self.timezone = timezone  # of a record now
        self._wake = wake

    # What people ask

    async def page(self, filters: Filters, *, after: str | None, limit: int) -> Page[Session]:
        query = select(Session).where(*filters.conditions())
        async with self._database.read() as db:
            return await page(db, query, [Session.planned_start, Session.id], after=after, limit=limit)

    async def get(self, session_id: int) -> Session:
        async with self._database.read() as db:
            return await _find(db, session_id)

    async def transfers(self, session_ids: Iterable[int]) -> dict[int, list[Transfer]]:
        """The transfers of each of these sessions."""
        found: dict[int, list[Transfer]] = {session_id: [] for session_id in session_ids}
        async with self._database.read() as db:
            for transfer in await db.scalars(
                select(Transfer).where(Transfer.session_id.in_(found)).order_by(Transfer.id)
            ):
                found[transfer.session_id].append(transfer)
        return found

    async def events(self, session_id: int) -> Sequence[Event]:
        """The story of a session, oldest first."""
        async with self._database.read() as db:
            await _find(db, session_id)
            return (await db.scalars(select(Event).where(Event.session_id == session_id).order_by(Event.id))).all()

    async def takes(self, session_id: int) -> Sequence[Take]:
        """The takes of a session, in the order of their recording; known once it has ended."""
        async with self._database.read() as db:
            await _find(db, session_id)
            return (await db.scalars(select(Take).where(Take.session_id == session_id).order_by(Take.number))).all()

    async def waveform(self, session_id: int) -> bytes | None:
        """POINTS bytes: how loud the recording is from begin to end. None where that is not known."""
        async with self._database.read() as db:
            await _find(db, session_id)
            return await db.scalar(select(Waveform.peaks).where(Waveform.session_id == session_id))

    async def audio(self, session_id: int) -> Path:
        """The file of a session's recording, while it is kept."""
        session = await self.get(session_id)
        if session.file is None or session.state in (SessionState.RECORDING, SessionState.PROCESSING):
            raise NotFoundError("This session has no recording (yet).")
        file = self._inside(session.file)
        # Once it was deleted, another recording may have its name.
        if file is None or session.deleted_at is not None or not file.is_file():
            raise NotFoundError(f"{session.file} is no longer here.")
        self._note_asked(session_id)
        return file

    def was_asked(self, session_id: int, since: datetime) -> bool:
        """Whether somebody asked for a recording since then."""
        return session_id in self._asked and self._asked[session_id] >= since

    def _note_asked(self, session_id: int) -> None:
        self._asked.pop(session_id, None)
        self._asked[session_id] = self._clock()
        if len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]

    async def running(self) -> Sequence[Session]:
        """What records now."""
        async with self._database.read() as db:
            query = select(Session).where(Session.state == SessionState.RECORDING).order_by(Session.planned_start)
            return (await db.scalars(query)).all()

    async def upcoming(self, limit: int) -> Sequence[Session]:
        """What comes next."""
        query = select(Session).where(Session.state.in_(NOT_BEGUN)).order_by(Session.planned_start).limit(limit)
        async with self._database.read() as db:
            return (await db.scalars(query)).all()

    async def troubles(self, since: datetime, limit: int) -> Sequence[Session]:
        """What went wrong since then, newest first: failed, missed, or recorded with another verdict than complete."""
        wrong = [Session.state == state for state in FAILURES] + [Session.verdict == verdict for verdict in FLAWS]
        found: dict[int, Session] = {}
        async with self._database.read() as db:
            # One question for each: every one of them is answered from the newest end of an index.
            for condition in wrong:
                query = select(Session).where(condition, Session.planned_start >= since)
                newest = query.order_by(Session.planned_start.desc(), Session.id.desc()).limit(limit)
                found |= {session.id: session for session in await db.scalars(newest)}
        return sorted(found.values(), key=lambda session: (session.planned_start, session.id), reverse=True)[:limit]

    async def counts(self, since: datetime) -> Counts:
        """How the sessions went that were planned since then."""
        columns = (Session.state, Session.verdict, func.count())
        query = select(*columns).where(Session.planned_start >= since, Session.state.in_(ENDED))
        async with self._database.read() as db:
            rows = (await db.execute(query.group_by(Session.state, Session.verdict))).all()
        complete = sum(n for state, verdict, n in rows if (state, verdict) == (SessionState.DONE, Verdict.COMPLETE))
        finished = sum(n for _, _, n in rows)
        return Counts(finished=finished, complete=complete, troubled=finished - complete)

    # What people change

    @operation("record_now", "a recording was asked for")
    async def record_now(self, stream_id: int, duration: Seconds, name: str = "", *, deliver: bool = True) -> Session:
        """A session that is due at once. It goes to the stream's destinations, or, if not `deliver`, stays here."""
        now = self._clock()
        async with self._database.write() as db:
            stream = await find_stream(db, stream_id)
            session = Session(
                stream_id=stream_id,
                name=name or stream.name,
                state=SessionState.SCHEDULED,
                opens=now,
                planned_start=now,
                planned_end=now + timedelta(seconds=duration),
                timezone=self.timezone,
            )
            db.add(session)
            await db.flush()
            if not deliver:
                session.plan = _plan(session, stream, destination_ids=[]).model_dump(mode="json")
            db.add(_event(session.id, now, "created", "Record now."))
        self._wake()
        return session

    @operation("stop_asked", "a stop was asked for")
    async def stop(self, session_id: int) -> Session:
        """End a recording now; what it has is kept and finished."""
        return await self._ask(session_id, Wish.STOP)

    @operation("cancel_asked", "a session was given up on request")
    async def cancel(self, session_id: int) -> Session:
        """Give a session up; what it recorded is discarded."""
        return await self._ask(session_id, Wish.CANCEL)

    @operation("retry_asked", "a session is tried again on request")
    async def retry(self, session_id: int) -> Session:
        """Try the failed step of a session again.

        Raises:
            ConflictError: it has not failed, or nothing is left to try again.
        """
        now = self._clock()
        async with self._database.write() as db:
            session = await _find(db, session_id, is_locked=True)
            if session.state is not SessionState.FAILED or session.take_count == 0:
                raise ConflictError("Only a session that failed after it had recorded something can be tried again.")
            has_recording = session.sha256 is not None and session.duration is not None
            session.state = SessionState.DELIVERING if has_recording else SessionState.PROCESSING
            session.ended_at = session.error_code = session.error_message = None
            session.attempts = 0
            for transfer in await db.scalars(
                select(Transfer).where(Transfer.session_id == session_id, Transfer.state == TransferState.REFUSED)
            ):
                transfer.state = TransferState.QUEUED
                transfer.next_attempt_at = now
            db.add(_event(session_id, now, "retry", "Tried again on request."))
        self._wake()
        return session

    @operation("session_deleted", "a session was forgotten on request")
    async def delete(self, session_id: int, *, with_file: bool = False) -> None:
        """Forget a session: its rows, its takes, and its recording here if that is asked for.

        The files go first, the rows last. Whatever happens in between, the session is still listed and can be deleted
        again; the other way round, files could be left that nobody knows. Nobody can begin to need the takes
        meanwhile: all of it happens in one transaction that writes, and so does trying a session again.

        Raises:
            ConflictError: it is not over, or a file cannot be removed.
        """
        async with self._database.write() as db:
            session = await _find(db, session_id, is_locked=True)
            if session.state not in OVER:
                raise ConflictError("The session is still under way; stop or cancel it first.")
            if session.schedule_id is not None and session.planned_start > self._clock():
                raise ConflictError("Its time has not come: without it, the schedule would plan this show again.")
            await asyncio.to_thread(self._remove_files, session, with_file=with_file)
            await db.execute(delete(Session).where(Session.id == session_id))

    def _remove_files(self, session: Session, *, with_file: bool) -> None:
        takes = takes_folder(self._recordings, session.id)
        file = self._inside(session.file) if session.file is not None else None
        if file is None and session.file is not None and with_file:
            raise ConflictError(f"{session.file} leads out of the folder of recordings; it is left alone.")
        try:
            if takes.is_dir() and not takes.is_symlink():
                shutil.rmtree(takes)
            if file is not None:
                for part in file.parent.glob(f".{session.id}-*.part"):  # of a try that did not come to its end
                    part.unlink()
            if file is not None and session.deleted_at is None:
                remove_facts(file)  # or it would be found again one day
            if file is not None and with_file and session.deleted_at is None:
                file.unlink(missing_ok=True)
        except OSError as exc:
            raise ConflictError(f"{exc.filename} cannot be removed: {exc.strerror}.") from exc

    def _inside(self, name: str) -> Path | None:
        """The file of this name in the folder of recordings; None if it leads out of it."""
        file = (self._recordings / name).resolve()
        return file if file.is_relative_to(self._recordings.resolve()) else None

    async def _ask(self, session_id: int, wish: Wish) -> Session:
        now = self._clock()
        async with self._database.write() as db:
            session = await _find(db, session_id)
            if session.state in OVER:
                raise ConflictError(f"The session is {session.state} already.")
            is_ahead = session.state is SessionState.SCHEDULED and session.planned_start > now
            if is_ahead or session.state is SessionState.WAITING:
                if wish is Wish.STOP:
                    raise ConflictError("The session has not begun; it can be cancelled.")
                _end(session, SessionState.CANCELLED, now)
                session.epoch += 1  # a runner that got ready for it stops
            elif wish is Wish.STOP and session.state not in CAPTURED:
                raise ConflictError(f"The session is {session.state}: there is no recording to stop.")
            else:
                session.wish = wish
            verb = "Stopped" if wish is Wish.STOP else "Cancelled"
            db.add(_event(session_id, now, f"{wish}_requested", f"{verb} on request."))
        self._wake()
        return session

    # What the runners do

    async def due(self, *, but: Set[int] = frozenset()) -> list[Due]:
        """Everything that is not over and whose time has come, or comes within the lead; `but` these sessions."""
        now = self._clock()
        is_live = (
            Session.state.in_(set(SessionState) - OVER),
            (Session.state != SessionState.SCHEDULED) | (Session.opens <= now + LEAD),
        )
        columns = (Session.id, Session.state, Session.opens, Session.priority)
        next_attempts = (
            select(Transfer.session_id, func.min(Transfer.next_attempt_at).label("at"))
            .where(Transfer.state.in_(UNDER_WAY))
            .group_by(Transfer.session_id)
        )
        async with self._database.read() as db:
            # Mostly all of them are in `but`: their numbers cost much less than their rows.
            ids = [number for number in await db.scalars(select(Session.id).where(*is_live)) if number not in but]
            if not ids:
                return []
            rows = (await db.execute(select(*columns).where(Session.id.in_(ids)))).all()
            attempts = {row.session_id: row.at for row in await db.execute(next_attempts)}
        return [
            Due(number, state, opens if state in NOT_BEGUN else attempts.get(number), (-priority, opens.timestamp()))
            for number, state, opens, priority in rows
        ]

    async def opening(self, until: datetime) -> list[tuple[int, datetime]]:
        """Scheduled sessions whose window opens up to `until`, with that moment."""
        query = select(Session.id, Session.opens).where(Session.state == SessionState.SCHEDULED, Session.opens <= until)
        async with self._database.read() as db:
            return [(number, opens) for number, opens in await db.execute(query)]

    async def claim(self, session_id: int) -> Session | None:
        """Become the owner of a session; None if it is over or gone."""
        query = (
            update(Session)
            .where(Session.id == session_id, Session.state.not_in(OVER))
            .values(epoch=Session.epoch + 1)
            .returning(Session)
        )
        async with self._database.write() as db:
            return (await db.scalars(query)).one_or_none()

    async def plan(self, session: Session) -> Plan:
        """What the session shall do: the first call takes the picture of stream and schedule, all later ones get it."""
        if session.plan is not None:
            return Plan.model_validate(session.plan)
        async with self._database.write() as db:
            stream = await db.get(Stream, session.stream_id) if session.stream_id is not None else None
            if stream is None:
                raise NotFoundError("Its stream was deleted before it began.")
            plan = _plan(session, stream)
            values = {"plan": plan.model_dump(mode="json")}
            await db.execute(update(Session).where(*_owned(session)).values(values))
        session.plan = values["plan"]
        return plan

    async def advance(
        self,
        session: Session,
        state: SessionState,
        kind: str,
        message: str,
        *,
        takes: Sequence[TakeFacts] = (),
        transfers: Sequence[Transfer] = (),
        peaks: bytes = b"",
        **values: Any,
    ) -> bool:
        """Move a session on, with an event that says so. False, and nothing happens, when it has another owner.

        `peaks` is the waveform of its recording.
        """
        now = self._clock()
        if state in OVER:
            values = {"ended_at": now, "live": None, "wish": None} | values
        async with self._database.write() as db:
            query = update(Session).where(*_owned(session)).values(state=state, **values).returning(Session.id)
            if (await db.scalars(query)).one_or_none() is None:
                return False
            await self._enter_takes(db, session.id, takes)
            db.add_all(transfers)
            if peaks:
                await db.merge(Waveform(session_id=session.id, peaks=peaks))
            db.add(_event(session.id, now, kind, message))
        session.state = state
        for name, value in values.items():
            setattr(session, name, value)
        _tell_log(session, kind, message)
        return True

    async def enter_events(self, events: Sequence[Event]) -> None:
        """Add to the stories of many sessions at once; those of sessions that are gone are left out."""
        async with self._database.write() as db:
            ids = {event.session_id for event in events}
            known = set(await db.scalars(select(Session.id).where(Session.id.in_(ids))))
            rows = [_event_values(event) for event in events if event.session_id in known]
            if rows:
                await db.execute(insert(Event), rows)

    async def beat(self, beats: Sequence[Beat]) -> dict[int, tuple[int, Wish | None]]:
        """Enter the progress of many sessions that record; returns the present epoch and wish of each."""
        ids = [beat.session_id for beat in beats]
        async with self._database.write() as db:
            await _enter_beats(db, beats)
            columns = select(Session.id, Session.epoch, Session.wish).where(Session.id.in_(ids))
            return {number: (epoch, wish) for number, epoch, wish in await db.execute(columns)}

    async def tell(self, session_id: int, kind: str, message: str) -> None:
        """Add a line to a session's story."""
        async with self._database.write() as db:
            db.add(_event(session_id, self._clock(), kind, message))

    async def done(self, session_ids: Iterable[int]) -> Sequence[Session]:
        """Those of these sessions that are done."""
        query = select(Session).where(Session.id.in_(session_ids), Session.state == SessionState.DONE)
        async with self._database.read() as db:
            return (await db.scalars(query)).all()

    async def enter_waiting(self, session_ids: Sequence[int]) -> None:
        """There is no room for these sessions; those that are due are shown as waiting."""
        if not session_ids:
            return
        now = self._clock()
        query = select(Session).where(Session.id.in_(session_ids), Session.state == SessionState.SCHEDULED)
        async with self._database.write() as db:
            for session in await db.scalars(query):
                if session.opens <= now:
                    session.state = SessionState.WAITING
                    told = "Waits for room: as many sessions record as may at once."
                    db.add(_event(session.id, now, "waiting", told))

    async def expire_waiting(self) -> None:
        """Enter as missed what waited for room until its window was over."""
        now = self._clock()
        async with self._database.write() as db:
            query = select(Session).where(Session.state == SessionState.WAITING, Session.planned_end <= now)
            for session in await db.scalars(query):
                if session.planned_end + timedelta(seconds=session.end_late) <= now:
                    _end(session, SessionState.MISSED, now)
                    session.epoch += 1
                    session.error_code, session.error_message = "no_room", NO_ROOM
                    db.add(_event(session.id, now, "missed", NO_ROOM))

    async def _enter_takes(self, db: AsyncSession, session_id: int, takes: Sequence[TakeFacts]) -> None:
        known = set(await db.scalars(select(Take.number).where(Take.session_id == session_id)))
        db.add_all(
            Take(
                session_id=session_id,
                number=take.number,
                codec=take.format.codec,
                sample_rate=take.format.sample_rate,
                channels=take.format.channels,
                bit_rate=take.format.bit_rate,
                begins=take.begins,
                duration=take.duration,
                ended_by=take.ended_by,
            )
            for take in takes
            if take.number not in known
        )


def scheduled(schedule: Schedule, stream: Stream, start: datetime) -> dict[str, Any]:
    """What the planner enters for one occurrence of a schedule."""
    start_early = stream.start_early if schedule.start_early is None else schedule.start_early
    return {
        "stream_id": schedule.stream_id,
        "schedule_id": schedule.id,
        "name": schedule.name or stream.name,
        "planned_start": start,
        "planned_end": start + timedelta(seconds=schedule.duration),
        "opens": start - timedelta(seconds=start_early),
        "start_early": start_early,
        "end_late": stream.end_late if schedule.end_late is None else schedule.end_late,
        "timezone": schedule.timezone,
        "priority": schedule.priority,
    }


def _plan(session: Session, stream: Stream, **changes: Any) -> Plan:
    """A picture of stream and schedule as they are now, but for some `changes` to the stream."""
    return Plan(
        session_id=session.id,
        show=session.name,
        stream=StreamFields.model_validate(stream).model_copy(update=changes),
        start=session.planned_start,
        end=session.planned_end,
        start_early=session.start_early,
        end_late=session.end_late,
        timezone=session.timezone,
        begins_with_audio=session.schedule_id is None,
        artwork=stream.artwork,
    )


async def _enter_beats(db: AsyncSession, beats: Sequence[Beat]) -> None:
    """One statement for all beats that tell of the same columns."""
    connection = await db.connection()
    # Not one that has just gone on to be processed. (IN does not go with many rows at once.)
    is_captured = or_(*(Session.state == state for state in sorted(CAPTURED)))
    for columns in {frozenset(beat.values) for beat in beats}:
        query = (
            update(Session.__table__)  # type: ignore[arg-type]
            .where(Session.id == bindparam("its_id"), Session.epoch == bindparam("its_epoch"))
            .where(is_captured)
            .values({name: bindparam(f"new_{name}") for name in columns})
        )
        rows = [
            {"its_id": beat.session_id, "its_epoch": beat.epoch}
            | {f"new_{name}": value for name, value in beat.values.items()}
            for beat in beats
            if frozenset(beat.values) == columns
        ]
        await connection.execute(query, rows)


async def _find(db: AsyncSession, session_id: int, *, is_locked: bool = False) -> Session:
    session = await db.get(Session, session_id, with_for_update=is_locked)
    if session is None:
        raise NotFoundError(f"There is no session {session_id}.")
    return session


def _tell_log(session: Session, kind: str, message: str) -> None:
    tell = log.warning if session.state in FAILURES else log.info
    told = {"state": session.state.value, "verdict": session.verdict}
    tell(message, action=f"session_{kind}", session_id=session.id, stream_id=session.stream_id, **told)


def _owned(session: Session) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (Session.id == session.id, Session.epoch == session.epoch)


def _end(session: Session, state: SessionState, now: datetime) -> None:
    session.state = state
    session.ended_at = now


def _event(session_id: int, at: datetime, kind: str, message: str) -> Event:
    return Event(session_id=session_id, at=at, kind=kind, message=message)


def _event_values(event: Event) -> dict[str, Any]:
    return {"session_id": event.session_id, "at": event.at, "kind": event.kind, "message": event.message}
