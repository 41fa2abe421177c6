"""A plan's window, and the recording date."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rolltape.domain import pattern
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.domain.units import Seconds

START = datetime(2026, 6, 1, 20, 0, tzinfo=UTC)


def plan(*, max_duration: float = 86400, **more: Any) -> Plan:
    fields = {
        "session_id": 1, "show": "Show", "start": START, "end": START + timedelta(hours=2), "start_early": 0,
        "end_late": 0, "timezone": "UTC",
    }  # fmt: skip
    stream = StreamFields(name="Radio", url="http://radio.example/", max_duration=max_duration)
    return Plan.model_validate(fields | {"stream": stream} | more)


def test_the_window_has_the_early_start_and_the_late_end() -> None:
    window = plan(start_early=60, end_late=120).window

    assert (window.opens, window.start) == (START - timedelta(seconds=60), START)
    assert window.closes - window.end == timedelta(seconds=120)
    assert window.length == Seconds(2 * 3600 + 180)


def test_nothing_is_recorded_for_longer_than_the_stream_allows() -> None:
    window = plan(start_early=60, end_late=120, max_duration=3600).window

    assert window.closes == window.end == START + timedelta(minutes=59)


def test_a_record_now_has_patience_with_the_first_audio() -> None:
    one_second = START + timedelta(seconds=1)

    assert plan(end=one_second, begins_with_audio=True).begins_until == START + timedelta(seconds=10)
    assert plan(end=one_second).begins_until == one_second
    assert plan(begins_with_audio=True).begins_until == START + timedelta(hours=2)


@pytest.mark.parametrize(
    ("zone", "local_date"),
    [
        ("UTC", "2026-06-01"), ("Asia/Tokyo", "2026-06-02"), ("America/New_York", "2026-06-01"),
        ("Pacific/Apia", "2026-06-02"),
    ],
)  # fmt: skip
def test_the_recording_date_is_that_of_the_planned_start_where_the_schedule_lives(zone: str, local_date: str) -> None:
    assert f"{plan(timezone=zone).local_start:%Y-%m-%d}" == local_date


@pytest.mark.parametrize(("day", "track"), [("2020-01-01", 0), ("2020-01-02", 1), ("2026-11-22", 2517)])
def test_the_track_number_counts_days_from_2020(day: str, track: int) -> None:
    assert pattern.track_number(datetime.fromisoformat(day).date()) == track


def test_a_plan_comes_back_from_the_database_as_it_was() -> None:
    before = plan(begins_with_audio=True, artwork="1-x.png")

    assert Plan.model_validate(before.model_dump(mode="json")) == before
