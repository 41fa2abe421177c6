"""How much audio is in a file, counted in its frames. For takes whose journal was cut short."""

from dataclasses import dataclass
from pathlib import Path

from rolltape.capture.frames import HEADERS, FrameReader
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.command import OTHER_SUFFIX
from rolltape.ffmpeg.probe import read_matroska

_PIECE = 1024 * 1024  # bytes
NOTHING = Seconds(0)


@dataclass(frozen=True)
class Measured:
    """How long the audio in a file is, and at which byte its last whole frame ends (of other formats: the file)."""

    seconds: Seconds = NOTHING
    size: int = 0


def measure(path: Path, codec: Codec, *, known: Seconds = NOTHING, size: int = 0) -> Measured:
    """How much audio is in the take at `path`.

    Its first `size` bytes are known to hold `known` seconds, so they need not be read again.
    """
    if path.suffix == OTHER_SUFFIX:
        return Measured(read_matroska(path).seconds, path.stat().st_size)
    if codec not in HEADERS:
        return Measured()
    if path.stat().st_size < size:
        known, size = NOTHING, 0
    reader = FrameReader(codec)
    seconds, at = float(known), size
    with path.open("rb") as file:
        file.seek(size)
        while piece := file.read(_PIECE):
            seconds += sum(frames.seconds for frames in reader.feed(piece))
            at += len(piece)
    at -= len(reader.rest)
    last = reader.flush()
    return Measured(
        Seconds(seconds + sum(frames.seconds for frames in last)), at + sum(len(frames.data) for frames in last)
    )
