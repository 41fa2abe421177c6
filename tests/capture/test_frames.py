"""Frames are found, whole and in order, however the bytes come and whatever is between them."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolltape.capture.frames import FrameReader, Frames, adts_header, mp3_header
from rolltape.domain.take import Codec

MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz, joint stereo
ADTS_FRAME = b"\xff\xf1\x50\x80\x19\x1f\xfc" + bytes(193)  # LC, 44.1 kHz, stereo, 200 bytes
FRAMES = {Codec.MP3: MP3_FRAME, Codec.AAC: ADTS_FRAME}


def read(codec: Codec, pieces: list[bytes]) -> list[Frames]:
    reader = FrameReader(codec)
    return [frames for piece in pieces for frames in reader.feed(piece)] + reader.flush()


def joined(found: list[Frames]) -> bytes:
    return b"".join(frames.data for frames in found)


@pytest.mark.parametrize(
    ("header", "size", "seconds", "rate", "channels"),
    [
        ("fffb9064", 417, 1152 / 44100, 44100, 2),
        ("fffb9264", 418, 1152 / 44100, 44100, 2),
        ("fffb90c4", 417, 1152 / 44100, 44100, 1),
        ("fffbe4c4", 960, 1152 / 48000, 48000, 1),
        ("fff390c4", 261, 576 / 22050, 22050, 1),
        ("ffe340c4", 208, 576 / 11025, 11025, 1),
    ],
)
def test_mp3_headers_of_all_versions_are_read(header: str, size: int, seconds: float, rate: int, channels: int) -> None:
    found = mp3_header(bytes.fromhex(header), 0)

    assert found is not None
    assert (found.size, found.seconds) == (size, seconds)
    assert (found.format.sample_rate, found.format.channels) == (rate, channels)


@pytest.mark.parametrize(
    "header", ["fffbf064", "fffb0064", "fffb9c64", "ffeb9064", "fffd9064", "fffb9062", "fefb9064", "fffb"]
)
def test_what_is_no_mp3_header_is_told(header: str) -> None:
    assert mp3_header(bytes.fromhex(header), 0) is None


def test_an_adts_header_is_read() -> None:
    found = adts_header(ADTS_FRAME, 0)

    assert found is not None
    assert (found.size, found.format.sample_rate, found.format.channels) == (200, 44100, 2)
    assert found.seconds == pytest.approx(1024 / 44100)


@pytest.mark.parametrize("codec", FRAMES)
@given(cuts=st.lists(st.integers(0, 4200), max_size=12), skip=st.integers(0, 199))
def test_frames_do_not_depend_on_how_the_bytes_come(codec: Codec, cuts: list[int], skip: int) -> None:
    data = (FRAMES[codec] * 12)[skip:]
    borders = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})

    found = read(codec, [data[start:end] for start, end in pairwise(borders)])

    assert joined(found) == FRAMES[codec] * (12 if skip == 0 else 11)


@pytest.mark.parametrize("codec", FRAMES)
@given(junk=st.binary(max_size=600))
def test_junk_between_frames_never_gets_into_the_recording(codec: Codec, junk: bytes) -> None:
    frame = FRAMES[codec]

    found = joined(read(codec, [frame * 6 + junk + frame * 6]))

    assert len(found) // len(frame) >= 10 or b"\xff" in junk
    assert found.count(frame) * len(frame) == len(found) or b"\xff" in junk


@given(st.lists(st.binary(max_size=3000), max_size=8), st.sampled_from(list(FRAMES)))
def test_any_bytes_can_be_fed(pieces: list[bytes], codec: Codec) -> None:
    found = joined(read(codec, pieces))

    assert len(found) <= sum(map(len, pieces))


@settings(max_examples=50)
@given(st.binary(max_size=40_000))
def test_what_waits_stays_small(data: bytes) -> None:
    reader = FrameReader(Codec.AAC)

    for _ in range(3):
        reader.feed(data)

    assert len(reader.rest) < 3 * 8192 + 40_000


def test_a_change_of_format_loses_nothing_however_the_bytes_come() -> None:
    data = MP3_FRAME * 5 + (b"\xff\xfb\x90\xc4" + bytes(413)) * 5

    for size in (1, 100, 417, 418, 1000):
        found = read(Codec.MP3, [data[start : start + size] for start in range(0, len(data), size)])

        assert joined(found) == data


def test_a_frame_that_was_cut_short_is_left_out() -> None:
    found = read(Codec.MP3, [MP3_FRAME * 5 + MP3_FRAME[:200] + MP3_FRAME * 5])

    assert joined(found) == MP3_FRAME * 10


def test_a_tag_in_front_is_passed_over() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x10\x00" + b"\xff\xfb" * 1024

    for cut in (2, 9, 700):
        found = read(Codec.MP3, [tag[:cut], tag[cut:] + MP3_FRAME * 5])

        assert joined(found) == MP3_FRAME * 5


def test_a_frame_that_speaks_of_a_whole_file_is_left_out() -> None:
    info = MP3_FRAME[:36] + b"Xing" + MP3_FRAME[40:]

    found = read(Codec.MP3, [info + MP3_FRAME * 5])

    assert joined(found) == MP3_FRAME * 5


def test_a_change_of_format_begins_a_new_piece_and_loses_nothing() -> None:
    mono = b"\xff\xfb\x90\xc4" + bytes(413)

    found = read(Codec.MP3, [MP3_FRAME * 5 + mono * 5])

    assert [(frames.data, frames.format.channels) for frames in found] == [
        (MP3_FRAME * 4, 2), (MP3_FRAME, 2), (mono * 4, 1), (mono, 1),
    ]  # fmt: skip
    assert sum(frames.seconds for frames in found) == pytest.approx(10 * 1152 / 44100)
