"""Cron expressions: which ones are taken, and the local times they name.

The dialect is that of Debian's cron (crontab(5)) and of cronsim, which works it out: five fields; names, lists, ranges
and steps; Sunday is 0 and 7; `2#1` is the first Tuesday of the month, `5L` the last Friday, and `L` as day of the
month its last day (`LW` its last weekday). Where day of the month and day of the week are both restricted, either is
enough; but as soon as one of the two begins with a star (`*/2` does, too), both have to fit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cronsim import CronSim, CronSimError

from rolltape.domain.errors import InputError

LONGEST = 200  # characters; what is longer was not typed by anybody

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_SHOWN = 40  # characters of a faulty part that are repeated in the sentence about it
_ANY_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 (cronsim wants a start, even if nobody walks)
_RANGE = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[0-9]+))?", re.ASCII)
_SPAN = re.compile(r"([0-9]+)(?:-([0-9]+)(?:/([0-9]+))?)?")
_NTH = re.compile(r"(?P<day>\w+?)(?P<which>#[1-5]|L)", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One of the five. `words` are its special values, `names` those of its numbers, from the lowest on."""

    name: str
    lowest: int
    highest: int
    example: str
    names: tuple[str, ...] = ()
    words: frozenset[str] = field(default_factory=frozenset)
    has_nth: bool = False


FIELDS = (
    Field("minute", 0, 59, "0,30 or */15"),
    Field("hour", 0, 23, "9,17 or 9-12"),
    Field("day of the month", 1, 31, "1,15 or L for the last", words=frozenset({"L", "LW"})),
    Field("month", 1, 12, "JUN-AUG or 6-8", names=MONTHS),
    Field("day of the week", 0, 7, "MON-FRI, 2#1 or 5L", names=WEEKDAYS, has_nth=True),
)


def canonical(expression: str) -> str:
    """`expression` as five fields of numbers, with one space between them.

    Raises:
        InputError: it does not read; the sentence names the part that is wrong.
    """
    expression = expression.strip()
    if not expression:
        raise _wrong("An expression is needed, like 0 9 * * 1-5 for Monday to Friday at 9:00.")
    if len(expression) > LONGEST:
        raise _wrong(f"The expression is longer than {LONGEST} characters.")
    if any(not char.isprintable() and char != "\t" for char in expression):
        raise _wrong("The expression has a line break or another character in it that cannot be shown.")
    parts = _without_alias(expression).split()
    if len(parts) != len(FIELDS):
        raise _wrong(
            f"Five fields are needed (minute, hour, day of the month, month, day of the week), not {len(parts)}."
        )

    cron = " ".join(_canonical_field(field, part) for field, part in zip(FIELDS, parts, strict=True))
    try:
        CronSim(cron, _ANY_DAY)
    except CronSimError as exc:
        raise _wrong("This never occurs: the day of the month is in none of the months.") from exc

    return cron


def local_times(cron: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """The naive local times that the canonical `cron` names, strictly after `after` and up to `until`, in order.

    Clocks that are moved do not come in here: that is `calendar.py`. cronsim gives up where there is nothing for 50
    years; the rarest date, a given weekday on 29 February, comes again within 40.
    """
    for moment in CronSim(cron, after):
        if moment > until:
            return
        yield moment


def is_hourly(cron: str) -> bool:
    """Whether the minute or the hour begins with a star: what Debian's cron calls a wildcard job."""
    minute, hour, *_ = cron.split()
    return minute.startswith("*") or hour.startswith("*")


def numbers(text: str) -> list[int]:
    """The numbers of a canonical list of numbers and ranges, in order; none where there is anything else."""
    found: set[int] = set()
    for part in text.split(","):
        shape = _SPAN.fullmatch(part)
        if shape is None:
            return []
        first, last, step = int(shape[1]), int(shape[2] or shape[1]), int(shape[3] or 1)
        found.update(range(first, last + 1, step))

    return sorted(found)


def _without_alias(expression: str) -> str:
    if not expression.startswith("@"):
        return expression
    alias = expression.lower()
    if alias == "@reboot":
        raise _wrong("@reboot names no time; a recording needs one.")
    if alias not in ALIASES:
        raise _wrong(f"There is no `{_shown(expression)}`; the short forms are {', '.join(ALIASES)}.")

    return ALIASES[alias]


def _canonical_field(field: Field, text: str) -> str:
    if not text.isascii():
        raise _unreadable(field, text)  # before upper(), which makes an S of a long s
    return ",".join(_canonical_term(field, term, text) for term in text.upper().split(","))


def _canonical_term(field: Field, term: str, whole: str) -> str:
    """One part of a list; `whole` is the list."""
    if term in field.words:
        return term
    if field.has_nth and (nth := _NTH.fullmatch(term)):
        return f"{_number(field, nth['day'], whole)}{nth['which']}"
    found = _RANGE.fullmatch(term)
    if found is None:
        raise _unreadable(field, whole)
    span = _canonical_span(field, found, whole)
    if found["step"] is None:
        return span

    return _with_step(field, span, found["step"], whole)


def _canonical_span(field: Field, found: re.Match[str], whole: str) -> str:
    first, last = found["first"], found["last"]
    if first == "*":
        if last is not None:
            raise _unreadable(field, whole)
        return "*"
    start = _number(field, first, whole)
    if last is None:
        return str(start)
    end = _number(field, last, whole)
    if field.has_nth and end == 0 < start:
        end = field.highest  # Friday to Sunday: a Sunday that ends a range is the 7
    if end < start:
        raise _wrong(f"The {field.name} (`{_shown(whole)}`) runs backwards; a range goes from the lower to the higher.")

    return f"{start}-{end}" if start < end else f"{start}-{start}"


def _with_step(field: Field, span: str, digits: str, whole: str) -> str:
    most = field.highest - field.lowest + 1
    step = int(digits)
    if not 1 <= step <= most:
        raise _wrong(f"The {field.name} (`{_shown(whole)}`) has a step of {_shown(digits)}; a step is 1 to {most}.")
    if span == "*" and step == most and field in FIELDS[:2]:
        return str(field.lowest)  # "every 24th hour" is a fixed time; in the day fields the star would be missed
    first, _, last = span.partition("-")
    if first == last:
        return first  # a step inside one number leaves that number; cronsim would go on to the end

    return f"{span}/{step}"


def _number(field: Field, text: str, whole: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if not text.isdigit():
        raise _unreadable(field, whole)
    if not field.lowest <= int(text) <= field.highest:
        raise _wrong(
            f"The {field.name} (`{_shown(whole)}`) is out of range: it goes from {field.lowest} to {field.highest}."
        )

    return int(text)


def _unreadable(field: Field, text: str) -> InputError:
    return _wrong(
        f"The {field.name} (`{_shown(text)}`) cannot be read: "
        f"it is * or {field.lowest} to {field.highest}, or something like {field.example}."
    )


def _wrong(sentence: str) -> InputError:
    return InputError("cron", sentence)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
