"""The bit reservoir: how a layer III frame is made to decode after a cut.

A frame's sound begins up to 511 bytes before its own main data, in what earlier frames left over (`main_data_begin`).
After a cut those are not there, or are others. Three things help:

* `widen()` the frame before the cut: give it a higher bit rate, and put the missing bytes where that made room. If
  there is enough of it, nothing is lost.
* `silence()` the frame: it keeps its place, its length and its main data (later frames need that), but decodes to
  silence.
* A frame `silent()` of itself stands in front of a whole recording, with what the first frame needs. Players do not
  play it, for the header counts it as the encoder's delay.

Sources: ISO/IEC 11172-3 2.4.1.7 and 2.4.3.4 (layer III), 2.4.3.1 and annex B (CRC).
"""

from rolltape.domain.mpeg import CRC_SIZE, HEADER_SIZE, Header, header, header_at

_BIT_RATE_MASK = 0x0000F000
_PADDING = 0x00000200
_UNPROTECTED = 0x00010000
_CRC_POLYNOMIAL = 0x8005


def silent(like: Header, reservoir: bytes) -> bytes:
    """A frame of this format in which there is nothing, but at its end `reservoir`."""
    head = _header(like.word & ~(_BIT_RATE_MASK | _PADDING) | _UNPROTECTED | 1 << 12)
    empty = head.word.to_bytes(HEADER_SIZE, "big") + bytes(head.size - HEADER_SIZE)
    frame, given = widen(empty, reservoir.rjust(like.size - head.size, b"\0"))
    assert given >= len(reservoir), "the highest bit rate has room for the longest reservoir"
    return frame


def silence(frame: bytes) -> bytes:
    """The same frame without its sound, but with its main data, of which others may have a part."""
    head = head_of(frame)
    side_info = bytes(head.side_info)
    return _protected(frame[: head.side_info_at] + side_info + frame[head.main_data_at :], head)


def widen(frame: bytes, reservoir: bytes) -> tuple[bytes, int]:
    """The same frame with the end of `reservoir` at its end, and how many bytes of it there was room for.

    That is all of them, unless the frame had a high bit rate already.
    """
    head = head_of(frame)
    best = head
    for rate in range(1, 15):
        wide = _header(head.word & ~_BIT_RATE_MASK | rate << 12)
        if wide.size > best.size and best.size < len(frame) + len(reservoir):
            best = wide
    given = min(len(reservoir), best.size - len(frame))
    body = frame[HEADER_SIZE:] + bytes(best.size - len(frame) - given) + reservoir[len(reservoir) - given :]
    return _protected(best.word.to_bytes(HEADER_SIZE, "big") + body, best), given


def main_data(frame: bytes) -> bytes:
    return frame[head_of(frame).main_data_at :]


def head_of(frame: bytes) -> Header:
    """The header of a whole frame."""
    head = header_at(frame)
    assert head is not None, "only whole frames come here"
    return head


def _protected(frame: bytes, head: Header) -> bytes:
    """The frame with a right CRC, if it has one."""
    if not head.protected:
        return frame
    crc = _crc(frame[2:HEADER_SIZE] + frame[head.side_info_at : head.main_data_at])
    return frame[:HEADER_SIZE] + crc.to_bytes(CRC_SIZE, "big") + frame[HEADER_SIZE + CRC_SIZE :]


def _crc(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ _CRC_POLYNOMIAL if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _header(word: int) -> Header:
    head = header(word)
    assert head is not None, "only bit rate, padding and CRC bit were changed"
    return head
