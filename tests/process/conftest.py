"""Takes made by FFmpeg."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolltape.domain.recording import Cut
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import Seconds
from tests.servers.process import program

LENGTH = 6.0  # s of a take

# Noise that swells and fades: now a frame needs few bytes, now many, so the bit reservoir is full of what comes.
MUSIC = "anoisesrc=d={length}:c=pink:a=0.4:r={rate}:seed=7,tremolo=f=1.3:d=0.95"
RAW = ["-write_xing", "0", "-id3v2_version", "0"]

MP3 = {
    "cbr": (44100, ["-ac", "2", "-b:a", "128k"]),
    "cbr-48k": (48000, ["-ac", "2", "-b:a", "128k"]),
    "stereo": (44100, ["-ac", "2", "-b:a", "192k", "-joint_stereo", "0"]),
    "vbr": (44100, ["-ac", "2", "-q:a", "2"]),
    "no-reservoir": (44100, ["-ac", "2", "-b:a", "128k", "-reservoir", "0"]),
    "high": (44100, ["-ac", "2", "-b:a", "320k"]),
    "low": (44100, ["-ac", "1", "-b:a", "32k"]),
    "mpeg2": (22050, ["-ac", "1", "-b:a", "32k"]),
    "mpeg2-high": (24000, ["-ac", "2", "-b:a", "160k"]),
    "mpeg2.5": (11025, ["-ac", "1", "-b:a", "16k"]),
}


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a file once: `make("name.ogg", ["-c:a", ...])`, of noise or of another lavfi source."""
    folder = tmp_path_factory.mktemp("media")

    def make_once(
        name: str, options: list[str], *, source: str = "", rate: int = 44100, length: float = LENGTH
    ) -> Path:
        file = folder / name
        if not file.exists():
            audio = source or MUSIC.format(rate=rate, length=length)
            command = [program("ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", audio, *options, str(file)]
            subprocess.run(command, check=True, timeout=60)
        return file

    return make_once


@pytest.fixture(scope="session")
def mp3(make: Callable[..., Path]) -> Callable[[str], Path]:
    """An MP3 take as a server sends it, by its name in `MP3`: frames and nothing else."""

    def make_mp3(kind: str) -> Path:
        rate, options = MP3[kind]
        return make(f"{kind}.mp3", ["-c:a", "libmp3lame", *options, *RAW], rate=rate)

    return make_mp3


def cut(file: Path, skip: float = 0.0, length: float = LENGTH, *, codec: Codec = Codec.MP3, number: int = 1) -> Cut:
    """A part of a take. Its file is named by its whole path, so takes may lie anywhere."""
    begins = datetime(2026, 1, 1, 9, tzinfo=UTC)
    take = TakeFacts(number, str(file), AudioFormat(codec), begins, Seconds(LENGTH), "the planned end")
    return Cut(take, Seconds(skip), Seconds(length))
