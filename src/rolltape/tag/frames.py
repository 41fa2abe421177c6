"""An ID3v2 tag as it stands in front of the audio.

Sources: id3.org, ID3v2.3.0 and ID3v2.4.0 native frames.
"""

from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote

from mutagen import id3

from rolltape.domain.address import mask
from rolltape.domain.units import Bytes
from rolltape.tag.writer import Measured, Tags

PADDING = Bytes(300 * 1024)  # makes tagging again instant: another cover fits without moving the audio
REFERENCE = -18.0  # LUFS, to which players bring what has a gain (ReplayGain 2.0)

_LANGUAGE = "eng"
_UNPRINTED = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
_NO_CONTROLS = str.maketrans(_UNPRINTED, " " * len(_UNPRINTED))
_NO_CONTROLS_BUT_LINES = {code: char for code, char in _NO_CONTROLS.items() if code != ord("\n")}


def tag_bytes(tags: Tags, cover: bytes | None, *, version: int) -> bytes:
    """The whole tag with its padding, ready to stand before the first frame."""
    encoding = id3.Encoding.UTF16 if version == 3 else id3.Encoding.UTF8
    tag = id3.ID3()
    for frame in [*_texts(tags, encoding), *_moment(tags.recorded, version), *_source(tags.source_url)]:
        tag.add(frame)
    if cover is not None:
        tag.add(id3.APIC(id3.Encoding.LATIN1, "image/jpeg", id3.PictureType.COVER_FRONT, "", cover))
    made = BytesIO()
    tag.save(made, v1=0, v2_version=version, padding=lambda _: PADDING)
    return made.getvalue()


def _texts(tags: Tags, encoding: int) -> list[id3.Frame]:
    texts: dict[Any, str] = {
        id3.TIT2: tags.title,
        id3.TPE1: tags.artist,
        id3.TALB: tags.album,
        id3.TPE2: tags.album_artist,
        id3.TCON: tags.genre,
        id3.TRSN: tags.station,
        id3.TRCK: str(tags.track) if tags.track > 0 else "",
    }
    frames: list[id3.Frame] = [kind(encoding, [text]) for kind, value in texts.items() if (text := _line(value))]
    notes = {"COVERAGE": f"{tags.coverage:.4f}", "VERDICT": _line(tags.verdict)}
    if tags.measured is not None:
        notes |= _account(tags.measured)
    frames += [id3.TXXX(encoding, name, [value]) for name, value in notes.items() if value]
    if comment := _clean(tags.comment, _NO_CONTROLS_BUT_LINES):
        frames.append(id3.COMM(encoding, _LANGUAGE, "", [comment]))
    return frames


def _account(found: Measured) -> dict[str, str]:
    """The account in frames of its own, and the loudness also as players read it."""
    notes = {
        "GAPS": str(found.gaps),
        "MISSING": f"{found.missing:.3f}",
        "LATE": f"{found.late:.3f}",
        "SHORT": f"{found.short:.3f}",
        "TAKES": str(found.takes),
        "LONGEST_STALL": _number(found.longest_stall, 1),
        "SILENT_SHARE": _number(found.silent_share, 4),
        "LOUDNESS": f"{found.loudness:.2f} LUFS" if found.loudness is not None else "",
    }
    notes = {f"ROLLTAPE_{name}": value for name, value in notes.items()}
    if found.loudness is not None:
        notes["REPLAYGAIN_TRACK_GAIN"] = f"{REFERENCE - found.loudness:.2f} dB"
        notes["REPLAYGAIN_TRACK_PEAK"] = _number(found.peak, 6)
    return notes


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _moment(recorded: datetime, version: int) -> list[id3.Frame]:
    """Date and time of the planned start. Mutagen's own conversion to v2.3 leaves the time out on the full hour."""
    if version == 4:
        return [id3.TDRC(id3.Encoding.LATIN1, [f"{recorded:%Y-%m-%dT%H:%M}"])]
    return [
        id3.TYER(id3.Encoding.LATIN1, [f"{recorded:%Y}"]),
        id3.TDAT(id3.Encoding.LATIN1, [f"{recorded:%d%m}"]),
        id3.TIME(id3.Encoding.LATIN1, [f"{recorded:%H%M}"]),
    ]


def _source(url: str) -> list[id3.Frame]:
    """The address without its secrets. The frame is in Latin-1, so what is not ASCII is escaped."""
    address = _line(mask(_line(url))) if url else ""
    return [id3.WOAS(quote(address, safe="!#$%&'()*+,/:;=?@[]~"))] if address else []


def _line(text: str) -> str:
    """`text` on one line, without what no tag can hold."""
    return _clean(text, _NO_CONTROLS)


def _clean(text: str, controls: dict[int, int]) -> str:
    valid = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no character
    return valid.translate(controls).strip()
