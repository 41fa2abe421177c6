"""MP3 and ADTS streams cut into whole frames.

Sources: ISO/IEC 11172-3 and 13818-3 (MPEG audio, layer III), ISO/IEC 13818-7 (ADTS).

This is the inner loop of a recording, so a call handles a second of audio at once and no object is made per frame.
A frame counts once the header of the next one is seen behind it: a frame that was cut short never does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz, Seconds

CONFIRM = 3  # headers in a row that must agree before bytes are taken for frames
LONGEST_HEADER = 7  # bytes, of ADTS
ID3_HEADER = 10  # bytes

_BIT_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s, MPEG-1 layer III
_BIT_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # kbit/s, MPEG-2 and 2.5 layer III
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_MOST_KNOWN = 4096  # MP3 headers remembered; a station uses a dozen


class Header(NamedTuple):
    """What the header of a frame says: `size` of the whole frame in bytes, `seconds` of audio in it."""

    size: int
    seconds: float
    format: AudioFormat


HeaderReader = Callable[[bytes, int], Header | None]


@dataclass(frozen=True, slots=True)
class Frames:
    """Whole frames of one format, in a row."""

    data: bytes
    seconds: Seconds
    format: AudioFormat


class FrameReader:
    """Cuts what arrives into whole frames; what is no frame is left out.

    `junk` is how many bytes in a row were no frames, up to now.
    """

    def __init__(self, codec: Codec) -> None:
        self._header = HEADERS[codec]
        self._rest = b""  # not yet known to be whole frames
        self._format: AudioFormat | None = None  # None: not in step with the frames
        self._is_start = True  # of the stream: an ID3 tag may come
        self._tag_left = 0  # bytes of it still to come
        self.junk = 0

    def feed(self, data: bytes) -> list[Frames]:
        """The frames that are whole by now: one piece, or several where the format changes or there was junk."""
        data = self._rest + data if self._rest else data
        if self._is_start and len(data) < ID3_HEADER and b"ID3".startswith(data[:3]):
            self._rest = data
            return []
        data = self._without_tag(data)
        found: list[Frames] = []
        position = 0
        while True:
            if self._format is None:
                synced = self._synchronise(data, position)
                if synced is None:
                    break
                position = synced
            start, format = position, self._format
            position, seconds, broken = self._walk(data, position)
            if position > start and format is not None:
                self.junk = 0
                found.append(Frames(data[start:position], Seconds(seconds), format))
            if not broken:
                self._rest = data[position:]
                break
            behind = self._behind_break(data, position, found)
            if behind is None:
                self._rest = data[position:]
                break
            position = behind
        return found

    def flush(self) -> list[Frames]:
        """The last frame, once nothing comes any more, if it is whole."""
        header = self._header(self._rest, 0) if self._format else None
        if header is None or header.format is not self._format or header.size > len(self._rest):
            return []
        data, self._rest = self._rest[: header.size], b""
        return [Frames(data, Seconds(header.seconds), header.format)]

    @property
    def rest(self) -> bytes:
        """What is not yet known to be frames."""
        return self._rest

    def _walk(self, data: bytes, position: int) -> tuple[int, float, bool]:
        """From frame to frame: the position behind the last whole one, their seconds, whether the chain broke there."""
        read, format, last = self._header, self._format, len(data) - LONGEST_HEADER
        seconds = 0.0
        header = read(data, position)
        if header is None or header.format is not format:
            return position, seconds, True
        while True:
            following = position + header.size
            if following > last:
                return position, seconds, False
            after = read(data, following)
            if after is None or after.format is not format:
                return position, seconds, True
            seconds += header.seconds
            position, header = following, after

    def _behind_break(self, data: bytes, position: int, found: list[Frames]) -> int | None:
        """Where to look for frames again; None when that cannot be said yet.

        The frame before the break counts only if frames of another format follow.
        """
        header = self._header(data, position)
        if header is None:
            self._format = None
            return position + 1
        following = position + header.size
        sure = confirmed(self._header, data, following)
        if sure is None:
            return None
        self._format = None
        if sure:
            found.append(Frames(data[position:following], Seconds(header.seconds), header.format))
            return following
        return position + 1

    def _synchronise(self, data: bytes, position: int) -> int | None:
        """The position of the next frame that is surely one; None when that cannot be said yet."""
        start, last = position, len(data) - LONGEST_HEADER
        while (position := data.find(b"\xff", position)) != -1 and position <= last:
            sure = confirmed(self._header, data, position)
            header = self._header(data, position)
            if sure and header is not None:
                self.junk += position - start
                if _is_info(data, position, header):
                    position += header.size
                self._format = header.format
                return position
            if sure is None:
                break
            position += 1
        # What is behind `position` may become a frame with the next bytes.
        position = max(start, last + 1) if position == -1 or position > last else position
        self.junk += position - start
        self._rest = data[position:]
        return None

    def _without_tag(self, data: bytes) -> bytes:
        """`data` without the ID3 tag that some servers send first."""
        if self._is_start:
            self._is_start = False
            self._tag_left = id3_size(data) if data[:3] == b"ID3" else 0
        if self._tag_left:
            skip = min(self._tag_left, len(data))
            self._tag_left -= skip
            self._rest = b""
            return data[skip:]
        return data


def id3_size(data: bytes) -> int:
    """The size of the ID3v2 tag that `data` begins with. Source: id3.org, ID3v2.4.0 structure, 3.1."""
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def confirmed(read: HeaderReader, data: bytes, position: int) -> bool | None:
    """Whether a chain of frames of one format begins at `position`; None if there is too little of it to say."""
    first = header = read(data, position) if position + LONGEST_HEADER <= len(data) else None
    if header is None:
        return None if position + LONGEST_HEADER > len(data) else False
    for _ in range(CONFIRM - 1):
        assert header is not None
        position += header.size
        if position + LONGEST_HEADER > len(data):
            return None
        header = read(data, position)
        if header is None or first is None or header.format is not first.format:
            return False
    return True


def mp3_header(data: bytes, position: int) -> Header | None:
    """The header of the MP3 frame at `position`; None if there is none (or one of free format)."""
    key = data[position : position + 4]
    return _known_mp3.get(key) or _learn_mp3(key)


_known_mp3: dict[bytes, Header] = {}


def _learn_mp3(key: bytes) -> Header | None:
    header = _parse_mp3(key)
    if header is not None and len(_known_mp3) < _MOST_KNOWN:
        _known_mp3[key] = header
    return header


def _parse_mp3(key: bytes) -> Header | None:
    if len(key) < 4 or key[0] != 0xFF or key[1] & 0xE6 != 0xE2:
        return None
    version, bit_rate, rate = key[1] >> 3 & 3, key[2] >> 4, key[2] >> 2 & 3
    if version == 1 or bit_rate in (0, 15) or rate == 3 or key[3] & 3 == 2:
        return None
    sample_rate = _MP3_RATES[version][rate]
    kilobits = (_BIT_RATES_1 if version == 3 else _BIT_RATES_2)[bit_rate]
    samples = 1152 if version == 3 else 576
    size = samples // 8 * kilobits * 1000 // sample_rate + (key[2] >> 1 & 1)
    return Header(size, samples / sample_rate, _format(Codec.MP3, sample_rate, 1 if key[3] >> 6 == 3 else 2))


def adts_header(data: bytes, position: int) -> Header | None:
    """The header of the ADTS frame at `position`; None if there is none."""
    try:
        sync, kind, fields, channels, middle, low, blocks = data[position : position + 7]
    except ValueError:
        return None
    if sync != 0xFF or kind & 0xF6 != 0xF0:
        return None
    size = (channels & 3) << 11 | middle << 3 | low >> 5
    layout = (fields & 1) << 2 | channels >> 6
    found = _adts_format(fields >> 2 & 15, layout)
    if found is None or size < LONGEST_HEADER:
        return None
    format, seconds = found
    return Header(size, seconds * ((blocks & 3) + 1), format)


@cache
def _adts_format(rate: int, layout: int) -> tuple[AudioFormat, float] | None:
    if rate >= len(_ADTS_RATES):
        return None
    channels = 8 if layout == 7 else layout or None  # 0: told inside of the frames
    return _format(Codec.AAC, _ADTS_RATES[rate], channels), 1024 / _ADTS_RATES[rate]


@cache
def _format(codec: Codec, sample_rate: int, channels: int | None) -> AudioFormat:
    """One object for each format, so that formats are compared by identity."""
    return AudioFormat(codec, Hertz(sample_rate), channels)


def _is_info(data: bytes, position: int, header: Header) -> bool:
    """Whether the frame is one of LAME's that speaks of a whole file, and holds no audio."""
    if header.format.codec is not Codec.MP3:
        return False
    frame = data[position : position + min(header.size, 64)]
    return b"Xing" in frame or b"Info" in frame or b"VBRI" in frame


HEADERS: dict[Codec, HeaderReader] = {Codec.MP3: mp3_header, Codec.AAC: adts_header}
