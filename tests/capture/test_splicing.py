"""Nothing lost and nothing doubled: recordings of a station whose every frame is known, held against it."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rolltape.capture import CaptureSettings, Recorder
from rolltape.domain.recording import Verdict
from rolltape.process.join import join
from tests.capture.conftest import Recorded, plan
from tests.capture.test_recorder import recording, wait_for
from tests.known_stream import Count, KnownStream, known_aac, known_mp3
from tests.servers.known import KnownStation, another_station, known_station
from tests.servers.line import lines

FRAME = 1152 / 44100  # s


@pytest.fixture
def station() -> Iterator[KnownStation]:
    with known_station(known_mp3()) as station:
        yield station


Show = Callable[..., AbstractAsyncContextManager[Recorder]]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "session")


@pytest.fixture
def show(recorded: Recorded, settings: CaptureSettings) -> Show:
    @contextlib.asynccontextmanager
    async def show(station: KnownStation, seconds: float, **fields: Any) -> AsyncIterator[Recorder]:
        """Record so much of a station. What happens meanwhile stands in the block; behind it, it is over."""
        what = plan(station.url, seconds, **fields)
        recorder = Recorder(what, recorded.folder, settings, on_event=recorded.events.append)
        async with recording(recorder) as task:
            yield recorder
            await task

    return show


async def has(recorder: Recorder, seconds: float) -> None:
    await wait_for(lambda: recorder.progress.recorded > seconds)


def finished(recorded: Recorded, stream: KnownStream, out: Path) -> Count:
    """What is in the finished MP3, but for its first half second (where the window lies is a matter of the clock)."""
    join(recorded.account.cuts, recorded.folder, out)
    return stream.count(out)


async def test_a_cut_costs_and_doubles_nothing(
    station: KnownStation, show: Show, recorded: Recorded, tmp_path: Path
) -> None:
    async with show(station, 6) as recorder:
        for seconds, is_reset in ((1, False), (2, True), (3, False)):
            await has(recorder, seconds)
            station.cut(reset=is_reset)

    assert recorded.kinds.count("spliced") == 3
    assert recorded.account.takes == 4
    assert recorded.account.gaps == ()
    assert recorded.account.verdict is Verdict.COMPLETE
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect
    assert finished(recorded, station.air.stream, tmp_path / "finished.mp3").is_perfect


async def test_aac_is_spliced_as_well(show: Show, recorded: Recorded) -> None:
    with known_station(known_aac()) as station:
        async with show(station, 4) as recorder:
            await has(recorder, 2)
            station.cut()

    assert recorded.kinds.count("spliced") == 1
    assert station.air.stream.count(recorded.folder / "take-001.aac").is_perfect


async def test_another_address_of_the_same_audio_goes_on_although_it_is_behind(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    with another_station(station.air, behind=2) as second:
        async with show(station, 7, fallback_urls=[second.url]) as recorder:
            await has(recorder, 3)  # what the second one sends again begins behind the begin of the take then
            station.is_down = True
            station.cut()

    assert recorded.kinds.count("spliced") == 1
    assert recorded.account.verdict is Verdict.COMPLETE
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_a_later_run_goes_on_at_the_first_unseen_frame_also_behind_a_torn_one(
    station: KnownStation, recorded: Recorded, settings: CaptureSettings
) -> None:
    what = plan(station.url, 7)
    first = Recorder(what, recorded.folder, settings, on_event=recorded.events.append)
    async with recording(first) as task:
        await has(first, 2)
        task.cancel()
        await asyncio.wait([task])
    take, journal = recorded.folder / "take-001.mp3", recorded.folder / "journal.jsonl"
    # As after a power cut: the end of the take and of the journal are not on the disk.
    os.truncate(take, take.stat().st_size - 1000)
    journal.write_text("\n".join(journal.read_text().splitlines()[:-1]) + '\n{"event": "clo')

    await Recorder(what, recorded.folder, settings, on_event=recorded.events.append).run()

    assert recorded.kinds.count("spliced") == 1
    assert recorded.account.gaps == ()
    assert station.air.stream.count(take).is_perfect


async def test_a_gap_that_the_server_does_not_fill_is_as_long_as_the_account_says(
    show: Show, recorded: Recorded, tmp_path: Path
) -> None:
    with known_station(known_mp3(), burst=16000) as station:
        async with show(station, 8) as recorder:
            await has(recorder, 2)
            station.is_down = True
            station.cut()
            await asyncio.sleep(2)  # that is the outage
            station.is_down = False

    count = finished(recorded, station.air.stream, tmp_path / "finished.mp3")
    (gap,) = recorded.account.gaps
    assert count.lost_seconds == pytest.approx(gap.length, abs=0.05)
    assert count.doubled == ()
    assert count.broken == 0


async def test_a_server_that_is_back_between_two_attempts_is_noticed_in_time(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    with lines() as made:
        line = made.to(station.port)
        behind_line = replace(station, port=line.port)
        async with show(behind_line, 9) as recorder:
            await has(recorder, 1)
            await asyncio.to_thread(line.close)
            await asyncio.sleep(3.2)  # that is the outage; attempts come after 0, 1, 3 and 6 s
            await asyncio.to_thread(line.open)

    assert [event.message for event in recorded.events if event.kind == "retrying"] == [
        "Trying again at once.",
        "Trying again in 1 s.",
        "Trying again in 2 s.",
        "Trying again in 3 s.",
    ]
    assert recorded.account.gaps == ()
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_the_end_of_the_window_is_had_from_a_server_that_is_back_only_after_it(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    async with show(station, 5) as recorder:
        await has(recorder, 4)
        station.is_down = True
        station.cut()
        await asyncio.sleep(2)  # that is the outage; the window closes in the middle of it
        station.is_down = False

    assert recorded.account.gaps == ()
    assert recorded.account.short < 0.1
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_a_run_after_the_window_has_the_end_that_the_one_before_it_missed(
    station: KnownStation, recorded: Recorded, settings: CaptureSettings
) -> None:
    what = plan(station.url, 4)
    first = Recorder(what, recorded.folder, settings, on_event=recorded.events.append)
    async with recording(first) as task:
        await has(first, 3)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.sleep((what.end - datetime.now(UTC)).total_seconds() + 1)  # the service is down

    await Recorder(what, recorded.folder, settings, on_event=recorded.events.append).run()

    assert recorded.kinds.count("spliced") == 1
    assert recorded.account.short < 0.1
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_who_does_not_come_back_is_not_waited_for_long(
    station: KnownStation, show: Show, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.capture.recorder.LATE", 1.5)
    async with show(station, 3) as recorder:
        await has(recorder, 2)
        station.is_down = True
        station.cut()

    closed = next(event.at for event in recorded.events if event.kind == "closed")
    assert recorded.journal.window is not None
    assert 1.4 < (closed - recorded.journal.window.closes).total_seconds() < 4
    assert recorded.account.short > 0.5


async def test_in_silence_nothing_is_lost_or_doubled_either(show: Show, recorded: Recorded) -> None:
    silent = known_mp3(60, sample_rate=48000, silence=(0, 60))
    with known_station(silent) as station:
        async with show(station, 6) as recorder:
            await has(recorder, 2)
            station.cut()

    assert recorded.kinds.count("spliced") == 1
    (take,) = recorded.journal.takes
    assert take.size == pytest.approx(take.duration * 16000, abs=1000)
    assert (take.ends - recorded.account.cuts[-1].ends).total_seconds() < 0.6  # it is as long as it should be


async def test_a_burst_of_two_minutes_is_understood(show: Show, recorded: Recorded) -> None:
    with known_station(known_mp3(300), burst=118 * 16000) as station:
        async with show(station, 4) as recorder:
            await has(recorder, 1)
            station.cut()

    assert recorded.kinds.count("spliced") == 1
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_a_connection_that_falls_silent_is_taken_over_by_a_second_one(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    async with show(station, 7) as recorder:
        await has(recorder, 1)
        station.stall()

    assert "changed_over" in recorded.kinds
    assert "lost" not in recorded.kinds
    assert recorded.account.gaps == ()
    assert station.visits == 2
    assert station.air.stream.count(recorded.folder / "take-001.mp3").is_perfect


async def test_a_source_that_pauses_is_waited_for_by_both_connections(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    async with show(station, 9) as recorder:
        await has(recorder, 1)
        station.air.since += 3  # for so long nothing new is on the air

    assert station.visits == 2
    count = station.air.stream.count(recorded.folder / "take-001.mp3")
    assert (count.doubled, count.broken) == ((), 0)


async def test_a_format_that_changes_begins_a_take_and_is_told(
    station: KnownStation, show: Show, recorded: Recorded
) -> None:
    with known_station(known_mp3(60, sample_rate=48000)) as other:
        async with show(station, 6, fallback_urls=[other.url]) as recorder:
            await has(recorder, 2)
            station.is_down = True
            station.cut()

    first, second = recorded.journal.takes
    assert (first.format.sample_rate, second.format.sample_rate) == (44100, 48000)
    assert sum(event.kind == "format" for event in recorded.events) == 2


async def test_shows_back_to_back_and_overlapping_ones_have_all_their_minutes(
    station: KnownStation, tmp_path: Path, settings: CaptureSettings
) -> None:
    began, now = time.monotonic(), datetime.now(UTC)
    windows = {"first": (-2, 2), "second": (2, 5), "over both": (-1, 4)}  # s from now; the burst reaches back to -4
    recordings = {name: Recorded(tmp_path / name) for name in windows}
    plans = {
        name: plan(station.url, 1, now=False).model_copy(
            update={"start": now + timedelta(seconds=start), "end": now + timedelta(seconds=end)}
        )
        for name, (start, end) in windows.items()
    }
    async with asyncio.TaskGroup() as group:
        for name, one in recordings.items():
            group.create_task(Recorder(plans[name], one.folder, settings, on_event=one.events.append).run())

    air = station.air
    counts = {name: finished(one, air.stream, tmp_path / f"{name}.mp3") for name, one in recordings.items()}
    for name, (start, end) in windows.items():
        wanted = air.between(began + start, began + end)
        assert counts[name].is_perfect
        assert counts[name].first == pytest.approx(wanted.start, abs=4)
        assert counts[name].last == pytest.approx(wanted.stop - 1, abs=4)
        assert recordings[name].account.verdict is Verdict.COMPLETE
    assert counts["second"].first - counts["first"].last == pytest.approx(1, abs=4)
