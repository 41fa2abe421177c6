"""Names of recordings: safe on Linux, macOS and Windows, and never one that is taken.

A pattern makes folders only by its own slashes: what stands for a name in it stays inside one part. Each part is
composed (NFC), freed of control, format and bidirectional characters, of what some system forbids, and cut to bytes.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from rolltape.domain import pattern as patterns
from rolltape.domain.errors import InputError

FIELD = "filename_pattern"
LONGEST_NAME = 255  # bytes of one part, on every common file system
LONGEST_STEM = 200  # bytes; leaves room for " (2)", the suffix, and a hidden temporary name with an id
LONGEST_PATH = 900  # bytes; macOS ends at 1024, with the folder it lies in
MOST_FOLDERS = 8  # below the folder of recordings

_HIDDEN, _PART = ".", ".part"
_INVISIBLE = {"Cc", "Cf", "Cs"}  # categories of Unicode: control, format (with bidirectional marks), lone surrogates
_SEPARATORS = {"Zs", "Zl", "Zp"}
_SLASHES = str.maketrans({"/": "-", "\\": "-"})
# What Windows keeps for devices, with whatever suffix.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\.|$)", re.IGNORECASE)


def file_path(pattern: str, values: Mapping[str, str], *, suffix: str = ".mp3") -> PurePosixPath:
    """The path of a recording, relative to the folder of recordings.

    Raises:
        InputError: nothing is left of the name.
    """
    patterns.check(pattern, FIELD)
    rendered = patterns.render(pattern, {name: value.translate(_SLASHES) for name, value in values.items()})
    *folders, last = rendered.split("/")
    limit = min(LONGEST_STEM, LONGEST_PATH // (1 + min(len(folders), MOST_FOLDERS)) - len(suffix))
    stem = safe_part(last, limit)
    if not stem:
        raise InputError(FIELD, "Nothing is left of the file name once all that a file name cannot have is taken out.")
    kept = [part for folder in folders if (part := safe_part(folder, limit))]
    return PurePosixPath(*kept[:MOST_FOLDERS], stem + suffix)


def safe_part(text: str, limit: int) -> str:
    """One part of a path made of `text`, at most `limit` bytes; "" if nothing is left."""
    from pathvalidate import sanitize_filename  # not before it is needed, see `load`

    text = unicodedata.normalize("NFC", text)
    text = "".join(_visible(char) for char in text)
    text = sanitize_filename(unicodedata.normalize("NFC", text), replacement_text="-", platform="universal")
    text = " ".join(text.split()).lstrip("-. ")
    text = _cut(text, limit - 1).rstrip(". ")
    return _RESERVED.sub(lambda device: f"{device[0]}_", text, count=1) if _RESERVED.match(text) else text


def free_name(
    base: Path, wanted: PurePosixPath, *, taken: Callable[[PurePosixPath], bool] | None = None
) -> PurePosixPath:
    """`wanted`, or `wanted (2)` and so on where there is such a file in `base` or `taken` says so.

    Upper and lower case are the same, as they are on macOS and Windows.

    Raises:
        InputError: a link in `base` leads out of it.
    """
    folder = (base / wanted).parent.resolve()
    if not folder.is_relative_to(base.resolve()):
        raise InputError(FIELD, f"{wanted.parent} leads out of the folder of recordings.")
    there = {_folded(entry.name) for entry in folder.iterdir()} if folder.is_dir() else set()
    number, name = 1, wanted
    while _folded(name.name) in there or (taken is not None and taken(name)):
        number += 1
        name = wanted.with_name(_numbered(wanted, number))
    return name


def part_name(name: PurePosixPath) -> PurePosixPath:
    """The hidden name beside it under which a recording is written until it is whole."""
    room = LONGEST_NAME - len(_HIDDEN) - len(_PART)
    return name.with_name(f"{_HIDDEN}{_cut(name.name, room)}{_PART}")


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in _SEPARATORS or char in "\t\n\r":
        return " "
    is_no_character = ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF
    return "" if category in _INVISIBLE or is_no_character else char


def _numbered(path: PurePosixPath, number: int) -> str:
    ending = f" ({number}){path.suffix}"
    return _cut(path.stem, LONGEST_NAME - len(ending.encode())) + ending


def _cut(text: str, limit: int) -> str:
    """The beginning of `text`, at most `limit` bytes."""
    return text.encode("utf-8")[: max(0, limit)].decode("utf-8", "ignore")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
