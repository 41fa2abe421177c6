"""Sessions in the API."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rolltape.domain.errors import NotFoundError
from rolltape.domain.recording import Verdict
from rolltape.domain.session import Session, SessionState
from rolltape.domain.stream import LONGEST_SESSION, RowId, Text
from rolltape.domain.transfer import Transfer
from rolltape.domain.units import Seconds
from rolltape.services import Services
from rolltape.services.sessions import Filters
from rolltape.web.api.transfers import TransferAnswer, transfer_answer
from rolltape.web.params import After, Id, Limit, Listing, With

MP3 = "audio/mpeg"


class RecordNow(BaseModel):
    """`duration` is in seconds. `name` is the show's, by default the stream's. Not to `deliver` keeps it here."""

    model_config = ConfigDict(extra="forbid")

    stream_id: RowId
    duration: Annotated[float, Field(ge=1, le=LONGEST_SESSION, allow_inf_nan=False)]
    name: Text = ""
    deliver: bool = True


class Failure(BaseModel):
    code: str
    message: str


class GapAnswer(BaseModel):
    """Missing audio; `start` is counted from the start of the recording window, `position` from that of the audio.

    All in seconds.
    """

    start: float
    length: float
    cause: str
    position: float | None = None


class SilenceAnswer(BaseModel):
    """A stretch of audio below -60 dBFS; `start` counts from the start of the audio. In seconds."""

    start: float
    length: float


class TitleAnswer(BaseModel):
    """What the station said was on the air from `start` on, in seconds from the start of the audio."""

    start: float
    title: str


class AccountAnswer(BaseModel):
    """What became of the window of a session; lengths in seconds, null for what is not known.

    `verdicts` are all that hold, the one that counts first. `planned` is the length of the window, `recorded` the
    audio in it; `late` and `short` are missing at the planned start and end. `longest_stall` is the longest time for
    which no audio came, between the first and the last. `silent_share` is the share of the audio below -60 dBFS, 0 to
    1; `silences` are the stretches of two seconds or more, the longest 500. `loudness` is that of the whole after
    EBU R128, in LUFS, null for silence; `peak` the loudest sample, 0 to 1. `ends` is when the last of it was on the
    air.
    """

    verdicts: list[str] = []
    planned: float | None = None
    recorded: float | None = None
    late: float | None = None
    short: float | None = None
    longest_stall: float | None = None
    silent_share: float | None = None
    silences: list[SilenceAnswer] | None = None
    loudness: float | None = None
    peak: float | None = None
    titles: list[TitleAnswer] = []
    ends: datetime | None = None


class RecordingAnswer(BaseModel):
    file: str
    size: int
    duration: float
    sha256: str
    tags: dict[str, Any]
    deleted_at: datetime | None
    deleted_why: str | None
    missing_since: datetime | None


class LiveAnswer(BaseModel):
    """What a session that records tells meanwhile.

    `speed` is how fast audio came over the last minute, 1 for as fast as it plays, null where that is not known;
    `stall` the longest time for which none came, in seconds.
    """

    bit_rate: int | None
    title: str | None
    gaps: int
    connected: bool
    speed: float | None = None
    stall: float | None = None


class SessionAnswer(BaseModel):
    id: int
    stream_id: int | None
    schedule_id: int | None
    name: str
    state: SessionState
    verdict: Verdict | None
    planned_start: datetime
    planned_end: datetime
    timezone: str
    started_at: datetime | None
    ended_at: datetime | None
    recorded: float
    coverage: float | None
    gaps: list[GapAnswer]
    account: AccountAnswer | None
    takes: int
    live: LiveAnswer | None
    title: str | None
    error: Failure | None
    recording: RecordingAnswer | None
    transfers: list[TransferAnswer]


class TakeAnswer(BaseModel):
    """`begins` is when its first frame was on the air; `duration` is in seconds, `ended_by` says why it ended."""

    number: int
    codec: str
    sample_rate: int | None
    channels: int | None
    bit_rate: int | None
    begins: datetime
    duration: float
    ended_by: str


class Takes(BaseModel):
    items: list[TakeAnswer]


class WaveformAnswer(BaseModel):
    """How loud each of as many equal parts of the recording is, 0 to 255; `duration` of all of them in seconds."""

    points: list[int]
    duration: float | None


class EventAnswer(BaseModel):
    at: datetime
    kind: str
    message: str


class Events(BaseModel):
    items: list[EventAnswer]


async def listing(
    services: With,
    limit: Limit = 50,
    after: After = None,
    state: SessionState | None = None,
    verdict: Verdict | None = None,
    stream_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    schedule_id: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Listing[SessionAnswer]:
    """List sessions."""
    filters = Filters(state, verdict, stream_id, schedule_id, since, until)
    found = await services.sessions.page(filters, after=after, limit=limit)
    transfers = await services.sessions.transfers(session.id for session in found.items)
    return Listing(items=[_answer(session, transfers[session.id]) for session in found.items], next=found.next)


async def record_now(services: With, wanted: RecordNow) -> SessionAnswer:
    """Record a stream now."""
    session = await services.sessions.record_now(
        wanted.stream_id, Seconds(wanted.duration), wanted.name, deliver=wanted.deliver
    )
    return await session_answer(services, session)


async def read(services: With, session_id: Id) -> SessionAnswer:
    """Read one session."""
    return await session_answer(services, await services.sessions.get(session_id))


async def stop(services: With, session_id: Id) -> SessionAnswer:
    """End a recording now; what it has is kept and finished."""
    return await session_answer(services, await services.sessions.stop(session_id))


async def cancel(services: With, session_id: Id) -> SessionAnswer:
    """Give a session up; what it recorded is discarded."""
    return await session_answer(services, await services.sessions.cancel(session_id))


async def retry(services: With, session_id: Id) -> SessionAnswer:
    """Try the failed step of a session again."""
    return await session_answer(services, await services.sessions.retry(session_id))


async def events(services: With, session_id: Id) -> Events:
    """Tell the story of a session, the first event first."""
    found = await services.sessions.events(session_id)
    return Events(items=[EventAnswer(at=event.at, kind=event.kind, message=event.message) for event in found])


async def audio(services: With, session_id: Id, download: bool = False) -> FileResponse:
    """The recording, with ranges; as an attachment if it is to be downloaded."""
    file = await services.sessions.audio(session_id)
    kind = "attachment" if download else "inline"
    return FileResponse(file, media_type=MP3, filename=file.name, content_disposition_type=kind)


async def audio_head(services: With, session_id: Id, download: bool = False) -> FileResponse:
    return await audio(services, session_id, download)


async def listen(services: With, session_id: Id) -> StreamingResponse:
    """What is recorded at the moment, as it comes."""
    return StreamingResponse(await services.listening.open(session_id), media_type=MP3)


async def waveform(services: With, session_id: Id) -> WaveformAnswer:
    """Get the loudness of a recording over its time, to be drawn."""
    session = await services.sessions.get(session_id)
    peaks = await services.sessions.waveform(session_id)
    if peaks is None:
        raise NotFoundError("The waveform of this session is not known.")
    return WaveformAnswer(points=list(peaks), duration=session.duration)


async def takes(services: With, session_id: Id) -> Takes:
    """List the takes of a session."""
    found = await services.sessions.takes(session_id)
    return Takes(items=[TakeAnswer.model_validate(take, from_attributes=True) for take in found])


async def delete(services: With, session_id: Id, keep_file: bool = True) -> Response:
    """Forget a session that is over; its recording here stays unless it is not to be kept."""
    await services.sessions.delete(session_id, with_file=not keep_file)
    return Response(status_code=204)


async def session_answer(services: Services, session: Session) -> SessionAnswer:
    return _answer(session, (await services.sessions.transfers([session.id]))[session.id])


def _answer(session: Session, transfers: list[Transfer]) -> SessionAnswer:
    return SessionAnswer(
        id=session.id,
        stream_id=session.stream_id,
        schedule_id=session.schedule_id,
        name=session.name,
        state=session.state,
        verdict=session.verdict,
        planned_start=session.planned_start,
        planned_end=session.planned_end,
        timezone=session.timezone,
        started_at=session.started_at,
        ended_at=session.ended_at,
        recorded=session.recorded or 0.0,
        coverage=session.coverage,
        gaps=[GapAnswer(**gap) for gap in session.gaps or []],
        account=AccountAnswer.model_validate(session.account) if session.account else None,
        takes=session.take_count or 0,
        live=LiveAnswer(**session.live) if session.live else None,
        title=session.title,
        error=_failure(session),
        recording=_recording(session),
        transfers=[transfer_answer(transfer) for transfer in transfers],
    )


def _failure(session: Session) -> Failure | None:
    if session.error_code is None:
        return None
    return Failure(code=session.error_code, message=session.error_message or "")


def _recording(session: Session) -> RecordingAnswer | None:
    if session.file is None or session.size is None or session.duration is None or session.sha256 is None:
        return None
    return RecordingAnswer(
        file=session.file,
        size=session.size,
        duration=session.duration,
        sha256=session.sha256,
        tags=session.tags or {},
        deleted_at=session.deleted_at,
        deleted_why=session.deleted_why,
        missing_since=session.missing_since,
    )
