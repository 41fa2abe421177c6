"""Whether a finished MP3 is sound: decode all of it.

Exit codes prove nothing: FFmpeg ends with 0 for files it could not decode half of. What counts is that it complained
of nothing and how much came out.
"""

from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.errors import ProcessingError
from rolltape.domain.units import HOUR, Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.run import run_to_end
from rolltape.process.waveform import levels, peaks, piece_length

NICE = 10  # recordings that still run come first


@dataclass(frozen=True)
class Sound:
    """What was heard. `silent_share` is how much of it is below -60 dBFS, 0 to 1; `peaks` is its waveform, or b""."""

    duration: Seconds
    silent_share: float
    peaks: bytes


async def verify(file: Path, *, ffmpeg: str, length: Seconds = HOUR) -> Sound:
    """Decode the whole of `file`. `length` is about how long it is: that says how finely its loudness is measured.

    Raises:
        ProcessingError: there is a fault in it, or nothing at all.
        FfmpegMissing: FFmpeg cannot be started.
    """
    arguments = encoding.judge_mp3(file, piece=piece_length(length))
    code, output, complaints = await run_to_end(ffmpeg, arguments, folder=file.parent, nice=NICE)
    duration = decoded_duration(output)
    if complaints or code != 0 or duration <= 0:
        reason = complaints.splitlines()[0] if complaints else f"FFmpeg ended with {code} after {duration:.1f} s"
        raise ProcessingError(f"the finished MP3 is not sound: {reason}")

    return Sound(duration, _silence(output, duration) / duration, peaks(levels(output)))


def decoded_duration(output: str) -> Seconds:
    """How much was decoded, from what `-progress` printed; 0 if nothing was."""
    found = Seconds(0)
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name == "out_time_us" and value.lstrip("-").isdigit():
            found = Seconds(int(value) / 1_000_000)
    return found


def _silence(output: str, duration: Seconds) -> Seconds:
    """How much of it is silence, from what silencedetect printed. One that lasts to the end has no end."""
    total, start = 0.0, None
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name == "lavfi.silence_start":
            start = float(value)
        elif name == "lavfi.silence_end" and start is not None:
            total += float(value) - start
            start = None
    if start is not None:
        total += max(0.0, duration - start)
    return Seconds(min(total, duration))
