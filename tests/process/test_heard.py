"""Pieces of an MP3 are heard while it grows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rolltape.domain.errors import ProcessingError
from rolltape.domain.units import Seconds
from rolltape.process import heard as module
from rolltape.process.frames import NotJoinable
from rolltape.process.heard import LEAD, NAME, Heard, Piece, Pieces
from rolltape.process.hearing import Hearing

PIECE = 64  # frames


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", PIECE)


def all_of(pieces: Pieces) -> list[Piece]:
    found = []
    while (piece := pieces.next()) is not None:
        found.append(piece)
    return found


@pytest.mark.parametrize("kind", ["cbr", "vbr", "mpeg2"])
@pytest.mark.parametrize("step", [700, 20_011])
def test_the_pieces_of_a_file_that_grows_are_those_of_the_whole(
    mp3: Callable[[str], Path], tmp_path: Path, kind: str, step: int
) -> None:
    content = mp3(kind).read_bytes()
    growing = tmp_path / "growing.mp3"
    growing.touch()
    pieces = Pieces(growing)
    found = []
    for begin in range(0, len(content), step):
        with growing.open("ab") as file:
            file.write(content[begin : begin + step])
        found += all_of(pieces)

    assert found == all_of(Pieces(mp3(kind)))
    assert len(found) == {"cbr": 3, "vbr": 3, "mpeg2": 3}[kind]
    assert b"".join(piece.content for piece in found) in content
    assert found[0].lead + found[0].content == content[: len(found[0].lead + found[0].content)]


def test_the_header_of_an_encoder_is_no_part_of_a_piece(make: Callable[..., Path], tmp_path: Path) -> None:
    plain, headed = (
        make(f"heard-{xing}.mp3", ["-ac", "2", "-c:a", "libmp3lame", "-write_xing", xing, "-id3v2_version", "0"])
        for xing in ("0", "1")
    )

    assert [piece.sha256 for piece in all_of(Pieces(headed))] == [piece.sha256 for piece in all_of(Pieces(plain))]


def test_a_piece_with_a_break_in_it_is_left_out(mp3: Callable[[str], Path], tmp_path: Path) -> None:
    whole = all_of(Pieces(mp3("cbr")))
    content = mp3("cbr").read_bytes()
    torn = tmp_path / "torn.mp3"
    at = content.index(whole[1].content) + 5000
    torn.write_bytes(content[:at] + b"junk" * 100 + content[at:])

    found = all_of(Pieces(torn))

    assert [piece.sha256 for piece in found[:1]] == [whole[0].sha256]
    assert len(found) == len(whole) - 1


def test_takes_of_two_formats_have_no_pieces(mp3: Callable[[str], Path], tmp_path: Path) -> None:
    both = tmp_path / "both.mp3"
    both.write_bytes(mp3("cbr").read_bytes()[:30_000] + mp3("cbr-48k").read_bytes())
    pieces = Pieces(both)

    with pytest.raises(NotJoinable):
        all_of(pieces)

    assert not pieces.may_have_grown()


async def test_a_piece_is_heard_without_what_is_before_it(
    make: Callable[..., Path], tmp_path: Path, ffmpeg: str
) -> None:
    source = "sine=f=440:d=6:r=44100,volume='if(lt(t,2.54),0,8)':eval=frame"  # piece 1 begins after 96 frames: 2.51 s
    take = make(
        "heard-steps.mp3", ["-ac", "2", "-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"], source=source
    )
    silent, loud, *_ = all_of(Pieces(take))

    first = await silent.hear(folder=tmp_path, ffmpeg=ffmpeg)
    second = await loud.hear(folder=tmp_path, ffmpeg=ffmpeg)

    assert first.duration == second.duration == pytest.approx(PIECE * 1152 / 44100, abs=0.0001)
    ((begin, end),) = first.silences
    assert begin < 0.01
    assert end == pytest.approx(first.duration, abs=0.04)
    assert second.silent_share < 0.1
    assert min(second.levels[1:]) > 0.6


async def test_damage_in_a_piece_is_found(mp3: Callable[[str], Path], tmp_path: Path, ffmpeg: str) -> None:
    content = bytearray(mp3("no-reservoir").read_bytes())
    at = content.index(b"\xff\xfb", 50 * 417)
    content[at + 4 : at + 36] = b"\xff" * 32  # side information that is impossible
    take = tmp_path / "take.mp3"
    take.write_bytes(content)

    with pytest.raises(ProcessingError, match="not sound"):
        await all_of(Pieces(take))[0].hear(folder=tmp_path, ffmpeg=ffmpeg)


def test_a_lead_that_is_too_short_for_the_reservoir_is_not_trusted(make: Callable[..., Path]) -> None:
    options = ["-ac", "2", "-c:a", "libmp3lame", "-b:a", "8k", "-write_xing", "0", "-id3v2_version", "0"]

    assert all_of(Pieces(make("heard-tiny.mp3", options, rate=24000))) == []


def test_what_was_heard_is_kept(tmp_path: Path) -> None:
    one, other = Hearing(Seconds(2), ((Seconds(0), Seconds(1)),), (0.0, 1.0)), Hearing(Seconds(3))
    heard = Heard(tmp_path)
    heard.add("1" * 64, one)
    heard.add("2" * 64, other)

    again = Heard(tmp_path)

    assert (len(again), again.get("1" * 64), again.get("2" * 64)) == (2, one, other)
    assert again.get("3" * 64) is None


@pytest.mark.parametrize("tail", [b"\n" + b"3" * 64 + b' {"dura', b"\0" * 500, b"\nshort {}", b"\n\xff\xfe", b""])
def test_a_torn_end_costs_no_more_than_itself(tmp_path: Path, tail: bytes) -> None:
    Heard(tmp_path).add("1" * 64, Hearing(Seconds(2)))
    with (tmp_path / NAME).open("ab") as file:
        file.write(tail)

    Heard(tmp_path).add("2" * 64, Hearing(Seconds(3)))

    again = Heard(tmp_path)
    assert (len(again), again.get("2" * 64)) == (2 if not tail.startswith(b"\0") else 1, Hearing(Seconds(3)))


def test_a_lead_holds_the_longest_reservoir() -> None:
    smallest = 104 - 4 - 32  # bytes of main data of a stereo frame of 32 kbit/s at 44.1 kHz

    assert LEAD * smallest > 2 * 511
