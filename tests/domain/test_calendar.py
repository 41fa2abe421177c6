"""When a schedule occurs: zones, daylight saving, and the whole of it against a model that walks every minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolltape.domain import calendar
from rolltape.domain.calendar import Occurrence, check_zone, cron_rule, date_rule, occurrences
from rolltape.domain.errors import InputError

MINUTE = timedelta(minutes=1)


def naive(text: str) -> datetime:
    return datetime.fromisoformat(text)


def starts(expression: str, zone: str, first_day: str, days: int) -> list[str]:
    """The occurrences of some local days, as local times with offset."""
    tz = ZoneInfo(zone)
    midnight = naive(first_day).replace(tzinfo=tz)
    end = naive(first_day) + timedelta(days=days)
    found = occurrences(cron_rule(expression, zone), midnight - MINUTE, until=end.replace(tzinfo=tz) - MINUTE)
    return [f"{one.start.astimezone(tz):%d %H:%M%z}" for one in found]


# Days on which the clocks move: at 02:00 to 03:00 and back at 03:00 (Berlin) or 02:00 (New York).


@pytest.mark.parametrize(
    ("zone", "day", "offset"),
    [
        ("Europe/Berlin", "2026-03-29", "+0200"),
        ("Europe/Berlin", "2027-03-28", "+0200"),
        ("America/New_York", "2026-03-08", "-0400"),
        ("America/New_York", "2027-03-14", "-0400"),
    ],
)
def test_a_show_in_the_skipped_hour_starts_at_its_end_once(zone: str, day: str, offset: str) -> None:
    number = day[-2:]

    assert starts("30 2 * * *", zone, day, 1) == [f"{number} 03:00{offset}"]


@pytest.mark.parametrize(
    ("zone", "day", "offset", "doubled"),
    [
        ("Europe/Berlin", "2026-10-25", "+0200", "02:30"),
        ("Europe/Berlin", "2027-10-31", "+0200", "02:30"),
        ("America/New_York", "2026-11-01", "-0400", "01:30"),
        ("America/New_York", "2027-11-07", "-0400", "01:30"),
    ],
)
def test_a_show_in_the_doubled_hour_starts_the_first_time_only(zone: str, day: str, offset: str, doubled: str) -> None:
    hour, minute = doubled.split(":")

    assert starts(f"{minute} {hour} * * *", zone, day, 1) == [f"{day[-2:]} {doubled}{offset}"]


def test_a_show_at_half_past_two_is_untouched_by_the_autumn_of_new_york() -> None:
    assert starts("30 2 * * *", "America/New_York", "2026-11-01", 1) == ["01 02:30-0500"]
    assert starts("30 2 * * *", "America/New_York", "2027-11-07", 1) == ["07 02:30-0500"]


@pytest.mark.parametrize(
    ("zone", "day", "offset"),
    [
        ("Europe/Berlin", "2026-03-29", "+0100"),
        ("Europe/Berlin", "2026-10-25", "+0200"),
        ("Europe/Berlin", "2027-03-28", "+0100"),
        ("Europe/Berlin", "2027-10-31", "+0200"),
        ("America/New_York", "2026-03-08", "-0500"),
        ("America/New_York", "2026-11-01", "-0400"),
        ("America/New_York", "2027-03-14", "-0500"),
        ("America/New_York", "2027-11-07", "-0400"),
    ],
)
def test_a_show_at_half_past_midnight_starts_once_on_every_such_day(zone: str, day: str, offset: str) -> None:
    assert starts("30 0 * * *", zone, day, 1) == [f"{day[-2:]} 00:30{offset}"]


@pytest.mark.parametrize(
    ("zone", "day", "count"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2027-03-28", 23),
        ("Europe/Berlin", "2027-10-31", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2027-03-14", 23),
        ("America/New_York", "2027-11-07", 25),
    ],
)
def test_an_hourly_show_starts_in_every_real_hour_once(zone: str, day: str, count: int) -> None:
    tz = ZoneInfo(zone)
    midnight = naive(day).replace(tzinfo=tz).astimezone(UTC)
    next_midnight = (naive(day) + timedelta(days=1)).replace(tzinfo=tz)

    found = list(occurrences(cron_rule("0 * * * *", zone), midnight - MINUTE, until=next_midnight - MINUTE))

    assert [one.start for one in found] == [midnight + timedelta(hours=hour) for hour in range(count)]


@pytest.mark.parametrize(
    ("expression", "zone", "day", "expected"),
    [
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29", ["29 03:00+0200"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-29", ["29 03:00+0200", "29 03:30+0200"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-29", ["29 03:00+0200"]),
        ("0 1-3 * * *", "Europe/Berlin", "2026-10-25", ["25 01:00+0200", "25 02:00+0200", "25 03:00+0100"]),
        ("30 2 29 3 *", "Europe/Berlin", "2026-03-29", ["29 03:00+0200"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29", []),
        ("*/40 2 * * *", "Europe/Berlin", "2026-10-25",
         ["25 02:00+0200", "25 02:40+0200", "25 02:00+0100", "25 02:40+0100"]),
        ("*/40 2 25 10 *", "Europe/Berlin", "2026-10-25",
         ["25 02:00+0200", "25 02:40+0200", "25 02:00+0100", "25 02:40+0100"]),
        ("0 */24 * * *", "America/Havana", "2026-11-01", ["01 00:00-0400"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04", ["04 01:00-0200"]),
        ("30 23 * * *", "America/Sao_Paulo", "2018-02-17", ["17 23:30-0200"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["04 02:30+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["05 01:45+1100"]),
        ("0 * * * 0", "Asia/Kolkata", "2026-03-29", [f"29 {hour:02}:00+0530" for hour in range(24)]),
    ],
)  # fmt: skip
def test_lists_steps_and_odd_zones_on_such_days(expression: str, zone: str, day: str, expected: list[str]) -> None:
    assert starts(expression, zone, day, 1) == expected


def test_a_show_on_a_day_that_does_not_exist_starts_at_the_next_midnight() -> None:
    rule = cron_rule("0 9 * * *", "Pacific/Apia")

    found = occurrences(rule, datetime(2011, 12, 29, 20, tzinfo=UTC))

    assert next(found) == Occurrence(
        datetime(2011, 12, 30, 10, tzinfo=UTC), "2011-12-30 09:00 does not exist; starts at 2011-12-31 00:00"
    )
    assert next(found) == Occurrence(datetime(2011, 12, 30, 19, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("30 2 * * *", "2026-10-25T00:29Z", "2026-10-25T00:30Z"),
        ("30 2 * * *", "2026-10-25T00:31Z", "2026-10-26T01:30Z"),
        ("30 2 * * *", "2026-10-25T01:01Z", "2026-10-26T01:30Z"),
        ("*/30 * * * *", "2026-10-25T00:45Z", "2026-10-25T01:00Z"),
        ("30 * * * *", "2026-10-25T00:45Z", "2026-10-25T01:30Z"),
        ("*/20 2 * * *", "2026-10-25T00:50Z", "2026-10-25T01:00Z"),
        ("30 2 * * *", "2026-03-29T00:59:59Z", "2026-03-29T01:00Z"),
        ("30 2 * * *", "2026-03-29T01:00Z", "2026-03-30T00:30Z"),
    ],
)
def test_a_walk_may_begin_in_the_middle_of_a_change(expression: str, after: str, expected: str) -> None:
    rule = cron_rule(expression, "Europe/Berlin")

    assert next(occurrences(rule, datetime.fromisoformat(after))).start == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("expression", "after", "note"),
    [
        ("30 2 * * *", "2026-03-29T00:00Z", "02:30 does not exist on this day; starts at 03:00"),
        ("30 2 * * *", "2026-10-25T00:00Z", "02:30 comes twice on this day; the first one counts"),
        ("30 * * * *", "2026-10-25T00:00Z", "02:30 comes twice on this day; both count"),
        ("30 2 * * *", "2026-03-30T00:00Z", None),
        ("30 * * * *", "2026-03-29T00:00Z", None),
    ],
)
def test_a_note_says_where_daylight_saving_touches_a_start(expression: str, after: str, note: str | None) -> None:
    rule = cron_rule(expression, "Europe/Berlin")

    assert next(occurrences(rule, datetime.fromisoformat(after))).note == note


# One date


@pytest.mark.parametrize(
    ("at", "start", "note"),
    [
        ("2026-07-05T20:00", "2026-07-05T18:00Z", None),
        ("2026-07-05T20:00:30", "2026-07-05T18:00:30Z", None),
        ("2026-03-29T02:30", "2026-03-29T01:00Z", "02:30 does not exist on this day; starts at 03:00"),
        ("2026-03-29T02:59:59", "2026-03-29T01:00Z", "02:59 does not exist on this day; starts at 03:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30Z", "02:30 comes twice on this day; the first one counts"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30Z", None),
        ("2026-07-05T20:00-04:00", "2026-07-06T00:00Z", None),
    ],
)
def test_a_date_occurs_once(at: str, start: str, note: str | None) -> None:
    rule = date_rule(datetime.fromisoformat(at), "Europe/Berlin")

    found = list(occurrences(rule, datetime(2020, 1, 1, tzinfo=UTC)))

    assert found == [Occurrence(datetime.fromisoformat(start), note)]


def test_a_date_that_names_its_fold_means_the_first_all_the_same() -> None:
    rule = date_rule(naive("2026-10-25T02:30").replace(fold=1), "Europe/Berlin")

    assert rule.date is not None
    assert rule.date.start == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_date_is_not_after_itself() -> None:
    moment = datetime(2026, 7, 5, 18, tzinfo=UTC)
    rule = date_rule(moment, "Europe/Berlin")

    assert list(occurrences(rule, moment)) == []
    assert len(list(occurrences(rule, moment - MINUTE, until=moment))) == 1


@pytest.mark.parametrize("at", [datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC)])  # noqa: DTZ901
def test_a_year_out_of_range_is_refused(at: datetime) -> None:
    with pytest.raises(InputError, match="year") as caught:
        date_rule(at, "Pacific/Kiritimati")

    assert caught.value.field == "at"


# Zones, ends and speed


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "US/Eastern"])
def test_a_zone_is_found_by_its_name(name: str) -> None:
    assert check_zone(name).key == name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "/usr/share/zoneinfo/UTC", "Europe", "Europe/",
        "Europe/Berlin/", "Europe//Berlin", "Europe/./Berlin", "Europe/Berlin\n", "Europe/Bärlin", "Mars/Olympus",
        "x" * 300, "x/" * 300, "x" * 100_000, "a\0b", "\ud800", "localtime", "posixrules", "Factory", "right/UTC",
        "posix/UTC", "zone.tab", "tzdata.zi", "zones", "__init__.py", "CET-1CEST", "+02:00", "2",
    ],
)  # fmt: skip
def test_what_is_no_zone_gets_a_sentence(name: str) -> None:
    with pytest.raises(InputError) as caught:
        cron_rule("0 9 * * *", name)

    assert caught.value.field == "timezone"
    assert len(caught.value.message) < 400
    assert caught.value.message.isascii()


@given(st.text(max_size=100))
def test_any_text_is_a_zone_or_an_input_error(name: str) -> None:
    with suppress(InputError):
        check_zone(name)


@settings(max_examples=300)
@given(st.lists(st.text("0123*/-,#LMON\n٣ſ", min_size=1, max_size=4), min_size=4, max_size=6).map(" ".join))
def test_any_text_is_a_rule_that_occurs_or_an_input_error(expression: str) -> None:
    with suppress(InputError):
        rule = cron_rule(expression, "Europe/Berlin")
        assert next(occurrences(rule, datetime(2026, 1, 1, tzinfo=UTC)))


def test_occurrences_come_strictly_after_and_until_inclusive() -> None:
    rule = cron_rule("0 9 * * *", "UTC")
    nine = datetime(2026, 5, 1, 9, tzinfo=UTC)
    day = timedelta(days=1)

    assert [one.start for one in occurrences(rule, nine, until=nine + 2 * day)] == [nine + day, nine + 2 * day]
    assert [one.start for one in occurrences(rule, nine - timedelta(microseconds=1), until=nine)] == [nine]
    assert list(occurrences(rule, nine, until=nine)) == []
    assert list(occurrences(rule, nine, until=nine - day)) == []


def test_a_moment_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        next(occurrences(cron_rule("0 9 * * *", "UTC"), naive("2026-05-01")))


@pytest.mark.parametrize("after", [datetime.min, datetime.max])  # noqa: DTZ901
def test_the_ends_of_time_are_no_trouble(after: datetime) -> None:
    found = occurrences(cron_rule("0 0 1 * *", "Pacific/Kiritimati"), after.replace(tzinfo=UTC))

    assert len(list(islice(found, 3))) in {0, 3}


def test_thousands_of_occurrences_take_a_second_at_most() -> None:
    rule = cron_rule("0 9 * * 1-5", "Europe/Berlin")
    begun = time.process_time()

    count = sum(1 for _ in islice(occurrences(rule, datetime(2026, 1, 1, tzinfo=UTC)), 3000))

    assert count == 3000
    assert time.process_time() - begun < 1


# The model: every real minute of some days, shown on the wall by zoneinfo. It shares no code with the calendar.


@dataclass(frozen=True)
class Wall:
    """One real minute: what the clock shows, and the times it shows or passes for the first time."""

    moment: datetime
    shows: datetime
    reaches: tuple[datetime, ...]


@dataclass(frozen=True)
class Part:
    """One field of an expression, as text and as what it means."""

    text: str
    fits: Callable[[Any], bool]

    @property
    def has_star(self) -> bool:
        return self.text.startswith("*")


WINDOWS = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2027, 10, 31)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Havana", date(2026, 3, 8)),  # 00:00 to 01:00
    ("America/Havana", date(2026, 11, 1)),  # 01:00 to 00:00
    ("America/St_Johns", date(2010, 11, 7)),  # 00:01 to 23:01: the doubled hour lies on two days
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Africa/Casablanca", date(2026, 2, 15)),  # an hour back for Ramadan
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Antarctica/Troll", date(2026, 3, 29)),  # two hours
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that does not exist
    ("Asia/Kolkata", date(2026, 2, 28)),
    ("UTC", date(2028, 2, 29)),
]


@cache
def walls(zone: str, around: date) -> list[Wall]:
    """Every minute from a day and a half before `around` to the end of the day after it."""
    moment = datetime(around.year, around.month, around.day, tzinfo=UTC) - timedelta(days=1.5)
    reached = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) - MINUTE
    found = []
    for _ in range(84 * 60):
        shows = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        new = tuple(reached + MINUTE * step for step in range(1, int((shows - reached) / MINUTE) + 1))
        found.append(Wall(moment, shows, new))
        reached = max(reached, shows)
        moment += MINUTE
    return found


def numbers(lowest: int, highest: int) -> st.SearchStrategy[Part]:
    """A field of plain numbers: star, step, number, list, range, range with step, open range with step."""

    def of(text: str, allowed: range | list[int]) -> Part:
        return Part(text, lambda value: value in allowed)

    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(sorted)
    step = st.integers(1, highest - lowest)
    return st.one_of(
        st.just(of("*", range(lowest, highest + 1))),
        step.map(lambda n: of(f"*/{n}", range(lowest, highest + 1, n))),
        number.map(lambda n: of(str(n), [n])),
        st.lists(number, min_size=2, max_size=4).map(lambda ns: of(",".join(map(str, ns)), ns)),
        span.map(lambda ab: of(f"{ab[0]}-{ab[1]}", range(ab[0], ab[1] + 1))),
        st.tuples(span, step).map(lambda x: of(f"{x[0][0]}-{x[0][1]}/{x[1]}", range(x[0][0], x[0][1] + 1, x[1]))),
        st.tuples(number, step).map(lambda x: of(f"{x[0]}/{x[1]}", range(x[0], highest + 1, x[1]))),
    )


def is_last_of_month(day: date) -> bool:
    return (day + timedelta(days=1)).month != day.month


STAR = st.just(Part("*", lambda value: True))

DAYS_OF_MONTH = st.one_of(
    numbers(1, 31).map(lambda part: Part(part.text, lambda day: part.fits(day.day))),
    st.just(Part("L", is_last_of_month)),
)

# isoweekday() is 1 to 7; a Sunday fits as 7 and as 0.
WEEKDAYS = st.one_of(
    numbers(0, 7).map(
        lambda part: Part(part.text, lambda day: part.fits(day.isoweekday()) or part.fits(day.isoweekday() % 7))
    ),
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map(
        lambda x: Part(f"{x[0]}#{x[1]}", lambda day: day.isoweekday() % 7 == x[0] % 7 and -(-day.day // 7) == x[1])
    ),
    st.integers(0, 7).map(
        lambda n: Part(
            f"{n}L", lambda day: day.isoweekday() % 7 == n % 7 and (day + timedelta(days=7)).month != day.month
        )
    ),
)

MINUTES = numbers(0, 59)
HOURS = numbers(0, 23)
HOURS_OF_CHANGES = st.sampled_from(
    [
        Part("2", lambda hour: hour == 2),
        Part("1-2", lambda hour: hour in (1, 2)),
        Part("0-3", lambda hour: hour < 4),
        Part("23,0,1", lambda hour: hour in (23, 0, 1)),
    ]
)

EXPRESSIONS = st.one_of(
    st.tuples(MINUTES, HOURS_OF_CHANGES, STAR, STAR, STAR),
    st.tuples(MINUTES, HOURS, STAR, STAR, STAR),
    st.tuples(MINUTES, HOURS, STAR | DAYS_OF_MONTH, STAR | numbers(1, 12), STAR | WEEKDAYS),
)

AROUND_THE_CHANGE = st.one_of(st.integers(-90, 90), st.integers(-24 * 60, 24 * 60)).map(lambda count: MINUTE * count)


def change(minutes: list[Wall]) -> datetime:
    """The moment when the clock was moved, or the middle."""
    return next((wall.moment for wall in minutes if len(wall.reaches) != 1), minutes[len(minutes) // 2].moment)


def expected(parts: tuple[Part, ...], minutes: list[Wall]) -> Iterator[datetime]:
    """The moments of an expression, found by looking at the clock every minute."""
    minute, hour, day, month, weekday = parts
    together = all if day.has_star or weekday.has_star else any

    def fits(local: datetime) -> bool:
        return (
            minute.fits(local.minute)
            and hour.fits(local.hour)
            and month.fits(local.month)
            and together((day.fits(local.date()), weekday.fits(local.date())))
        )

    follows_the_clock = minute.has_star or hour.has_star
    for wall in minutes:
        if fits(wall.shows) if follows_the_clock else any(fits(local) for local in wall.reaches):
            yield wall.moment


@settings(max_examples=600, deadline=None)
@given(EXPRESSIONS, st.sampled_from(WINDOWS), AROUND_THE_CHANGE)
def test_occurrences_are_those_of_a_walk_over_every_real_minute(
    parts: tuple[Part, ...], window: tuple[str, date], offset: timedelta
) -> None:
    zone, around = window
    minutes = walls(zone, around)
    after = change(minutes) + offset
    until = minutes[-1].moment
    try:
        rule = cron_rule(" ".join(part.text for part in parts), zone)
    except InputError as exc:
        assert "never occurs" in exc.message  # noqa: PT017 (a rule that is refused has nothing to compare)
        assert not list(expected(parts, minutes))
        return

    found = [one.start for one in occurrences(rule, after, until=until)]

    assert found == [moment for moment in expected(parts, minutes) if moment > after]


@pytest.mark.parametrize(
    ("zone", "day", "moved"),
    [
        ("Europe/Berlin", "2026-03-29", "from 02:00 to 03:00"),
        ("Europe/Berlin", "2026-10-25", "from 03:00 to 02:00"),
        ("Europe/Berlin", "2026-10-24", None),
        ("Europe/Berlin", "2026-10-26", None),
        ("Australia/Lord_Howe", "2026-04-05", "from 02:00 to 01:30"),
        ("America/Havana", "2026-03-07", None),
        ("America/Havana", "2026-03-08", "from 00:00 to 01:00"),
        ("America/Santiago", "2026-04-04", "from 00:00 to 23:00"),
        ("UTC", "2026-03-29", None),
    ],
)
def test_a_day_on_which_the_clocks_are_moved_says_so(zone: str, day: str, moved: str | None) -> None:
    sentence = calendar.clock_change(date.fromisoformat(day), calendar.check_zone(zone))

    assert sentence == (moved and f"The clocks are moved {moved} on this day.")


def test_a_day_without_midnight_begins_when_the_clocks_are_moved() -> None:
    begin = calendar.begin_of_day(date(2026, 3, 8), calendar.check_zone("America/Havana"))

    assert begin == datetime(2026, 3, 8, 5, tzinfo=UTC)  # 00:00 is skipped; it is 01:00
