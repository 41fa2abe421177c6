"""The pace of a stream: what comes in an hour is an hour."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rolltape.capture import CaptureEvent, CaptureSettings, Recorder, read_journal
from rolltape.capture.pace import Pace, Stall
from tests.capture.conftest import plan
from tests.known_stream import known_mp3
from tests.servers.known import known_station

Audio = Callable[[float], float]  # how many seconds of audio have come after so many seconds


def watched(pace: Pace, audio: Audio, begin: int, end: int, *, burst_until: float = 0) -> list[tuple[int, str]]:
    """What is told while somebody looks every second, and when."""
    looks: Iterable[tuple[int, str | None]] = (
        (now, pace.note(now, audio(now), is_even=now > burst_until)) for now in range(begin, end)
    )
    return [(now, news) for now, news in looks if news is not None]


@pytest.mark.parametrize("speed", [0.97, 1.0, 1.03])
def test_a_stream_in_real_time_is_nothing_to_speak_of(speed: float) -> None:
    pace = Pace()

    assert watched(pace, lambda now: speed * now, 0, 600) == []
    assert pace.speed == pytest.approx(speed)


@pytest.mark.parametrize(("speed", "words"), [(0.9, "too slow, at 90%"), (0.5, "slow, at 50%"), (1.1, "fast, at 110%")])
def test_a_stream_that_is_slow_or_fast_is_told_of_once(speed: float, words: str) -> None:
    told = watched(Pace(), lambda now: speed * now, 0, 600)

    ((moment, news),) = told
    assert words in news
    assert moment <= 60


def test_it_is_told_when_it_is_well_again() -> None:
    told = watched(Pace(), lambda now: 0.8 * min(now, 100) + max(0, now - 100), 0, 300)

    (slow, _), (well, news) = told
    assert slow < 60
    assert 130 < well < 180  # the last minute is looked at
    assert news == "The audio comes as it should again."


@pytest.mark.parametrize("lasts", [1, 5, 25])
def test_what_is_sent_at_once_at_the_begin_is_no_speed(lasts: int) -> None:
    pace = Pace()

    assert watched(pace, lambda now: now + 120 * min(1, now / lasts), 0, 300, burst_until=lasts + 1.5) == []
    assert pace.speed == pytest.approx(1)


def test_a_stream_that_is_always_early_is_fast() -> None:
    told = watched(Pace(), lambda now: 2 * now, 0, 120, burst_until=1000)

    assert [news for _, news in told] == ["The audio comes too fast, at 200% of the speed that it plays at."]


@pytest.mark.parametrize("segment", [4, 6, 10])
def test_a_stream_in_gushes_is_neither_slow_nor_frozen(segment: int) -> None:
    pace = Pace()

    assert watched(pace, lambda now: (now + 3 * segment) // segment * segment, 0, 600, burst_until=2) == []
    assert pace.speed == pytest.approx(1, abs=0.01)


def test_a_frozen_stream_is_seen_within_seconds_and_so_is_its_end() -> None:
    told = watched(Pace(), lambda now: min(now, 100) + max(0, now - 120), 0, 200)

    assert [news for _, news in told] == [
        "Nothing comes at the moment, though the connection stands.",
        "The audio comes as it should again.",
    ]
    assert told[0][0] <= 106


def test_after_a_pause_it_begins_anew_with_what_comes_at_once() -> None:
    pace = Pace()
    before = watched(pace, lambda now: now, 0, 100) + watched(pace, lambda _: 100, 100, 110)
    pace.anew()

    after = watched(pace, lambda now: now, 111, 200, burst_until=113)

    assert [news for _, news in before + after] == [
        "Nothing comes at the moment, though the connection stands.",
        "The audio comes as it should again.",
    ]


def test_nothing_is_said_before_enough_was_seen() -> None:
    pace = Pace()

    watched(pace, lambda now: now, 0, 20)

    assert pace.speed is None


def test_the_longest_stall_is_the_longest_between_two_arrivals() -> None:
    stall = Stall()

    assert not stall.longest
    for moment in (50, 51, 54.5, 55):
        stall.came(moment)
    assert stall.longest == 3.5


async def test_a_frozen_stream_is_told_of_and_the_journal_has_its_stall(
    tmp_path: Path, settings: CaptureSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.capture.pace.FROZEN", 0.9)
    monkeypatch.setattr("rolltape.capture.flow.EVEN", 0.5)
    monkeypatch.setattr("rolltape.capture.watch.TICK", 0.2)
    events: list[CaptureEvent] = []
    with known_station(known_mp3(30)) as station:
        recorder = Recorder(plan(station.url, 9, stall_timeout=2), tmp_path, settings, on_event=events.append)
        run = asyncio.create_task(recorder.run())
        async with asyncio.timeout(30):
            while recorder.progress.recorded < 6:  # the burst is of four seconds
                await asyncio.sleep(0.05)
            station.stall()
            await run

    assert [event.message for event in events if event.kind == "note"] == [
        "Nothing comes at the moment, though the connection stands."
    ]
    assert [event.kind for event in events if event.kind in ("note", "spliced")] == ["note", "spliced"]
    stall = read_journal(tmp_path).longest_stall
    assert stall is not None
    assert 0.9 < stall < 5
    assert recorder.progress.stall == pytest.approx(stall, abs=0.1)
