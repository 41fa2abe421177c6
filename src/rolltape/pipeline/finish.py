"""The second and third step: the takes of a session become one tagged MP3 under its final name.

Order of safety: takes on disk → final under a temporary name → fsync → the name, size and hash in the database →
rename → the facts beside it → fsync of the folders → "finished" in the database → only then are the takes removed.
Killed anywhere in between, the next run finds either the takes or the finished file.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from rolltape import process, tag
from rolltape.capture import Journal, read_journal
from rolltape.disk import room, sync_folder, sync_name
from rolltape.domain.errors import InputError, ProcessingError
from rolltape.domain.facts import facts_of
from rolltape.domain.labels import labels
from rolltape.domain.recording import Account, account
from rolltape.domain.session import Plan, Session, SessionState
from rolltape.domain.titles import Mark, marks
from rolltape.domain.units import Seconds
from rolltape.pipeline.accounting import kept, measured, told
from rolltape.pipeline.workshop import Workshop
from rolltape.services.clock import Clock
from rolltape.services.facts import write_facts
from rolltape.services.sessions import Sessions
from rolltape.services.transfers import Transfers

log = structlog.get_logger(__name__)

ASSEMBLED = "recording.mp3"  # in the takes' folder: one MP3, not tagged yet


class Finishing:
    def __init__(self, sessions: Sessions, transfers: Transfers, workshop: Workshop, *, clock: Clock) -> None:
        self._sessions = sessions
        self._transfers = transfers
        self._workshop = workshop
        self._clock = clock
        self._in_use: set[str] = set()  # names that files are being made for in this process, without case

    async def run(self, session: Session) -> tuple[bool, datetime | None]:
        plan = await self._sessions.plan(session)
        folder = self._workshop.takes(session)
        await asyncio.to_thread(_remove_parts, plan, folder, self._workshop)
        is_made = session.file is not None and await self._is_there(session)
        if not is_made and not await self._make(session, plan, folder):
            return False, None
        return await self._hand_over(session, plan), None

    def clear(self, session: Session) -> None:
        """Remove what could not be made to the end: only the takes count."""
        with contextlib.suppress(OSError):
            (self._workshop.takes(session) / ASSEMBLED).unlink(missing_ok=True)

    async def _make(self, session: Session, plan: Plan, folder: Path) -> bool:
        """From takes to the file under its final name, known to the database."""
        name = self._reserve(plan)
        try:
            made = await make(plan, folder, name, self._workshop)
            message = f"Made {name}: {made.duration:.1f} s, {made.written.size} bytes. {told(made.account)}"
            peaks = made.peaks if self._workshop.may_do("waveforms") else b""
            if not made.peaks:
                log.warning("the waveform could not be measured", action="waveform_missing", session_id=session.id)
            if not await self._sessions.advance(
                session, SessionState.PROCESSING, "made", message, peaks=peaks, **_entries(made)
            ):
                made.part.unlink(missing_ok=True)
                return False
            await asyncio.to_thread(publish, made.part, self._workshop.recordings / name)
        finally:
            self._in_use.discard(str(name).casefold())
        return True

    def _reserve(self, plan: Plan) -> PurePosixPath:
        """A name that no file has, and that no other session is making one for."""
        name = free_name(plan, self._workshop, taken=lambda name: str(name).casefold() in self._in_use)
        self._in_use.add(str(name).casefold())
        return name

    async def _is_there(self, session: Session) -> bool:
        """Whether an earlier run has brought the file to its final name."""
        assert session.file is not None
        file = self._workshop.recordings / session.file
        return await asyncio.to_thread(_has_hash, file, session.sha256)

    async def _hand_over(self, session: Session, plan: Plan) -> bool:
        assert session.file is not None
        assert session.size is not None
        await asyncio.to_thread(self._leave_facts, session, plan)
        # Also where an earlier run gave it its name: that one may have been killed before it was synced.
        await asyncio.to_thread(sync_name, self._workshop.recordings / session.file, self._workshop.recordings)
        transfers = await self._transfers.prepare(session, plan, session.size, session.file)
        count = len(transfers)
        message = "Finished." if count == 0 else f"Finished; goes to {count} destination{'s' if count > 1 else ''}."
        return await self._sessions.advance(
            session, SessionState.DELIVERING, "finished", message, transfers=transfers, attempts=0
        )

    def _leave_facts(self, session: Session, plan: Plan) -> None:
        """Put the facts of the session beside its recording, for the day on which the database is lost."""
        assert session.file is not None
        try:
            facts = facts_of(session, plan, finished_at=self._clock())
            write_facts(facts, self._workshop.recordings / session.file)
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and session.attempts == 0:
                raise  # a disk that was full for a moment: the step is tried once more
            # The recording itself is safe.
            log.warning("the facts could not be put beside the recording", action="facts_missing", exc_info=exc)


@dataclass(frozen=True)
class Made:
    """A finished recording that still has its temporary name, `part`."""

    name: PurePosixPath
    part: Path
    written: tag.Written
    duration: Seconds
    tags: tag.Tags
    account: Account
    titles: list[Mark]
    peaks: bytes  # its waveform, b"" if it has none


async def make(plan: Plan, folder: Path, name: PurePosixPath, workshop: Workshop) -> Made:
    """One tagged MP3 from the takes in `folder`, beside where it will be called `name`.

    Raises:
        ProcessingError: there is no audio, or the result is not sound.
        FfmpegMissing: it cannot be encoded or verified.
        OSError: the takes are out of reach, or there is no room.
    """
    await asyncio.to_thread(_require_room, folder)
    await workshop.ahead.finished(folder)
    journal = await asyncio.to_thread(read_journal, folder)
    found = account(journal.takes, journal.window or plan.window).with_longest_stall(journal.longest_stall)
    if not found.cuts:
        raise ProcessingError(f"There are no takes (any more) in {folder}.")
    audio = folder / ASSEMBLED
    quality = plan.stream.mp3_quality
    assembled = await process.assemble(found.cuts, folder, audio, quality=quality, ffmpeg=workshop.capture.ffmpeg)
    sound = assembled.sound
    found = found.with_sound(sound.silent_share, sound.silences, loudness=sound.loudness, peak=sound.peak)
    tags = _tags(plan, journal, found)
    part = workshop.recordings / tag.part_name(name.with_name(f"{folder.name}-{name.name}"))
    written = await asyncio.to_thread(_write, audio, part, tags, workshop.cover(plan))
    titles = marks(found.cuts, journal.titles)
    return Made(name, part, written, assembled.duration, tags, found, titles, assembled.peaks)


def _require_room(folder: Path) -> None:
    """See that a recording fits at all, before the last room is taken from the sessions that record.

    Raises:
        OSError: it does not; or there is no such folder (any more).
    """
    takes = sum(take.stat().st_size for take in folder.glob("take-*"))
    with contextlib.suppress(FileNotFoundError):
        takes -= (folder / ASSEMBLED).stat().st_size  # of an earlier run: it is written over
    if room(folder).free < takes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def free_name(plan: Plan, workshop: Workshop, *, taken: Callable[[PurePosixPath], bool] | None) -> PurePosixPath:
    """The name that the plan's pattern makes, with a number behind it where it is taken."""
    return tag.free_name(workshop.recordings, _wanted_name(plan), taken=taken)


def publish(part: Path, final: Path) -> None:
    """Give a finished file its name, which nothing has yet.

    Raises:
        ProcessingError: something has that name after all; the step is run again and finds another one.
    """
    try:
        os.link(part, final)
    except FileExistsError as exc:
        part.unlink()
        raise ProcessingError(f"{final} exists already.") from exc
    except OSError:  # a file system without hard links
        if final.exists():
            part.unlink()
            raise ProcessingError(f"{final} exists already.") from None
        part.rename(final)
    else:
        part.unlink()
    sync_folder(final.parent)


def _remove_parts(plan: Plan, folder: Path, workshop: Workshop) -> None:
    """Remove what an earlier run of the session began to write under a temporary name."""
    wanted = workshop.recordings / _wanted_name(plan)
    for part in wanted.parent.glob(f".{folder.name}-*.part"):
        part.unlink(missing_ok=True)


def _write(audio: Path, part: Path, tags: tag.Tags, cover: Path | None) -> tag.Written:
    part.parent.mkdir(parents=True, exist_ok=True)
    return tag.write(audio, part, tags, _jpeg(cover) if cover else None)


def _jpeg(cover: Path) -> bytes | None:
    """The picture to embed; None where it is none any more: a recording is worth more than its cover."""
    try:
        return tag.cover_jpeg(cover.read_bytes())
    except (InputError, OSError) as exc:
        log.warning("the cover cannot be used", action="cover_unusable", cover=cover.name, exc_info=exc)
        return None


def _wanted_name(plan: Plan) -> PurePosixPath:
    """The name that the pattern makes, or date and time where nothing of it can be used."""
    known = labels(plan.stream, plan.show, plan.local_start).values
    try:
        return tag.file_path(plan.stream.filename_pattern, known)
    except InputError:
        return tag.file_path("{date} {time}", known)


def _tags(plan: Plan, journal: Journal, found: Account) -> tag.Tags:
    stream = plan.stream
    called = labels(stream, plan.show, plan.local_start)
    assert found.verdict is not None
    return tag.Tags(
        title=called.title,
        artist=called.artist,
        album=called.album,
        album_artist=called.album_artist,
        genre=called.genre,
        track=called.track,
        recorded=plan.local_start,
        station=journal.station or stream.name,
        source_url=stream.url,
        comment=_comment(plan, found),
        coverage=found.coverage,
        verdict=found.verdict,
        measured=measured(found),
    )


def _comment(plan: Plan, found: Account) -> str:
    start = f"{plan.local_start:%Y-%m-%d %H:%M} {plan.timezone}"
    return f"Recorded by Rolltape from {start}: {found.verdict}, {found.coverage:.1%} of the planned time."


def _shown(tags: tag.Tags) -> dict[str, Any]:
    flat = asdict(tags)
    flat |= flat.pop("measured") or {}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in flat.items()}


def _entries(made: Made) -> dict[str, Any]:
    """A finished recording and its account as the database keeps them."""
    found = made.account
    return {
        "file": str(made.name),
        "size": made.written.size,
        "sha256": made.written.sha256,
        "duration": made.duration,
        "title": made.tags.title,
        "tags": _shown(made.tags),
        "verdict": found.verdict,
        "coverage": found.coverage,
        "recorded": found.recorded,
        "gaps": [asdict(gap) for gap in found.gaps],
        "take_count": found.takes,
        "account": kept(found, made.titles),
    }


def _has_hash(file: Path, sha256: str | None) -> bool:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False
