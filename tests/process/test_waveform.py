"""What the eye sees of a recording is what the ear hears."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rolltape.domain.units import DAY, Seconds
from rolltape.domain.waveform import POINTS
from rolltape.process.assemble import assemble
from rolltape.process.waveform import levels, peaks, piece_length
from tests.process.conftest import cut

Maker = Callable[..., Path]


async def test_loud_and_silent_parts_lie_where_they_are_heard(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    source = "sine=f=440:d=10:r=44100,volume='if(between(t,2,5),0,if(gt(t,8),2,8))':eval=frame"  # a sine is 1/8 loud
    take = make("steps.mp3", ["-c:a", "libmp3lame", "-b:a", "128k"], source=source)

    assembled = await assemble([cut(take, 0, 10)], tmp_path, tmp_path / "out.mp3", quality="V2", ffmpeg=ffmpeg)

    assert len(assembled.peaks) == POINTS
    loud, silent, quiet = assembled.peaks[20:180], assembled.peaks[230:480], assembled.peaks[820:980]
    assert min(loud) > 240
    assert max(silent) < 5
    assert 50 < min(quiet) <= max(quiet) < 75


async def test_silence_is_told_once_though_two_filters_speak(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    source = "sine=f=440:d=10:r=44100,volume='if(between(t,2,3),0,1)':eval=frame"
    take = make("one-pause.mp3", ["-c:a", "libmp3lame", "-b:a", "128k"], source=source)

    assembled = await assemble([cut(take, 0, 10)], tmp_path, tmp_path / "out.mp3", quality="V2", ffmpeg=ffmpeg)

    assert assembled.silent_share == pytest.approx(0.1, abs=0.02)


async def test_a_blink_of_audio_has_a_waveform_too(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    take = make("blink.mp3", ["-c:a", "libmp3lame", "-b:a", "128k"], source="sine=f=440:d=0.3:r=44100,volume=8")

    assembled = await assemble([cut(take, 0, 0.3)], tmp_path, tmp_path / "out.mp3", quality="V2", ffmpeg=ffmpeg)

    assert len(assembled.peaks) == POINTS
    assert max(assembled.peaks) > 240


@pytest.mark.parametrize("count", [1, 2, 3, 999, 1000, 1001, 4000, 9999])
def test_there_are_as_many_points_whatever_there_was(count: int) -> None:
    pieces = [number / count for number in range(count)]

    found = peaks(pieces)

    assert len(found) == POINTS
    assert list(found) == sorted(found)
    assert found[-1] == round(255 * (count - 1) / count)


def test_the_loudest_of_many_pieces_is_the_point() -> None:
    pieces = [0.0] * (3 * POINTS)
    pieces[3 * 500 + 1] = 1.0

    found = peaks(pieces)

    assert (found[499], found[500], found[501]) == (0, 255, 0)


def test_where_nothing_was_measured_there_is_no_waveform() -> None:
    assert peaks(levels("")) == b""


@pytest.mark.parametrize(
    ("text", "level"),
    [("0.000000", 1), ("-20.0", 0.1), ("-inf", 0), ("nan", 0), ("inf", 1), ("3.5", 1), ("loud", 0), ("", 0)],
)  # fmt: skip
def test_a_level_reads_as_a_share_of_the_loudest(text: str, level: float) -> None:
    printed = f"frame:0 pts:0\nlavfi.astats.Overall.Peak_level={text}\nlavfi.silence_start=1\n"

    assert levels(printed) == [pytest.approx(level)]


@pytest.mark.parametrize("duration", [0, 0.3, 60, 7200, 7 * DAY])
def test_a_week_is_told_in_as_few_lines_as_a_minute(duration: float) -> None:
    pieces = duration * 48000 / piece_length(Seconds(duration))

    assert pieces <= 4 * POINTS + 1
