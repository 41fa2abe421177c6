"""Whether what is planned fits on the disk."""

from datetime import UTC, datetime, timedelta

from rolltape.domain.forecast import Need, forecast
from rolltape.domain.units import Bytes

START = datetime(2026, 6, 1, tzinfo=UTC)
UNTIL = START + timedelta(hours=48)


def need(hour: float, size: int, *, is_kept: bool = True) -> Need:
    start = START + timedelta(hours=hour)
    return Need(start, start + timedelta(hours=1), Bytes(size), is_kept)


def test_nothing_planned_needs_nothing() -> None:
    found = forecast([], Bytes(0), UNTIL)

    assert (found.sessions, found.needed, found.full_at) == (0, 0, None)


def test_what_fits_exactly_fits() -> None:
    found = forecast([need(1, 60), need(2, 40)], Bytes(100), UNTIL)

    assert (found.sessions, found.needed, found.full_at) == (2, 100, None)


def test_the_disk_is_full_when_the_session_begins_that_does_not_fit() -> None:
    found = forecast([need(3, 50), need(1, 60), need(5, 50)], Bytes(100), UNTIL)

    assert found.full_at == START + timedelta(hours=3)
    assert found.needed == 160


def test_what_is_deleted_after_its_delivery_gives_its_room_back() -> None:
    found = forecast([need(hour, 60, is_kept=False) for hour in range(20)], Bytes(120), UNTIL)

    assert (found.needed, found.full_at) == (120, None)  # the next one begins while the last is delivered


def test_while_it_is_finished_a_recording_lies_there_three_times() -> None:
    hour = Need(START, START + timedelta(hours=1), Bytes(10), is_kept=True, made=Bytes(10))

    assert forecast([hour], Bytes(30), UNTIL).full_at is None
    assert forecast([hour], Bytes(29), UNTIL).full_at == hour.end
    assert forecast([hour, need(2, 20)], Bytes(30), UNTIL).full_at is None  # its copies have gone by then


def test_what_overlaps_takes_its_room_at_once() -> None:
    found = forecast([need(1, 60, is_kept=False), need(1.5, 60, is_kept=False)], Bytes(100), UNTIL)

    assert found.full_at == START + timedelta(hours=1.5)
