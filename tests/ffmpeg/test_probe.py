"""What is in a Matroska file, whole or torn."""

import math
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.probe import Contents, read_matroska


@pytest.fixture(scope="session")
def matroska(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> dict[str, Path]:
    """Ten seconds of a tone, by codec."""
    folder = tmp_path_factory.mktemp("matroska")
    files = {}
    for name, codec in {
        "aac": "aac",
        "opus": "libopus",
        "flac": "flac",
        "mp3": "libmp3lame",
        "pcm": "pcm_s16le",
    }.items():
        files[name] = folder / f"{name}.mka"
        tone = "sine=frequency=440:sample_rate=48000:duration=10"
        command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", tone, "-c:a", codec, "-cluster_time_limit", "500"]
        subprocess.run([*command, files[name]], check=True)
    return files


@pytest.mark.parametrize("name", ["aac", "opus", "flac", "mp3", "pcm"])
def test_format_and_length_are_read(matroska: dict[str, Path], name: str) -> None:
    contents = read_matroska(matroska[name])

    assert contents.format is not None
    assert (contents.format.codec, contents.format.sample_rate, contents.format.channels) == (Codec(name), 48000, 1)
    assert contents.seconds == pytest.approx(10, abs=0.1)


def test_of_a_torn_file_the_whole_blocks_count(matroska: dict[str, Path], tmp_path: Path) -> None:
    data = matroska["aac"].read_bytes()
    (tmp_path / "torn.mka").write_bytes(data[: len(data) // 2])

    contents = read_matroska(tmp_path / "torn.mka")

    assert contents.format is not None
    assert contents.seconds == pytest.approx(5, abs=0.6)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -48000.0, 0.0, 1e300])
def test_a_rate_that_no_audio_has_is_not_known(rate: float, matroska: dict[str, Path], tmp_path: Path) -> None:
    said = b"\xb5\x88" + struct.pack(">d", 48000)
    data = matroska["flac"].read_bytes()
    assert data.count(said) == 1
    (tmp_path / "damaged.mka").write_bytes(data.replace(said, b"\xb5\x88" + struct.pack(">d", rate)))

    contents = read_matroska(tmp_path / "damaged.mka")

    assert contents.format is not None
    assert (contents.format.codec, contents.format.sample_rate) == (Codec.FLAC, None)
    assert contents.seconds == pytest.approx(10, abs=0.1)


def test_what_is_no_matroska_has_no_audio(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    contents = read_matroska(tmp_path / "text")

    assert contents == Contents(None, Seconds(0))


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 3000), junk=st.binary(min_size=1, max_size=40))
def test_any_damage_can_be_read(
    matroska: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, position: int, junk: bytes
) -> None:
    data = matroska["aac"].read_bytes()
    damaged = tmp_path_factory.mktemp("damaged") / "file.mka"
    damaged.write_bytes(data[:position] + junk + data[position + len(junk) :])

    assert read_matroska(damaged).seconds >= 0
