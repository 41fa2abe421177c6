"""A take that is encoded while it grows becomes what it would have become at its end."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from rolltape.domain.errors import ProcessingError
from rolltape.domain.take import Codec
from rolltape.process.assemble import assemble
from rolltape.process.encode import encode
from rolltape.process.follow import Encoding, encoded_cut, encoded_file, is_encoded, remove_unfinished
from tests.process import judges
from tests.process.conftest import LENGTH, cut
from tests.process.test_assemble import BEEP, MARKED

Maker = Callable[..., Path]

TAKES = {
    "aac.aac": (44100, ["-ac", "2", "-c:a", "aac", "-b:a", "96k", "-f", "adts"]),
    "low.aac": (22050, ["-ac", "1", "-c:a", "aac", "-b:a", "32k", "-f", "adts"]),
    "aac.mka": (48000, ["-ac", "2", "-c:a", "aac", "-b:a", "96k"]),
    "opus.mka": (48000, ["-ac", "2", "-c:a", "libopus"]),
    "vorbis.mka": (44100, ["-ac", "2", "-c:a", "libvorbis"]),
    "flac.mka": (96000, ["-ac", "2", "-c:a", "flac"]),
}
PIECES = 7


def take_of(content: bytes, folder: Path, suffix: str = ".aac", number: int = 1) -> Path:
    take = folder / f"take-{number:03d}{suffix}"
    take.write_bytes(content)
    return take


async def grown(content: bytes, folder: Path, ffmpeg: str, suffix: str = ".aac", number: int = 1) -> Path:
    """A take of this content that was encoded while it grew to it."""
    borders = [len(content) * part // PIECES for part in range(PIECES + 1)]
    take = take_of(content[: borders[2]], folder, suffix, number)
    encoding = await Encoding.start(take, quality="V4", ffmpeg=ffmpeg)
    for begin, end in pairwise(borders[2:]):
        await encoding.feed()
        with take.open("ab") as file:
            file.write(content[begin:end])
    await encoding.finish()
    return take


@pytest.fixture
def marked(make: Maker) -> Callable[[str], bytes]:
    def make_marked(name: str) -> bytes:
        rate, options = TAKES[name]
        return make(f"follow-{name}", options, source=MARKED.format(rate=rate)).read_bytes()

    return make_marked


@pytest.mark.parametrize("name", TAKES)
async def test_it_is_the_same_as_what_is_encoded_at_the_end(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str, name: str
) -> None:
    take = await grown(marked(name), tmp_path, ffmpeg, Path(name).suffix)
    at_once = tmp_path / "at-once.mp3"

    await encode([cut(take, 0, LENGTH + 1)], tmp_path, at_once, quality="V4", ffmpeg=ffmpeg)

    assert encoded_file(take).read_bytes() == at_once.read_bytes()


async def test_a_take_that_becomes_stereo_is_the_same_too(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    options = ["-c:a", "aac", "-f", "adts"]
    mono, stereo = (
        make(f"follow-{channels}.aac", ["-ac", channels, *options], source=MARKED.format(rate=44100)).read_bytes()
        for channels in ("1", "2")
    )
    take = await grown(mono[:3000] + stereo, tmp_path, ffmpeg)
    at_once = tmp_path / "at-once.mp3"

    await encode([cut(take, 0, LENGTH + 1)], tmp_path, at_once, quality="V4", ffmpeg=ffmpeg)

    assert encoded_file(take).read_bytes() == at_once.read_bytes()


@pytest.mark.parametrize("kind", ["damaged", "torn"])
async def test_of_a_bad_take_the_same_is_left(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str, kind: str
) -> None:
    content = bytearray(marked("aac.aac"))
    if kind == "damaged":
        content[len(content) // 2 : len(content) // 2 + 800] = random.Random(1).randbytes(800)
    else:
        del content[len(content) * 4 // 5 + 7 :]
    take = await grown(bytes(content), tmp_path, ffmpeg)
    at_once = tmp_path / "at-once.mp3"

    await encode([cut(take, 0, LENGTH + 1)], tmp_path, at_once, quality="V4", ffmpeg=ffmpeg)

    assert encoded_file(take).read_bytes() == at_once.read_bytes()


@pytest.mark.parametrize("name", ["aac.aac", "low.aac", "aac.mka", "flac.mka"])
async def test_a_cut_of_it_begins_and_ends_where_it_should(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str, name: str
) -> None:
    take = await grown(marked(name), tmp_path, ffmpeg, Path(name).suffix)
    whole = cut(Path(take.name), 1.3, 3.3, codec=Codec.AAC)
    out, other = tmp_path / "ahead.mp3", tmp_path / "other.mp3"

    ahead = await assemble([whole], tmp_path, out, quality="V4", ffmpeg=ffmpeg)
    await encode([whole], tmp_path, other, quality="V4", ffmpeg=ffmpeg)

    assert ahead.duration == pytest.approx(3.3, abs=0.027)
    frame = 1152 / ahead.sample_rate if ahead.sample_rate >= 32000 else 576 / ahead.sample_rate
    assert beep_at(out, ahead.sample_rate) == pytest.approx(beep_at(other, ahead.sample_rate), abs=frame / 2 + 0.001)
    assert beep_at(out, ahead.sample_rate) == pytest.approx(BEEP - 1.3, abs=0.06)
    judges.assert_sound(out)


async def test_it_is_heard_as_what_is_encoded_at_the_end(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    music = make("follow-music.aac", TAKES["aac.aac"][1]).read_bytes()
    take = await grown(music, tmp_path, ffmpeg)
    out, other = tmp_path / "ahead.mp3", tmp_path / "other.mp3"
    skip = (10 * 1152 - 1105) / 44100  # on the border of a frame, so that both begin with the same sample

    await assemble([cut(Path(take.name), skip, 4, codec=Codec.AAC)], tmp_path, out, quality="V4", ffmpeg=ffmpeg)
    await encode([cut(take, 0, LENGTH)], tmp_path, other, quality="V4", ffmpeg=ffmpeg)

    ahead, whole = judges.pcm(out), judges.pcm(other)
    begin = round(skip * 44100)
    pairs = zip(ahead[2000:-2000], whole[begin + 2000 :], strict=False)
    assert len(ahead) == pytest.approx(4 * 44100, abs=1152)
    assert max(abs(one - another) for one, another in pairs) <= 1


@pytest.mark.parametrize("change", ["take", "encoded", "quality", "note", "gone"])
async def test_what_does_not_agree_any_more_is_not_used(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str, change: str
) -> None:
    take = await grown(marked("aac.aac"), tmp_path, ffmpeg)
    of_it = cut(Path(take.name), 0, 2, codec=Codec.AAC)
    assert encoded_cut(of_it, tmp_path, quality="V4") is not None

    out = encoded_file(take)
    if change == "take":
        take.write_bytes(take.read_bytes()[:-1] + b"\1")
    elif change == "encoded":
        out.write_bytes(out.read_bytes()[:-500])
    elif change == "note":
        out.with_suffix(".json").write_text('{"sha256": "')
    elif change == "gone":
        out.unlink()

    assert encoded_cut(of_it, tmp_path, quality="V2" if change == "quality" else "V4") is None


async def test_what_grew_after_all_is_not_encoded_to_its_end(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str
) -> None:
    take = await grown(marked("aac.aac"), tmp_path, ffmpeg)
    assert is_encoded(take)

    with take.open("ab") as file:
        file.write(b"more")

    assert not is_encoded(take)


async def test_an_encoding_that_was_interrupted_is_removed(
    marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str
) -> None:
    finished = await grown(marked("aac.aac"), tmp_path, ffmpeg, number=1)
    interrupted = encoded_file(tmp_path / "take-002.aac")
    interrupted.write_bytes(b"half an MP3")

    remove_unfinished(tmp_path)

    assert encoded_file(finished).exists()
    assert not interrupted.exists()


async def test_a_dropped_encoding_leaves_nothing(marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str) -> None:
    take = take_of(marked("aac.aac"), tmp_path)
    encoding = await Encoding.start(take, quality="V4", ffmpeg=ffmpeg)
    await encoding.feed()

    await encoding.drop()

    assert list(tmp_path.iterdir()) == [take]
    assert encoding._run._process.returncode is not None


async def test_an_ffmpeg_that_dies_is_told(marked: Callable[[str], bytes], tmp_path: Path, ffmpeg: str) -> None:
    take = take_of(marked("aac.aac"), tmp_path)
    encoding = await Encoding.start(take, quality="V4", ffmpeg=ffmpeg)
    encoding._run._process.kill()
    await encoding._run.wait()

    with pytest.raises(ProcessingError, match="could not be encoded while it grew"):
        await encoding.finish()

    await encoding.drop()
    assert list(tmp_path.iterdir()) == [take]


@pytest.mark.parametrize("content", [b"", b"<html>no audio</html>" * 4000])
async def test_a_take_without_sound_is_told(tmp_path: Path, ffmpeg: str, content: bytes) -> None:
    take = take_of(content, tmp_path)

    with pytest.raises(ProcessingError, match=r"no sound in take-001\.aac"):
        await Encoding.start(take, quality="V4", ffmpeg=ffmpeg)


def beep_at(file: Path, rate: int) -> float:
    return next(n for n, sample in enumerate(judges.pcm(file)) if abs(sample) > 3000) / rate
