"""Recording by the clock: from a real Icecast, through breaks, stops and crashes."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rolltape.capture import CaptureEvent, CaptureSettings, Recorder, read_journal
from rolltape.capture.clock import Clock
from rolltape.capture.frames import FrameReader
from rolltape.capture.recorder import connect_ahead
from rolltape.domain.address import Egress
from rolltape.domain.errors import SourceError
from rolltape.domain.recording import Verdict
from rolltape.domain.take import Codec
from tests.capture.conftest import Recorded, Recording, plan
from tests.servers.faulty import FaultyStation
from tests.servers.icecast import Icecast
from tests.servers.process import running
from tests.servers.rtmp import tls_in_front

BURST = 65535 / 16000  # s that the Icecast of the tests sends at once of 128 kbit/s


async def wait_for(is_so: Callable[[], object], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not is_so():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator[asyncio.Task[None]]:
    """The recorder at work, for as long as the block."""
    task = asyncio.create_task(recorder.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SourceError):
            await task


@contextlib.asynccontextmanager
async def in_thread(server: AbstractContextManager[object]) -> AsyncIterator[None]:
    """A server that is waited for while the event loop goes on."""
    await asyncio.to_thread(server.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files can grow to `size` bytes only: as with a full disk, writing fails, and root is not needed for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_recording_has_the_planned_length(mp3_station: str, record: Recording) -> None:
    recorded = await record(mp3_station, 5)

    assert recorded.account.verdict is Verdict.COMPLETE
    assert recorded.decoded_seconds == pytest.approx(5, abs=0.1)
    assert recorded.journal.station == "Test Radio"
    assert [title for _, title in recorded.journal.titles] == ["A Title"]


async def test_a_take_begins_as_much_earlier_as_the_burst_is_long(mp3_station: str, record: Recording) -> None:
    before = datetime.now(UTC)

    recorded = await record(mp3_station, 3)

    early = before - recorded.journal.takes[0].begins
    assert early.total_seconds() == pytest.approx(BURST, abs=0.7)  # Icecast sends whole blocks of its source


async def test_a_take_is_placed_on_the_clock_to_a_tenth_of_a_second(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("ok"), 3)

    connected = next(event.at for event in recorded.events if event.kind == "connected")
    begins = recorded.journal.takes[0].begins
    assert (connected - begins).total_seconds() == pytest.approx(2, abs=0.1)  # the burst of this station


def test_the_sessions_of_one_second_connect_spread_out() -> None:
    moments = sorted(connect_ahead(number) for number in range(1, 1001))

    assert 5 <= moments[0] <= moments[-1] <= 8
    assert max(later - earlier for earlier, later in pairwise(moments)) < 0.01


async def test_a_planned_session_connects_early_and_ends_on_time(mp3_station: str, record: Recording) -> None:
    ahead = connect_ahead(1)  # the number of the session that these tests plan

    recorded = await record(mp3_station, 3, now=False, starts_in=ahead + 1)

    window = recorded.journal.window
    assert window is not None
    connecting = next(event.at for event in recorded.events if event.kind == "connecting")
    closed = next(event.at for event in recorded.events if event.kind == "closed")
    assert (window.opens - connecting).total_seconds() == pytest.approx(ahead, abs=0.3)
    assert (closed - window.closes).total_seconds() == pytest.approx(0.3, abs=0.4)
    assert recorded.account.verdict is Verdict.COMPLETE
    assert recorded.decoded_seconds == pytest.approx(3, abs=0.1)


async def test_the_window_of_record_now_opens_with_the_first_audio(station: FaultyStation, record: Recording) -> None:
    station.visits.clear()

    recorded = await record(station.url("busy"), 3)

    window, takes = recorded.journal.window, recorded.journal.takes
    assert window is not None
    assert window.opens == pytest.approx(takes[0].begins, abs=timedelta(seconds=0.2))
    assert recorded.decoded_seconds == pytest.approx(3, abs=0.1)


async def test_stopping_keeps_what_is_there(mp3_station: str, tmp_path: Path, settings: CaptureSettings) -> None:
    recorded = Recorded(tmp_path)
    recorder = Recorder(plan(mp3_station, 600), tmp_path, settings, on_event=recorded.events.append)
    async with recording(recorder) as task:
        await wait_for(lambda: recorder.progress.recorded > 2)
        assert recorder.progress.connected
        assert recorder.progress.bit_rate == 128000
        assert recorder.progress.title == "A Title"

        recorder.stop()
        async with asyncio.timeout(2):
            await task

    assert recorded.journal.stopped
    assert recorded.kinds[-1] == "stopped"
    assert 2 < recorded.account.recorded < 8


async def test_stopping_before_it_began_ends_it(mp3_station: str, tmp_path: Path, settings: CaptureSettings) -> None:
    recorder = Recorder(
        plan(mp3_station, 60, now=False, starts_in=600), tmp_path, settings, on_event=lambda event: None
    )
    async with recording(recorder) as task:
        await asyncio.sleep(0)

        recorder.stop()

        with pytest.raises(SourceError):
            await asyncio.wait_for(task, 2)


async def test_cancelling_closes_the_take_and_a_later_run_goes_on(
    mp3_station: str, tmp_path: Path, settings: CaptureSettings
) -> None:
    recorded, what = Recorded(tmp_path), plan(mp3_station, 7)
    first = Recorder(what, tmp_path, settings, on_event=recorded.events.append)
    async with recording(first) as task:
        await wait_for(lambda: first.progress.recorded > 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await Recorder(what, tmp_path, settings, on_event=recorded.events.append).run()

    (take,) = recorded.journal.takes
    assert take.connections == 2
    assert "spliced" in recorded.kinds
    assert recorded.account.verdict is Verdict.COMPLETE
    assert recorded.decoded_seconds == pytest.approx(7, abs=0.3)


_RECORD = """
import asyncio, sys
from pathlib import Path
from rolltape.capture import CaptureSettings, Recorder
from rolltape.domain.address import Egress
from rolltape.domain.session import Plan
plan = Plan.model_validate_json(sys.argv[1])
settings = CaptureSettings(sys.argv[3], Egress(unrestricted=True))
asyncio.run(Recorder(plan, Path(sys.argv[2]), settings, on_event=lambda event: None).run())
"""


@pytest.mark.parametrize("kind", ["mp3", "hls"])
async def test_a_killed_recording_goes_on_with_what_was_on_the_disk(
    mp3_station: str, hls_station: str, tmp_path: Path, settings: CaptureSettings, kind: str
) -> None:
    what = plan(mp3_station if kind == "mp3" else hls_station, 9)
    command = [sys.executable, "-c", _RECORD, what.model_dump_json(), str(tmp_path / "session"), settings.ffmpeg]
    with running(command, log=tmp_path / "run.log") as process:
        await wait_for(lambda: sum(take.duration for take in read_journal(tmp_path / "session").takes) > 3)
        os.kill(process.pid, signal.SIGKILL)
        killed = datetime.now(UTC)
    left = Recorded(tmp_path / "session")
    on_disk = left.journal.takes[-1]

    await Recorder(what, left.folder, settings, on_event=left.events.append).run()

    assert (killed - on_disk.ends).total_seconds() < (2 if kind == "mp3" else 4)  # HLS comes a segment late
    assert left.account.takes == 2
    assert len(left.journal.takes) == (1 if kind == "mp3" else 2)  # what Icecast resends is matched, frame by frame
    assert left.account.gaps == ()
    assert left.decoded_seconds == pytest.approx(9, abs=0.3)


async def test_a_source_that_was_away_leaves_a_gap_that_is_accounted_for(
    icecast_server: Icecast, record: Recording
) -> None:
    with icecast_server.mp3("flaky.mp3"):
        recording = asyncio.create_task(record(icecast_server.url("flaky.mp3"), 10))
        await asyncio.sleep(3)
    await asyncio.sleep(2)
    async with in_thread(icecast_server.mp3("flaky.mp3")):
        recorded = await recording

    assert "lost" in recorded.kinds
    assert recorded.account.verdicts[-1] is Verdict.GAPPED
    gap = sum(gap.length for gap in recorded.account.gaps)
    assert recorded.account.recorded + gap == pytest.approx(10, abs=0.3)
    assert recorded.decoded_seconds == pytest.approx(recorded.account.recorded, abs=0.2)


async def test_a_certificate_signed_by_itself_is_refused_unless_that_is_allowed(
    station: FaultyStation, tmp_path: Path, record: Recording
) -> None:
    with tls_in_front(station.port, tmp_path) as port:
        strict = await record(f"https://localhost:{port}/ok", 10, max_attempts=1)
        lenient = await record(f"https://localhost:{port}/ok", 2, verify_tls=False)

    assert strict.error is not None
    assert strict.error.code == "tls_untrusted"
    assert "without checking its certificate" in lenient.message("connecting")
    assert lenient.decoded_seconds == pytest.approx(2, abs=0.3)


async def test_loopback_is_refused_unless_it_is_listed(mp3_station: str, ffmpeg: str, record: Recording) -> None:
    recorded = await record(mp3_station, 5, settings=CaptureSettings(ffmpeg, Egress()), max_attempts=1)

    assert recorded.error is not None
    assert recorded.error.code == "egress_refused"
    assert "ROLLTAPE_ALLOW_TARGETS" in recorded.error.message


async def test_a_folder_that_cannot_be_written_is_an_error_of_the_disk(
    mp3_station: str, tmp_path: Path, settings: CaptureSettings
) -> None:
    (tmp_path / "session").write_text("a file is in the way")

    with pytest.raises(OSError, match="session"):
        await Recorder(plan(mp3_station, 5), tmp_path / "session", settings, on_event=lambda event: None).run()


async def test_a_full_disk_is_an_error_of_the_disk_and_what_was_written_is_kept(
    mp3_station: str, tmp_path: Path, settings: CaptureSettings
) -> None:
    with room_for(100_000), pytest.raises(OSError, match="File too large"):
        await Recorder(plan(mp3_station, 30), tmp_path, settings, on_event=lambda event: None).run()

    (take,) = read_journal(tmp_path).takes
    reader = FrameReader(Codec.MP3)
    content = (tmp_path / take.file).read_bytes()
    frames = [*reader.feed(content), *reader.flush()]
    assert take.duration > 3
    assert take.ended_by == "The file was as large as a file may be."
    assert sum(len(found.data) for found in frames) == len(content)  # whole frames, and nothing else


async def test_a_take_as_large_as_files_may_be_is_not_gone_on_with(
    mp3_station: str, tmp_path: Path, settings: CaptureSettings
) -> None:
    # F43
    with room_for(100_000):
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                await Recorder(plan(mp3_station, 30), tmp_path, settings, on_event=lambda event: None).run()

    first, second = read_journal(tmp_path).takes
    assert min(first.duration, second.duration) > 3
    assert (second.begins - first.ends).total_seconds() < 0.1


async def test_setting_the_clock_does_not_move_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()

    import rolltape.capture.clock as module

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2040, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(module, "datetime", Stepped)

    assert clock.now() - before < timedelta(seconds=5)


async def test_events_tell_the_story_in_order(station: FaultyStation, record: Recording) -> None:
    recorded = await record(station.url("drop"), 4)

    story = [kind for kind in recorded.kinds if kind != "format"]
    assert story[:5] == ["connecting", "connected", "lost", "retrying", "connecting"]
    assert story[-1] == "closed"
    assert all(isinstance(event, CaptureEvent) and event.message for event in recorded.events)
