"""What is in a Matroska file that FFmpeg writes, or was writing when it was killed.

Read by ourselves: there is no ffprobe in the package's FFmpeg, and an unfinished file does not say how long it is.
Source: RFC 9559 (Matroska), RFC 8794 (EBML).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz, Seconds

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_TIMESTAMP_SCALE, _TRACK_ENTRY, _CODEC_ID, _AUDIO = 0x2AD7B1, 0xAE, 0x86, 0xE1
_SAMPLE_RATE, _OUTPUT_RATE, _CHANNELS = 0xB5, 0x78B5, 0x9F
_CLUSTER_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
_LONGEST_HEADERS = 4 * 1024 * 1024  # bytes of one element before the audio
_NANOSECONDS = 1_000_000_000
_HIGHEST_RATE = 1_000_000  # Hz; what says more is damaged
_MOST_CHANNELS = 255

_CODECS = {
    "A_MPEG/L3": Codec.MP3,
    "A_AAC": Codec.AAC,
    "A_VORBIS": Codec.VORBIS,
    "A_OPUS": Codec.OPUS,
    "A_FLAC": Codec.FLAC,
    "A_PCM/INT/LIT": Codec.PCM,
    "A_PCM/INT/BIG": Codec.PCM,
    "A_PCM/FLOAT/IEEE": Codec.PCM,
}


@dataclass(frozen=True)
class Contents:
    """The format of the audio, None before it is known, and how many seconds of it are whole in the file."""

    format: AudioFormat | None
    seconds: Seconds


@dataclass
class _Blocks:
    """The moments of the first and the last blocks, in nanoseconds."""

    first: int | None = None
    head: bytes = b""  # of the first one
    last: int = 0
    step: int = 0  # between the last two

    def add(self, moment: int, data: bytes) -> None:
        if self.first is None:
            self.first, self.head = moment, data[:2]
        elif moment > self.last:
            self.step = moment - self.last
        self.last = max(self.last, moment)

    @property
    def seconds(self) -> Seconds:
        return Seconds(0.0 if self.first is None else (self.last - self.first + self.step) / _NANOSECONDS)


def read_matroska(path: Path) -> Contents:
    """What is in the file at `path`. A torn end is left out; what is no Matroska has no format and no audio."""
    format: AudioFormat | None = None
    scale = 1_000_000
    clusters: list[tuple[int, int]] = []
    with path.open("rb") as file:
        for kind, _, start, end in _elements(file, 0, path.stat().st_size):
            if kind == _CLUSTER:
                # Only the first and the last ones tell something; a show has thousands.
                clusters = [*clusters[:1], *clusters[1:][-2:], (start, end)]
            elif end - start > _LONGEST_HEADERS:
                continue
            elif kind == _INFO:
                values = dict(_children(file, start, end))
                scale = _number(values[_TIMESTAMP_SCALE]) if _TIMESTAMP_SCALE in values else scale
            elif kind == _TRACKS:
                format = _track_format(file, start, end)
        blocks = _Blocks()
        for start, end in clusters:
            _read_cluster(file, start, end, scale, blocks)
    if format is not None and format.codec is Codec.OTHER and _is_layer_3(blocks.head):
        format = replace(format, codec=Codec.MP3)
    return Contents(format, blocks.seconds)


def last_clusters(path: Path, count: int) -> tuple[int, int]:
    """Where in a Matroska file the first cluster begins, and where the last but `count` ones. No cluster: its size.

    What is before the first one is the header, without which nothing of the rest can be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        starts = [at for kind, at, _, _ in _elements(file, 0, size) if kind == _CLUSTER]
    return (starts[0], starts[-count:][0]) if starts else (size, size)


def _is_layer_3(head: bytes) -> bool:
    """Whether a frame is MP3, whatever the track says: RTP announces MPEG audio without its layer."""
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2


def _elements(file: BinaryIO, position: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """The elements from `position` on: name, where it is, where its contents begin and end (cut at the file's end).

    The contents of a segment are given as if they were beside it.
    """
    while position < size:
        file.seek(position)
        head = file.read(12)
        name, name_length = _vint(head, 0, keep_marker=True)
        length, length_length = _vint(head, name_length)
        if name is None or length is None:
            return
        start = position + name_length + length_length
        unknown = length == (1 << 7 * length_length) - 1
        end = size if unknown else min(start + length, size)
        yield name, position, start, end
        position = start if name == _SEGMENT or (unknown and name == _CLUSTER) else end


def _children(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The elements inside of one, with their whole contents. A torn one is left out."""
    file.seek(start)
    data = file.read(end - start)
    yield from _parse(data)


def _parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        name, name_length = _vint(data, position, keep_marker=True)
        length, length_length = _vint(data, position + name_length)
        if name is None or length is None:
            return
        start = position + name_length + length_length
        if start + length > len(data):
            return
        yield name, data[start : start + length]
        position = start + length


def _read_cluster(file: BinaryIO, start: int, end: int, scale: int, blocks: _Blocks) -> None:
    cluster = 0
    for name, data in _children(file, start, end):
        if name == _CLUSTER_TIMESTAMP:
            cluster = _number(data)
        elif name == _SIMPLE_BLOCK:
            _read_block(data, cluster, scale, blocks)
        elif name == _BLOCK_GROUP:
            for inner, block in _parse(data):
                if inner == _BLOCK:
                    _read_block(block, cluster, scale, blocks)


def _read_block(data: bytes, cluster: int, scale: int, blocks: _Blocks) -> None:
    _, length = _vint(data, 0)
    if len(data) >= length + 2:
        (offset,) = struct.unpack_from(">h", data, length)
        blocks.add((cluster + offset) * scale, data[length + 3 :])


def _track_format(file: BinaryIO, start: int, end: int) -> AudioFormat | None:
    for name, entry in _children(file, start, end):
        if name == _TRACK_ENTRY:
            fields = dict(_parse(entry))
            audio = dict(_parse(fields.get(_AUDIO, b"")))
            codec_id = fields.get(_CODEC_ID, b"").rstrip(b"\0").decode("ascii", "replace")
            rate = _float(audio.get(_OUTPUT_RATE) or audio.get(_SAMPLE_RATE, b""))
            channels = _number(audio.get(_CHANNELS, b"\1"))
            return AudioFormat(
                _CODECS.get(codec_id, Codec.OTHER),
                Hertz(round(rate)) if 1 <= rate <= _HIGHEST_RATE else None,  # NaN is neither
                channels if 1 <= channels <= _MOST_CHANNELS else None,
            )
    return None


def _vint(data: bytes, position: int, *, keep_marker: bool = False) -> tuple[int | None, int]:
    """A number of variable length, and its length; None where there is none. Source: RFC 8794, 4."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8 or position + length > len(data):
        return None, 0
    value = int.from_bytes(data[position : position + length], "big")
    return (value if keep_marker else value & (1 << 7 * length) - 1), length


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _float(data: bytes) -> float:
    if len(data) == 4:
        return float(struct.unpack(">f", data)[0])
    return float(struct.unpack(">d", data)[0]) if len(data) == 8 else 0.0
