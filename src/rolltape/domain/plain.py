"""The plain choices of a schedule, and the cron expression that says the same; each follows from the other.

Most shows are at one time on some days. What an expression can say beyond these choices (two times a day, only in
June, each 10 minutes) has none, and stays an expression.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rolltape.domain import cron
from rolltape.domain.errors import InputError

# Days of the week count from Monday, 1, to Sunday, 7. Source: ISO 8601; cron reads these seven the same.
MONDAY, SUNDAY = 1, 7
EVERY_DAY = frozenset(range(MONDAY, SUNDAY + 1))
WORKING_DAYS = frozenset(range(MONDAY, 6))
WEEKEND = EVERY_DAY - WORKING_DAYS

LAST = 0  # among the weeks and the dates of a month, the last one; it sorts behind the others
WEEKS = (1, 2, 3, 4, 5, LAST)
DATES = (*range(1, 32), LAST)
INTERVALS = (1, 2, 3, 4, 6, 8, 12)  # hours that divide a day, so that each day is like the other

_INTERVAL = re.compile(r"\*(?:/([0-9]+))?")


class Kind(StrEnum):
    WEEKLY = "weekly"  # on days of the week
    NTH = "nth"  # on some weekdays of the month, like its first Monday
    MONTHLY = "monthly"  # on dates of the month
    HOURLY = "hourly"  # every so many hours, from midnight on


@dataclass(frozen=True)
class Plain:
    """One plain choice. `days` counts for the first two kinds, `weeks` for the second, `dates` for the third.

    `hour` is the time of day together with `minute`; an hourly one has the minute alone, every `interval` hours.
    """

    kind: Kind = Kind.WEEKLY
    days: frozenset[int] = EVERY_DAY
    weeks: frozenset[int] = frozenset({1})
    dates: frozenset[int] = frozenset({1})
    interval: int = 1
    hour: int = 0
    minute: int = 0


def to_cron(plain: Plain) -> str:
    """The canonical expression of a choice.

    Raises:
        InputError: nothing is chosen, or something that there is not; its field is the name of the choice.
    """
    _check_number("minute", plain.minute, range(60))
    if plain.kind is Kind.HOURLY:
        _check_number("interval", plain.interval, INTERVALS)
        return f"{plain.minute} {'*' if plain.interval == 1 else f'*/{plain.interval}'} * * *"

    _check_number("hour", plain.hour, range(24))
    return f"{plain.minute} {plain.hour} {_day_fields(plain)}"


def from_cron(expression: str) -> Plain | None:
    """The choice that says the same as `expression`; None where there is none, or where it does not read."""
    try:
        minute, hour, date, month, day = cron.canonical(expression).split()
    except InputError:
        return None
    minutes, hours = cron.numbers(minute), cron.numbers(hour)
    if month != "*" or len(minutes) != 1:
        return None
    if hour.startswith("*"):
        return _hourly(minutes[0], hour) if (date, day) == ("*", "*") else None
    if len(hours) != 1:
        return None

    return _daily(hours[0], minutes[0], date, day)


def _day_fields(plain: Plain) -> str:
    """Day of the month, month and day of the week."""
    if plain.kind is Kind.MONTHLY:
        _check_some("dates", plain.dates, DATES, "Choose at least one date.")
        last = ["L"] if LAST in plain.dates else []
        return f"{','.join([*_ranges(plain.dates - {LAST}), *last])} * *"
    _check_some("days", plain.days, EVERY_DAY, "Choose at least one day of the week.")
    if plain.kind is Kind.NTH:
        _check_some("weeks", plain.weeks, WEEKS, "Choose which ones of the month.")
        weeks = sorted(plain.weeks, key=WEEKS.index)
        return f"* * {','.join(_nth(day, week) for day in sorted(plain.days) for week in weeks)}"

    return "* * *" if plain.days == EVERY_DAY else f"* * {','.join(_ranges(plain.days))}"


def _daily(hour: int, minute: int, date: str, day: str) -> Plain | None:
    """What is at one time of the day."""
    if date == "*":
        return _weekly(hour, minute, day) or _of_month(hour, minute, day)
    dates = _dates(date)
    if dates is None or day != "*":
        return None

    return Plain(Kind.MONTHLY, dates=dates, hour=hour, minute=minute)


def _hourly(minute: int, hour: str) -> Plain | None:
    shape = _INTERVAL.fullmatch(hour)
    interval = int(shape[1] or 1) if shape else 0
    return Plain(Kind.HOURLY, interval=interval, minute=minute) if interval in INTERVALS else None


def _weekly(hour: int, minute: int, day: str) -> Plain | None:
    days = frozenset(number or SUNDAY for number in cron.numbers(day.replace("*", "0-6")))
    return Plain(Kind.WEEKLY, days=days, hour=hour, minute=minute) if days else None


def _of_month(hour: int, minute: int, day: str) -> Plain | None:
    """For terms like `1#2`: a choice where each of the days has the same weeks."""
    pairs = {_read_nth(term) for term in day.split(",")}
    days = frozenset(number for number, _ in pairs)
    weeks = frozenset(week for _, week in pairs)
    if not days <= EVERY_DAY or len(pairs) != len(days) * len(weeks):
        return None

    return Plain(Kind.NTH, days=days, weeks=weeks, hour=hour, minute=minute)


def _dates(date: str) -> frozenset[int] | None:
    terms = date.replace("*", "1-31").split(",")
    found = cron.numbers(",".join(term for term in terms if term != "L"))
    last = {LAST} if "L" in terms else set()
    if not found and terms != ["L"] * len(terms):
        return None

    return frozenset(found) | last


def _nth(day: int, week: int) -> str:
    return f"{day}L" if week == LAST else f"{day}#{week}"


def _read_nth(term: str) -> tuple[int, int]:
    """Day and week of `1#2` or `5L`; a day that does not exist for anything else."""
    day, mark, week = term.partition("#")
    if mark:
        return int(day) or SUNDAY, int(week)

    return (int(day[:-1]) or SUNDAY, LAST) if day.endswith("L") else (0, 0)


def _ranges(found: Iterable[int]) -> list[str]:
    """Numbers as terms of a list: three or more that follow one another are a range."""
    runs: list[list[int]] = []
    for number in sorted(found):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        term for run in runs for term in ([f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(number) for number in run])
    ]


def _check_number(field: str, number: int, known: Iterable[int]) -> None:
    if number not in known:
        raise InputError(field, f"{number} cannot be chosen here.")


def _check_some(field: str, chosen: frozenset[int], known: Iterable[int], sentence: str) -> None:
    if not chosen:
        raise InputError(field, sentence)
    for number in chosen - set(known):
        raise InputError(field, f"{number} cannot be chosen here.")
