"""Dates, spans and cron expressions in plain English.

The common shapes of an expression read as a person would say them; the rest is left to cronsim.
"""

from collections.abc import Sequence
from datetime import datetime

from cronsim import CronSim

from rolltape.domain.cron import numbers
from rolltape.domain.units import Seconds

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NTH = ("first", "second", "third", "fourth", "fifth")
MOST_TIMES = 6  # of a day; with more of them a list is no longer read

_ANY_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 (cronsim wants a date; the words do not depend on it)


def of_span(span: Seconds) -> str:
    """A length like "2 hours 30 minutes", to the second."""
    minutes, seconds = divmod(round(span), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [_counted(hours, "hour"), _counted(minutes, "minute"), _counted(seconds, "second")]
    return " ".join(part for part in parts if part) or "0 seconds"


def of_date(local: datetime) -> str:
    """One date, like "Once, on Sunday 29 March 2026 at 02:30"."""
    weekday, month = WEEKDAYS[local.isoweekday() % 7], MONTHS[local.month - 1]
    return f"Once, on {weekday} {local.day} {month} {local.year} at {local:%H:%M}"


def of_cron(cron: str) -> str:
    """A canonical expression, like "Every Monday to Friday at 09:00"."""
    minute, hour, day, month, weekday = cron.split()
    days = _days(day, month, weekday)
    if days is None:
        return _by_cronsim(cron)
    times = _times(minute, hour)
    if times is not None:
        return f"{days} at {times}"
    rhythm = _rhythm(minute, hour)
    if rhythm is None:
        return _by_cronsim(cron)

    return rhythm if days == "Every day" else f"{rhythm}, {_lowered(days)}"


def _by_cronsim(cron: str) -> str:
    text: str = CronSim(cron, _ANY_DAY).explain()
    return text


def _times(minute: str, hour: str) -> str | None:
    """Times of day, like "09:00 and 17:00"; None where they are no short list."""
    minutes, hours = numbers(minute), numbers(hour)
    if not minutes or not hours or len(minutes) * len(hours) > MOST_TIMES:
        return None

    return _listed([f"{one:02}:{other:02}" for one in hours for other in minutes])


def _rhythm(minute: str, hour: str) -> str | None:
    """What goes through the whole day, like "Every 15 minutes"."""
    every_minutes, every_hours = _interval(minute, 60), _interval(hour, 24)
    if every_minutes and every_hours == 1:
        return "Every minute" if every_minutes == 1 else f"Every {every_minutes} minutes"
    if not minute.isdigit() or not every_hours:
        return None
    past = "on the hour" if minute == "0" else f"at {_counted(int(minute), 'minute')} past"

    return f"Every hour {past}" if every_hours == 1 else f"Every {every_hours} hours {past}"


def _interval(text: str, whole: int) -> int | None:
    """The n of `*/n` where it divides the whole, so that the steps are even; 1 for `*`."""
    if text == "*":
        return 1
    step = text.removeprefix("*/")
    if step == text or not step.isdigit() or whole % int(step):
        return None

    return int(step)


def _days(day: str, month: str, weekday: str) -> str | None:
    """The days, like "Every Monday" or "On the 1st of every month"; None for a shape that is not common."""
    months = _months(month)
    if months is None:
        return None
    if day == "*":
        return _by_weekday(weekday, months)
    in_month = _days_of_month(day)
    if in_month is None:
        return None
    by_month = f"On {in_month} of {months or 'every month'}"
    if weekday == "*":
        return by_month
    if weekday.startswith("*"):
        return _both(by_month, weekday)
    by_weekday = _by_weekday(weekday, months)

    return f"{by_month} and {_lowered(by_weekday)}" if by_weekday else None


def _both(by_month: str, weekday: str) -> str | None:
    """For a weekday with a star, which narrows the days of the month instead of adding to them."""
    every = _weekdays(weekday)
    return every and f"{by_month} if it is {every.removeprefix('Every ').replace(' and ', ' or ')}"


def _by_weekday(weekday: str, months: str) -> str | None:
    if "#" in weekday or "L" in weekday:
        nth = _nth_weekdays(weekday)
        return f"On {nth} of {months or 'every month'}" if nth else None
    every = _weekdays(weekday)
    if every is None:
        return None

    return f"{every} in {months}" if months else every


def _months(month: str) -> str | None:
    """The months as a list, "" for all, None for a shape that is not common."""
    if month == "*":
        return ""
    found = numbers(month)

    return _ranged(found, [MONTHS[number - 1] for number in found]) if found else None


def _days_of_month(day: str) -> str | None:
    if day == "L":
        return "the last day"
    if day == "LW":
        return "the last weekday"
    dates, comma, last = day.rpartition(",")
    found = numbers(dates if last == "L" and comma else day)
    names = [_ordinal(number) for number in found]
    if not found:
        return None

    return f"the {_listed([*names, 'last day']) if last == 'L' else _ranged(found, names)}"


def _nth_weekdays(weekday: str) -> str | None:
    named = [_nth_weekday(part) for part in weekday.split(",")]
    found = [name for name in named if name]

    return _listed(found) if len(found) == len(named) else None


def _nth_weekday(text: str) -> str | None:
    """ "the second Monday" for `1#2`."""
    if text.endswith("L"):
        return f"the last {WEEKDAYS[int(text[:-1]) % 7]}"
    number, mark, nth = text.partition("#")

    return f"the {NTH[int(nth) - 1]} {WEEKDAYS[int(number) % 7]}" if mark else None


def _weekdays(weekday: str) -> str | None:
    """ "Every Monday to Friday"; a week is read from Monday on."""
    found = sorted({number or 7 for number in numbers(weekday.replace("*", "0-6"))})
    if not found:
        return None
    if len(found) == 7:
        return "Every day"

    return f"Every {_ranged(found, [WEEKDAYS[number % 7] for number in found])}"


def _ranged(found: Sequence[int], names: Sequence[str]) -> str:
    """The names as "A to E" where three or more follow one another without a hole, else as a list."""
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{names[0]} to {names[-1]}"

    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(number: int, unit: str) -> str:
    """ "1 hour", "2 hours", "" for none."""
    return f"{number} {unit}{'s' * (number != 1)}" if number else ""


def _ordinal(number: int) -> str:
    ending = "th" if 11 <= number <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _lowered(text: str) -> str:
    return f"{text[0].lower()}{text[1:]}"
