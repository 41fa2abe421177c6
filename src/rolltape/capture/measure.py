"""How much audio is in a file, counted in its frames. For takes whose journal was cut short."""

from pathlib import Path

from rolltape.capture.frames import HEADERS, FrameReader
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.command import OTHER_SUFFIX
from rolltape.ffmpeg.probe import read_matroska

_PIECE = 1024 * 1024  # bytes
NOTHING = Seconds(0)


def measure(path: Path, codec: Codec, *, known: Seconds = NOTHING, size: int = 0) -> Seconds:
    """The seconds of audio in the take at `path`; 0 where there is none.

    Its first `size` bytes are known to hold `known` seconds, so they need not be read again.
    """
    if path.suffix == OTHER_SUFFIX:
        return read_matroska(path).seconds
    if codec not in HEADERS:
        return NOTHING
    if path.stat().st_size < size:
        known, size = NOTHING, 0
    reader = FrameReader(codec)
    seconds = float(known)
    with path.open("rb") as file:
        file.seek(size)
        while piece := file.read(_PIECE):
            seconds += sum(frames.seconds for frames in reader.feed(piece))
    return Seconds(seconds + sum(frames.seconds for frames in reader.flush()))
