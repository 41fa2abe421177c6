"""Streams: what there is to record, and their covers."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape import capture, tag
from rolltape.domain.destination import Destination
from rolltape.domain.errors import InputError, NotFoundError
from rolltape.domain.session import Session, SessionState
from rolltape.domain.stream import Stream, StreamFields
from rolltape.services.clock import Clock
from rolltape.services.names import unique_name
from rolltape.services.paging import Page, page
from rolltape.store import Database


class Streams:
    def __init__(self, database: Database, *, artwork: Path, capture_settings: capture.CaptureSettings, clock: Clock):
        self._database = database
        self._artwork = artwork
        self._capture_settings = capture_settings
        self._clock = clock

    async def page(self, *, after: str | None, limit: int) -> Page[Stream]:
        async with self._database.read() as db:
            return await page(db, select(Stream), [Stream.id], after=after, limit=limit)

    async def get(self, stream_id: int) -> Stream:
        async with self._database.read() as db:
            return await find(db, stream_id)

    async def create(self, fields: StreamFields) -> Stream:
        async with self._database.write() as db:
            await _check_destinations(db, fields.destination_ids)
            stream = Stream(**fields.model_dump(), created_at=self._clock())
            db.add(stream)
            with unique_name("stream", fields.name):
                await db.flush()
        return stream

    async def update(self, stream_id: int, changes: dict[str, Any]) -> Stream:
        """Change the named fields. Running sessions go on as they began."""
        async with self._database.write() as db:
            stream = await find(db, stream_id)
            fields = StreamFields.model_validate(StreamFields.model_validate(stream).model_dump() | changes)
            await _check_destinations(db, fields.destination_ids)
            for name, value in fields.model_dump().items():
                setattr(stream, name, value)
            with unique_name("stream", fields.name):
                await db.flush()
        return stream

    async def delete(self, stream_id: int) -> None:
        """Delete a stream and its schedules. Sessions that have begun stay, with what they recorded."""
        async with self._database.write() as db:
            stream = await find(db, stream_id)
            await db.execute(
                delete(Session).where(Session.stream_id == stream_id, Session.state == SessionState.SCHEDULED)
            )
            await db.delete(stream)
        # The cover stays where a session that has begun still needs it; clean-up is by what nothing refers to.

    async def probe(self, url: str, *, verify_tls: bool = True) -> capture.Offer:
        """What an address offers.

        Raises:
            SourceError: nothing that can be recorded; the message says why.
        """
        return await capture.probe(url, self._capture_settings, verify_tls=verify_tls)

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

    async def delete_artwork(self, stream_id: int) -> None:
        async with self._database.write() as db:
            (await find(db, stream_id)).artwork = None


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
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)
