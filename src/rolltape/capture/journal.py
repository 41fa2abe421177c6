"""The journal of a session: what happened to its takes, written as it happens.

One JSON object per line, beside the takes. `read_journal` believes nothing: a power cut leaves half a line, or one
full of zeros, and a take that is longer or shorter than the journal knew.

    window   opens, start, end, closes            what is to be recorded; the last one counts
    opened   take, file, codec, sample_rate, channels, continues
    sync     take, begins, media, bytes, stall    every few seconds: `media` is seconds of audio, `stall` the longest
                                                  time without new audio up to now
    closed   take, begins, media, bytes, stall, ended_by
    resumed  take, begins, media, bytes           a new connection goes on with a take that had ended
    station  name
    title    title, take, media                   the last two where a take was under way
    stopped                                       the user ended it
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rolltape.capture.measure import measure
from rolltape.domain.recording import Window
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import DAY, BitsPerSecond, Hertz, Seconds

NAME = "journal.jsonl"
INTERRUPTED = "Rolltape was interrupted."

_LONGEST_TAKE = 366 * DAY  # s; no session is as long
_EARLIEST, _LATEST = 1970, 2200  # years; a machine without a battery wakes up in the first of them


@dataclass(frozen=True)
class Journal:
    """What a session has recorded. `window` is the effective one, None before there was one.

    `titles` come with the moment when they were on the air, by the clock that says when the takes begin.
    """

    takes: tuple[TakeFacts, ...] = ()
    window: Window | None = None
    station: str | None = None
    titles: tuple[tuple[datetime, str], ...] = ()
    stopped: bool = False
    longest_stall: Seconds | None = None


@dataclass
class _Reading:
    """A journal while it is read."""

    takes: dict[int, TakeFacts] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    window: Window | None = None
    station: str | None = None
    titles: list["_Title"] = field(default_factory=list)
    stopped: bool = False
    longest_stall: Seconds | None = None


@dataclass(frozen=True)
class _Title:
    """A title, when it came, and after how many seconds of which take that was (0: of none)."""

    at: datetime
    text: str
    take: int
    media: float

    def moment(self, takes: dict[int, TakeFacts]) -> datetime:
        """When it was on the air. A server sends its last seconds at once to who connects, so it may come earlier."""
        take = takes.get(self.take)
        return self.at if take is None else take.begins + timedelta(seconds=self.media)


class JournalWriter:
    """Appends to the journal in `folder`. Each line is with the system when the call returns."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the folder cannot be written."""
        self.path = folder / NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end_torn_line()

    @property
    def descriptor(self) -> int:
        return self._file

    def write(self, event: str, at: datetime, **fields: Any) -> None:
        """Raises OSError where there is no room for the line, or the disk is broken; there is none of it then."""
        line = json.dumps({"event": event, "at": at.isoformat(), **fields}, ensure_ascii=False)
        left = f"{line}\n".encode("utf-8", "replace")
        written = 0
        try:
            while left:
                count = os.write(self._file, left)
                written, left = written + count, left[count:]
        except OSError:
            if written:  # half a line would spoil the next one
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def _end_torn_line(self) -> None:
        """So that what is written now is not taken for the end of a line that a crash cut off."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")


def read_journal(folder: Path) -> Journal:
    """The journal in `folder`; an empty one where there is none. Takes without audio are left out."""
    reading = _Reading()
    for line in _lines(folder / NAME):
        try:
            _note(reading, line)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            continue  # a line that does not read as one of ours
    settled = (_settled(reading, take, folder) for _, take in sorted(reading.takes.items()))
    takes = {take.number: take for take in settled if take is not None}
    return Journal(
        takes=tuple(takes.values()),
        window=reading.window,
        station=reading.station,
        titles=tuple((title.moment(takes), title.text) for title in reading.titles),
        stopped=reading.stopped,
        longest_stall=reading.longest_stall,
    )


def make_up_for(folder: Path, known: Iterable[TakeFacts]) -> None:
    """Enter how takes ended, as far as the disk was full (or broken, or gone) when they did.

    Raises:
        OSError: it still is.
    """
    found = {take.number: take for take in read_journal(folder).takes}
    missing = [take for take in known if take.number in found and found[take.number].ended_by != take.ended_by]
    if not missing:
        return
    writer = JournalWriter(folder)
    try:
        for take in missing:
            fields = {"begins": take.begins.isoformat(timespec="milliseconds"), "ended_by": take.ended_by}
            media, size = found[take.number].duration, found[take.number].size
            writer.write("closed", datetime.now(UTC), take=take.number, media=media, bytes=size, **fields)
    finally:
        writer.close()


def window_fields(window: Window) -> dict[str, str]:
    return {name: getattr(window, name).isoformat() for name in ("opens", "start", "end", "closes")}


def format_fields(format: AudioFormat) -> dict[str, Any]:
    return {"codec": format.codec.value, "sample_rate": format.sample_rate, "channels": format.channels}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    for raw in data.split(b"\n"):
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            yield line


def _note(reading: _Reading, line: dict[str, Any]) -> None:
    match line["event"]:
        case "window":
            reading.window = Window(*(_moment(line[name]) for name in ("opens", "start", "end", "closes")))
        case "opened":
            take = _opened(line)
            reading.takes[take.number] = take
            reading.closed.discard(take.number)  # one of this number that somebody took away
        case "sync" | "closed" | "resumed" as event:
            number = line["take"]
            take = _grown(reading.takes[number], line)
            if event == "closed":
                reading.closed.add(number)
            elif event == "resumed":
                reading.closed.discard(number)
                take = replace(take, connections=take.connections + 1, ended_by=INTERRUPTED)
            reading.takes[number] = take
            if "stall" in line:
                reading.longest_stall = max(reading.longest_stall or Seconds(0), _span(line["stall"]))
        case "station":
            reading.station = str(line["name"])
        case "title":
            media = _span(line.get("media", 0))
            reading.titles.append(_Title(_moment(line["at"]), str(line["title"]), int(line.get("take", 0)), media))
        case "stopped":
            reading.stopped = True


def _opened(line: dict[str, Any]) -> TakeFacts:
    number, file = line["take"], str(line["file"])
    if not isinstance(number, int) or Path(file).name != file or file in ("", ".", ".."):
        raise ValueError("a take of no name")
    continues = line.get("continues") is True
    return TakeFacts(number, file, _format(line), _moment(line["at"]), Seconds(0), INTERRUPTED, continues=continues)


def _grown(take: TakeFacts, line: dict[str, Any]) -> TakeFacts:
    seconds = float(line["media"])
    if not 0 <= seconds < _LONGEST_TAKE:
        raise ValueError("no span of time")
    size = max(0, int(line["bytes"]))
    bit_rate = BitsPerSecond(round(size * 8 / seconds / 1000) * 1000) if seconds >= 1 and size > 0 else None
    format = replace(take.format, bit_rate=bit_rate)
    ended_by = str(line.get("ended_by", take.ended_by))
    begins = _moment(line["begins"])
    return replace(take, begins=begins, duration=Seconds(seconds), format=format, ended_by=ended_by, size=size)


def _settled(reading: _Reading, take: TakeFacts, folder: Path) -> TakeFacts | None:
    """The take with the audio that is really in its file; None where there is none."""
    path = folder / take.file
    if not path.is_file():
        return None
    if take.number in reading.closed and path.stat().st_size >= take.size:
        return take if take.duration > 0 else None
    found = measure(path, take.format.codec, known=take.duration, size=take.size)
    if not found.seconds:
        return None
    # Before the first sync nothing is known of the burst: the take cannot have begun later than the file ends.
    begins = take.begins if take.duration else min(take.begins, _written(path) - timedelta(seconds=found.seconds))
    return replace(take, begins=begins, duration=found.seconds, size=found.size)


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _format(line: dict[str, Any]) -> AudioFormat:
    sample_rate, channels = line.get("sample_rate"), line.get("channels")
    return AudioFormat(
        Codec(line["codec"]),
        Hertz(int(sample_rate)) if sample_rate is not None else None,
        int(channels) if channels is not None else None,
    )


def _span(value: Any) -> Seconds:
    seconds = float(value)
    if not 0 <= seconds < _LONGEST_TAKE:
        raise ValueError("no span of time")
    return Seconds(seconds)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not _EARLIEST <= moment.year <= _LATEST:
        raise ValueError("no time zone, or nothing was recorded then")
    return moment
