"""The Xing or Info frame: what a player knows of an MP3 before it plays it.

It is a frame without sound in front of the others, and holds their number and bytes, a table to seek by, and, in the
part that LAME added, how many samples at the beginning and the end are not to be played.

Sources: Xing Technology's description of its header (1998); "Mp3 Info Tag revision 1" of the LAME project.
"""

from collections.abc import Sequence

from rolltape.domain.mpeg import HEADER_SIZE, Header, header

DECODER_DELAY = 529  # samples by which every decoder of layer III is late; LAME's numbers leave them out

_FRAMES, _BYTES, _TOC, _QUALITY = 1, 2, 4, 8  # flags: which fields follow
_TOC_ENTRIES = 100
_SIZE = 8 + 4 + 4 + _TOC_ENTRIES + 4 + 36  # bytes from the name on, with LAME's part
_WRITER = b"LAME3.100"  # Mutagen, FFmpeg and others read LAME's part only behind its own name and a version
_UNKNOWN_METHOD, _CBR_METHOD = 0x00, 0x01  # in revision 0, the one everybody writes
_BIT_RATE_MASK = 0x0000F000
_UNPROTECTED = 0x00010000
_PADDING = 0x00000200


def info_header(like: Header) -> Header:
    """The header of the Info frame in front of frames like this one: the smallest that has room for it."""
    for rate in range(1, 15):
        head = header((like.word | _UNPROTECTED) & ~(_BIT_RATE_MASK | _PADDING) | rate << 12)
        if head is not None and head.size >= head.main_data_at + _SIZE:
            return head
    raise AssertionError("every format has a frame of 192 bytes")


def is_info(frame: bytes, head: Header) -> bool:
    """Whether the frame is a header written by an encoder, and no sound."""
    at = head.main_data_at
    return frame[at : at + 4] in (b"Xing", b"Info") or frame[36:40] == b"VBRI"


def info_frame(
    head: Header, *, frames: int, size: int, seek_points: Sequence[int], constant: bool, delay: int, padding: int
) -> bytes:
    """The frame to put in front.

    `frames` are those that follow, `size` (bytes) is of all with this one, `seek_points` (bytes) are where each of the
    hundredths of the time begins. `delay` and `padding` are the samples not to play at the beginning and the end, as
    LAME counts them. The CRC of the music is left out (0): nobody checks it, and it costs more than all the rest.
    """
    toc = bytes(min(255, point * 256 // size) for point in seek_points)
    assert len(toc) == _TOC_ENTRIES
    flags = _FRAMES | _BYTES | _TOC | _QUALITY
    start = head.word.to_bytes(HEADER_SIZE, "big") + bytes(head.side_info)
    start += b"Info" if constant else b"Xing"
    start += flags.to_bytes(4, "big") + frames.to_bytes(4, "big") + min(size, 0xFFFFFFFF).to_bytes(4, "big")
    start += toc + bytes(4)
    start += _lame(head, size, constant, delay, padding)
    start += _crc(start).to_bytes(2, "big")
    return start + bytes(head.size - len(start))


def _lame(head: Header, size: int, constant: bool, delay: int, padding: int) -> bytes:
    """LAME's part, up to the CRC at its end."""
    method = _CBR_METHOD if constant else _UNKNOWN_METHOD
    lame = _WRITER + bytes([method]) + bytes(1 + 8 + 1 + 1)  # low-pass, gains, flags, bit rate: unknown
    lame += (delay << 12 | padding).to_bytes(3, "big")
    lame += bytes(1 + 1 + 2)  # stereo and source, gain, preset: unknown
    return lame + min(size, 0xFFFFFFFF).to_bytes(4, "big") + bytes(2)


def _crc(data: bytes) -> int:
    """CRC-16 as LAME computes it: polynomial 0x8005, reflected, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc
