"""The main job from end to end, with a built-in station, offline: `rolltape demo`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from rolltape.app import App, lock
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import RolltapeError
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import OVER, Session
from rolltape.domain.stream import StreamFields
from rolltape.ffmpeg.run import run_to_end
from rolltape.services import Services
from rolltape.services.clock import utc_now
from rolltape.settings import load

STARTS_IN = timedelta(seconds=3)
LASTS = 15.0  # s
PATIENCE = 50.0  # s until the demonstration has failed
BIT_RATE = 128_000  # of the station
BURST = 4.0  # s that the station sends at once, as Icecast does
BEAT = 0.1  # s between what it sends then


async def run(out: Path, *, ffmpeg: str) -> None:
    """Record a show of the built-in station by a schedule, and deliver it into a folder below `out`.

    Raises:
        RolltapeError: it did not work.
    """
    out = out.expanduser().absolute()
    settings = load(data_dir=out / "data", log_level="warning")
    with lock(settings):
        async with _station(out, ffmpeg) as port:
            settings.allow_targets = [f"127.0.0.1:{port}"]
            app = App(settings)
            await app.start()
            try:
                await _show(app.services, f"http://127.0.0.1:{port}/tone.mp3", out)
            finally:
                await app.stop()


async def _show(services: Services, url: str, out: Path) -> None:
    delivered = out / "delivered"
    delivered.mkdir(parents=True, exist_ok=True)
    offer = await services.streams.probe(url)
    print(f"The station at {url} sends {offer.codec}; it calls itself {offer.station}.")
    start = (utc_now() + STARTS_IN).replace(microsecond=0)
    destination = await services.destinations.create(
        DestinationFields(name=f"Folder {start:%H%M%S}", kind=DestinationKind.LOCAL, directory=str(delivered))
    )
    stream = await services.streams.create(
        StreamFields(name=f"Demo Radio {start:%H%M%S}", url=url, artist="Demo", destination_ids=[destination.id])
    )
    schedule = await services.schedules.create(
        ScheduleFields(stream_id=stream.id, name="Morning Show", at=start, timezone="UTC", duration=LASTS)
    )
    print(f"The schedule: {(await services.schedules.outlooks([schedule]))[schedule.id].sentence}")
    session = await _until_over(services, stream.id)
    for event in await services.sessions.events(session.id):
        print(f"  {event.at:%H:%M:%S}  {event.message}")
    if session.file is None or session.state != "done":
        raise RolltapeError(f"The demonstration ended as {session.state}: {session.error_message}")
    print(f"{session.verdict}: {session.recorded:.1f} s recorded, {session.coverage:.1%} of what was planned.")
    print(f"Title {session.title!r}, {session.size} bytes, SHA-256 {session.sha256}")
    print(delivered / session.file)


async def _until_over(services: Services, stream_id: int) -> Session:
    """The session that the planner makes of the schedule, once it is over."""
    from rolltape.services.sessions import Filters

    async with asyncio.timeout(PATIENCE):
        while True:
            page = await services.sessions.page(Filters(stream_id=stream_id), after=None, limit=1)
            if page.items and page.items[0].state in OVER:
                return page.items[0]
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _station(out: Path, ffmpeg: str) -> AsyncIterator[int]:
    """A small station on a free port of this machine: a minute of tones, again and again, in real time."""
    tones = out / "tones.mp3"
    await run_to_end(ffmpeg, _tones(tones), folder=out)
    audio = tones.read_bytes()
    listeners: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listeners.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: Demo Radio\r\n\r\n")
            await _play(writer, audio)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for listener in listeners:
            listener.cancel()


async def _play(writer: asyncio.StreamWriter, audio: bytes) -> None:
    """Send as fast as one listens, a burst first."""
    loop = asyncio.get_running_loop()
    began = loop.time() - BURST
    sent = 0
    while True:
        due = int((loop.time() - began) * BIT_RATE / 8)
        while sent < due:
            begin = sent % len(audio)
            chunk = audio[begin : begin + due - sent]
            writer.write(chunk)
            sent += len(chunk)
        await writer.drain()
        await asyncio.sleep(BEAT)


def _tones(file: Path) -> list[str]:
    source = "aevalsrc=0.3*sin(2*PI*(300+20*floor(t))*t):d=60:s=44100"
    return [
        "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source,
        "-c:a", "libmp3lame", "-b:a", str(BIT_RATE), "-write_xing", "0", "-id3v2_version", "0", f"file:{file}",
    ]  # fmt: skip
