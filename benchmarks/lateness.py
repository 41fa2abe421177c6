"""How late 1,000 sessions of one second start.

A thousand sessions are planned for the same second and run by the service's own scheduler, engine and pipeline on
SQLite. Only the station is a stub: it notes when it was connected to, and sends silence in real time. A scheduled
session connects ahead of its start, so what counts is how long after the intended moment the connection was begun.

    python benchmarks/lateness.py [sessions]
"""

import asyncio
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from rolltape.app import App
from rolltape.capture import recorder
from rolltape.capture.source import Sink, Station
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import Session
from rolltape.domain.stream import StreamFields
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz, Seconds
from rolltape.logs import set_up
from rolltape.services.clock import utc_now
from rolltape.settings import load

COUNT = 1000
START_IN = timedelta(seconds=90)  # planning them takes a while, and the lead is 30 s
LASTS = 5.0
BEAT = 0.5
FRAME = bytes.fromhex("fffb9064") + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz, without any sound
FRAME_LENGTH = 1152 / 44100

connected: dict[int, datetime] = {}  # by session


class StubStation:
    """Notes when it is connected to, and sends silence in real time."""

    async def receive(self, url: str, sink: Sink) -> None:
        connected.setdefault(int(sink.folder.name), utc_now())
        sink.connected(Station("Stub"))
        sink.begin(AudioFormat(Codec.MP3, Hertz(44100), 1), ".mp3")
        began, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) / FRAME_LENGTH) - sent
            sink.append(FRAME * due, Seconds(due * FRAME_LENGTH))
            sent += due
            await asyncio.sleep(BEAT)

    def gather(self, span: Seconds) -> None: ...


async def run(count: int, folder: Path) -> None:
    settings = load(data_dir=folder, max_concurrent_sessions=count, max_concurrent_processing=1)
    for name in ("recordings_dir", "artwork_dir", "config_dir"):
        getattr(settings, name).mkdir(parents=True)
    app = App(settings)
    await app.start()
    start = (utc_now() + START_IN).replace(microsecond=0)
    fields = ScheduleFields(stream_id=1, name="Show", at=start, timezone="UTC", duration=LASTS)
    for number in range(count):
        stream = await app.services.streams.create(StreamFields(name=f"Radio {number}", url="http://radio.example/"))
        await app.services.schedules.create(fields.model_copy(update={"stream_id": stream.id}))
    print(f"{count} sessions planned for {start:%H:%M:%S}, {(start - utc_now()).total_seconds():.0f} s ahead")
    await asyncio.sleep((start + timedelta(seconds=LASTS + 5) - utc_now()).total_seconds())
    await report(app, count, start)
    await app.stop()


async def report(app: App, count: int, start: datetime) -> None:
    late = sorted(
        ((moment - start).total_seconds() + recorder.connect_ahead(number)) * 1000
        for number, moment in connected.items()
    )
    print(f"started: {len(connected)} of {count}")
    print(f"lateness of the connection: median {statistics.median(late):.1f} ms, largest {late[-1]:.1f} ms")
    slowest = max(connected.values())
    print(f"the last one connected {(start - slowest).total_seconds():.2f} s before the planned start")
    async with app.database.read() as db:
        states = await db.execute(select(Session.state, func.count()).group_by(Session.state))
        print("states after the end:", {str(state): number for state, number in states})


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    set_up("error")
    vars(recorder)["source_for"] = lambda *_, **__: StubStation()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(count, Path(folder)))


if __name__ == "__main__":
    main()
