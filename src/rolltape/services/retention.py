"""Retention: which recordings here have had their time, and their deletion, after delivery only.

A mistake here cannot be taken back, so much has to be right at once: the rule has to be agreed to, the clock steady,
the files where they belong, and the share that goes a small one. Otherwise nothing goes until somebody has looked.
Files that are being listened to or sent, were changed by somebody, or did not arrive everywhere stay in any case.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import structlog
from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import ConflictError
from rolltape.domain.retention import Rule, surplus
from rolltape.domain.session import Event, Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.units import DAY, HOUR, MINUTE, Bytes, Seconds
from rolltape.services.clock import Clock
from rolltape.services.facts import remove_facts
from rolltape.services.findings import MOST_EACH, Finding
from rolltape.services.sessions import Sessions
from rolltape.services.streams import find as find_stream
from rolltape.store import Database

EVERY = Seconds(HOUR)  # between runs that nobody asked for
SOON = Seconds(5 * MINUTE)  # after a delivery; all of that time together cost one look at every recording, not one each
FIRST = Seconds(5 * MINUTE)  # after the start; there is more important work then
MOST_AT_ONCE = 500  # recordings in a run; the next one goes on
FEW = 10  # recordings may go without a look, whatever share of all they are
LARGEST_SHARE = 0.2  # of all recordings that may go in a run without a look
FEW_MISSING = 2  # files may be missing, whatever share of all they are
ABSENCE = timedelta(days=2)  # after a longer one the clock may be wrong, and
STEADY = Seconds(DAY)  # it has to go steadily for this long
CLOCK_STEP = timedelta(hours=1)  # the smallest that counts
HEARD = timedelta(hours=1)  # after somebody asked for a recording, the player may ask for more of it

_TOGETHER = 20  # deletions to a transaction; others that write wait for it
_SWEPT = 2000  # files looked for at a time
_STORY = 10  # missing files that are told in the stories of their sessions; when a disk is gone, it is no story of each

CHANGED_MEANWHILE = "Something has changed meanwhile. Look again at what would go."

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Recording:
    """A recording that is here. `start` is the planned start of its session."""

    id: int
    name: str
    start: datetime
    timezone: str
    file: str
    size: Bytes
    state: SessionState


@dataclass(frozen=True)
class Fate:
    """A recording that the rule gives up, why, and what keeps it nevertheless; "" for nothing."""

    recording: Recording
    why: str
    kept_by: str = ""


@dataclass(frozen=True)
class Preview:
    """What a rule does to the recordings of a stream. `going` have had their time, `staying` as well, but may not go.

    `is_only_copy`: they are kept nowhere else. `waits` says why nothing goes by itself, "" if it does.
    """

    rule: Rule
    recordings: int
    size: Bytes
    going: Sequence[Fate]
    staying: Sequence[Fate]
    is_only_copy: bool
    waits: str = ""

    @property
    def room(self) -> Bytes:
        """What deleting them makes free."""
        return Bytes(sum(fate.recording.size for fate in self.going))

    @property
    def fingerprint(self) -> str:
        """Stands for just these recordings: who agreed to their deletion has not agreed to that of others."""
        ids = ",".join(str(fate.recording.id) for fate in self.going)
        return hashlib.sha256(ids.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Missing:
    """Recordings whose file is not where it was, of how many."""

    sessions: int
    of: int

    @property
    def are_many(self) -> bool:
        return self.sessions > FEW_MISSING and self.sessions > LARGEST_SHARE * self.of


class Retention:
    """`steady` is a clock that nobody sets, in seconds; it goes on while the machine sleeps."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        *,
        recordings: Path,
        clock: Clock,
        steady: Callable[[], float] = lambda: _steady_clock(),
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._folder = recordings
        self._clock = clock
        self._steady = steady
        self._look = asyncio.Event()
        self._look_soon: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._agreed: set[int] = set()  # sessions whose recordings somebody wants deleted
        self._waiting: list[Finding] = []
        self._missing = Missing(0, 0)
        self._swept_at: float | None = None
        self._last: tuple[datetime, float] | None = None  # both clocks, at the last run
        self._stepped_at: float | None = None

    # What people ask

    async def preview(self, stream_id: int, rule: Rule | None = None) -> Preview:
        """What the rule of a stream, or another one, would delete now."""
        async with self._database.read() as db:
            stream = await find_stream(db, stream_id)
        return await self._preview(stream, rule or Rule.of(stream))

    async def agree(self, stream_id: int, fingerprint: str) -> Preview:
        """Have just these recordings deleted, soon, and let the rule work by itself from now on.

        Raises:
            ConflictError: by now it would be others.
        """
        found = await self.preview(stream_id)
        if found.fingerprint != fingerprint:
            raise ConflictError(CHANGED_MEANWHILE)
        async with self._database.write() as db:
            (await find_stream(db, stream_id)).keep_agreed = found.rule.plain()
        self._agreed |= {fate.recording.id for fate in found.going}
        log.info(
            f"{len(found.going)} recordings may be deleted, as asked", action="retention_agreed", stream_id=stream_id
        )
        self.look()
        return found

    def findings(self) -> list[Finding]:
        """What waits for somebody."""
        found = list(self._waiting[:MOST_EACH])
        if self._missing.are_many:
            message = (
                f"{self._missing.sessions} of {self._missing.of} recordings are not where they were. "
                "Nothing is deleted by any rule meanwhile."
            )
            advice = "See whether the disk of the recordings is connected. If they are gone on purpose, say so there."
            found.append(Finding("recordings_missing", "warning", message, advice, "/system/missing"))
        return found

    async def missing(self, limit: int) -> tuple[int, Sequence[Recording]]:
        """How many recordings are not where they were, and the newest of them."""
        query = select(*_COLUMNS).where(Session.missing_since.is_not(None), Session.deleted_at.is_(None))
        async with self._database.read() as db:
            rows = (await db.execute(query.order_by(Session.planned_start.desc()))).all()
        return len(rows), [_recording(row) for row in rows[:limit]]

    async def forget_missing(self, count: int) -> None:
        """Take note that what is missing was removed on purpose: `count` recordings, as they were shown.

        Raises:
            ConflictError: it is another number by now.
        """
        await self._sweep()
        now = self._clock()
        is_missing = (Session.missing_since.is_not(None), Session.deleted_at.is_(None))
        async with self._database.write() as db:
            ids = (await db.scalars(select(Session.id).where(*is_missing))).all()
            if len(ids) != count:
                raise ConflictError(CHANGED_MEANWHILE)
            why = "It was removed by somebody, not by Rolltape."
            await db.execute(update(Session).where(*is_missing).values(deleted_at=now, deleted_why=why))
        self._missing = Missing(0, self._missing.of - len(ids))

    # What runs by itself

    def look(self) -> None:
        """Something was agreed to: look now."""
        self._look.set()

    def delivered(self) -> None:
        """A recording is where it belongs: look soon."""
        if self._look_soon is None:
            self._look_soon = asyncio.get_running_loop().call_later(SOON, self.look)

    async def attend(self) -> None:
        """Run every hour, and when told to look, until cancelled."""
        wait = FIRST
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._look.wait()
            self._look.clear()
            if self._look_soon is not None:
                self._look_soon.cancel()
                self._look_soon = None
            try:
                await self.run()
            except Exception:
                log.exception("old recordings could not be looked for", action="retention_failed")
            wait = EVERY

    async def run(self) -> int:
        """Delete what has had its time, as far as that may happen by itself. Returns how many recordings went."""
        async with self._turn:
            if self._swept_at is None or self._steady() - self._swept_at >= EVERY / 2:
                await self._sweep()
            async with self._database.read() as db:
                has_rule = or_(*(column.is_not(None) for column in _LIMITS))
                streams = (await db.scalars(select(Stream).where(has_rule).order_by(Stream.id))).all()
            is_steady = self._note_time(streams)
            found = {stream.id: await self._preview(stream, Rule.of(stream)) for stream in streams}
            holds = {stream.id: self._why_not(stream, found, is_steady=is_steady) for stream in streams}
            self._waiting = [
                _finding(stream, found[stream.id], holds[stream.id])
                for stream in streams
                if holds[stream.id] and self._unagreed(found[stream.id])
            ]
            deleted = await self._delete_all(streams, found, holds)
            await self._note_looked(streams, found, holds, is_steady=is_steady)
        return deleted

    async def _preview(self, stream: Stream, rule: Rule) -> Preview:
        async with self._database.read() as db:
            rows = await db.execute(
                select(*_COLUMNS)
                .where(Session.stream_id == stream.id, *_IS_HERE)
                .order_by(Session.planned_start.desc(), Session.id.desc())
            )
            recordings = [_recording(row) for row in rows]
            given_up = surplus(rule, recordings, self._clock())
            transfers = await _transfers(db, stream.id) if given_up else {}
        chosen = [recording for recording in recordings if recording.id in given_up]
        in_use = await asyncio.to_thread(self._in_use) if chosen else frozenset()
        hindrances = await asyncio.to_thread(
            lambda: {
                one.id: _not_delivered(one, transfers.get(one.id, ()), is_sent=bool(stream.destination_ids))
                or self._file_hindrance(one, in_use)
                for one in chosen
            }
        )
        fates = [Fate(one, given_up[one.id], hindrances[one.id]) for one in chosen]
        found = Preview(
            rule,
            len(recordings),
            Bytes(sum(recording.size for recording in recordings)),
            [fate for fate in fates if not fate.kept_by],
            [fate for fate in fates if fate.kept_by],
            is_only_copy=not stream.destination_ids,
        )
        waits = self._not_agreed(stream, found)
        return Preview(**{**vars(found), "waits": waits})

    def _not_agreed(self, stream: Stream, found: Preview) -> str:
        agreed = Rule(**stream.keep_agreed) if stream.keep_agreed else Rule()
        if found.going and found.rule.is_tighter_than(agreed):
            return "The rule is new, or keeps less than before."
        return ""

    def _why_not(self, stream: Stream, found: Mapping[int, Preview], *, is_steady: bool) -> str:
        """Why the recordings of a stream do not go by themselves, "" if they do."""
        ours = found[stream.id]
        if not ours.going:
            return ""
        all_going = sum(len(self._unagreed(preview)) for preview in found.values())
        if self._missing.are_many:
            return "Many other recordings are not where they were."
        if ours.waits:
            return ours.waits
        if not is_steady:
            return "The clock of this machine was set, or Rolltape was not running for days."
        if all_going > FEW and all_going > LARGEST_SHARE * self._missing.of:
            return f"That is a large part of all {self._missing.of} recordings."
        return ""

    def _unagreed(self, preview: Preview) -> list[Fate]:
        return [fate for fate in preview.going if fate.recording.id not in self._agreed]

    def _note_time(self, streams: Iterable[Stream]) -> bool:
        """Whether the clock can be trusted with the age of recordings."""
        now, steady = self._clock(), self._steady()
        if self._last is None:
            looked = [stream.keep_looked_at for stream in streams if stream.keep_looked_at is not None]
            stepped = bool(looked) and abs(now - max(looked)) > ABSENCE
        else:
            stepped = abs(now - self._last[0] - timedelta(seconds=steady - self._last[1])) > CLOCK_STEP
        if stepped:
            self._stepped_at = steady
        self._last = (now, steady)
        return self._stepped_at is None or steady - self._stepped_at >= STEADY

    async def _note_looked(
        self,
        streams: Iterable[Stream],
        found: Mapping[int, Preview],
        holds: Mapping[int, str],
        *,
        is_steady: bool,
    ) -> None:
        """A rule that has nothing to delete, or may, works by itself from now on."""
        async with self._database.write() as db:
            for stream in streams:
                values: dict[str, Any] = {"keep_looked_at": self._clock()} if is_steady else {}
                if not holds[stream.id] and is_steady:
                    values["keep_agreed"] = found[stream.id].rule.plain()
                unchanged = [column == getattr(stream, column.key) for column in _LIMITS if getattr(stream, column.key)]
                if values:
                    await db.execute(update(Stream).where(Stream.id == stream.id, *unchanged).values(values))

    # Files

    async def _delete_all(
        self, streams: Iterable[Stream], found: Mapping[int, Preview], holds: Mapping[int, str]
    ) -> int:
        chosen = [
            (stream, fate)
            for stream in streams
            for fate in found[stream.id].going
            if not holds[stream.id] or fate.recording.id in self._agreed
        ][:MOST_AT_ONCE]
        deleted = 0
        for first in range(0, len(chosen), _TOGETHER):
            some = chosen[first : first + _TOGETHER]
            await self._intend(fate for _, fate in some)
            async with self._database.write() as db:
                for stream, fate in some:
                    deleted += await self._delete(db, stream, fate)
        if deleted:
            log.info(f"{deleted} old recordings were deleted", action="retention_deleted", recordings=deleted)
        if len(chosen) == MOST_AT_ONCE:
            self.look()
        return deleted

    async def _intend(self, fates: Iterable[Fate]) -> None:
        """Enter why these recordings go, before they do: after a kill it is known who removed their files."""
        async with self._database.write() as db:
            for fate in fates:
                here = (Session.id == fate.recording.id, Session.deleted_at.is_(None))
                await db.execute(update(Session).where(*here).values(deleted_why=fate.why))

    async def _delete(self, db: AsyncSession, stream: Stream, fate: Fate) -> bool:
        """Delete one recording, if nothing has changed about it since it was chosen."""
        recording = fate.recording
        session = await db.get(Session, recording.id, with_for_update=True)
        self._agreed.discard(recording.id)
        if session is None or session.deleted_at is not None or session.state is not SessionState.DONE:
            return False
        states = (await _transfers(db, stream.id, recording.id)).get(recording.id, ())
        if _not_delivered(recording, states, is_sent=bool(stream.destination_ids)):
            return False
        same = select(Session.id).where(
            Session.file == recording.file, Session.id != recording.id, Session.deleted_at.is_(None)
        )
        if await db.scalar(same.limit(1)) is not None:
            return False
        problem = await asyncio.to_thread(self._remove, recording)
        if problem:
            log.warning(problem, action="retention_kept", session_id=recording.id)
            session.deleted_why = None
            return False
        session.deleted_at, session.deleted_why = self._clock(), fate.why
        message = f"Deleted {recording.file} here: {stream.name} keeps {Rule.of(stream)}. {fate.why}"
        db.add(_event(recording.id, self._clock(), "deleted", message))
        log.info(message, action="deleted", session_id=recording.id)
        return True

    def _remove(self, recording: Recording) -> str:
        """Remove the file; why it stays, "" if it went."""
        hindrance = self._file_hindrance(recording, self._in_use())
        if hindrance:
            return f"{recording.file}: {hindrance}"
        file = self._folder / recording.file
        try:
            file.unlink()
            remove_facts(file)
        except OSError as exc:
            return f"{recording.file} cannot be removed: {exc.strerror}."
        return ""

    def _file_hindrance(self, recording: Recording, in_use: frozenset[Path]) -> str:
        """What about its file keeps a recording, "" for nothing."""
        file = (self._folder / recording.file).resolve()
        if not file.is_relative_to(self._folder.resolve()):
            return "Its file leads out of the folder of recordings."
        try:
            size = file.stat().st_size
        except OSError:
            return "Its file is not where it was."
        if not file.is_file():
            return "Its file is none any more."
        if size != recording.size:
            return f"Somebody changed its file: it has {size} bytes instead of {recording.size}."
        if file in in_use or self._sessions.was_asked(recording.id, self._clock() - HEARD):
            return "Somebody listens to it or downloads it, or it is being sent."
        return ""

    def _in_use(self) -> frozenset[Path]:
        """The files that this program has open."""
        with contextlib.suppress(psutil.Error, OSError):
            return frozenset(Path(opened.path) for opened in psutil.Process().open_files())
        return frozenset()

    async def _sweep(self) -> None:
        """Note which recordings are not where they were, and which are there again. No row is deleted for it."""
        count = missing = last = 0
        changes: dict[int, bool] = {}  # by session: whether it is missing now
        begun: list[
            tuple[Row[*tuple[Any, ...]], bool]
        ] = []  # deletions that a kill broke off: whether the file is there
        here = (Session.file.is_not(None), Session.sha256.is_not(None), Session.deleted_at.is_(None))
        while True:
            columns = (Session.id, Session.file, Session.size, Session.missing_since, Session.deleted_why)
            query = select(*columns).where(*here, Session.id > last)
            async with self._database.read() as db:
                rows = (await db.execute(query.where(_IS_FINISHED).order_by(Session.id).limit(_SWEPT))).all()
            if not rows:
                break
            last = rows[-1].id
            are_there = await asyncio.to_thread(self._are_there, rows)
            for row, is_there in zip(rows, are_there, strict=True):
                if row.deleted_why is not None and row.missing_since is None:
                    begun.append((row, is_there))
                    continue
                count, missing = count + 1, missing + (not is_there)
                if is_there is (row.missing_since is not None):
                    changes[row.id] = not is_there
        await self._note_missing(changes)
        self._missing = Missing(missing, count)
        if not self._missing.are_many:  # else it may be the disk that is away
            await self._settle(begun)
        self._swept_at = self._steady()

    async def _settle(self, begun: Sequence[tuple[Row[*tuple[Any, ...]], bool]]) -> None:
        """Enter how the deletions ended that a kill or a fault of the database broke off."""
        async with self._database.write() as db:
            for row, is_there in begun:
                values: dict[str, Any] = {"deleted_why": None} if is_there else {"deleted_at": self._clock()}
                await db.execute(
                    update(Session).where(Session.id == row.id, Session.deleted_at.is_(None)).values(values)
                )
                if not is_there:
                    message = f"Deleted {row.file} here. {row.deleted_why}"
                    db.add(_event(row.id, self._clock(), "deleted", message))
                    await asyncio.to_thread(remove_facts, self._folder / row.file)

    def _are_there(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[bool]:
        return [self._is_there(row.file, row.size, was_missing=row.missing_since is not None) for row in rows]

    def _is_there(self, name: str, size: int, *, was_missing: bool) -> bool:
        """Whether a file is there. One that was missing is there again only if it can be the same one."""
        try:
            found = (self._folder / name).stat()
        except OSError:
            return False
        return not was_missing or found.st_size == size

    async def _note_missing(self, changes: Mapping[int, bool]) -> None:
        now, ids = self._clock(), list(changes)
        for first in range(0, len(ids), _SWEPT):
            async with self._database.write() as db:
                for is_missing in (True, False):
                    some = [number for number in ids[first : first + _SWEPT] if changes[number] is is_missing]
                    values = {"missing_since": now if is_missing else None}
                    await db.execute(update(Session).where(Session.id.in_(some)).values(values))
                if len(ids) <= _STORY:
                    db.add_all(_found_or_lost(number, now, is_missing=changes[number]) for number in ids)
        if changes:
            lost = sum(changes.values())
            told = f"{lost} recordings are not where they were, {len(changes) - lost} are there again"
            log.warning(told, action="recordings_missing")


_COLUMNS = (
    Session.id, Session.name, Session.planned_start, Session.timezone, Session.file, Session.size, Session.state,
)  # fmt: skip
_LIMITS = (Stream.keep_days, Stream.keep_count, Stream.keep_gigabytes)
_IS_FINISHED = Session.state.in_((SessionState.DELIVERING, SessionState.DONE, SessionState.FAILED))
_IS_HERE = (
    Session.file.is_not(None),
    Session.sha256.is_not(None),
    Session.deleted_at.is_(None),
    Session.missing_since.is_(None),
    _IS_FINISHED,
)


async def _transfers(
    db: AsyncSession, stream_id: int, session_id: int | None = None
) -> dict[int, list[tuple[str, TransferState]]]:
    """By session, the name and state of its transfers."""
    query = (
        select(Transfer.session_id, Transfer.destination_name, Transfer.state)
        .join(Session, Session.id == Transfer.session_id)
        .where(Session.stream_id == stream_id)
    )
    if session_id is not None:
        query = query.where(Session.id == session_id)
    found: dict[int, list[tuple[str, TransferState]]] = {}
    for number, name, state in await db.execute(query):
        found.setdefault(number, []).append((name, state))
    return found


def _not_delivered(recording: Recording, transfers: Sequence[tuple[str, TransferState]], *, is_sent: bool) -> str:
    """Why a recording is not where it belongs yet, "" if it is. `is_sent`: its stream has destinations."""
    for name, state in transfers:
        if state is not TransferState.DELIVERED:
            return f"It has not arrived at {name}."
    if recording.state is not SessionState.DONE:
        return "It is not done yet."
    if is_sent and not transfers:
        return "It was not sent anywhere: this is the only copy."
    return ""


def _recording(row: Row[*tuple[Any, ...]]) -> Recording:
    return Recording(row.id, row.name, row.planned_start, row.timezone, row.file, Bytes(row.size or 0), row.state)


def _finding(stream: Stream, found: Preview, why: str) -> Finding:
    count = len(found.going)
    recordings = "1 recording waits" if count == 1 else f"{count} recordings wait"
    message = f"{stream.name}: {recordings} to be deleted, since it keeps {found.rule}. {why}"
    advice = "Look at them, then have them deleted, or change the rule of the stream."
    return Finding("retention_waits", "warning", message, advice, f"/streams/{stream.id}/retention")


def _found_or_lost(session_id: int, at: datetime, *, is_missing: bool) -> Event:
    message = "The recording is not where it was: somebody moved or removed it." if is_missing else "It is there again."
    return _event(session_id, at, "missing" if is_missing else "there_again", message)


def _event(session_id: int, at: datetime, kind: str, message: str) -> Event:
    return Event(session_id=session_id, at=at, kind=kind, message=message)


def _steady_clock() -> float:
    # The usual monotonic clock stands still while a laptop sleeps; after each night the other one would seem set.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
