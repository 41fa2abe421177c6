"""How much audio is in a file, counted in its frames. For takes whose journal was cut short."""

from pathlib import Path

from rolltape.capture.frames import HEADERS, FrameReader
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds

_PIECE = 1024 * 1024  # bytes


def measure(path: Path, codec: Codec) -> Seconds:
    """The seconds of audio in the take at `path`; 0 where there is none."""
    return _frames(path, codec) if codec in HEADERS and path.suffix == f".{codec.value}" else Seconds(0)


def _frames(path: Path, codec: Codec) -> Seconds:
    reader = FrameReader(codec)
    seconds = 0.0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            seconds += sum(frames.seconds for frames in reader.feed(piece))
    return Seconds(seconds + sum(frames.seconds for frames in reader.flush()))
