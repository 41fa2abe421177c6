"""The takes of a session become one sound MP3: joined where they are MP3, else encoded, and decoded to prove it.

Where that was done ahead, while they were recorded, what was encoded is joined like takes that came as MP3.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Cut
from rolltape.domain.take import Codec
from rolltape.domain.units import BitsPerSecond, Hertz, Seconds
from rolltape.process.encode import encode
from rolltape.process.follow import encoded_cut
from rolltape.process.frames import NotJoinable
from rolltape.process.join import join
from rolltape.process.prove import prove
from rolltape.process.verify import Sound, verify

TOLERANCE = Seconds(0.5)  # between what was to be in the MP3 and what is decoded from it

_FRAME = Seconds(0.03)  # for each cut, between its length and what was encoded ahead for it: a frame, no more

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Assembled:
    """The MP3 that was made, and what is heard of it. `bit_rate` is the average."""

    sound: Sound
    sample_rate: Hertz
    channels: int
    bit_rate: BitsPerSecond

    @property
    def duration(self) -> Seconds:
        return self.sound.duration

    @property
    def silent_share(self) -> float:
        return self.sound.silent_share

    @property
    def peaks(self) -> bytes:
        return self.sound.peaks


async def assemble(cuts: Sequence[Cut], folder: Path, out: Path, *, quality: str, ffmpeg: str) -> Assembled:
    """Make one MP3 at `out` from the cuts of the takes in `folder`, decode all of it.

    MP3 takes of one format are joined without encoding; anything else is encoded at `quality` (V0 to V9, or a
    constant bit rate like 128k). What is damaged in a take is left out: the MP3 is then shorter than the cuts.

    Raises:
        ProcessingError: there is nothing to make it from, or what was made is not sound.
        FfmpegMissing: FFmpeg cannot be started.
        OSError: a take cannot be read, or `out` not be written.
    """
    if not cuts:
        raise ProcessingError("nothing was recorded, so there is nothing to process")
    assembled = None
    if all(cut.take.format.codec is Codec.MP3 for cut in cuts):
        assembled = await _joined(cuts, folder, out, ffmpeg)
    elif (encoded := await asyncio.to_thread(_encoded_ahead, cuts, folder, quality)) is not None:
        assembled = await _joined(encoded, folder, out, ffmpeg)
        if assembled is not None and abs(assembled.duration - _length(cuts)) > _FRAME * (len(cuts) + 1):
            log.info("what was encoded ahead is not all", action="ahead_unused", duration=assembled.duration)
            assembled = None
    if assembled is None:
        assembled = await _encoded(cuts, folder, out, quality, ffmpeg)

    expected = _length(cuts)
    if assembled.duration < expected - TOLERANCE:
        lost = Seconds(expected - assembled.duration)
        log.warning("part of the takes could not be used", action="takes_damaged", lost=lost, expected=expected)
    return assembled


async def _joined(cuts: Sequence[Cut], folder: Path, out: Path, ffmpeg: str) -> Assembled | None:
    """The takes joined frame by frame, None if they cannot be, or if the result cannot be decoded without a fault."""
    try:
        joined = await asyncio.to_thread(join, cuts, folder, out)
        sound = await prove(out, joined, folder, ffmpeg=ffmpeg)
        _require_length(sound, joined.duration)
    except NotJoinable as exc:
        log.info("the takes are encoded, for they cannot be joined", action="not_joinable", reason=exc.message)
        return None
    except ProcessingError as exc:
        log.warning("the takes are encoded, for joining them failed", action="join_failed", reason=exc.message)
        return None
    return Assembled(sound, joined.sample_rate, joined.channels, joined.bit_rate)


def _encoded_ahead(cuts: Sequence[Cut], folder: Path, quality: str) -> list[Cut] | None:
    """The same cuts, of the MP3s to which their takes were encoded while they grew; None if not all of them were."""
    found = []
    for cut in cuts:
        is_mp3 = cut.take.format.codec is Codec.MP3
        same = cut if is_mp3 else encoded_cut(cut, folder, quality=quality)
        if same is None:
            return None
        found.append(same)
    return found


async def _encoded(cuts: Sequence[Cut], folder: Path, out: Path, quality: str, ffmpeg: str) -> Assembled:
    encoded = await encode(cuts, folder, out, quality=quality, ffmpeg=ffmpeg)
    sound = await verify(out, ffmpeg=ffmpeg, length=encoded.duration)
    _require_length(sound, encoded.duration)
    bit_rate = BitsPerSecond(round(encoded.size * 8 / sound.duration))
    return Assembled(sound, encoded.pcm.sample_rate, encoded.pcm.channels, bit_rate)


def _require_length(sound: Sound, expected: Seconds) -> None:
    if abs(sound.duration - expected) > TOLERANCE:
        raise ProcessingError(f"the finished MP3 is {sound.duration:.1f} s long instead of {expected:.1f} s")


def _length(cuts: Sequence[Cut]) -> Seconds:
    return Seconds(sum(cut.length for cut in cuts))
