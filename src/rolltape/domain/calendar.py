"""When a schedule occurs.

A rule is a cron expression or one date, in a time zone. Its local times become moments like this:

- A fixed time that the clocks skip happens once, at the first minute that exists (02:30 at 03:00). One that comes twice
  happens once, the first time.
- Where minute or hour begins with a star, the rule follows the clock as it runs: a skipped hour has no occurrence, a
  doubled one has them twice. So what is hourly happens in every real hour, once.

That is what Debian's cron does, with one difference: two times of a rule that are both skipped would run twice at the
end of the gap there, and happen once here. See docs/decisions/0002-daylight-saving.md.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, partial
from zoneinfo import ZoneInfo, available_timezones

from rolltape.domain import cron, words
from rolltape.domain.errors import InputError
from rolltape.domain.units import Seconds

FIRST_YEAR = 1970  # earlier clocks were off by odd seconds, and nothing is recorded there
LAST_YEAR = 2999  # so that every walk ends
SEARCH_FROM = datetime(2024, 1, 1, tzinfo=UTC)  # where the search for a first occurrence begins,
SEARCH_UNTIL = datetime(2074, 1, 1, tzinfo=UTC)  # and ends: long enough for any weekday on 29 February

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)  # more than any zone is away from UTC
_EARLIEST = datetime(FIRST_YEAR, 1, 2, tzinfo=UTC)
_LATEST = datetime(LAST_YEAR, 12, 30, tzinfo=UTC)
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")
_PLACE = re.compile(r"(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific)/")
# Files beside the zones: the zone of this machine, "not set yet", and copies that count leap seconds.
_NO_ZONE = re.compile(r"localtime|posixrules|Factory|(?:posix|right)/.*")


@dataclass(frozen=True)
class Occurrence:
    """One start, in UTC. `note` is a sentence where a change of the clocks touches it."""

    start: datetime
    note: str | None = None


@dataclass(frozen=True)
class Rule:
    """When a schedule occurs: a cron expression in its canonical form, or one date, in a zone."""

    zone: ZoneInfo
    cron: str | None = None
    date: Occurrence | None = None


def check_zone(name: str) -> ZoneInfo:
    """The IANA time zone of this name.

    Raises:
        InputError: there is none.
    """
    if not name:
        raise InputError("timezone", "A time zone is needed, like Europe/Berlin.")
    unknown = InputError("timezone", f"There is no time zone {_shown(name)}; it is a name like Europe/Berlin or UTC.")
    if not _ZONE.fullmatch(name) or _NO_ZONE.fullmatch(name):
        raise unknown
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise unknown from exc


@cache
def zone_names() -> tuple[str, ...]:
    """The time zones to choose from: those named after a place, and UTC."""
    return ("UTC", *sorted(name for name in available_timezones() if _PLACE.match(name)))


def cron_rule(expression: str, timezone: str) -> Rule:
    """The rule of a cron expression.

    Raises:
        InputError: it does not read, it never occurs, or there is no such zone.
    """
    zone = check_zone(timezone)
    rule = Rule(zone, cron=cron.canonical(expression))
    if next(occurrences(rule, SEARCH_FROM, until=SEARCH_UNTIL), None) is None:
        raise InputError("cron", "This never occurs: no year has such a day, or the clocks always skip it.")

    return rule


def date_rule(at: datetime, timezone: str) -> Rule:
    """The rule of one date. A naive `at` is a local time in `timezone`.

    Raises:
        InputError: the year is out of range, or there is no such zone.
    """
    zone = check_zone(timezone)
    if not FIRST_YEAR < at.year < LAST_YEAR:
        raise InputError("at", f"The year has to lie between {FIRST_YEAR} and {LAST_YEAR}.")
    if at.tzinfo is not None:
        return Rule(zone, date=Occurrence(at.astimezone(UTC)))

    return Rule(zone, date=_fixed(at, zone))


def occurrences(rule: Rule, after: datetime, *, until: datetime | None = None) -> Iterator[Occurrence]:
    """The occurrences of `rule` strictly after `after` and up to `until`, in order, each once."""
    if after.tzinfo is None:
        raise ValueError(f"{after} has no time zone")
    after = max(after.astimezone(UTC), _EARLIEST)
    until = min(until or _LATEST, _LATEST)
    for occurrence in _all(rule, after, until):
        if occurrence.start > until:
            return
        if occurrence.start > after:
            yield occurrence


def sentence(rule: Rule, duration: Seconds) -> str:
    """The rule in words, like "Every Monday to Friday at 09:00 for 2 hours (Europe/Berlin)"."""
    if rule.date is not None:
        when = words.of_date(rule.date.start.astimezone(rule.zone))
    else:
        when = words.of_cron(rule.cron or "")

    return f"{when} for {words.of_span(duration)} ({rule.zone.key})"


def begin_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day in `zone`, in UTC; where midnight is skipped, the moment the clocks are moved."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def clock_change(day: date, zone: ZoneInfo) -> str | None:
    """A sentence for a day on which the clocks of `zone` are moved, None for any other."""
    instant = timedelta(microseconds=1)  # what happens at midnight belongs to the day that begins
    begin, end = (begin_of_day(moment, zone) - instant for moment in (day, day + timedelta(days=1)))
    before = begin.astimezone(zone).utcoffset()
    if before is None or end.astimezone(zone).utcoffset() == before:
        return None
    while end - begin > _MINUTE:
        middle = begin + (end - begin) / 2
        if middle.astimezone(zone).utcoffset() == before:
            begin = middle
        else:
            end = middle
    moved = end.replace(second=0, microsecond=0)

    return f"The clocks are moved from {_naive(moved) + before:%H:%M} to {moved.astimezone(zone):%H:%M} on this day."


def _all(rule: Rule, after: datetime, until: datetime) -> Iterator[Occurrence]:
    """The occurrences of `rule` in order, and perhaps some around them that are too early or too late."""
    if rule.date is not None:
        return iter([rule.date])
    if rule.cron is None or after >= until:
        return iter([])
    local = after.astimezone(rule.zone)
    times = partial(cron.local_times, rule.cron, until=until.replace(tzinfo=None) + _DAY)
    if cron.is_hourly(rule.cron):
        return _hourly(times(_before_doubled(local)), rule.zone)

    return _once_each(times(_naive(local)), rule.zone)


def _once_each(times: Iterator[datetime], zone: ZoneInfo) -> Iterator[Occurrence]:
    reached = datetime.min  # noqa: DTZ901 (a local time, like `times`)
    for local in times:
        if local <= reached:
            continue  # skipped like the one before, which stands for both
        occurrence = _fixed(local, zone)
        reached = _naive(occurrence.start.astimezone(zone))
        yield occurrence


def _fixed(local: datetime, zone: ZoneInfo) -> Occurrence:
    """The one occurrence at a naive local time."""
    moments = _moments(local, zone)
    if len(moments) == 1:
        return Occurrence(moments[0])
    if moments:
        return Occurrence(moments[0], f"{local:%H:%M} comes twice on this day; the first one counts")
    exists = _next_that_exists(local, zone)

    return Occurrence(_moments(exists, zone)[0], _moved_note(local, exists))


def _moved_note(local: datetime, exists: datetime) -> str:
    if local.date() == exists.date():
        return f"{local:%H:%M} does not exist on this day; starts at {exists:%H:%M}"

    return f"{local:%Y-%m-%d %H:%M} does not exist; starts at {exists:%Y-%m-%d %H:%M}"


def _next_that_exists(local: datetime, zone: ZoneInfo) -> datetime:
    """The first whole minute after a skipped local time that is not skipped."""
    local = local.replace(second=0, microsecond=0)
    while not _moments(local, zone):
        local += _MINUTE

    return local


def _hourly(times: Iterator[datetime], zone: ZoneInfo) -> Iterator[Occurrence]:
    """Every moment at which the clock shows one of `times`.

    The second pass of a doubled hour comes after times that stand behind it on the calendar, so it waits in a queue.
    """
    second_pass: deque[Occurrence] = deque()
    for local in times:
        moments = _moments(local, zone)
        while moments and second_pass and second_pass[0].start < moments[0]:
            yield second_pass.popleft()
        if len(moments) == 1:
            yield Occurrence(moments[0])
        elif moments:
            note = f"{local:%H:%M} comes twice on this day; both count"
            yield Occurrence(moments[0], note)
            second_pass.append(Occurrence(moments[1], note))
    yield from second_pass


def _before_doubled(local: datetime) -> datetime:
    """A naive time from which to walk so that nothing after `local` is left out.

    In the first pass of a doubled hour, times that have been shown will be shown again.
    """
    first, second = local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    return _naive(local) - max(second - first, timedelta())


def _naive(local: datetime) -> datetime:
    return local.replace(tzinfo=None, fold=0)


def _moments(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clocks of `zone` show the naive `local`: once, never in a skipped hour, twice in a doubled one.

    Source: PEP 495, "Conversion from naive to aware".
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return [first]

    return [first, second] if first < second else []


def _shown(name: str) -> str:
    """A name that may be anything, short and printable."""
    return ascii(name[:40])
