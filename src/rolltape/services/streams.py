"""Streams: what there is to record, and their covers."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape import capture, tag
from rolltape.disk import write_whole
from rolltape.domain.destination import Destination
from rolltape.domain.errors import InputError, NotFoundError
from rolltape.domain.labels import Labels, labels
from rolltape.domain.schedule import Schedule
from rolltape.domain.session import NOT_BEGUN, Session, SessionState
from rolltape.domain.stream import Stream, StreamFields
from rolltape.services.clock import Clock
from rolltape.services.names import unique_name
from rolltape.services.operations import operation
from rolltape.services.paging import Page, page
from rolltape.store import Database


@dataclass(frozen=True)
class Outlook:
    """What is known of a stream beside its own fields: what records it now, its latest session that is over, and when
    its next one begins, as far as it is planned yet.
    """

    running: Session | None = None
    last: Session | None = None
    next_start: datetime | None = None


@dataclass(frozen=True)
class Dependents:
    """How many schedules and sessions belong to a stream."""

    schedules: int
    coming: int
    running: int
    past: int


class Streams:
    def __init__(self, database: Database, *, artwork: Path, capture_settings: capture.CaptureSettings, clock: Clock):
        self._database = database
        self._artwork = artwork
        self._capture_settings = capture_settings
        self._clock = clock

    async def page(self, *, text: str = "", after: str | None, limit: int) -> Page[Stream]:
        """Those that have `text` in their name or address."""
        query = select(Stream)
        if text:
            named, addressed = (column.icontains(text, autoescape=True) for column in (Stream.name, Stream.url))
            query = query.where(or_(named, addressed))
        async with self._database.read() as db:
            return await page(db, query, [Stream.id], after=after, limit=limit)

    async def names(self) -> list[tuple[int, str]]:
        """All streams by name, for choices."""
        async with self._database.read() as db:
            rows = await db.execute(select(Stream.id, Stream.name))
        return sorted(((number, name) for number, name in rows), key=lambda row: row[1].casefold())

    async def get(self, stream_id: int) -> Stream:
        async with self._database.read() as db:
            return await find(db, stream_id)

    @operation("stream_added", "a stream was added")
    async def create(self, fields: StreamFields) -> Stream:
        async with self._database.write() as db:
            with unique_name("stream", fields.name):
                (stream,) = await self.enter(db, [fields])
        return stream

    async def enter(self, db: AsyncSession, every: Sequence[StreamFields]) -> list[Stream]:
        """New streams, as part of a larger change."""
        await _check_destinations(db, sorted({number for fields in every for number in fields.destination_ids}))
        streams = [Stream(**fields.model_dump(), created_at=self._clock()) for fields in every]
        db.add_all(streams)
        await db.flush()
        return streams

    @operation("stream_changed", "a stream was changed")
    async def update(self, stream_id: int, changes: dict[str, Any]) -> Stream:
        """Change the named fields. Running sessions go on as they began."""
        async with self._database.write() as db:
            stream = await find(db, stream_id)
            fields = StreamFields.model_validate(StreamFields.model_validate(stream).model_dump() | changes)
            await self.replace(db, stream, fields)
        return stream

    async def replace(self, db: AsyncSession, stream: Stream, fields: StreamFields) -> None:
        """Give a stream these fields, as part of a larger change."""
        await _check_destinations(db, fields.destination_ids)
        for name, value in fields.model_dump().items():
            setattr(stream, name, value)
        with unique_name("stream", fields.name):
            await db.flush()

    @operation("stream_deleted", "a stream was deleted")
    async def delete(self, stream_id: int) -> None:
        """Delete a stream and its schedules. Sessions that have begun stay, with what they recorded."""
        async with self._database.write() as db:
            await self.remove(db, stream_id)

    async def remove(self, db: AsyncSession, stream_id: int) -> None:
        """Delete a stream, as part of a larger change."""
        stream = await find(db, stream_id)
        await db.execute(delete(Session).where(Session.stream_id == stream_id, Session.state == SessionState.SCHEDULED))
        await db.delete(stream)
        # The cover stays where a session that has begun still needs it; clean-up is by what nothing refers to.

    async def outlooks(self, ids: Sequence[int]) -> dict[int, Outlook]:
        """What each of these streams does, and did last."""
        latest = (
            select(Session.id)
            .where(Session.stream_id == Stream.id, Session.ended_at.is_not(None))
            .order_by(Session.planned_start.desc())
            .limit(1)
            .scalar_subquery()
        )
        last = select(Session).where(Session.id.in_(select(latest).where(Stream.id.in_(ids))))
        running = select(Session).where(Session.stream_id.in_(ids), Session.state == SessionState.RECORDING)
        coming = (
            select(Session.stream_id, func.min(Session.planned_start))
            .where(Session.stream_id.in_(ids), Session.state.in_(NOT_BEGUN))
            .group_by(Session.stream_id)
        )
        async with self._database.read() as db:
            ended = {session.stream_id: session for session in await db.scalars(last)}
            now = {session.stream_id: session for session in await db.scalars(running)}
            starts = {number: start for number, start in await db.execute(coming)}  # noqa: C416 (rows are no pairs)
        return {number: Outlook(now.get(number), ended.get(number), starts.get(number)) for number in ids}

    async def dependents(self, stream_id: int) -> Dependents:
        """What a deletion of the stream takes along, and what it leaves."""
        async with self._database.read() as db:
            await find(db, stream_id)
            schedules = await db.scalar(select(func.count(Schedule.id)).where(Schedule.stream_id == stream_id))
            counted = select(Session.state, func.count()).where(Session.stream_id == stream_id).group_by(Session.state)
            states = dict((await db.execute(counted)).all())
        return Dependents(
            schedules=schedules or 0,
            coming=states.pop(SessionState.SCHEDULED, 0),
            running=states.pop(SessionState.RECORDING, 0),
            past=sum(states.values()),
        )

    @operation("stream_tested", "an address was tested")
    async def probe(self, url: str, *, verify_tls: bool = True) -> capture.Offer:
        """What an address offers.

        Raises:
            SourceError: nothing that can be recorded; the message says why.
        """
        return await capture.probe(url, self._capture_settings, verify_tls=verify_tls)

    @operation("cover_set", "a cover was set")
    async def set_artwork(self, stream_id: int, original: bytes) -> None:
        """Keep `original` as the stream's cover, as it came.

        Raises:
            InputError: it is no picture that can be used.
        """
        suffix = await asyncio.to_thread(tag.check_artwork, original)
        # A new name for each upload: sessions that have begun keep the cover that they began with.
        name = f"{stream_id}-{secrets.token_hex(8)}{suffix}"
        async with self._database.write() as db:
            stream = await find(db, stream_id)
            await asyncio.to_thread(_keep, self._artwork / name, original)
            stream.artwork = name

    async def artwork(self, stream_id: int) -> Path:
        """The cover's file, as it was uploaded."""
        stream = await self.get(stream_id)
        file = self._artwork / stream.artwork if stream.artwork else None
        if file is None or not file.is_file():
            raise NotFoundError(f"{stream.name} has no cover")
        return file

    async def cover(self, stream_id: int) -> bytes:
        """The cover as it is embedded: made anew as a JPEG, whatever came with the upload."""
        file = await self.artwork(stream_id)
        return await asyncio.to_thread(lambda: tag.cover_jpeg(file.read_bytes()))

    @operation("cover_deleted", "a cover was removed")
    async def delete_artwork(self, stream_id: int) -> None:
        async with self._database.write() as db:
            (await find(db, stream_id)).artwork = None


@dataclass(frozen=True)
class Preview:
    """What a recording would be called."""

    labels: Labels
    file: str


def preview(fields: StreamFields, show: str, local_start: datetime) -> Preview:
    """What a recording of `show` that begins at `local_start`, in the zone of its schedule, would be called.

    Raises:
        InputError: nothing is left of the file name.
    """
    called = labels(fields, show or fields.name, local_start)
    return Preview(called, str(tag.file_path(fields.filename_pattern, called.values)))


async def find(db: AsyncSession, stream_id: int) -> Stream:
    stream = await db.get(Stream, stream_id)
    if stream is None:
        raise NotFoundError(f"There is no stream {stream_id}.")
    return stream


async def _check_destinations(db: AsyncSession, ids: list[int]) -> None:
    known = set(await db.scalars(select(Destination.id).where(Destination.id.in_(ids))))
    for missing in (number for number in ids if number not in known):
        raise InputError("destination_ids", f"There is no destination {missing}.")


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, content)
