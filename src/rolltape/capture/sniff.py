"""What a server sends, told from its first bytes. The content type is not asked: too many servers lie."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from rolltape.capture.frames import HEADERS, LONGEST_HEADER, confirmed, id3_size
from rolltape.domain.take import Codec

ENOUGH = 4096  # bytes that settle it
_SEARCHED = 2048  # bytes in which the first frame must begin; the longest MP3 frame has 1441


class Kind(Enum):
    FRAMES = auto()  # MP3 or ADTS: we read it ourselves
    CONTAINER = auto()  # audio that FFmpeg reads
    HLS = auto()
    PLAYLIST = auto()
    FOREIGN = auto()  # no audio, or none that can be recorded
    UNKNOWN = auto()


@dataclass(frozen=True)
class Content:
    """`name` is for people, with its article where it needs one."""

    kind: Kind
    name: str
    codec: Codec | None = None


_OGG = {
    b"OpusHead": Content(Kind.CONTAINER, "Opus", Codec.OPUS),
    b"\x01vorbis": Content(Kind.CONTAINER, "Ogg Vorbis", Codec.VORBIS),
    b"\x7fFLAC": Content(Kind.CONTAINER, "Ogg FLAC", Codec.FLAC),
}
_MAGIC = (
    (re.compile(rb"fLaC"), Content(Kind.CONTAINER, "FLAC", Codec.FLAC)),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), Content(Kind.CONTAINER, "WAV", Codec.PCM)),
    (re.compile(rb"FORM....AIF", re.DOTALL), Content(Kind.FOREIGN, "AIFF")),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), Content(Kind.FOREIGN, "an AVI video")),
    (re.compile(rb"FLV"), Content(Kind.CONTAINER, "Flash video")),
    (re.compile(rb"....ftyp", re.DOTALL), Content(Kind.CONTAINER, "MP4")),
    (re.compile(rb"\x1aE\xdf\xa3"), Content(Kind.CONTAINER, "Matroska")),
    (re.compile(rb"G.{187}G.{187}G", re.DOTALL), Content(Kind.CONTAINER, "MPEG-TS")),
    (re.compile(rb"0&\xb2u\x8ef\xcf\x11"), Content(Kind.FOREIGN, "Windows Media")),
    (re.compile(rb"\.RMF|\.ra\xfd"), Content(Kind.FOREIGN, "RealAudio")),
    (re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP", re.DOTALL), Content(Kind.FOREIGN, "a picture")),
    (re.compile(rb"%PDF"), Content(Kind.FOREIGN, "a PDF document")),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc"), Content(Kind.FOREIGN, "a compressed file")),
)
_PAGE = re.compile(rb"<(!doctype html|html|head|body|script|meta|title)\b", re.IGNORECASE)
_XSPF = re.compile(rb"<playlist\b", re.IGNORECASE)
_ADDRESS = re.compile(rb"(?:https?|icy|rtmps?|rtsp|srt)://\S+\s*$", re.IGNORECASE)

WEB_PAGE = Content(Kind.FOREIGN, "a web page")


def sniff(data: bytes, *, complete: bool) -> Content | None:
    """What begins with `data`; None where more of it is needed. `complete`: there is no more to decide by."""
    return _magic(data) or _text(data, complete=complete) or _frames(data, complete=complete)


def _magic(data: bytes) -> Content | None:
    if data[:4] == b"OggS":
        found = next((content for mark, content in _OGG.items() if mark in data[:512]), None)
        return found or Content(Kind.CONTAINER, "Ogg")
    return next((content for pattern, content in _MAGIC if pattern.match(data)), None)


def _text(data: bytes, *, complete: bool) -> Content | None:
    """What `data` is if it is text."""
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text or any(byte < 9 or 13 < byte < 32 for byte in text[:256]):
        return None
    if b"#EXT-X-" in text and text.startswith(b"#EXTM3U"):
        return Content(Kind.HLS, "HLS")
    if not complete:
        return None
    if text.startswith(b"#EXTM3U") or text[:10].lower() == b"[playlist]" or _XSPF.search(text[:1024]):
        return Content(Kind.PLAYLIST, "a playlist")
    if _PAGE.search(text[:1024]):
        return WEB_PAGE
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    if lines and _ADDRESS.match(lines[0]):
        return Content(Kind.PLAYLIST, "a playlist")
    return Content(Kind.FOREIGN, "text") if _is_text(text) else None


def _is_text(data: bytes) -> bool:
    try:
        data[:1024].decode("ascii")
    except UnicodeDecodeError:
        return False
    return True


def _frames(data: bytes, *, complete: bool) -> Content | None:
    """Whether these are MP3 or ADTS frames: a chain of them must begin soon."""
    if data[:3] == b"ID3" and len(data) >= 10:
        tag = id3_size(data)
        if tag >= len(data):
            return Content(Kind.FRAMES, "MP3", Codec.MP3) if complete else None
        data = data[tag:]
    for codec, read in HEADERS.items():
        for position in range(min(_SEARCHED, len(data) - LONGEST_HEADER + 1)):
            if data[position] == 0xFF and confirmed(read, data, position):
                return Content(Kind.FRAMES, codec.name, codec)
    return Content(Kind.UNKNOWN, "an unknown format") if complete else None
