"""The strips of the week view."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rolltape.domain.recording import Verdict
from rolltape.domain.session import SessionState
from rolltape.services.week import Day, Entry, Showing
from rolltape.web.pages.week import HEIGHT, LOWEST, MOST_LANES, bars, lines, now_line

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 6, 1)


def showing(start: datetime, minutes: int = 60, **more: Any) -> Showing:
    end = start + timedelta(minutes=minutes)
    entry = Entry("Show", 1, more.pop("schedule_id", 1), start, end, start, end, "UTC", 0, **more)
    return Showing(entry, start.astimezone(BERLIN), end.astimezone(BERLIN), (), False)


def at(hour: int, minute: int = 0, day: date = MONDAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def day_of(*showings: Showing, carried: tuple[Showing, ...] = (), day: date = MONDAY) -> Day:
    begin = at(0, day=day)
    return Day(day, begin, begin + timedelta(days=1), None, showings, carried, 0)


def test_a_bar_stands_at_its_time() -> None:
    (bar,) = bars(day_of(showing(at(12))))

    assert bar.y == HEIGHT / 2
    assert bar.height == HEIGHT / 24 - 1
    assert (bar.tone, bar.name) == ("info", "12:00 Show")


def test_what_goes_over_midnight_is_cut_on_both_days() -> None:
    night = showing(at(23), 180)

    (evening,) = bars(day_of(night))
    (morning,) = bars(day_of(carried=(night,), day=MONDAY + timedelta(days=1)))

    assert evening.y + evening.height == HEIGHT - 1
    assert (morning.y, morning.height) == (0, HEIGHT / 12 - 1)


def test_bars_at_the_same_time_lie_side_by_side() -> None:
    first, second, later = bars(day_of(showing(at(9), 90), showing(at(10)), showing(at(11))))

    assert first.x + first.width < second.x
    assert later.x == first.x
    assert all(bar.x + bar.width <= 100 for bar in (first, second, later))


def test_a_crowd_stays_inside_the_strip() -> None:
    crowd = bars(day_of(*[showing(at(9))] * 30))

    assert len({bar.x for bar in crowd}) == MOST_LANES
    assert max(bar.x + bar.width for bar in crowd) <= 100


def test_the_shortest_can_be_seen_and_the_longest_fits() -> None:
    short, long = bars(day_of(showing(at(9), 1), showing(at(10), 7 * 24 * 60)))

    assert short.height == LOWEST
    assert long.y + long.height <= HEIGHT


def test_a_doubled_hour_makes_no_bar_upside_down() -> None:
    autumn = date(2026, 10, 25)  # 03:00 becomes 02:00

    (bar,) = bars(day_of(showing(datetime(2026, 10, 25, 0, 45, tzinfo=UTC), 30), day=autumn))

    assert bar.y == 33  # 02:45
    assert bar.height == 6 - 1


def test_colours_go_by_how_it_ended() -> None:
    ended = [
        showing(at(hour), session_id=hour, state=state, verdict=verdict)
        for hour, state, verdict in (
            (1, SessionState.DONE, Verdict.COMPLETE),
            (3, SessionState.DONE, Verdict.GAPPED),
            (5, SessionState.MISSED, None),
            (7, SessionState.SKIPPED, None),
            (9, SessionState.RECORDING, None),
            (11, SessionState.SCHEDULED, None),
        )
    ]

    assert [bar.tone for bar in bars(day_of(*ended))] == ["ok", "warn", "bad", "off", "live", "info"]


def test_what_is_often_is_one_line_and_record_nows_are_not() -> None:
    often = [showing(at(hour)) for hour in range(5)]
    by_hand = [showing(at(hour, 30), schedule_id=None) for hour in range(6)]

    assert [len(line) for line in lines(day_of(*often, *by_hand))] == [5, *[1] * 6]
    assert [len(line) for line in lines(day_of(*often[:4]))] == [1] * 4


def test_the_present_is_on_its_day_only() -> None:
    noon = at(12).astimezone(BERLIN)

    assert now_line(day_of(), noon) == HEIGHT / 2
    assert now_line(day_of(day=MONDAY + timedelta(days=1)), noon) is None
