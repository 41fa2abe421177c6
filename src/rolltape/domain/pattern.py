"""Patterns like `{date} {show}`: what titles and file names are made from."""

import re
from collections.abc import Mapping
from datetime import date, datetime

from rolltape.domain.errors import InputError

NAMES = (
    "date", "time", "show", "stream", "artist", "album", "year", "month", "day", "weekday", "track",
)  # fmt: skip
LONGEST = 500  # characters of a pattern; several times what any file system takes as a name
FIRST_DAY = date(2020, 1, 1)  # day 0 of the track numbers: 2 January 2020 is track 1

_PLACE = re.compile(r"\{([^{}]*)\}")


def track_number(recording_date: date) -> int:
    """Days since 1 January 2020."""
    return (recording_date - FIRST_DAY).days


def values(*, start: datetime, show: str, stream: str, artist: str, album: str) -> dict[str, str]:
    """What each name stands for, for a show planned to start at `start`, in the schedule's own zone."""
    return {
        "date": f"{start:%Y-%m-%d}",
        "time": f"{start:%H-%M}",
        "show": show,
        "stream": stream,
        "artist": artist,
        "album": album,
        "year": f"{start:%Y}",
        "month": f"{start:%m}",
        "day": f"{start:%d}",
        "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[start.weekday()],
        "track": str(track_number(start.date())),
    }


def render(pattern: str, known: Mapping[str, str]) -> str:
    """`pattern` with every `{name}` replaced. There is nothing else in a pattern: no attributes, no formats."""
    return _PLACE.sub(lambda place: known[place[1]], pattern)


def check(pattern: str, field: str) -> str:
    """`pattern`, if it can be rendered.

    Raises:
        InputError: it is empty or too long, has an unknown name, a brace that belongs to no name, or a character that
            cannot be shown.
    """
    if not pattern.strip():
        raise InputError(field, "The pattern is empty.")
    if len(pattern) > LONGEST:
        raise InputError(field, f"The pattern is longer than {LONGEST} characters.")
    if any(not char.isprintable() for char in pattern):
        raise InputError(field, "There is a character in it that cannot be shown.")
    for name in _PLACE.findall(pattern):
        if name not in NAMES:
            raise InputError(field, f"There is no {{{name}}}; the names are {', '.join(NAMES)}.")
    rest = _PLACE.sub("", pattern)
    if "{" in rest or "}" in rest:
        raise InputError(field, "A brace is not closed, or closes nothing.")

    return pattern
