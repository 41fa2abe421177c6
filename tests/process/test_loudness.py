"""How loud a recording is, is what EBU R128 says."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rolltape.domain.units import Seconds
from rolltape.ffmpeg import encoding
from rolltape.process.hearing import Hearing, hearing, together
from rolltape.process.loudness import blocks, integrated
from rolltape.process.verify import verify
from tests.servers.process import program

Maker = Callable[..., Path]

STEREO = ["-ac", "2", "-c:a", "libmp3lame", "-b:a", "192k"]
LOUD_AND_SOFT = "anoisesrc=d=12:c=pink:a=0.4:r=44100:seed=3,volume='if(gt(t,8),0.05,1)':eval=frame"


def measured_by_ffmpeg(file: Path) -> float:
    """The integrated loudness as FFmpeg's own meter sums it up."""
    command = [program("ffmpeg"), "-nostdin", "-hide_banner", "-i", str(file), "-af", "ebur128", "-f", "null", "-"]
    told = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stderr
    return float(told.rpartition("I:")[2].split()[0])


def heard(file: Path, ffmpeg: str) -> Hearing:
    told = subprocess.run([ffmpeg, *encoding.judge_mp3(file, piece=4410)], check=True, timeout=60, capture_output=True)
    return hearing(told.stdout.decode())


async def test_a_sine_of_known_power_has_the_loudness_that_the_standard_gives_it(make: Maker, ffmpeg: str):
    # EBU Tech 3341, test 1: 1 kHz at -23 dBFS on both channels is -23 LUFS.
    tone = "0.0708*sin(2000*PI*t)"
    source = f"aevalsrc={tone}|{tone}:s=48000:d=6"
    file = make(
        "minus-23.mp3", ["-c:a", "libmp3lame", "-q:a", "0"], source=source
    )  # a bit rate makes LAME turn it down

    sound = await verify(file, ffmpeg=ffmpeg)

    assert sound.loudness == pytest.approx(-23, abs=0.1)
    assert sound.peak == pytest.approx(10 ** (-23 / 20), rel=0.05)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("loud-and-soft.mp3", LOUD_AND_SOFT),  # the soft end is below the relative gate
        ("swelling.mp3", "anoisesrc=d=10:c=white:a=0.2:r=22050:seed=5,tremolo=f=0.3:d=0.95"),
        ("paused.mp3", "sine=f=300:r=32000:d=10,volume='if(between(t,3,6),0,1)':eval=frame"),
    ],
)
async def test_it_is_what_ffmpegs_own_meter_says(make: Maker, ffmpeg: str, name: str, source: str):
    file = make(name, STEREO, source=source)

    sound = await verify(file, ffmpeg=ffmpeg)

    assert sound.loudness == pytest.approx(measured_by_ffmpeg(file), abs=0.1)


async def test_silence_has_no_loudness(make: Maker, ffmpeg: str):
    file = make("nothing.mp3", STEREO, source="anullsrc=r=44100:d=3")

    sound = await verify(file, ffmpeg=ffmpeg)

    assert (sound.loudness, sound.peak, sound.silent_share) == (None, 0, 1)


def test_the_pieces_of_a_recording_add_up_to_its_loudness(make: Maker, ffmpeg: str):
    whole = make("loud-and-soft.mp3", STEREO, source=LOUD_AND_SOFT)
    parts = [LOUD_AND_SOFT + f",atrim={begin}:{begin + 4},asetpts=PTS-STARTPTS" for begin in (0, 4, 8)]
    pieces = [make(f"piece-{number}.mp3", STEREO, source=part) for number, part in enumerate(parts)]

    found = integrated(together([heard(piece, ffmpeg) for piece in pieces]).blocks)

    assert found == pytest.approx(integrated(heard(whole, ffmpeg).blocks), abs=0.1)


def test_what_is_far_below_the_mean_does_not_count():
    assert integrated({-2000: 10, -4000: 10}) == pytest.approx(-20)
    assert integrated({-2000: 10, -2500: 10}) == pytest.approx(-21.82, abs=0.01)


@pytest.mark.parametrize("text", ["-120.691", "-70.01", "nan", "-inf", "inf", "loud", ""])
def test_what_is_silent_or_no_number_is_no_block(text: str):
    assert not blocks(f"lavfi.r128.M={text}\n")


def test_blocks_are_counted_by_their_loudness():
    assert blocks("lavfi.r128.M=-23.004\nlavfi.r128.S=-9.0\nlavfi.r128.M=-22.996\nlavfi.r128.M=-70.000\n") == {
        -2300: 2,
        -7000: 1,
    }


def test_counts_of_pieces_add_up():
    pieces = [Hearing(Seconds(1), blocks={-2300: 2, -2400: 1}), Hearing(Seconds(1), blocks={-2300: 1})]

    assert together(pieces).blocks == {-2300: 3, -2400: 1}
