"""FFmpeg killed, stopped, missing or broken while it receives: the session goes on, and what was written counts."""

import asyncio
import dataclasses
import signal
from pathlib import Path

import psutil
import pytest

from rolltape.capture import CaptureSettings
from rolltape.domain.stream import CaptureEngine
from tests.capture.conftest import Recorded, Recording
from tests.capture.test_recorder import wait_for
from tests.servers.faulty import FaultyStation
from tests.servers.rtmp import published, rtmp_server


async def _hit(record: Recording, url: str, what: signal.Signals, seconds: float) -> Recorded:
    """Send a signal to the FFmpeg that receives, once it has received something."""
    recording = asyncio.create_task(record(url, seconds, engine=CaptureEngine.FFMPEG, stall_timeout=1))
    async with asyncio.timeout(30):
        while not (found := [child for child in psutil.Process().children() if url in child.cmdline()]):
            await asyncio.sleep(0.05)
        take = Path(found[0].cmdline()[-1].removeprefix("file:")).with_name("take-001.mp3")
        while not (take.exists() and take.stat().st_size > 20_000):
            await asyncio.sleep(0.05)
    found[0].send_signal(what)
    return await recording


async def test_a_killed_ffmpeg_is_started_again_at_once(mp3_station: str, record: Recording) -> None:
    # F13
    recorded = await _hit(record, mp3_station, signal.SIGKILL, 6)

    assert recorded.error is None
    assert "lost" in recorded.kinds
    assert sum(gap.length for gap in recorded.account.gaps) < 0.5  # the station sends its last 4 s again
    assert recorded.decoded_seconds == pytest.approx(6, abs=0.5)


async def test_a_hung_ffmpeg_is_killed_and_started_again(mp3_station: str, record: Recording) -> None:
    # F14
    recorded = await _hit(record, mp3_station, signal.SIGSTOP, 10)

    lost = sum(gap.length for gap in recorded.account.gaps)
    assert recorded.error is None
    assert "No audio came for 1 s" in recorded.message("lost")
    assert lost < 7  # noticed after 1 s; asked twice to end, then killed, which takes 5.5 s; less the burst
    assert recorded.account.recorded + lost == pytest.approx(10, abs=0.5)
    assert recorded.decoded_seconds == pytest.approx(recorded.account.recorded, abs=0.3)


async def test_a_publish_that_stops_is_noticed_and_the_session_goes_on_with_the_next(
    tmp_path: Path, record: Recording
) -> None:
    # F36: the server keeps the connection, and sends nothing more.
    with rtmp_server(tmp_path) as url:
        with published(url, tmp_path):
            recording = asyncio.create_task(record(url, 20, stall_timeout=2))
            take, journal = tmp_path / "session" / "take-001.mka", tmp_path / "session" / "journal.jsonl"
            await wait_for(lambda: take.exists() and take.stat().st_size > 20_000, within=30)
        await wait_for(lambda: '"closed"' in journal.read_text(), within=30)
        with published(url, tmp_path):
            recorded = await recording

    assert recorded.error is None
    assert recorded.kinds.count("connected") >= 2
    assert recorded.kinds[-1] == "closed"
    lost = sum(gap.length for gap in recorded.account.gaps)
    assert 0 < lost < 15
    assert recorded.decoded_seconds == pytest.approx(recorded.account.recorded, abs=0.3)


async def test_an_ffmpeg_that_ends_without_an_error_has_not_come_to_the_end(
    station: FaultyStation, record: Recording
) -> None:
    # F15: its exit code is 0 when the server closes the connection.
    recorded = await record(station.url("drop"), 6, engine=CaptureEngine.FFMPEG)

    assert recorded.error is None
    assert recorded.kinds.count("connected") >= 2
    assert recorded.kinds[-1] == "closed"


@pytest.mark.parametrize(
    ("script", "code"),
    [(None, "ffmpeg_missing"), ("no program at all", "ffmpeg_missing"), ("#!/bin/sh\nexit 1", "source_unreachable")],
)
async def test_without_a_working_ffmpeg_it_is_tried_until_the_end(
    mp3_station: str, record: Recording, settings: CaptureSettings, tmp_path: Path, script: str | None, code: str
) -> None:
    # F16
    program = tmp_path / "ffmpeg"
    if script is not None:
        program.write_text(script)
        program.chmod(0o755)

    broken = dataclasses.replace(settings, ffmpeg=str(program))
    recorded = await record(mp3_station, 2, now=False, settings=broken, engine=CaptureEngine.FFMPEG)

    assert recorded.error is not None
    assert recorded.error.code == code
    assert 2 <= recorded.kinds.count("connecting") <= 5


async def test_an_ffmpeg_that_crashes_each_time_is_started_ever_more_seldom(
    mp3_station: str, record: Recording, settings: CaptureSettings, tmp_path: Path
) -> None:
    # F17
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'http://user:secret@radio.example/ broke' >&2\nkill -SEGV $$")
    program.chmod(0o755)

    broken = dataclasses.replace(settings, ffmpeg=str(program))
    recorded = await record(mp3_station, 4, now=False, settings=broken, engine=CaptureEngine.FFMPEG)

    assert recorded.error is not None
    assert 2 <= recorded.kinds.count("connecting") <= 5
    assert not any("secret" in event.message for event in recorded.events)
