"""The log on disk: the files it is in, and what a line of it is about.

A line is a JSON object: `time`, `level`, `component`, `message`, `outcome` ("ok", "refused", "trouble" or "failed"),
often `action` (the operation), `session_id` and `stream_id`, other fields, and `exception` (one text with line breaks
in it). The file being written has a fixed name; older ones carry the moment at which they were closed, so that their
names sort by age.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

CURRENT = "rolltape.log"
LONGEST_LINE = 256 * 1024  # bytes; longer ones are none of ours
OURS = "rolltape"  # what the names of our own loggers begin with

_OLDER = re.compile(r"rolltape-\d{8}T\d{6}\.\d{6}Z\.log")


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LEVELS = tuple(LogLevel)  # the least important first

COMPONENTS = (
    "app", "capture", "engine", "ffmpeg", "logs", "pipeline", "process", "scheduler", "services", "store", "tag",
    "transfer", "web",
)  # fmt: skip


def levels_from(level: LogLevel) -> tuple[LogLevel, ...]:
    """`level` and everything above it."""
    return LEVELS[LEVELS.index(level) :]


def component_of(logger: str) -> str:
    """The part of the program that a logger belongs to: `capture` for `rolltape.capture.tape`; a library's own name."""
    first, _, rest = logger.partition(".")
    return rest.partition(".")[0] or first if first == OURS else first


def name_of_closed(moment: datetime) -> str:
    """What a file is called that was closed at `moment`."""
    return f"rolltape-{moment.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.log"


def closed_files(folder: Path) -> list[Path]:
    """The older files, the oldest first; none where the folder cannot be read."""
    try:
        names = [file for file in folder.iterdir() if _OLDER.fullmatch(file.name)]
    except OSError:
        return []

    return sorted(file for file in names if file.is_file())


def files(folder: Path) -> list[Path]:
    """All files of the log, the oldest first."""
    current = folder / CURRENT
    return [*closed_files(folder), *([current] if current.is_file() else [])]
