"""MP3 takes joined frame by frame, judged by the programs of others."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutagen.mp3 import MP3 as Mutagen
from mutagen.mp3 import BitrateMode

from rolltape.domain.mpeg import Header, header_at, main_data_begin
from rolltape.process.frames import NotJoinable
from rolltape.process.join import Joined, join
from tests.process import judges
from tests.process.conftest import LENGTH, MP3, cut

HERE = Path()  # takes are named by their whole path

Take = Callable[[str], Path]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "joined.mp3"


def frames_of(file: Path) -> list[bytes]:
    data, at, found = file.read_bytes(), 0, []
    while (head := header_at(data, at)) and at + head.size <= len(data):
        found.append(data[at : at + head.size])
        at += head.size
    return found


def head_of(frame: bytes) -> Header:
    head = header_at(frame)
    assert head is not None
    return head


def lost_at_a_seam(kind: str) -> int:
    """Frames: where the bit rate is high already, no other makes enough room."""
    return 1 if kind in ("high", "mpeg2-high", "stereo") else 0


def info_of(file: Path) -> Any:
    """What Mutagen knows of it."""
    return Mutagen(file).info


def assert_lasts(file: Path, joined: Joined, folder: Path) -> None:
    """Everybody finds the same length in it."""
    samples = len(judges.pcm(file)) / joined.sample_rate
    assert samples == pytest.approx(joined.duration, abs=0.0001)
    assert judges.duration_by_mpg123(file, folder) == pytest.approx(joined.duration, abs=0.001)
    assert info_of(file).length == pytest.approx(joined.duration, abs=0.001)
    assert judges.duration_by_ffprobe(file) == pytest.approx(joined.duration, abs=0.06)  # it counts the silent frame


@pytest.mark.parametrize("kind", MP3)
def test_a_whole_take_stays_whole(mp3: Take, out: Path, tmp_path: Path, kind: str):
    take = mp3(kind)
    frames = frames_of(take)

    joined = join([cut(take, length=60)], HERE, out)

    assert joined.silenced == 0
    assert joined.duration == pytest.approx(len(frames) * head_of(frames[0]).duration)
    assert out.read_bytes().endswith(take.read_bytes())
    judges.assert_sound(out)
    assert_lasts(out, joined, tmp_path)


@pytest.mark.parametrize("kind", MP3)
def test_two_cuts_in_the_middle_of_frames_are_sound_and_as_long_as_they_say(
    mp3: Take, out: Path, tmp_path: Path, kind: str
):
    take = mp3(kind)

    joined = join([cut(take, 1.234, 2.345), cut(take, 0.777, 3.21)], HERE, out)

    judges.assert_sound(out)
    assert_lasts(out, joined, tmp_path)
    assert joined.duration == pytest.approx(2.345 + 3.21, abs=0.06)
    assert joined.silenced <= lost_at_a_seam(kind)


@pytest.mark.parametrize("kind", MP3)
def test_what_is_heard_after_a_cut_is_what_was_heard_before_it(mp3: Take, out: Path, kind: str):
    take = mp3(kind)
    head = head_of(take.read_bytes())
    before = judges.pcm(take, channels=head.channels)
    first, second = 50, 20  # frames
    skips = [(number + 0.2) * head.duration for number in (first, second)]

    join([cut(take, skips[0], 30 * head.duration), cut(take, skips[1], 30 * head.duration)], HERE, out)
    after = judges.pcm(out, channels=head.channels)

    # Of two neighbours one half of each is heard at a time, so a frame is itself again from the second on.
    step = head.samples * head.channels
    assert len(after) == 60 * step
    lost = lost_at_a_seam(kind)
    assert after[2 * step : 30 * step] == before[(first + 2) * step : (first + 30) * step]
    assert after[(32 + lost) * step :] == before[(second + 2 + lost) * step : (second + 30) * step]


def test_nothing_is_lost_at_the_beginning_though_its_first_frame_begins_before_it(mp3: Take, out: Path):
    take = mp3("cbr")
    frames = frames_of(take)
    number = next(n for n in range(100, 200) if main_data_begin(frames[n], head_of(frames[n])) > 300)

    joined = join([cut(take, number * head_of(frames[0]).duration, 1)], HERE, out)

    info, lead, first, *_ = frames_of(out)
    assert joined.silenced == 0
    assert first == frames[number]
    assert b"Info" in info
    assert len(lead) > len(first)


def test_a_take_that_began_in_the_middle_of_a_programme_begins_with_silence_in_place_of_what_cannot_be_decoded(
    mp3: Take, tmp_path: Path, out: Path
):
    frames = frames_of(mp3("cbr"))
    take = tmp_path / "take.mp3"
    take.write_bytes(b"".join(frames[50:]))

    joined = join([cut(take, length=2)], HERE, out)

    assert 1 <= joined.silenced <= 3
    judges.assert_sound(out)
    step = head_of(frames[0]).samples
    heard, before = judges.pcm(out), judges.pcm(mp3("cbr"))
    assert judges.loudness(heard[: joined.silenced * step - step // 2]) < 0.0001
    begin = joined.silenced + 2
    assert heard[begin * step : 70 * step] == before[(50 + begin) * step : 120 * step]


def test_junk_between_frames_is_left_out(mp3: Take, tmp_path: Path, out: Path):
    noise = random.Random(1)
    frames = frames_of(mp3("no-reservoir"))
    take = tmp_path / "take.mp3"
    junk = [noise.randbytes(5000), b"TAG" + bytes(125), b"<html>\xff\xfb\x90\x00 no frames</html>", b"\xff" * 3000]
    pieces = [b"".join(frames[start : start + 40]) for start in range(0, 160, 40)]
    take.write_bytes(b"".join(part for pair in zip(junk, pieces, strict=True) for part in pair) + b"\x00" * 700)

    joined = join([cut(take)], HERE, out)

    assert out.read_bytes().endswith(b"".join(frames[:160]))
    assert joined.silenced == 0
    judges.assert_sound(out)


def test_frames_after_lost_ones_are_silent_until_they_can_be_decoded(mp3: Take, tmp_path: Path, out: Path):
    frames = frames_of(mp3("vbr"))
    take = tmp_path / "take.mp3"
    take.write_bytes(b"".join(frames[:60]) + b"lost" * 300 + b"".join(frames[80:]))

    joined = join([cut(take)], HERE, out)

    assert 1 <= joined.silenced <= 6
    judges.assert_sound(out)


def test_a_cut_behind_lost_frames_does_not_reach_back_over_them(mp3: Take, tmp_path: Path, out: Path):
    frames = frames_of(mp3("cbr"))
    take = tmp_path / "take.mp3"
    take.write_bytes(b"".join(frames[:60]) + b"lost" * 300 + b"".join(frames[80:]))

    joined = join([cut(take, 60 * head_of(frames[0]).duration, 2)], HERE, out)

    assert 1 <= joined.silenced <= 3
    judges.assert_sound(out)


@pytest.mark.parametrize("kind", ["cbr", "vbr", "mpeg2"])
def test_a_torn_frame_is_left_out(mp3: Take, tmp_path: Path, out: Path, kind: str):
    frames = frames_of(mp3(kind))
    take = tmp_path / "take.mp3"
    take.write_bytes(b"".join(frames[:60]) + frames[60][:70] + b"".join(frames[61:100]) + frames[100][:50])

    joined = join([cut(take)], HERE, out)

    assert len(frames_of(out)) == 2 + 60 + 39
    assert joined.duration == pytest.approx(99 * head_of(frames[0]).duration)
    judges.assert_sound(out)


def test_the_header_an_encoder_left_in_front_of_a_take_is_no_audio(make: Callable[..., Path], out: Path):
    take = make("with-xing.mp3", ["-c:a", "libmp3lame", "-b:a", "128k", "-metadata", "title=A Title"])

    joined = join([cut(take), cut(take)], HERE, out)

    assert out.read_bytes().count(b"Info") == 1
    assert joined.duration == pytest.approx(2 * LENGTH, abs=0.15)
    judges.assert_sound(out)


def test_frames_with_a_crc_keep_a_right_one(mp3: Take, out: Path, tmp_path: Path):
    frames = [with_crc(frame) for frame in frames_of(mp3("cbr"))]
    take = tmp_path / "take.mp3"
    take.write_bytes(b"".join(frames))

    joined = join([cut(take, 1.01, 2), cut(take, 0.5, 2)], HERE, out)

    assert joined.silenced == 0
    judges.assert_sound(out)  # mp3val computes the CRCs
    checked = judges.run("ffmpeg", "-v", "error", "-err_detect", "crccheck+explode", "-i", out, "-f", "null", "-")
    assert checked.stderr == b""


def with_crc(frame: bytes) -> bytes:
    """The stereo frame at the next higher bit rate, which makes room for a CRC."""
    word = int.from_bytes(frame[:4], "big")
    word = word & ~0x0001F000 | (word >> 12 & 15) + 1 << 12
    header, side_info, main_data = word.to_bytes(4, "big"), frame[4:36], frame[36:]
    room = head_of(header).size - len(frame) - 2
    return header + crc_16(header[2:] + side_info) + side_info + bytes(room) + main_data


def crc_16(data: bytes) -> bytes:
    """ISO/IEC 11172-3 2.4.3.1, bit by bit."""
    register = 0xFFFF
    for bit in (byte >> place & 1 for byte in data for place in range(7, -1, -1)):
        register = register << 1 & 0xFFFF ^ (0x8005 if (register >> 15) ^ bit else 0)
    return register.to_bytes(2, "big")


@pytest.mark.parametrize(("kind", "mode"), [("cbr", BitrateMode.CBR), ("vbr", BitrateMode.VBR)])
def test_the_header_says_whether_the_bit_rate_is_constant(mp3: Take, out: Path, kind: str, mode: BitrateMode):
    joined = join([cut(mp3(kind), 0.5, 2), cut(mp3(kind), 1, 3)], HERE, out)

    info = info_of(out)
    assert info.bitrate_mode is mode
    assert info.bitrate == pytest.approx(joined.bit_rate, rel=0.01)


def test_the_seek_table_leads_to_the_right_frames(mp3: Take, out: Path):
    join([cut(mp3("vbr")), cut(mp3("high")), cut(mp3("vbr"))], HERE, out)

    frames = frames_of(out)
    size = out.stat().st_size
    toc = frames[0][36 + 16 : 36 + 116]
    for percent in range(0, 100, 3):
        number = 1 + (len(frames) - 1) * percent // 100
        begins = sum(map(len, frames[:number]))
        assert toc[percent] == pytest.approx(begins * 256 / size, abs=2)


def test_the_header_counts_all_frames_and_bytes(mp3: Take, out: Path):
    join([cut(mp3("cbr"), 1, 3)], HERE, out)

    frames = frames_of(out)
    assert int.from_bytes(frames[0][44:48], "big") == len(frames) - 1
    assert int.from_bytes(frames[0][48:52], "big") == out.stat().st_size


@pytest.mark.parametrize(("one", "other"), [("cbr", "mpeg2"), ("cbr", "cbr-48k"), ("cbr", "low"), ("mpeg2", "mpeg2.5")])
def test_takes_of_two_formats_are_refused(mp3: Take, out: Path, one: str, other: str):
    with pytest.raises(NotJoinable):
        join([cut(mp3(one)), cut(mp3(other))], HERE, out)


def test_a_take_that_changes_its_format_is_refused(mp3: Take, tmp_path: Path, out: Path):
    take = tmp_path / "take.mp3"
    take.write_bytes(mp3("cbr").read_bytes() + mp3("cbr-48k").read_bytes())

    with pytest.raises(NotJoinable):
        join([cut(take, length=12)], HERE, out)


@pytest.mark.parametrize("content", [b"", b"\xff\xfb\x90", bytes(100_000), b"<html></html>"])
def test_takes_without_a_frame_are_refused(tmp_path: Path, out: Path, content: bytes):
    take = tmp_path / "take.mp3"
    take.write_bytes(content)

    with pytest.raises(NotJoinable):
        join([cut(take)], HERE, out)


def test_layer_two_is_not_joined(make: Callable[..., Path], out: Path):
    with pytest.raises(NotJoinable):
        join([cut(make("layer2.mp2", ["-c:a", "mp2", "-b:a", "128k"]))], HERE, out)


def test_a_take_of_a_few_bytes_is_passed_over(mp3: Take, tmp_path: Path, out: Path):
    torn = tmp_path / "torn.mp3"
    torn.write_bytes(mp3("cbr").read_bytes()[:300])

    joined = join([cut(torn, length=0.5), cut(mp3("cbr"), length=2)], HERE, out)

    assert joined.duration == pytest.approx(2, abs=0.03)
    judges.assert_sound(out)


def test_many_cuts_do_not_drift(mp3: Take, out: Path):
    lengths = [0.1 + number * 0.0071 for number in range(50)]

    joined = join([cut(mp3("vbr"), number * 0.05, length) for number, length in enumerate(lengths)], HERE, out)

    assert joined.duration == pytest.approx(sum(lengths), abs=0.03)
    judges.assert_sound(out)


def test_frames_over_the_border_of_two_blocks_are_found(mp3: Take, out: Path, monkeypatch: pytest.MonkeyPatch):
    take = mp3("vbr")
    join([cut(take, 1.2, 3), cut(take, 0.1, 4)], HERE, out)
    at_once = out.read_bytes()

    for block in (1000, 4096, 10007):
        monkeypatch.setattr("rolltape.process.frames.BLOCK", block)
        join([cut(take, 1.2, 3), cut(take, 0.1, 4)], HERE, out)
        assert out.read_bytes() == at_once


def test_behind_an_encoders_header_of_another_mode_no_frame_is_lost(make: Callable[..., Path], out: Path):
    options = ["-ac", "2", "-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "1", "-id3v2_version", "0"]
    headed = make("headed.mp3", options)
    assert header_at(headed.read_bytes()).mode == 0  # type: ignore[union-attr]

    joined = join([cut(headed, 0.5, 3)], HERE, out)

    assert header_at(frames_of(out)[1]).mode == 1  # type: ignore[union-attr]
    assert len(judges.pcm(out)) == round(joined.duration * 44100)
    judges.assert_sound(out)
