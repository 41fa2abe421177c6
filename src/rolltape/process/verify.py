"""Whether an MP3 is sound: decode all of it.

Exit codes prove nothing: FFmpeg ends with 0 for files it could not decode half of. What counts is that it complained
of nothing and how much came out.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Silence, silence_map
from rolltape.domain.units import HOUR, Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.run import Run, run_to_end
from rolltape.process.hearing import Hearing, hearing
from rolltape.process.loudness import integrated
from rolltape.process.pour import pipe, pour
from rolltape.process.waveform import peaks, piece_length

NICE = 10  # recordings that still run come first


@dataclass(frozen=True)
class Sound:
    """What was heard. `silent_share` is how much of it is below -60 dBFS, 0 to 1; `peaks` is its waveform, or b"".

    `silences` are the stretches of silence that a listener would notice. `loudness` is that of the whole in LUFS, None
    where there is no sound; `peak` the loudest sample, 0 to 1.
    """

    duration: Seconds
    silent_share: float
    peaks: bytes
    silences: tuple[Silence, ...]
    loudness: float | None
    peak: float


def sound(heard: Hearing) -> Sound:
    """What counts of all that was heard."""
    silences = tuple(Silence(begin, Seconds(end - begin)) for begin, end in heard.silences)
    return Sound(
        heard.duration,
        heard.silent_share,
        peaks(heard.levels),
        silence_map(silences),
        integrated(heard.blocks),
        max(heard.levels, default=0.0),
    )


async def verify(file: Path, *, ffmpeg: str, length: Seconds = HOUR) -> Sound:
    """Decode the whole of `file`. `length` is about how long it is: that says how finely its loudness is measured.

    Raises:
        ProcessingError: there is a fault in it, or nothing at all.
        FfmpegMissing: FFmpeg cannot be started.
    """
    arguments = encoding.judge_mp3(file, piece=piece_length(length))
    return sound(_judged(*await run_to_end(ffmpeg, arguments, folder=file.parent, nice=NICE)))


async def hear(
    blocks: Iterable[bytes], *, lead: int, piece: int, folder: Path, ffmpeg: str, nice: int = NICE
) -> Hearing:
    """Decode a part of an MP3. What is told is of what follows its first `lead` samples.

    `blocks` are asked for by another thread. `piece` is how many samples' loudness is measured together.

    Raises: what verify() raises.
    """
    arguments = encoding.judge_mp3(None, piece=piece, lead=lead)
    reading, writing = pipe()
    with writing:
        with reading:
            run = await Run.start(ffmpeg, arguments, folder=folder, nice=nice, stdin=reading.fileno())
        pouring = asyncio.ensure_future(asyncio.to_thread(pour, blocks, writing))
        try:
            output = await run.stdout.read()
            code = await run.wait()
            await asyncio.shield(pouring)
        except BaseException:
            await run.stop()
            await asyncio.wait([pouring])  # nobody reads any more, so this is soon
            raise
    return _judged(code, output.decode("utf-8", "replace"), run.last_words)


def _judged(code: int, output: str, complaints: str) -> Hearing:
    heard = hearing(output)
    if complaints or code != 0 or heard.duration <= 0:
        reason = complaints.splitlines()[0] if complaints else f"FFmpeg ended with {code} after {heard.duration:.1f} s"
        raise ProcessingError(f"the finished MP3 is not sound: {reason}")

    return heard
