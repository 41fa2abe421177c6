"""A finished MP3 is sound because each part of it was heard, some of them before there was the MP3."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Cut
from rolltape.process import heard as heard_module
from rolltape.process import prove as module
from rolltape.process.frames import FrameReader
from rolltape.process.heard import Heard, Pieces
from rolltape.process.join import Joined, join
from rolltape.process.prove import prove
from rolltape.process.verify import verify
from tests.process.conftest import cut

HERE = Path()
STEPS = "sine=f=440:d=12:r=44100,volume='if(between(t,4,7),0,8)':eval=frame"
FRAME = 1152 / 44100


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (heard_module, module):
        monkeypatch.setattr(where, "PIECE", 64)
        monkeypatch.setattr(where, "LEVEL", 1)
    monkeypatch.setattr(module, "POINTS", 100)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames each FFmpeg was given to decode, but for the one that decodes all of a file."""
    seen: list[int] = []
    hear_frames = heard_module.hear_frames

    async def noted(blocks: Iterator[bytes], like: Any, frames: int, **options: Any) -> Any:
        seen.append(frames)
        return await hear_frames(blocks, like, frames, **options)

    monkeypatch.setattr(module, "hear_frames", noted)
    return seen


@pytest.fixture
def take(make: Callable[..., Path]) -> Path:
    options = ["-ac", "2", "-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"]
    return make("prove.mp3", options, source=STEPS, length=12)


async def hear_ahead(take: Path, folder: Path, ffmpeg: str) -> None:
    heard, pieces = Heard(folder), Pieces(take)
    while (piece := pieces.next()) is not None:
        heard.add(piece.sha256, await piece.hear(folder=folder, ffmpeg=ffmpeg))


def made(cuts: list[Cut], folder: Path) -> tuple[Path, Joined]:
    out = folder / "out.mp3"
    return out, join(cuts, HERE, out)


async def test_only_what_was_not_heard_is_decoded(take: Path, tmp_path: Path, ffmpeg: str, decoded: list[int]) -> None:
    await hear_ahead(take, tmp_path, ffmpeg)
    out, joined = made([cut(take, 1, 10.5)], tmp_path)

    sound = await prove(out, joined, tmp_path, ffmpeg=ffmpeg)

    whole = await verify(out, ffmpeg=ffmpeg, length=joined.duration)
    assert sound.duration == pytest.approx(whole.duration, abs=0.001)
    assert sound.silent_share == pytest.approx(whole.silent_share, abs=0.002)
    loud, silent = sound.peaks[:280], sound.peaks[300:560]
    assert sum(loud) / len(loud) == pytest.approx(sum(whole.peaks[:280]) / 280, abs=1)
    assert max(silent) < 5
    assert sum(decoded) < 2 * 64 + 1  # a part of a piece at each end
    assert len(decoded) == 2


async def test_two_cuts_with_a_gap_between_them(take: Path, tmp_path: Path, ffmpeg: str, decoded: list[int]) -> None:
    await hear_ahead(take, tmp_path, ffmpeg)
    out, joined = made([cut(take, 0.5, 4.2), cut(take, 5.5, 6)], tmp_path)

    sound = await prove(out, joined, tmp_path, ffmpeg=ffmpeg)

    assert sound.duration == pytest.approx(10.2, abs=2 * FRAME)
    assert 0 < sum(decoded) < 4 * 64


async def test_what_was_not_heard_at_all_is_decoded_in_one_go(
    take: Path, tmp_path: Path, ffmpeg: str, decoded: list[int]
) -> None:
    out, joined = made([cut(take, 1, 10)], tmp_path)

    sound = await prove(out, joined, tmp_path, ffmpeg=ffmpeg)

    assert sound == await verify(out, ffmpeg=ffmpeg, length=joined.duration)
    assert decoded == []


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.7, 0.97])
async def test_damage_in_the_finished_file_is_found_wherever_it_is(
    take: Path, tmp_path: Path, ffmpeg: str, share: float
) -> None:
    await hear_ahead(take, tmp_path, ffmpeg)
    out, joined = made([cut(take, 1, 10.5)], tmp_path)
    content = bytearray(out.read_bytes())
    at = round(len(content) * share)
    content[at : at + 1500] = b"\x55" * 1500
    out.write_bytes(content)

    with pytest.raises(ProcessingError, match="not sound"):
        await prove(out, joined, tmp_path, ffmpeg=ffmpeg)


async def test_another_byte_in_a_piece_has_it_decoded_again(
    take: Path, tmp_path: Path, ffmpeg: str, decoded: list[int]
) -> None:
    await hear_ahead(take, tmp_path, ffmpeg)
    out, joined = made([cut(take, 1, 10.5)], tmp_path)
    content = bytearray(out.read_bytes())
    begin = next(place for place in joined.places if place.number == 4 * 64)
    content[begin.at + 300] ^= 1  # of the sound itself: it decodes, to something else
    out.write_bytes(content)

    await prove(out, joined, tmp_path, ffmpeg=ffmpeg)

    assert any(frames >= 64 for frames in decoded)


async def test_what_was_heard_of_other_bytes_counts_for_nothing(
    take: Path, mp3: Callable[[str], Path], tmp_path: Path, ffmpeg: str, decoded: list[int]
) -> None:
    await hear_ahead(mp3("cbr"), tmp_path, ffmpeg)
    out, joined = made([cut(take, 1, 10)], tmp_path)

    sound = await prove(out, joined, tmp_path, ffmpeg=ffmpeg)

    assert sound == await verify(out, ffmpeg=ffmpeg, length=joined.duration)
    assert decoded == []


async def test_a_file_that_has_fewer_frames_than_were_joined_is_not_sound(
    take: Path, tmp_path: Path, ffmpeg: str
) -> None:
    await hear_ahead(take, tmp_path, ffmpeg)
    out, joined = made([cut(take, 1, 10.5)], tmp_path)

    with pytest.raises(ProcessingError, match="are heard of"):
        await prove(out, replace(joined, frames=joined.frames + 1), tmp_path, ffmpeg=ffmpeg)


def test_the_places_of_frames_are_where_they_are(take: Path, tmp_path: Path) -> None:
    out, joined = made([cut(take, 0.5, 4), cut(take, 5.5, 6)], tmp_path)

    whole = out.read_bytes()
    with take.open("rb") as file:
        frames = [run.frame(number) for run in FrameReader(file).runs() for number in range(run.frames)]
    assert {place.cut for place in joined.places} == {0, 1}
    for place in joined.places:
        frame = frames[place.number]
        assert whole[place.at : place.at + len(frame)] == frame
    assert [place.number % 32 for place in joined.places] == [0] * len(joined.places)
