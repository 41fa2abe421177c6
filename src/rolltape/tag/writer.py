"""Put an ID3v2 tag in front of an MP3, in a copy.

Never in place: Mutagen moves the audio to make room, and a kill in the middle of that destroys it (measured: during 7
of its 10 writes). So it makes the tag in memory, and the audio follows it unchanged.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from rolltape.domain.units import Bytes, Seconds

BLOCK = 1024 * 1024  # bytes copied at a time


@dataclass(frozen=True)
class Measured:
    """The account of a recording. Lengths are in seconds; None for what is not known.

    `missing` is the length of all gaps, `silent_share` the share of the audio below -60 dBFS, `loudness` that after
    EBU R128 in LUFS, `peak` the loudest sample, 0 to 1.
    """

    gaps: int
    missing: Seconds
    late: Seconds
    short: Seconds
    takes: int
    longest_stall: Seconds | None = None
    silent_share: float | None = None
    loudness: float | None = None
    peak: float | None = None


@dataclass(frozen=True)
class Tags:
    """What is written into a recording. `recorded` is its planned start, in the schedule's zone.

    `coverage` is recorded ÷ planned, 0 to 1. `track` is left out where it is 0 or less; so is what is empty.
    """

    title: str
    artist: str
    album: str
    album_artist: str
    genre: str
    station: str
    source_url: str
    comment: str
    track: int
    recorded: datetime
    coverage: float
    verdict: str
    measured: Measured | None = None


@dataclass(frozen=True)
class Written:
    """The file that was written, as a whole: tag, padding and audio."""

    size: Bytes
    sha256: str


def write(audio: Path, part: Path, tags: Tags, cover: bytes | None, *, version: int = 3) -> Written:
    """Copy `audio` to `part` with its tag in front, and sync it. `part` is replaced if left from before.

    `cover` is a JPEG; `version` is that of ID3v2, 3 or 4.

    Raises:
        OSError: it cannot be read or written. There is no `part` then.
    """
    from rolltape.tag.frames import tag_bytes  # not before it is needed, see `load`

    tag = tag_bytes(tags, cover, version=version)
    part.unlink(missing_ok=True)
    with audio.open("rb") as source, part.open("xb") as target:
        try:
            written = _copy(tag, source, target)
            target.flush()
            os.fsync(target.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return written


def _copy(tag: bytes, source: BinaryIO, target: BinaryIO) -> Written:
    digest = hashlib.sha256()
    size = 0
    block = tag
    while block:
        digest.update(block)
        target.write(block)
        size += len(block)
        block = source.read(BLOCK)
    return Written(Bytes(size), digest.hexdigest())
