"""The frames of a new connection find their place in what is written, or none."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolltape.capture.splice import Match, NoMatch, Splice, read_tail
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from tests.known_stream import KnownStream, known_aac, known_mp3

MP3 = ("-c:a", "libmp3lame", "-compression_level", "9", "-write_xing", "0", "-f", "mp3")
STREAMS: dict[str, Callable[[], KnownStream]] = {
    "cbr": lambda: known_mp3(60),
    "vbr": lambda: known_mp3(60, options=(*MP3, "-q:a", "2")),
    "joint stereo without reservoir": lambda: known_mp3(60, options=(*MP3, "-b:a", "128k", "-reservoir", "0")),
    "mono, MPEG-2": lambda: known_mp3(60, options=(*MP3, "-b:a", "48k"), sample_rate=22050, channels=1),
    "48 kHz": lambda: known_mp3(60, sample_rate=48000),
    "aac": lambda: known_aac(60),
    "aac, mono": lambda: known_aac(60, options=("-c:a", "aac", "-b:a", "64k", "-f", "adts"), channels=1),
}


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> KnownStream:
    return STREAMS[request.param]()


@pytest.fixture(scope="module")
def silent() -> KnownStream:
    """30 s of noise, 10 s of silence, 20 s of noise."""
    return known_mp3(60, sample_rate=48000, silence=(30, 40))


def codec(stream: KnownStream) -> Codec:
    return Codec.AAC if stream.content_type == "audio/aac" else Codec.MP3


def splice(stream: KnownStream, tail: range, *, is_all: bool = False) -> Splice:
    return Splice(stream.audio(tail.start, tail.stop), codec(stream), is_all=is_all)


def feed(splice: Splice, stream: KnownStream, frames: range, pieces: int = 3) -> None:
    steps = sorted({frames.start + len(frames) * step // pieces for step in range(pieces + 1)})
    for first, end in pairwise(steps):
        splice.feed(stream.audio(first, end))


def seen(stream: KnownStream, first: int, end: int) -> Match:
    return Match(stream.position(end) - stream.position(first))


@settings(max_examples=20)
@given(cut=st.integers(700, 1000), overlap=st.integers(1, 500), new=st.integers(0, 300), pieces=st.integers(1, 20))
def test_recording_goes_on_at_the_first_unseen_frame(
    stream: KnownStream, cut: int, overlap: int, new: int, pieces: int
) -> None:
    found = splice(stream, range(0, cut))
    feed(found, stream, range(cut - overlap, cut + new), pieces)

    assert found.result(Seconds(overlap * stream.frame), clock_is_sure=False) == seen(stream, cut - overlap, cut)


def test_nothing_is_said_before_the_end_of_the_tail_has_come_again(stream: KnownStream) -> None:
    found = splice(stream, range(0, 500))
    feed(found, stream, range(300, 499))
    early = found.result(Seconds(5), clock_is_sure=True)
    feed(found, stream, range(499, 500))

    assert early is None
    assert found.result(Seconds(5), clock_is_sure=True) == seen(stream, 300, 500)


def test_what_was_not_there_before_matches_nothing(stream: KnownStream) -> None:
    found = splice(stream, range(0, 500))
    feed(found, stream, range(510, 600))

    assert found.result(Seconds(-0.3), clock_is_sure=False) == NoMatch()


def test_what_goes_on_differently_matches_nothing(stream: KnownStream) -> None:
    found = splice(stream, range(0, 500))
    feed(found, stream, range(400, 450))
    between = found.result(Seconds(2), clock_is_sure=True)
    feed(found, stream, range(600, 700))  # a jingle that everybody hears first, and then the present

    assert between is None
    assert found.result(Seconds(2), clock_is_sure=True) == NoMatch()


def test_a_tail_that_begins_inside_of_a_frame_is_as_good(stream: KnownStream) -> None:
    found = Splice(stream.audio(0, 500)[100:], codec(stream), is_all=False)
    feed(found, stream, range(450, 520))

    assert found.result(Seconds(1), clock_is_sure=False) == seen(stream, 450, 500)


def test_without_any_frame_nothing_is_said(stream: KnownStream) -> None:
    assert splice(stream, range(0, 500)).result(Seconds(0), clock_is_sure=True) is None


def test_what_is_played_again_to_each_listener_is_no_resending(stream: KnownStream) -> None:
    again = splice(stream, range(0, 200), is_all=True)
    feed(again, stream, range(0, 250))
    resent = splice(stream, range(0, 200), is_all=True)
    feed(resent, stream, range(0, 250))
    length = 200 * stream.frame

    assert again.result(Seconds(length - 3), clock_is_sure=True) == NoMatch()
    assert resent.result(Seconds(length - 0.5), clock_is_sure=True) == seen(stream, 0, 200)


def test_a_match_far_off_the_clock_is_a_repeat(stream: KnownStream) -> None:
    found = splice(stream, range(0, 1000))
    feed(found, stream, range(900, 1100))

    assert found.result(Seconds(-40), clock_is_sure=False) is None
    assert found.result(Seconds(-40), clock_is_sure=True) == NoMatch()
    assert found.result(Seconds(-20), clock_is_sure=True) == seen(stream, 900, 1000)  # a server that is behind


def test_in_silence_the_clock_says_where(silent: KnownStream) -> None:
    frame = silent.frame
    end = round(38 / frame)  # in the middle of it
    found = splice(silent, range(0, end))
    feed(found, silent, range(end - 100, end))

    assert found.result(Seconds(60 * frame), clock_is_sure=False) is None
    assert found.result(Seconds(60 * frame), clock_is_sure=True) == seen(silent, end - 60, end)
    assert found.result(Seconds(-5), clock_is_sure=True) == NoMatch()


def test_what_comes_behind_the_silence_makes_it_certain(silent: KnownStream) -> None:
    end = round(41 / silent.frame)
    found = splice(silent, range(0, end))
    feed(found, silent, range(round(36 / silent.frame), end + 20))

    assert found.result(Seconds(4), clock_is_sure=False) == seen(silent, round(36 / silent.frame), end)


def test_the_tail_is_the_last_two_minutes(tmp_path: Path) -> None:
    file = tmp_path / "take.mp3"
    file.write_bytes(bytes(1000) + b"x" * 16000 * 120 + b"half a frame")

    assert read_tail(file, 1000 + 16000 * 120, Seconds(120 + 1000 / 16000)) == b"x" * 16000 * 120
    assert read_tail(file, 500, Seconds(0)) == bytes(500)
