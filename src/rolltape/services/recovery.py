"""Finds recordings and takes again that the database knows nothing of, by the facts that lie beside them.

So much is done after the database was lost or an older one was restored, or when somebody asks for it. Done again, it
changes nothing. The files may have been written by anybody: what does not read as ours is passed over, one by one.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.capture import read_journal
from rolltape.domain.errors import BusyError, InputError
from rolltape.domain.facts import Facts, PlanFacts, facts_file, may_be_facts
from rolltape.domain.session import NOT_BEGUN, Event, Plan, Session, SessionState, Wish
from rolltape.domain.stream import Stream, StreamFields
from rolltape.domain.take import TAKES
from rolltape.services.clock import Clock
from rolltape.services.facts import read_facts, read_plan
from rolltape.services.lost import Loss, Lost, read_mark, remove_mark, write_mark
from rolltape.store import Database, is_no_answer
from rolltape.store.snapshot import never_again

AT_ONCE = 100  # recordings to a transaction
MOST_TOLD = 100  # files that are told one by one when they cannot be used; the rest is counted
FOUND = "Found again beside its recording, which the database knew nothing of."
FOUND_TAKES = "Found again by its takes, which the database knew nothing of."

# A row in such a state that has no recording is what was planned for one that is found.
_UNFULFILLED = NOT_BEGUN | {SessionState.MISSED, SessionState.FAILED}

SESSIONS: Any = Session.__table__

log = structlog.get_logger(__name__)


@dataclass
class Found:
    """What a search has found: recordings and unfinished takes that were not known, and files of no use."""

    recordings: int = 0
    takes: int = 0
    refused: int = 0
    is_complete: bool = False

    @property
    def sessions(self) -> int:
        return self.recordings + self.takes


@dataclass
class _Recording:
    """Facts that read as ours. `file` is the recording, relative to the folder of recordings."""

    file: str
    facts: Facts


@dataclass
class _Known:
    """What the database knows of the recordings of one batch."""

    files: set[str] = field(default_factory=set)
    planned: dict[tuple[datetime, str], int] = field(default_factory=dict)  # sessions that have no recording yet


class Recovery:
    """`lost` is what happened to the database, as long as something is to be done about it; None when all is well.

    `wake` is called when a session has been found that can go on.
    """

    def __init__(
        self, database: Database, *, data_dir: Path, recordings: Path, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._wake = wake
        self._data_dir = data_dir
        self._recordings = recordings
        self._clock = clock
        self._searching = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.lost: Lost | None = read_mark(data_dir)
        self.last = Found()

    @property
    def told(self) -> Lost | None:
        """What people are told of a loss, until they dismiss it."""
        return self.lost if self.lost is not None and not self.lost.is_dismissed else None

    def tell(self, lost: Lost | None) -> None:
        """What the look at the database has found at the start."""
        self.lost = lost

    def dismiss(self) -> None:
        """Somebody has dealt with it, or does without: it is not told any more."""
        if self.lost is None:
            return
        log.info("the loss of the database is not told any more", action="database_loss_dismissed")
        if self.lost.is_searched:
            self.lost = None
            remove_mark(self._data_dir)
        else:
            self._keep(self.lost.model_copy(update={"is_dismissed": True}))

    def restored(self) -> None:
        """Another database was put in place: what was lost is there again, but for what was recorded since."""
        reason = "An older state of the database was restored."
        self._keep(Lost(loss=Loss.CHANGES, at=self._clock(), reason=reason, is_dismissed=True))

    def _keep(self, lost: Lost) -> None:
        self.lost = lost
        write_mark(self._data_dir, lost)

    async def keep_numbers(self) -> None:
        """Give no session the number of takes that lie on the disk: it would go on with the recording of another."""
        highest = await asyncio.to_thread(_highest_take, self._recordings / TAKES)
        if not highest:
            return
        async with self._database.write() as db:
            last = await db.scalar(select(func.max(Session.id))) or 0
            if highest > last:
                connection = await db.connection()
                await connection.run_sync(never_again, SESSIONS, highest)

    async def search_if_lost(self) -> None:
        """After a loss: find what can be found. Goes on at the next start if it does not come to its end."""
        if self.lost is None or self.lost.is_searched:
            return
        try:
            found = await self.search(with_streams=self.lost.is_all)
        except (SQLAlchemyError, OSError, BusyError):
            log.exception("recordings could not be looked for; it is tried at the next start", action="search_failed")
            return
        if self.lost is None:  # somebody has dealt with it meanwhile
            return
        changes = {"is_searched": True, "found": self.lost.found + found.sessions}
        self._keep(self.lost.model_copy(update=changes))
        if self.lost.is_dismissed:
            self.dismiss()

    @property
    def is_searching(self) -> bool:
        return self._searching.locked()

    def begin_search(self) -> None:
        """Look for recordings on somebody's request, while everything else goes on.

        Raises:
            BusyError: a search is under way.
        """
        if self.is_searching or (self._task is not None and not self._task.done()):
            raise BusyError("Recordings are being looked for already.")
        self._task = asyncio.create_task(self._search_on_request())

    async def close(self) -> None:
        """End a search; it can be begun anew at any time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _search_on_request(self) -> None:
        try:
            await self.search()
        except (SQLAlchemyError, OSError, BusyError):
            log.exception("recordings could not be looked for", action="search_failed")

    async def search(self, *, with_streams: bool = False) -> Found:
        """Enter every recording and all takes that the database does not know.

        `with_streams` makes the streams anew that they were recorded from, where there is none of that name.

        Raises:
            BusyError: a search is under way.
        """
        if self._searching.locked():
            raise BusyError("Recordings are being looked for already.")
        async with self._searching:
            self.last = found = Found()
            await self.keep_numbers()
            await self._find_takes(found, with_streams=with_streams, open_ones=True)
            files = _recordings(self._recordings, found)
            while batch := await asyncio.to_thread(lambda: list(islice(files, AT_ONCE))):
                found.recordings += await self._enter(batch, with_streams=with_streams)
            await self._find_takes(found, with_streams=with_streams, open_ones=False)
            found.is_complete = True
        log.info(
            f"{found.recordings} recordings and {found.takes} unfinished ones were found again",
            action="recordings_found", recordings=found.recordings, takes=found.takes, refused=found.refused,
        )  # fmt: skip
        return found

    async def _enter(self, batch: Sequence[_Recording], *, with_streams: bool) -> int:
        """Enter what is not known of a batch, but for what the database refuses; returns how many that were.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        try:
            return await self._enter_together(batch, with_streams=with_streams)
        except SQLAlchemyError as exc:
            if is_no_answer(exc):  # that says nothing about the facts
                raise
            if len(batch) == 1:
                log.exception(f"{batch[0].file} could not be entered", action="facts_refused")
                return 0
        count = 0
        for one in batch:
            count += await self._enter([one], with_streams=with_streams)
        return count

    async def _enter_together(self, batch: Sequence[_Recording], *, with_streams: bool) -> int:
        async with self._database.read() as db:
            known = await _known(db, batch)
        unknown = [one for one in batch if one.file not in known.files]
        if not unknown:
            return 0
        async with self._database.write() as db:
            streams = await self._streams(db, [one.facts.plan for one in unknown], make=with_streams)
            for one in unknown:
                await self._enter_one(db, one, known, streams)
        return len(unknown)

    async def _enter_one(self, db: AsyncSession, one: _Recording, known: _Known, streams: dict[str, int]) -> None:
        plan = one.facts.plan
        planned = known.planned.pop((plan.start, plan.show), None)
        session = await db.get(Session, planned) if planned is not None else None
        if session is None:
            session = Session(stream_id=streams.get(plan.stream.name), **_planned(plan))
            db.add(session)
        for name, value in _values(one).items():
            setattr(session, name, value)
        session.epoch = (session.epoch or 0) + 1  # a runner that got ready for it stops
        await db.flush()
        session.plan = plan.model_copy(update={"session_id": session.id}).model_dump(mode="json")
        db.add(Event(session_id=session.id, at=self._clock(), kind="found_again", message=FOUND))

    async def _find_takes(self, found: Found, *, with_streams: bool, open_ones: bool) -> None:
        """Go on with sessions that have takes: those whose window is still open at once, the others at the end."""
        for folder in await asyncio.to_thread(_take_folders, self._recordings / TAKES):
            try:
                known = await asyncio.to_thread(read_plan, folder)
            except InputError as exc:
                if not open_ones:
                    found.refused += 1
                    message = f"{folder} has takes that nothing is known of; they are left there. {exc.message}"
                    log.warning(message, action="takes_refused")
                continue
            if (known.plan.window.closes > self._clock()) == open_ones:
                found.takes += await self._enter_takes(int(folder.name), folder, known, with_streams=with_streams)

    async def _enter_takes(self, number: int, folder: Path, known: PlanFacts, *, with_streams: bool) -> int:
        plan = known.plan
        journal = await asyncio.to_thread(read_journal, folder)
        if not journal.takes and plan.window.closes <= self._clock():
            return 0
        same = select(Session.id).where(Session.planned_start == plan.start, Session.name == plan.show)
        async with self._database.write() as db:
            if await db.get(Session, number) is not None or await db.scalar(same.limit(1)) is not None:
                return 0
            streams = await self._streams(db, [plan], make=with_streams)
            stream = plan.stream.model_copy(update={"destination_ids": [], "delete_after_delivery": False})
            plan = plan.model_copy(update={"session_id": number, "stream": stream})
            session = Session(
                id=number,
                stream_id=streams.get(plan.stream.name),
                state=SessionState.RECORDING,
                # Without the secrets of its address it cannot be connected to: what there is becomes the recording.
                wish=None if known.is_whole else Wish.STOP,
                plan=plan.model_dump(mode="json"),
                **_planned(plan),
            )
            db.add(session)
            await db.flush()
            db.add(Event(session_id=number, at=self._clock(), kind="found_again", message=FOUND_TAKES))
        log.warning(FOUND_TAKES, action="takes_found", session_id=number)
        self._wake()
        return 1

    async def _streams(self, db: AsyncSession, plans: Sequence[Plan], *, make: bool) -> dict[str, int]:
        """The streams of these names; those that are missing are made anew if that is wanted."""
        wanted = {plan.stream.name: plan.stream for plan in plans}
        rows = await db.execute(select(Stream.name, Stream.id).where(Stream.name.in_(wanted)))
        known = {row.name: row.id for row in rows}
        if make:
            for name in wanted.keys() - known.keys():
                known[name] = await self._make_stream(db, wanted[name])
        return known

    async def _make_stream(self, db: AsyncSession, fields: StreamFields) -> int:
        """The stream as it was, but that nothing is sent anywhere or deleted unasked."""
        careful = {
            "destination_ids": [], "delete_after_delivery": False, "keep_days": None, "keep_count": None,
            "keep_gigabytes": None,
        }  # fmt: skip
        stream = Stream(**fields.model_copy(update=careful).model_dump(), created_at=self._clock())
        db.add(stream)
        await db.flush()
        log.info(f"the stream {fields.name} was made anew", action="stream_found", stream_id=stream.id)
        return stream.id


async def _known(db: AsyncSession, batch: Sequence[_Recording]) -> _Known:
    known = _Known()
    starts = {one.facts.plan.start for one in batch}
    columns = (Session.id, Session.planned_start, Session.name, Session.state, Session.file)
    for number, start, name, state, file in await db.execute(select(*columns).where(Session.planned_start.in_(starts))):
        if file is not None:
            known.files.add(file)
        elif state in _UNFULFILLED:
            known.planned[(start, name)] = number
    # Without an index: only for what is not found by its start.
    others = {one.file for one in batch} - known.files
    if others:
        known.files |= set(await db.scalars(select(Session.file).where(Session.file.in_(others))))
    return known


def _planned(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.show,
        "opens": plan.window.opens,
        "planned_start": plan.start,
        "planned_end": plan.end,
        "start_early": plan.start_early,
        "end_late": plan.end_late,
        "timezone": plan.timezone,
    }


def _values(one: _Recording) -> dict[str, Any]:
    """What a session has once it is done."""
    facts = one.facts.model_dump(mode="json", include={"gaps", "account", "tags"})
    same = ("started_at", "verdict", "coverage", "recorded", "take_count", "title", "size", "duration", "sha256")
    return {
        "state": SessionState.DONE,
        "ended_at": one.facts.finished_at,
        "file": one.file,
        "error_code": None,
        "error_message": None,
        **facts,
        **{name: getattr(one.facts, name) for name in same},
    }


def _recordings(base: Path, found: Found) -> Iterator[_Recording]:
    """Every recording in `base` that has its facts beside it."""
    for file in _facts_files(base):
        try:
            yield _checked(base, file)
        except InputError as exc:
            found.refused += 1
            if found.refused <= MOST_TOLD:
                log.warning(f"{file} is passed over. {exc.message}", action="facts_refused")


def _facts_files(base: Path) -> Iterator[Path]:
    """All that may be facts, in no order, and without following links."""
    folders = [base]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != TAKES:
                            folders.append(Path(entry.path))
                    elif may_be_facts(entry.name):
                        yield Path(entry.path)
        except OSError as exc:
            log.warning(f"{exc.filename} cannot be looked through: {exc.strerror}", action="search_incomplete")


def _checked(base: Path, file: Path) -> _Recording:
    facts = read_facts(file)
    recording = file.with_name(facts.file)
    if facts_file(recording) != file:
        raise InputError("", "It belongs to another recording.")
    try:
        name = recording.relative_to(base).as_posix()
        name.encode()
        is_there = recording.is_file() and not recording.is_symlink() and recording.stat().st_size == facts.size
    except (OSError, ValueError) as exc:
        raise InputError("", "Its recording cannot be looked at.") from exc
    if not is_there:
        raise InputError("", "Its recording is not there, or is another one by now.")
    return _Recording(name, facts)


def _take_folders(base: Path) -> list[Path]:
    """The folders of takes by their number."""
    try:
        found = [entry for entry in base.iterdir() if _is_number(entry.name) and entry.is_dir()]
    except OSError:
        return []
    return sorted(found, key=lambda folder: int(folder.name))


def _highest_take(base: Path) -> int:
    return max((int(folder.name) for folder in _take_folders(base)), default=0)


def _is_number(name: str) -> bool:
    return re.fullmatch("[1-9][0-9]{0,9}", name) is not None and int(name) < 2**31
