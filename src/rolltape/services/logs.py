"""The log, read back: pages of it with the newest first, and all of it as text.

Files are read from the end, block by block, and never as a whole. What is no line of ours (torn by a power cut, written
by another program, endless) is left out.
"""

import asyncio
import base64
import binascii
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from rolltape.domain import log
from rolltape.domain.errors import InputError
from rolltape.domain.log import LogLevel
from rolltape.domain.units import Bytes, Seconds

MOST_SCANNED = Bytes(50 * 1024**2)  # for one page; a rare word in a large log is looked for in several steps
LONGEST_SEARCH = Seconds(0.5)  # likewise; nobody waits longer for a page, and nothing else has to wait for it
BLOCK = 256 * 1024  # bytes read at once
CHUNK = 128 * 1024  # characters of a download that are sent at once

_OWN_FIELDS = frozenset(
    {"time", "level", "component", "message", "action", "session_id", "stream_id", "exception", "logger"}
)


@dataclass(frozen=True)
class LogFilters:
    """Which lines are wanted. `level` means it and everything above; `text` may stand anywhere, in any case."""

    level: LogLevel | None = None
    component: str | None = None
    session_id: int | None = None
    text: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class LogEntry:
    """One line of the log. `fields` are what else it tells; `exception` is a stack trace."""

    time: datetime
    level: LogLevel
    component: str
    message: str
    action: str | None
    session_id: int | None
    stream_id: int | None
    fields: dict[str, Any]
    exception: str | None

    def __str__(self) -> str:
        """The line as people read it."""
        told = {"action": self.action, "session_id": self.session_id, "stream_id": self.stream_id} | self.fields
        more = "".join(f" {name}={value}" for name, value in told.items() if value is not None)
        trace = "".join(f"\n    {line}" for line in (self.exception or "").splitlines())
        moment = self.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return f"{moment} {self.level:7} [{self.component}] {self.message}{more}{trace}"


@dataclass(frozen=True)
class LogPage:
    """`next` asks for what is older, None where there is no more.

    `is_cut`: the search ended because it had read enough, not because the page was full; `next` goes on with it.
    """

    items: Sequence[LogEntry]
    next: str | None
    scanned: Bytes
    is_cut: bool


@dataclass(frozen=True)
class _Place:
    """Behind the line to go on with, towards the older ones. A file is known by its inode: its name changes."""

    inode: int
    offset: int


class Logs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def page(
        self,
        filters: LogFilters,
        *,
        after: str | None = None,
        limit: int,
        most_scanned: Bytes = MOST_SCANNED,
        longest_search: Seconds = LONGEST_SEARCH,
    ) -> LogPage:
        """The newest lines that match, or those behind the key `after`.

        It may be fewer than `limit`, or none, where `most_scanned` bytes or `longest_search` did not do.

        Raises:
            InputError: `after` is no key that was given out.
        """
        place = _read_key(after) if after is not None else None
        return await asyncio.to_thread(self._page, filters, place, limit, most_scanned, longest_search)

    async def components(self) -> list[str]:
        """Parts of the program to choose from."""
        return list(log.COMPONENTS)

    def files(self) -> list[Path]:
        """The files of the log, the oldest first."""
        return log.files(self._folder)

    def download(self, filters: LogFilters) -> Iterator[str]:
        """All lines that match as text, the oldest first, in pieces. To be read in a thread."""
        wanted = _Wanted(filters)
        piece: list[str] = []
        length = 0
        for file in self.files():
            for line in _lines(file):
                entry = wanted.entry(line)
                if entry is None:
                    continue
                piece.append(f"{entry}\n")
                length += len(piece[-1])
                if length >= CHUNK:
                    yield "".join(piece)
                    piece, length = [], 0
        yield "".join(piece)

    def _page(
        self, filters: LogFilters, place: _Place | None, limit: int, most_scanned: Bytes, longest_search: Seconds
    ) -> LogPage:
        wanted = _Wanted(filters)
        deadline = time.monotonic() + longest_search
        found: list[LogEntry] = []
        scanned = 0
        for file, end in self._backwards(place, filters.since):
            with file:
                inode = os.fstat(file.fileno()).st_ino
                for offset, line in _lines_backwards(file, end):
                    entry = wanted.entry(line)
                    if entry is not None:
                        found.append(entry)
                    is_full = len(found) == limit
                    if is_full or scanned + end - offset >= most_scanned or time.monotonic() >= deadline:
                        read = Bytes(scanned + end - offset)
                        return LogPage(found, _key(_Place(inode, offset)), read, is_cut=not is_full)
                scanned += end
        return LogPage(found, None, Bytes(scanned), is_cut=False)

    def _backwards(self, place: _Place | None, since: datetime | None) -> Iterator[tuple[BinaryIO, int]]:
        """The files from `place` on, the newest first, each with the offset to begin at. The taker closes them."""
        reached = place is None
        for path in reversed(self.files()):
            try:
                file = path.open("rb")
            except OSError:
                continue  # it was removed meanwhile, or is not ours to read
            found = os.fstat(file.fileno())
            is_place = place is not None and found.st_ino == place.inode
            too_old = since is not None and found.st_mtime < since.timestamp()
            if too_old or not (reached or is_place):
                file.close()
                continue
            reached = True
            yield file, min(place.offset, found.st_size) if is_place and place else found.st_size


class _Wanted:
    """Takes entries out of lines. Most lines that do not match are told apart before they are decoded."""

    def __init__(self, filters: LogFilters) -> None:
        self._filters = filters
        self._levels = frozenset(log.levels_from(filters.level)) if filters.level else frozenset(LogLevel)
        self._level_marks = [f'"level":"{level}"'.encode() for level in self._levels] if filters.level else []
        self._marks = [
            f'"{name}":{json.dumps(value)}'.encode()
            for name, value in (("component", filters.component), ("session_id", filters.session_id))
            if value is not None
        ]
        self._text = filters.text.strip().casefold()
        self._words = re.findall(r"\w+", self._text)

    def entry(self, line: bytes) -> LogEntry | None:
        if not self._may_match(line):
            return None
        entry = _read(line)
        return entry if entry is not None and self._matches(entry) else None

    def _may_match(self, line: bytes) -> bool:
        if self._level_marks and not any(mark in line for mark in self._level_marks):
            return False
        if not all(mark in line for mark in self._marks):
            return False
        if not self._words:
            return True
        text = line.decode("utf-8", "replace").casefold()
        return all(word in text for word in self._words)

    def _matches(self, entry: LogEntry) -> bool:
        wanted = self._filters
        if entry.level not in self._levels:
            return False
        if wanted.component is not None and entry.component != wanted.component:
            return False
        if wanted.session_id is not None and entry.session_id != wanted.session_id:
            return False
        if wanted.since is not None and entry.time < wanted.since:
            return False
        return not self._text or self._text in str(entry).casefold()


def _read(line: bytes) -> LogEntry | None:
    """The entry of a line; None if it is no line of ours."""
    try:
        values = json.loads(line)
        return LogEntry(
            time=datetime.fromisoformat(values["time"]).astimezone(UTC),
            level=LogLevel(values["level"]),
            component=str(values["component"]),
            message=str(values["message"]),
            action=_text_or_none(values.get("action")),
            session_id=_number_or_none(values.get("session_id")),
            stream_id=_number_or_none(values.get("stream_id")),
            fields={name: value for name, value in values.items() if name not in _OWN_FIELDS},
            exception=_text_or_none(values.get("exception")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _number_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file up to its present end, the oldest first; endless ones are left out."""
    try:
        with path.open("rb") as file:
            left = os.fstat(file.fileno()).st_size
            whole = True
            while left > 0 and (line := file.readline(min(left, log.LONGEST_LINE))):
                left -= len(line)
                begins, whole = whole, line.endswith(b"\n")
                if begins and whole:
                    yield line
    except OSError:
        return  # it was removed meanwhile, or cannot be read


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines before the offset `end`, the last one first, each with its own offset; endless ones are empty."""
    rest = b""  # the end of a line of which the beginning is not read yet
    is_endless = False  # that line; its rest is not kept
    position = end
    while position > 0:
        begin = max(0, position - BLOCK)
        file.seek(begin)
        first, *whole = (file.read(position - begin) + rest).split(b"\n")
        position = begin
        offset = begin + len(first) + sum(len(line) + 1 for line in whole)
        for line in reversed(whole):
            offset -= len(line)
            yield offset, b"" if is_endless else line
            offset -= 1
            is_endless = False
        is_endless = is_endless or len(first) > log.LONGEST_LINE
        rest = b"" if is_endless else first
    yield 0, rest


def _key(place: _Place) -> str:
    return base64.urlsafe_b64encode(f"{place.inode}~{place.offset}".encode()).decode().rstrip("=")


def _read_key(key: str) -> _Place:
    try:
        inode, offset = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode().split("~")
        if not (0 <= int(inode) < 2**64 and 0 <= int(offset) < 2**63):
            raise ValueError(key)
        return _Place(int(inode), int(offset))
    except (ValueError, binascii.Error) as exc:
        raise InputError("after", "This page does not exist; begin with the first one.") from exc
