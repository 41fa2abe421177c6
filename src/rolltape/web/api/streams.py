"""Streams in the API."""

import mimetypes
from datetime import datetime
from typing import Annotated

from fastapi import File, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict

from rolltape.domain.errors import SourceError
from rolltape.domain.stream import Stream, StreamFields, Url
from rolltape.services import Services
from rolltape.web.params import After, Id, Limit, Listing, With, given, partial

StreamChanges = partial(StreamFields, "StreamChanges")


class StreamAnswer(StreamFields):
    id: int
    has_artwork: bool
    status: str
    created_at: datetime


class ProbeQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url
    verify_tls: bool = True


class ProbeAnswer(BaseModel):
    """What an address offers; with `ok` false, `message` says what is wrong."""

    ok: bool
    codec: str | None = None
    bit_rate: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    station: str | None = None
    title: str | None = None
    genre: str | None = None
    message: str


async def listing(services: With, limit: Limit = 50, after: After = None) -> Listing[StreamAnswer]:
    """List streams."""
    found = await services.streams.page(after=after, limit=limit)
    return Listing(items=await _answers(services, list(found.items)), next=found.next)


async def create(services: With, fields: StreamFields) -> StreamAnswer:
    """Set up a stream."""
    return await _answer(services, await services.streams.create(services.preferences.for_new(fields)))


async def read(services: With, stream_id: Id) -> StreamAnswer:
    """Read one stream."""
    return await _answer(services, await services.streams.get(stream_id))


async def change(services: With, stream_id: Id, changes: StreamChanges) -> StreamAnswer:  # type: ignore[valid-type]
    """Change the named fields of a stream. Running sessions go on as they began."""
    return await _answer(services, await services.streams.update(stream_id, given(changes)))


async def delete(services: With, stream_id: Id) -> Response:
    """Delete a stream and its schedules. What was recorded stays."""
    await services.streams.delete(stream_id)
    return Response(status_code=204)


async def probe(services: With, question: ProbeQuestion) -> ProbeAnswer:
    """Say what an address offers, before it is saved."""
    try:
        offer = await services.streams.probe(question.url, verify_tls=question.verify_tls)
    except SourceError as exc:
        return ProbeAnswer(ok=False, message=exc.message)
    rate = f" at {offer.bit_rate // 1000} kbit/s" if offer.bit_rate else ""
    return ProbeAnswer(
        ok=True,
        codec=offer.codec,
        bit_rate=offer.bit_rate,
        sample_rate=offer.sample_rate,
        channels=offer.channels,
        station=offer.station,
        title=offer.title,
        genre=offer.genre,
        message=f"It sends {offer.codec}{rate}.",
    )


async def probe_known(services: With, stream_id: Id) -> ProbeAnswer:
    """Say what the address of a stream offers now."""
    stream = await services.streams.get(stream_id)
    return await probe(services, ProbeQuestion(url=stream.url, verify_tls=stream.verify_tls))


async def put_artwork(services: With, stream_id: Id, file: Annotated[UploadFile, File()]) -> Response:
    """Upload the cover: a JPEG, PNG or WebP of at most 10 MB."""
    await services.streams.set_artwork(stream_id, await file.read())
    return Response(status_code=204)


async def read_artwork(services: With, stream_id: Id) -> FileResponse:
    """Get the cover as it was uploaded."""
    file = await services.streams.artwork(stream_id)
    return FileResponse(file, media_type=mimetypes.guess_type(file.name)[0])


async def delete_artwork(services: With, stream_id: Id) -> Response:
    """Remove the cover."""
    await services.streams.delete_artwork(stream_id)
    return Response(status_code=204)


async def _answers(services: Services, streams: list[Stream]) -> list[StreamAnswer]:
    recording = {session.stream_id for session in await services.sessions.running()}
    return [
        StreamAnswer(
            **StreamFields.model_validate(stream).model_dump(),
            id=stream.id,
            has_artwork=stream.artwork is not None,
            status="recording" if stream.id in recording else "idle",
            created_at=stream.created_at,
        )
        for stream in streams
    ]


async def _answer(services: Services, stream: Stream) -> StreamAnswer:
    return (await _answers(services, [stream]))[0]
