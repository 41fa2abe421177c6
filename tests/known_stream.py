"""A stream whose every frame is known, so that what is in a file can be held against what was on the air.

Noise is encoded once; no two of its frames are alike. The stream repeats them without end: frame `n` is frame
`n % len(frames)` of the period. `count()` looks up each frame of a file and says what is missing, what is there twice
and what is no frame at all.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import accumulate
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

from rolltape.domain.mpeg import header_at
from tests.servers.process import program

PERIOD = 180.0  # s; a recording may go on up to 120 s later or 60 s earlier, and it is clear where
KEY = 40  # bytes at the start of a frame by which it is found: header, side information and some sound
MP3_128 = ("-c:a", "libmp3lame", "-compression_level", "9", "-b:a", "128k", "-write_xing", "0", "-f", "mp3")  # CBR
AAC_128 = ("-c:a", "aac", "-b:a", "128k", "-f", "adts")
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ID3V1 = 128  # bytes


class Stretch(NamedTuple):
    """Frames in a row: `first` is a number in the endless stream."""

    first: int
    frames: int


@dataclass(frozen=True)
class Count:
    """What a file holds of a stream. Numbers are those of the endless stream; `frame` is the length of one in seconds.

    `lost` are the stretches that are missing and `doubled` those that were there already. `broken` is how many times
    there was something between the frames that is none of them (half a frame, mostly). `silenced` is how many frames
    are there without their sound; one that was only given another place for its sound counts as whole.
    """

    frame: float
    found: int
    first: int
    last: int
    lost: tuple[Stretch, ...]
    doubled: tuple[Stretch, ...]
    broken: int
    silenced: int

    @property
    def lost_frames(self) -> int:
        return sum(stretch.frames for stretch in self.lost)

    @property
    def doubled_frames(self) -> int:
        return sum(stretch.frames for stretch in self.doubled)

    @property
    def lost_seconds(self) -> float:
        return self.lost_frames * self.frame

    @property
    def doubled_seconds(self) -> float:
        return self.doubled_frames * self.frame

    @property
    def is_perfect(self) -> bool:
        return bool(self.found) and not (self.lost or self.doubled or self.broken or self.silenced)


@dataclass(frozen=True)
class KnownStream:
    """`frames` are those of one period; each lasts `frame` seconds."""

    frames: tuple[bytes, ...]
    frame: float
    content_type: str

    def __post_init__(self) -> None:
        assert all(len(frame) >= KEY for frame in self.frames), "a frame is too short to be told from others"

    @property
    def period(self) -> int:
        return len(self.frames)

    @property
    def bytes_per_second(self) -> float:
        return self._edges[-1] / (self.period * self.frame)

    def audio(self, first: int, end: int) -> bytes:
        """Frames `first` up to but without `end` of the endless stream."""
        return self.cut(self.position(first), self.position(end))

    def position(self, number: int) -> int:
        """Where a frame begins, in bytes of the endless stream."""
        rounds, place = divmod(number, self.period)
        return rounds * self._edges[-1] + self._edges[place]

    def cut(self, start: int, end: int) -> bytes:
        """Bytes `start` up to but without `end` of the endless stream, wherever the frames lie."""
        found = bytearray()
        size = len(self._whole)
        while start < end:
            place = start % size
            piece = self._whole[place : place + end - start]
            found += piece
            start += len(piece)
        return bytes(found)

    def count(self, *files: Path | bytes, expected: range | None = None, unsent: Iterable[Stretch] = ()) -> Count:
        """What is in a file, or in several one after the other.

        `expected` are the numbers that should be there; what lies beside them is left alone. Without it, those from
        the first to the last one found should be there. Nobody can miss what was `unsent`.
        """
        found: list[int] = []
        broken = silenced = 0
        near = expected.start if expected is not None else 0
        for file in files:
            data = file if isinstance(file, bytes) else file.read_bytes()
            for part in _Reader(self, data, near):
                if part.number is None:
                    broken += expected is None or near in expected
                    continue
                near = part.number + 1
                found.append(part.number)
                silenced += not part.has_sound and (expected is None or part.number in expected)
        if not found:
            return Count(self.frame, 0, 0, 0, _stretches(expected or ()), (), broken, silenced)
        away = {number for stretch in unsent for number in range(stretch.first, stretch.first + stretch.frames)}
        wanted = expected if expected is not None else range(min(found), max(found) + 1)
        times = Counter(found)
        return Count(
            frame=self.frame,
            found=len(found),
            first=min(found),
            last=max(found),
            lost=_stretches(number for number in wanted if number not in times and number not in away),
            doubled=_stretches(number for number in wanted for _ in range(times[number] - 1)),
            broken=broken,
            silenced=silenced,
        )

    @cached_property
    def _whole(self) -> bytes:
        return b"".join(self.frames)

    @cached_property
    def _edges(self) -> list[int]:
        return list(accumulate(map(len, self.frames), initial=0))

    @cached_property
    def by_start(self) -> dict[bytes, list[int]]:
        """Places of frames in the period, by their first bytes. Silence has many."""
        found: dict[bytes, list[int]] = {}
        for place, frame in enumerate(self.frames):
            found.setdefault(frame[:KEY], []).append(place)
        return found

    @cached_property
    def by_sound(self) -> dict[bytes, int]:
        """Places of MP3 frames in the period, by the first bytes of their main data."""
        heads = ((place, frame, header_at(frame)) for place, frame in enumerate(self.frames))
        return {
            frame[head.main_data_at :][:KEY]: place
            for place, frame, head in heads
            if head is not None and head.side_info
        }


@cache
def known_mp3(
    seconds: float = PERIOD,
    *,
    seed: int = 1,
    options: Sequence[str] = MP3_128,
    sample_rate: int = 44100,
    channels: int = 2,
    silence: tuple[float, float] | None = None,
) -> KnownStream:
    """MP3 of noise. `silence` says from when to when it is digital silence, whose frames are all alike.

    (At 48 kHz, that is. At 44.1 kHz some are padded, and by these a place in silence can be told, more or less.)
    """
    data = _encode(seconds, seed, options, sample_rate, channels, silence)
    frames, at = [], 0
    while (head := header_at(data, at)) is not None:
        frames.append(data[at : at + head.size])
        at += head.size
    assert at == len(data), "what the encoder wrote is nothing but frames"
    first = header_at(data)
    assert first is not None
    return KnownStream(tuple(frames), first.duration, "audio/mpeg")


@cache
def known_aac(
    seconds: float = PERIOD,
    *,
    seed: int = 1,
    options: Sequence[str] = AAC_128,
    sample_rate: int = 44100,
    channels: int = 2,
    silence: tuple[float, float] | None = None,
) -> KnownStream:
    """AAC in ADTS, as `known_mp3`."""
    data = _encode(seconds, seed, options, sample_rate, channels, silence)
    frames, at = [], 0
    while at < len(data):
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        frames.append(data[at : at + size])
        at += size
    # The first frames hold next to nothing: the encoder has not got going yet.
    frames = [frame for frame in frames if len(frame) >= KEY]
    return KnownStream(tuple(frames), 1024 / _ADTS_RATES[data[2] >> 2 & 15], "audio/aac")


@dataclass
class OnAir:
    """A stream on the air: frame 0 sounds from `since` on, by the monotonic clock, and is sent when it is over.

    `unsent` are the stretches that were never sent to anybody, because the source was away.
    """

    stream: KnownStream
    since: float = field(default_factory=time.monotonic)
    unsent: list[Stretch] = field(default_factory=list)

    def number(self, moment: float | None = None) -> int:
        """How many frames are out at a moment (now): the number of the one that sounds."""
        gone = (time.monotonic() if moment is None else moment) - self.since
        return max(0, int(gone / self.stream.frame))

    def moment(self, number: int) -> float:
        """When a frame begins to sound, by the monotonic clock."""
        return self.since + number * self.stream.frame

    def between(self, start: float, end: float) -> range:
        """The frames that sound from one moment to another, whole."""
        first, last = (start - self.since) / self.stream.frame, (end - self.since) / self.stream.frame
        return range(ceil(first), floor(last))


class _Part(NamedTuple):
    """A frame of the stream, or (`number` is None) something else."""

    number: int | None
    has_sound: bool = True


class _Reader:
    """The frames in `data`, numbered: each behind the one before, or at most a third of the period back.

    The first one is behind `near`, or as little before it.
    """

    def __init__(self, stream: KnownStream, data: bytes, near: int) -> None:
        self._stream = stream
        self._data = data
        self._next = near

    def __iter__(self) -> Iterator[_Part]:
        data, at, has_begun = self._data, _behind_id3(self._data), False
        while at < len(data):
            place, size, has_sound = self._match(at)
            if place is None:
                start, at = at, self._resume(at + 1)
                is_tag = at == len(data) and data[start : start + 3] == b"TAG" and at - start == _ID3V1
                if has_begun and not is_tag:
                    yield _Part(None)
                continue
            number = self._next + self._ahead(place)
            self._next = number + 1
            has_begun = True
            at += size
            yield _Part(number, has_sound)

    def _ahead(self, place: int) -> int:
        """How far a place of the period is ahead of what is expected next: back a third of the period at most."""
        period = self._stream.period
        back = period // 3
        return (place - self._next + back) % period - back

    def _match(self, at: int) -> tuple[int | None, int, bool]:
        """The frame of the period that is at `at`, its size there, and whether its sound is there."""
        stream, data = self._stream, self._data
        places = stream.by_start.get(data[at : at + KEY], ())
        fitting = [place for place in places if data.startswith(stream.frames[place], at)]
        if fitting:
            place = min(fitting, key=lambda place: abs(self._ahead(place)))
            return place, len(stream.frames[place]), True
        return self._match_rewritten(at)

    def _match_rewritten(self, at: int) -> tuple[int | None, int, bool]:
        """The same for an MP3 frame that was made longer, or silent, where takes were joined."""
        head = header_at(self._data, at)
        if head is None or not head.side_info or at + head.size > len(self._data):
            return None, 0, False
        place = self._stream.by_sound.get(self._data[at + head.main_data_at :][:KEY])
        if place is None:
            return None, 0, False
        known = self._stream.frames[place]
        if not self._data.startswith(known[head.main_data_at :], at + head.main_data_at):
            return None, 0, False
        ours = self._data[at + head.side_info_at : at + head.main_data_at]
        return place, head.size, ours == known[head.side_info_at : head.main_data_at]

    def _resume(self, at: int) -> int:
        """Where the next known frame begins, or the end."""
        while (at := self._data.find(b"\xff", at)) >= 0:
            if self._match(at)[0] is not None:
                return at
            at += 1
        return len(self._data)


def _encode(
    seconds: float,
    seed: int,
    options: Sequence[str],
    sample_rate: int,
    channels: int,
    silence: tuple[float, float] | None,
) -> bytes:
    noise = f"anoisesrc=color=pink:seed={seed}:amplitude=0.4:duration={seconds}:sample_rate={sample_rate}"
    if silence is not None:
        noise += f",volume=0:enable='between(t,{silence[0]},{silence[1]})'"
    command = [program("ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", noise, "-ac", str(channels)]
    command += ["-id3v2_version", "0"] if "mp3" in options else []
    done = subprocess.run([*command, *options, "-"], check=True, capture_output=True)
    return done.stdout


def _behind_id3(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])


def _stretches(numbers: Iterable[int]) -> tuple[Stretch, ...]:
    """Ascending numbers, gathered into stretches. A number that comes twice begins one of its own."""
    found: list[Stretch] = []
    for number in numbers:
        if found and found[-1].first + found[-1].frames == number:
            found[-1] = Stretch(found[-1].first, found[-1].frames + 1)
        else:
            found.append(Stretch(number, 1))
    return tuple(found)
