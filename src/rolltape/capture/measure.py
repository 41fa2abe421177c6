"""How much audio is in a file, counted in its frames. For takes whose journal was cut short."""

from pathlib import Path

from rolltape.capture.frames import HEADERS, FrameReader
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.command import OTHER_SUFFIX
from rolltape.ffmpeg.probe import read_matroska

_PIECE = 1024 * 1024  # bytes


def measure(path: Path, codec: Codec) -> Seconds:
    """The seconds of audio in the take at `path`; 0 where there is none."""
    if path.suffix == OTHER_SUFFIX:
        return read_matroska(path).seconds
    return _frames(path, codec) if codec in HEADERS else Seconds(0)


def _frames(path: Path, codec: Codec) -> Seconds:
    reader = FrameReader(codec)
    seconds = 0.0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            seconds += sum(frames.seconds for frames in reader.feed(piece))
    return Seconds(seconds + sum(frames.seconds for frames in reader.flush()))
