"""How long after its planned end a recording is a finished, tagged and verified MP3 under its final name.

The service's own engine, recorder, pipeline and SQLite record a show of two hours. Only the station is a stub: it sends
all of the show but its end at once, as if it had been recorded long ago, and the rest in real time, while what can be
done ahead catches up. In a second run nothing is done ahead.

    python benchmarks/ready.py [--hours 2] [--live 240]
"""

import argparse
import asyncio
import subprocess
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from rolltape.app import App
from rolltape.capture import recorder
from rolltape.capture.frames import FrameReader
from rolltape.capture.source import Sink, Station
from rolltape.domain.session import OVER, Session, SessionState
from rolltape.domain.stream import StreamFields
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import HOUR, Hertz, Seconds
from rolltape.ffmpeg.run import find
from rolltape.logs import set_up
from rolltape.services.clock import utc_now
from rolltape.settings import load

NOISE = "anoisesrc=d=60:c=pink:a=0.4:r=44100,tremolo=f=1.3:d=0.9"
OPTIONS = {
    Codec.MP3: ["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"],
    Codec.AAC: ["-c:a", "aac", "-b:a", "96k", "-f", "adts"],
}
BEAT = Seconds(0.5)
RUSH = Seconds(60)  # of audio at a time, of what is sent at once
NOTHING_AHEAD = Seconds(10)  # of real time are enough where nothing has to catch up


class StubStation:
    """Sends `past` of audio at once, then goes on in real time. It repeats a minute of it, whole frame by frame."""

    def __init__(self, codec: Codec, minute: bytes, past: Seconds) -> None:
        (frames, *_) = FrameReader(codec).feed(minute)
        self._format = AudioFormat(codec, Hertz(44100), 2)
        self._frames = frames.data
        self._seconds = frames.seconds
        self._past = past

    async def receive(self, url: str, sink: Sink) -> None:
        sink.connected(Station("Stub"))
        sink.begin(self._format, f".{self._format.codec}")
        began, sent = time.monotonic(), 0.0
        reader = FrameReader(self._format.codec)
        per_second = len(self._frames) / self._seconds
        place = 0
        while True:
            due = min(self._past + time.monotonic() - began - sent, RUSH)
            size = int(due * per_second)
            for frames in reader.feed((self._frames * 3)[place : place + size]):
                sink.append(frames.data, frames.seconds)
                sent += frames.seconds
            place = (place + size) % len(self._frames)
            await asyncio.sleep(BEAT if due < RUSH else 0)

    def gather(self, span: Seconds) -> None: ...


def minute_of(codec: Codec, folder: Path) -> bytes:
    file = folder / f"minute.{codec}"
    command = [find(None), "-nostdin", "-v", "error", "-f", "lavfi", "-i", NOISE, "-ac", "2", *OPTIONS[codec], file]
    subprocess.run(list(map(str, command)), check=True)
    return file.read_bytes()


async def record(codec: Codec, length: Seconds, live: Seconds, folder: Path, *, ahead: bool) -> None:
    minute = minute_of(codec, folder)
    vars(recorder)["source_for"] = lambda *_, **__: StubStation(codec, minute, Seconds(length - live))
    settings = load(data_dir=folder)
    for name in ("recordings_dir", "artwork_dir", "config_dir"):
        getattr(settings, name).mkdir(parents=True)
    app = App(settings)
    if not ahead:
        vars(app.workshop.ahead)["begin"] = lambda *_, **__: None
    await app.start()
    stream = await app.services.streams.create(StreamFields(name="Radio", url="http://radio.example/"))
    ends = utc_now() + timedelta(seconds=live)
    begins = ends - timedelta(seconds=length)
    show = {"stream_id": stream.id, "name": "Show", "state": SessionState.SCHEDULED, "timezone": "UTC"}
    async with app.database.write() as db:
        await db.execute(insert(Session).values(opens=begins, planned_start=begins, planned_end=ends, **show))
    app.wake()
    session = await app.services.sessions.get(1)
    while session.state not in OVER:
        await asyncio.sleep(0.2)
        session = await app.services.sessions.get(1)
    moments = {event.kind: event.at for event in await app.services.sessions.events(1)}
    show_result(f"{codec.upper()}, {'ahead' if ahead else 'all of it at the end'}", session, moments)
    await app.stop()


def show_result(name: str, session: Session, moments: dict[str, datetime]) -> None:
    since_end = {
        kind: (moments[kind] - session.planned_end).total_seconds()
        for kind in ("recorded", "made", "finished")
        if kind in moments
    }
    steps = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in since_end.items())
    size = (session.size or 0) / 1e6
    print(f"{name}: {session.state}, {session.verdict}, {session.duration or 0:.1f} s, {size:.0f} MB; {steps}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hours", type=float, default=2, help="that the show lasts")
    parser.add_argument("--live", type=float, default=240, help="seconds of it in which what is done ahead catches up")
    parser.add_argument("--codec", type=Codec, choices=list(OPTIONS), nargs="*", default=list(OPTIONS))
    asked = parser.parse_args()
    set_up("error")
    for codec in asked.codec:
        for ahead in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                live = Seconds(asked.live) if ahead else NOTHING_AHEAD
                asyncio.run(record(codec, Seconds(asked.hours * HOUR), live, Path(folder), ahead=ahead))


if __name__ == "__main__":
    main()
