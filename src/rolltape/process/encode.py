"""Encode takes of any format to one MP3.

One FFmpeg after the other decodes a take, another one encodes them all, and what flows between is cut by us, to the
sample. FFmpeg's own filters would do it in one run, but where a take changes its format (HE-AAC may do so in its first
second, when it becomes stereo) they start anew, and cut again from there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import structlog

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Cut
from rolltape.domain.units import Bytes, Hertz, Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.run import Run, run_to_end
from rolltape.process.pour import pipe

NICE = 10  # recordings that still run come first

# MPEG-2.5 (below 16 kHz) is left out: its bit rates end at 64 kbit/s, and not every player knows it.
_SAMPLE_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
_MPEG_1 = 32000  # Hz; from here on there are more than 160 kbit/s
_MOST_BELOW = 160  # kbit/s
_SAMPLE = 4  # bytes of a sample of one channel
_CHUNK = 1024 * 1024  # bytes to move at a time; a pipe holds less

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pcm:
    """What all takes are decoded to, and the MP3 is encoded from."""

    sample_rate: Hertz
    channels: int

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * _SAMPLE

    def size(self, duration: Seconds) -> int:
        return round(duration * self.sample_rate) * self.frame

    def duration(self, size: int) -> Seconds:
        return Seconds(size / self.frame / self.sample_rate)


@dataclass(frozen=True)
class Encoded:
    """What was encoded."""

    duration: Seconds
    pcm: Pcm
    size: Bytes


async def encode(cuts: Sequence[Cut], folder: Path, out: Path, *, quality: str, ffmpeg: str) -> Encoded:
    """Encode the cuts of the takes in `folder` to `out`. What cannot be decoded is left out.

    Raises:
        ProcessingError: nothing can be decoded, or FFmpeg could not encode it.
        FfmpegMissing: FFmpeg cannot be started.
        OSError: a take cannot be read.
    """
    folder, out = folder.absolute(), out.absolute()
    pcm = await common_format([folder / cut.take.file for cut in cuts], quality=quality, ffmpeg=ffmpeg)
    arguments = encoding.encode_to_mp3(out, quality=quality, sample_rate=pcm.sample_rate, channels=pcm.channels)
    fed = 0
    async with _encoder(ffmpeg, arguments, out.parent) as sink:
        for cut in cuts:
            fed += await _feed(cut, pcm, folder, sink, ffmpeg)
    if not fed:
        raise ProcessingError(f"nothing in {_names(cuts)} can be decoded")

    return Encoded(pcm.duration(fed), pcm, Bytes(out.stat().st_size))


def mp3_sample_rate(rate: Hertz, quality: str) -> Hertz:
    """The sample rate of the MP3: the same where MP3 has it, else the next higher one, at most 48 kHz.

    The low ones do not have the high constant bit rates.
    """
    wanted = 0 if quality.startswith("V") else int(quality.removesuffix("k"))
    lowest = _MPEG_1 if wanted > _MOST_BELOW else 0
    return Hertz(next((known for known in _SAMPLE_RATES if known >= max(rate, lowest)), _SAMPLE_RATES[-1]))


async def common_format(takes: Sequence[Path], *, quality: str, ffmpeg: str) -> Pcm:
    """That of the best take, so that nothing of it is lost for another one.

    Raises:
        ProcessingError: there is no sound in them.
        FfmpegMissing: FFmpeg cannot be started.
        OSError: a take cannot be read.
    """
    rate, channels = 0, 1
    for take in takes:
        take.stat()  # one that is not there is another matter than one that cannot be decoded
        _, output, _ = await run_to_end(ffmpeg, encoding.format_of(take), folder=take.parent, nice=NICE)
        for line in output.splitlines():
            name, _, value = line.partition(" 0: ")
            if name == "#sample_rate":
                rate = max(rate, int(value))
            elif name == "#channel_layout_name" and value != "mono":
                channels = 2
    if not rate:
        raise ProcessingError(f"there is no sound in {', '.join(take.name for take in takes)}")

    return Pcm(mp3_sample_rate(Hertz(rate), quality), channels)


@asynccontextmanager
async def _encoder(ffmpeg: str, arguments: Sequence[str], folder: Path) -> AsyncIterator[FileIO]:
    """Where to write what is to be encoded. At the end of the block that is all, and the encoder finishes."""
    reading, writing = pipe()
    with writing:
        with reading:
            run = await Run.start(ffmpeg, arguments, folder=folder, nice=NICE, stdin=reading.fileno())
        try:
            with suppress(BrokenPipeError):  # it ended too early; its last words say why
                yield writing
            writing.close()
            code = await run.wait()
        except BaseException:
            await run.stop()
            raise
    if code != 0:
        reason = run.last_words.splitlines()[-1] if run.last_words else f"FFmpeg ended with {code}"
        raise ProcessingError(f"encoding to MP3 failed: {reason}")


async def _feed(cut: Cut, pcm: Pcm, folder: Path, sink: FileIO, ffmpeg: str) -> int:
    """Decode a take, and write what belongs into the recording to `sink`. Returns how many bytes of it there were."""
    take = folder / cut.take.file
    arguments = encoding.decode(take, sample_rate=pcm.sample_rate, channels=pcm.channels)
    reading, writing = pipe()
    with reading:
        with writing:
            run = await Run.start(ffmpeg, arguments, folder=take.parent, nice=NICE, stdout=writing.fileno())
        moving = asyncio.ensure_future(asyncio.to_thread(_move, reading, sink, pcm, cut))
        try:
            moved = await asyncio.shield(moving)
        except BaseException:
            await run.stop()
            await asyncio.wait([moving])  # nothing comes any more, so this is soon
            raise
    await run.stop()  # what it still has lies behind the cut
    if moved < pcm.size(cut.length):
        lost = Seconds(cut.length - pcm.duration(moved))
        log.warning(
            "a take is damaged, or shorter than its journal says",
            action="take_short", take=cut.take.file, lost=lost, complaints=run.last_words,
        )  # fmt: skip
    return moved


def _move(source: FileIO, sink: FileIO, pcm: Pcm, cut: Cut) -> int:
    """Move what belongs into the recording from one pipe to the other, inside the kernel."""
    with Path(os.devnull).open("wb") as nowhere:
        _splice(source.fileno(), nowhere.fileno(), pcm.size(cut.skip))
    moved = _splice(source.fileno(), sink.fileno(), pcm.size(cut.length))
    missing = -moved % pcm.frame  # after a decoder that was killed in the middle of a sample
    return moved + (sink.write(bytes(missing)) or 0)


def _splice(source: int, sink: int, size: int) -> int:
    moved = 0
    while moved < size and (count := os.splice(source, sink, min(_CHUNK, size - moved))):
        moved += count
    return moved


def _names(cuts: Sequence[Cut]) -> str:
    return ", ".join(cut.take.file for cut in cuts)
