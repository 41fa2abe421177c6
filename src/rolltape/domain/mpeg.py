"""The header of an MPEG audio frame (MP3 and its relatives): what it says, and what follows from it. Pure.

A stream of MPEG audio is nothing but frames; each begins with four bytes that tell its format and thereby its size:

    AAAAAAAA AAABBCCD EEEEFFGH IIJJKLMM
    A sync (all ones)   B version   C layer   D 0 if a CRC follows   E bit rate   F sample rate   G padding
    H private   I channel mode   J mode extension   K copyright   L original   M emphasis

A frame of layer III then has (the CRC,) its side information and the main data. The bits of its sound need not lie in
its own main data: they begin `main_data_begin` bytes *before* it, in the room earlier frames had left. That is the bit
reservoir, and the reason why the first frames after a cut cannot be decoded.

Sources: ISO/IEC 11172-3 2.4.1.3 and 2.4.2.3 (MPEG-1), ISO/IEC 13818-3 2.4.1.3 (MPEG-2: half the sample rates);
MPEG-2.5 (a quarter of them) is an extension by Fraunhofer that every decoder knows.
"""

from functools import lru_cache
from typing import NamedTuple

from rolltape.domain.units import BitsPerSecond, Hertz, Seconds

HEADER_SIZE = 4  # bytes
CRC_SIZE = 2  # bytes, behind the header of a protected frame
LARGEST_FRAME = 2881  # bytes: MPEG-2.5 layer II, 160 kbit/s at 8 kHz, padded; of layer III, 1441 in MPEG-1

# Bits of the header that stay the same within one stream: sync, version, layer and sample rate.
STREAM_MASK = 0xFFFE0C00

MPEG_1, MPEG_2, MPEG_2_5 = 1.0, 2.0, 2.5
MONO = 3  # channel mode

_VERSIONS = {0: MPEG_2_5, 2: MPEG_2, 3: MPEG_1}
_LAYERS = {1: 3, 2: 2, 3: 1}
_SAMPLE_RATES = {MPEG_1: (44100, 48000, 32000), MPEG_2: (22050, 24000, 16000), MPEG_2_5: (11025, 12000, 8000)}
# In kbit/s, by (MPEG-1 or later, layer) and the four bits of the header, 1 to 14. 0 is "free format".
_BIT_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Header(NamedTuple):
    """What the four bytes say. `size` (bytes) is of the whole frame; `side_info` (bytes) is 0 but in layer III."""

    word: int  # the four bytes themselves, big-endian
    version: float  # MPEG_1, MPEG_2 or MPEG_2_5
    layer: int  # 1 to 3
    protected: bool  # a CRC follows the header
    bit_rate: BitsPerSecond
    sample_rate: Hertz
    mode: int  # of the channels: 0 stereo, 1 joint stereo, 2 two channels, 3 mono
    samples: int  # per channel
    size: int
    side_info: int

    @property
    def channels(self) -> int:
        return 1 if self.mode == MONO else 2

    @property
    def duration(self) -> Seconds:
        return Seconds(self.samples / self.sample_rate)

    @property
    def side_info_at(self) -> int:
        """Where the side information begins, in bytes from the start of the frame."""
        return HEADER_SIZE + CRC_SIZE if self.protected else HEADER_SIZE

    @property
    def main_data_at(self) -> int:
        """Where the main data begins, in bytes from the start of the frame."""
        return self.side_info_at + self.side_info

    @property
    def reservoir(self) -> int:
        """How far `main_data_begin` can reach back, in bytes."""
        return (511 if self.version == MPEG_1 else 255) if self.layer == 3 else 0

    def fits(self, other: "Header") -> bool:
        """Whether a frame of the other may stand beside one of this in one stream."""
        return not (self.word ^ other.word) & STREAM_MASK and self.channels == other.channels


def header_at(data: bytes | bytearray, offset: int = 0) -> Header | None:
    """The header that begins at `offset`, None if there is none (or not all of it, or of a frame of "free" size)."""
    return header(int.from_bytes(data[offset : offset + HEADER_SIZE], "big"))


@lru_cache(maxsize=4096)  # a stream has a few dozen different ones
def header(word: int) -> Header | None:
    """What `word`, four bytes read as a big-endian number, says as a frame header; None if it is none.

    A frame of "free format" (a bit rate the table does not have) has no size in its header, and is None, too.
    """
    version = _VERSIONS.get(word >> 19 & 3)
    layer = _LAYERS.get(word >> 17 & 3)
    rate = word >> 12 & 15
    if word >> 21 != 0x7FF or version is None or layer is None or rate in (0, 15) or word >> 10 & 3 == 3:
        return None
    if word & 3 == 2:  # an emphasis that does not exist: a good sign of bytes that are no header
        return None

    bit_rate = _BIT_RATES[version == MPEG_1, layer][rate - 1] * 1000
    sample_rate = _SAMPLE_RATES[version][word >> 10 & 3]
    mode = word >> 6 & 3
    samples = 384 if layer == 1 else 576 if layer == 3 and version != MPEG_1 else 1152
    padding = word >> 9 & 1
    if layer == 1:
        size = (12 * bit_rate // sample_rate + padding) * 4
    else:
        size = samples // 8 * bit_rate // sample_rate + padding
    return Header(
        word=word,
        version=version,
        layer=layer,
        protected=not word >> 16 & 1,
        bit_rate=BitsPerSecond(bit_rate),
        sample_rate=Hertz(sample_rate),
        mode=mode,
        samples=samples,
        size=size,
        side_info=_side_info(version, mode) if layer == 3 else 0,
    )


def main_data_begin(frame: bytes | bytearray, head: Header, offset: int = 0) -> int:
    """How many bytes before its main data the sound of the layer III frame at `offset` begins."""
    at = offset + head.side_info_at
    if head.version == MPEG_1:
        return frame[at] << 1 | frame[at + 1] >> 7
    return frame[at]


def _side_info(version: float, mode: int) -> int:
    if version == MPEG_1:
        return 17 if mode == MONO else 32
    return 9 if mode == MONO else 17
