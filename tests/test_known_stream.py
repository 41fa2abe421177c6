"""What counts frames must count right, or every table is wrong."""

from urllib.request import urlopen

import pytest

from rolltape.process.reservoir import silence, widen
from tests.known_stream import KnownStream, OnAir, Stretch, known_aac, known_mp3
from tests.servers.icecast import Icecast
from tests.servers.known import icecast_source, known_station
from tests.servers.process import wait_until


@pytest.fixture(scope="module")
def stream() -> KnownStream:
    return known_mp3(30)


def test_no_two_frames_are_alike(stream: KnownStream) -> None:
    assert len(set(stream.frames)) == stream.period == 1150


def test_the_stream_goes_on_without_end(stream: KnownStream) -> None:
    count = stream.count(stream.audio(100, 5000), expected=range(100, 5000))

    assert count.is_perfect
    assert (count.first, count.last, count.found) == (100, 4999, 4900)


def test_what_is_missing_and_what_is_there_twice_is_counted(stream: KnownStream) -> None:
    file = stream.audio(1100, 1200) + stream.audio(1150, 1300) + stream.audio(1310, 1400)

    count = stream.count(file, expected=range(1090, 1390))

    assert count.lost == (Stretch(1090, 10), Stretch(1300, 10))
    assert count.doubled == (Stretch(1150, 50),)
    assert count.broken == 0
    assert count.lost_seconds == pytest.approx(20 * 1152 / 44100)


def test_half_a_frame_is_broken_also_at_the_end(stream: KnownStream) -> None:
    file = stream.audio(0, 50) + stream.audio(50, 51)[:200] + stream.audio(60, 90) + stream.audio(90, 91)[:-1]

    count = stream.count(file)

    assert count.broken == 2
    assert count.lost == (Stretch(50, 10),)


def test_tags_are_not_broken_frames(stream: KnownStream) -> None:
    file = b"ID3\x03\0\0\0\0\0\x08" + stream.frames[7][:8] + stream.audio(0, 50) + b"TAG" + bytes(125)

    assert stream.count(file).is_perfect


def test_a_frame_made_longer_is_whole_and_one_made_silent_is_not(stream: KnownStream) -> None:
    longer, _ = widen(stream.frames[20], b"more sound of others")

    count = stream.count(stream.audio(0, 20) + longer + silence(stream.frames[21]) + stream.audio(22, 40))

    assert (count.found, count.silenced, count.broken, count.lost) == (40, 1, 0, ())


def test_in_silence_the_number_of_frames_tells() -> None:
    stream = known_mp3(12, sample_rate=48000, silence=(4, 8))

    count = stream.count(stream.audio(0, 250) + stream.audio(260, 450))

    assert stream.frames[250] == stream.frames[260]
    assert count.lost_frames == 10
    assert not count.doubled


def test_takes_are_counted_one_after_the_other(stream: KnownStream) -> None:
    assert stream.count(stream.audio(10, 50), stream.audio(50, 90)).is_perfect


def test_aac_is_known_as_well() -> None:
    stream = known_aac(10)

    count = stream.count(stream.audio(0, 30) + stream.audio(20, 900), expected=range(0, 900))

    assert count.doubled == (Stretch(20, 10),)
    assert not count.lost


def test_the_frames_on_the_air_follow_the_clock(stream: KnownStream) -> None:
    air = OnAir(stream, since=1000.0)

    assert air.number(1000.0 + 100.5 * stream.frame) == 100
    numbers = air.between(1010.0, 1020.0)
    assert air.moment(numbers.start) - 1010.0 == pytest.approx(0, abs=stream.frame)
    assert air.moment(numbers.stop) - 1020.0 == pytest.approx(0, abs=stream.frame)
    assert air.moment(numbers.start) >= 1010.0
    assert air.moment(numbers.stop) <= 1020.0


def test_a_station_sends_its_burst_and_then_what_is_on_the_air(stream: KnownStream) -> None:
    with known_station(stream, burst=32000) as station, urlopen(station.url, timeout=5) as answer:
        before = station.air.number()
        burst = stream.count(answer.read(32000 - 500))
        after = stream.count(answer.read(8000), expected=range(before, before + 10))

    assert burst.first == pytest.approx(before - 2.0 / stream.frame, abs=3)
    assert not burst.lost
    assert not after.lost


def test_what_a_source_did_not_send_while_it_was_away_is_noted(icecast_server: Icecast, stream: KnownStream) -> None:
    with icecast_source(stream, icecast_server, "away.mp3") as source:
        with urlopen(icecast_server.url("away.mp3"), timeout=5) as answer:
            answer.read(4000)
            source.leave()
            left = source.air.number()
            heard = stream.count(answer.read())
        wait_until(lambda: source.air.number() > left + 20, "half a second")
        source.come_back()
        wait_until(lambda: bool(source.air.unsent), "the source being back")

    (unsent,) = source.air.unsent
    assert heard.last < unsent.first <= left  # the last frames may be lost in the server
    assert unsent.frames >= 20
