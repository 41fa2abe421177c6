"""Encode takes of any format to one MP3."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Cut
from rolltape.domain.units import Hertz, Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.encoding import Part
from rolltape.ffmpeg.run import run_to_end
from rolltape.process.verify import decoded_duration

NICE = 10  # recordings that still run come first

# MPEG-2.5 (below 16 kHz) is left out: its bit rates end at 64 kbit/s, and not every player knows it.
_SAMPLE_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
_MPEG_1 = 32000  # Hz; from here on there are more than 160 kbit/s
_MOST_BELOW = 160  # kbit/s

log = structlog.get_logger(__name__)


class Encoder:
    """What is to be encoded: the cuts that have sound in them, and the format of the MP3 they make."""

    def __init__(self, parts: Sequence[Part], sample_rate: Hertz, channels: int, *, folder: Path, ffmpeg: str) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self._parts = parts
        self._folder = folder
        self._ffmpeg = ffmpeg

    @classmethod
    async def of(cls, cuts: Sequence[Cut], folder: Path, *, quality: str, ffmpeg: str) -> "Encoder":
        """Look into the takes. One in which nothing can be decoded is left out.

        Raises:
            ProcessingError: there is nothing in any of them.
            FfmpegMissing: FFmpeg cannot be started.
        """
        parts: list[Part] = []
        formats: list[tuple[int, int]] = []
        for cut in cuts:
            file = folder.absolute() / cut.take.file
            found = await _decoded_format(file, ffmpeg)
            if found is None:
                log.warning("a take has no sound that can be decoded", action="take_left_out", take=cut.take.file)
                continue
            parts.append(Part(file, cut.skip, cut.length))
            formats.append(found)
        if not parts:
            raise ProcessingError("there is nothing in the takes that can be decoded")

        rate, channels = max(rate for rate, _ in formats), max(channels for _, channels in formats)
        return cls(parts, mp3_sample_rate(Hertz(rate), quality), min(2, channels), folder=folder, ffmpeg=ffmpeg)

    async def encode(self, out: Path, *, quality: str) -> None:
        """Encode to `out`.

        Raises:
            ProcessingError: FFmpeg could not.
            FfmpegMissing: FFmpeg cannot be started.
        """
        arguments = encoding.encode_to_mp3(
            self._parts, out.absolute(), quality=quality, sample_rate=self.sample_rate, channels=self.channels
        )
        code, _, complaints = await run_to_end(self._ffmpeg, arguments, folder=self._folder, nice=NICE)
        if complaints:
            log.warning("encoding had to leave something out", action="encode_complaints", complaints=complaints)
        if code != 0:
            raise ProcessingError(f"encoding to MP3 failed: {last_line(complaints) or f'FFmpeg ended with {code}'}")

    async def decodable(self) -> Seconds:
        """How much of the cuts can be decoded."""
        arguments = encoding.measure(self._parts, sample_rate=self.sample_rate, channels=self.channels)
        _, output, _ = await run_to_end(self._ffmpeg, arguments, folder=self._folder, nice=NICE)
        return decoded_duration(output)


def mp3_sample_rate(rate: Hertz, quality: str) -> Hertz:
    """The sample rate of the MP3: the same where MP3 has it, else the next higher one, at most 48 kHz.

    The low ones do not have the high constant bit rates.
    """
    wants = 0 if quality.startswith("V") else int(quality.removesuffix("k"))
    lowest = _MPEG_1 if wants > _MOST_BELOW else 0
    return Hertz(next((known for known in _SAMPLE_RATES if known >= max(rate, lowest)), _SAMPLE_RATES[-1]))


def last_line(text: str) -> str:
    lines = text.splitlines()
    return lines[-1] if lines else ""


async def _decoded_format(file: Path, ffmpeg: str) -> tuple[int, int] | None:
    """Sample rate and channels of what a take decodes to, None if nothing comes out."""
    file.stat()  # a take that is not there is another matter than one that cannot be decoded
    arguments = encoding.first_samples(file)
    _, output, _ = await run_to_end(ffmpeg, arguments, folder=file.parent)
    rate, channels, samples = 0, 0, False
    for line in output.splitlines():
        name, _, value = line.partition(" 0: ")
        if name == "#sample_rate":
            rate = int(value)
        elif name == "#channel_layout_name":
            channels = 1 if value == "mono" else 2
        elif line.startswith("0,"):
            samples = True
    return (rate, channels) if samples and rate and channels else None
