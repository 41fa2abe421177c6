"""Programs of others that say whether an MP3 is sound, and what is heard in it."""

import subprocess
from array import array
from pathlib import Path

from tests.servers.process import program


def assert_sound(file: Path) -> None:
    """FFmpeg decodes it without a word, mp3val finds no problem in it, and mpg123 neither."""
    decoded = run("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", file, "-f", "null", "-")
    assert (decoded.returncode, decoded.stderr) == (0, b"")

    validated = run("mp3val", file).stdout.decode().splitlines()
    found = [
        line
        for line in validated
        if line.startswith(("WARNING", "ERROR", "PROBLEM")) and "No supported tags" not in line
    ]
    assert found == []
    assert any("MPEG frames" in line for line in validated)

    played = run("mpg123", "-q", "-t", file)
    assert (played.returncode, played.stderr) == (0, b"")


def pcm(file: Path, *, channels: int = 1) -> "array[int]":
    """What is decoded from it, as 16-bit samples; two channels are interleaved."""
    decoded = run(
        "ffmpeg", "-nostdin", "-v", "quiet", "-i", file, "-map", "0:a:0", "-ac", str(channels), "-f", "s16le", "-"
    )
    return array("h", decoded.stdout)


def duration_by_mpg123(file: Path, folder: Path) -> float:
    """In seconds, with what is not to be played left out, as a player does it."""
    wav = folder / "played.wav"
    run("mpg123", "-q", "-w", wav, file)
    return duration_by_ffprobe(wav)


def duration_by_ffprobe(file: Path) -> float:
    return float(probe(file, "format=duration"))


def probe(file: Path, entries: str) -> str:
    return run("ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", file).stdout.decode().strip()


def loudness(samples: "array[int]") -> float:
    """Root mean square, 0 to 1."""
    return float((sum(sample * sample for sample in samples) / len(samples)) ** 0.5 / 32768) if samples else 0.0


def run(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([program(name), *map(str, arguments)], capture_output=True, check=False, timeout=60)
