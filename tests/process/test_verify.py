"""A finished MP3 is decoded before anybody believes in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rolltape.domain.errors import ProcessingError
from rolltape.process.join import join
from rolltape.process.verify import verify
from tests.process.conftest import LENGTH, cut


@pytest.fixture
def sound_mp3(mp3: Callable[[str], Path], tmp_path: Path) -> Path:
    file = tmp_path / "sound.mp3"
    join([cut(mp3("cbr"))], Path(), file)
    return file


async def test_a_sound_file_is_heard_to_its_end(sound_mp3: Path, ffmpeg: str):
    sound = await verify(sound_mp3, ffmpeg=ffmpeg)

    assert sound.duration == pytest.approx(LENGTH, abs=0.03)


@pytest.mark.parametrize("at", [3000, 50_000, 90_000])
async def test_damage_is_found(sound_mp3: Path, ffmpeg: str, at: int):
    content = bytearray(sound_mp3.read_bytes())
    content[at : at + 1500] = b"\x55" * 1500
    sound_mp3.write_bytes(content)

    with pytest.raises(ProcessingError, match="not sound"):
        await verify(sound_mp3, ffmpeg=ffmpeg)


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"<html></html>"])
async def test_what_is_no_mp3_is_found(tmp_path: Path, ffmpeg: str, content: bytes):
    file = tmp_path / "no.mp3"
    file.write_bytes(content)

    with pytest.raises(ProcessingError, match="not sound"):
        await verify(file, ffmpeg=ffmpeg)


async def test_the_exit_code_is_not_believed(sound_mp3: Path, tmp_path: Path):
    liar = tmp_path / "ffmpeg"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)

    with pytest.raises(ProcessingError, match=r"not sound: FFmpeg ended with 0 after 0\.0 s"):
        await verify(sound_mp3, ffmpeg=str(liar))


async def test_a_complaint_counts_more_than_the_exit_code(sound_mp3: Path, tmp_path: Path):
    grumbler = tmp_path / "ffmpeg"
    grumbler.write_text("#!/bin/sh\necho out_time_us=6000000\necho Header missing >&2\nexit 0\n")
    grumbler.chmod(0o755)

    with pytest.raises(ProcessingError, match="Header missing"):
        await verify(sound_mp3, ffmpeg=str(grumbler))
