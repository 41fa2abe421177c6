"""When it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.domain.units import Bytes
from rolltape.transfer import Next, after, fruitless

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSING = TargetUnreachable("nas.lan: the connection broke off", code="connection_lost")


def delay(error: TargetError, times: int, random: float = 1.0) -> float | None:
    """Seconds until the next attempt, None for never."""
    at = after(error, fruitless=times, now=NOW, random=random).at
    return None if at is None else (at - NOW).total_seconds()


def test_a_passing_fault_is_tried_again_ever_more_seldom():
    assert [delay(PASSING, times) for times in (1, 2, 3, 4, 8, 9, 100, 10_000)] == [5, 10, 20, 40, 640, 900, 900, 900]


def test_delays_are_spread_over_their_upper_half():
    assert delay(PASSING, 1, random=0.0) == 2.5
    assert delay(PASSING, 1, random=0.5) == 3.75


@pytest.mark.parametrize("code", ["disk_full", "unknown_host"])
def test_what_lasts_is_tried_more_seldom(code: str):
    error = TargetUnreachable("", code=code)

    assert [delay(error, times) for times in (1, 2, 3, 4, 1000)] == [300, 600, 1200, 1800, 1800]


@pytest.mark.parametrize(("code", "most"), [("failed", 5), ("damaged", 2), ("vanished", 5)])
def test_some_are_borne_only_a_few_times(code: str, most: int):
    error = TargetUnreachable("", code=code)

    assert all(delay(error, times) is not None for times in range(1, most))
    assert delay(error, most) is None


def test_a_refused_key_is_believed_the_third_time():
    error = TargetRefused("", code="key_refused")

    assert [delay(error, times) for times in (1, 2, 3)] == [300, 600, None]


def test_a_refusal_is_looked_at_again_after_six_hours():
    error = TargetRefused("", code="permission_denied")

    assert after(error, fruitless=1, now=NOW, random=0) == Next(at=None, recheck_at=NOW + timedelta(hours=6))


@pytest.mark.parametrize("code", ["host_key_changed", "host_key_unknown", "name_taken", "original_changed"])
def test_what_only_a_person_can_solve_is_left_to_one(code: str):
    assert after(TargetRefused("", code=code), fruitless=1, now=NOW, random=0) == Next(at=None, recheck_at=None)


def test_progress_begins_the_count_anew():
    assert fruitless(7, "connection_lost", PASSING, gained=Bytes(8 * 1024 * 1024)) == 1
    assert fruitless(7, "connection_lost", PASSING, gained=Bytes(8 * 1024 * 1024 - 1)) == 8
    assert fruitless(0, None, PASSING, gained=Bytes(0)) == 1


def test_damaged_copies_are_counted_although_they_were_sent_whole():
    error = TargetUnreachable("", code="damaged")

    assert fruitless(7, "connection_lost", error, gained=Bytes(10**9)) == 1
    assert fruitless(1, "damaged", error, gained=Bytes(10**9)) == 2
    assert fruitless(1, "damaged", PASSING, gained=Bytes(0)) == 1
