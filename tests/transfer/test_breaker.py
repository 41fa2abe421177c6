"""One transfer knocks for all."""

from datetime import UTC, datetime, timedelta

import pytest

from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.transfer import Breaker

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAS, OTHER = 1, 2
UNREACHABLE = TargetUnreachable("nas.lan: connection refused", code="connection_refused")
KEY_REFUSED = TargetRefused("nas.lan: the key was not accepted", code="key_refused")


def fails(breaker: Breaker, error: TargetError, now: datetime) -> None:
    breaker.begun(NAS, now)
    breaker.failed(NAS, error, now, random=1.0)


def after_seconds(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_destination_that_is_well_is_open():
    breaker = Breaker()

    breaker.begun(NAS, NOW)

    assert breaker.opens_at(NAS, NOW) is None


def test_a_host_that_cannot_be_reached_holds_all_its_transfers_back():
    breaker = Breaker()

    fails(breaker, UNREACHABLE, NOW)

    assert breaker.opens_at(NAS, NOW) == after_seconds(5)
    assert breaker.opens_at(OTHER, NOW) is None
    assert breaker.opens_at(NAS, after_seconds(5)) is None


def test_one_probe_goes_and_the_others_wait_for_its_result():
    breaker = Breaker()
    fails(breaker, UNREACHABLE, NOW)
    later = after_seconds(5)

    breaker.begun(NAS, later)
    held = breaker.opens_at(NAS, later)
    breaker.succeeded(NAS)

    assert held is not None
    assert held > later
    assert breaker.opens_at(NAS, later) is None


def test_each_failed_probe_doubles_the_wait():
    breaker = Breaker()
    fails(breaker, UNREACHABLE, NOW)

    fails(breaker, UNREACHABLE, after_seconds(5))

    assert breaker.opens_at(NAS, after_seconds(5)) == after_seconds(15)


def test_a_cancelled_probe_makes_way():
    breaker = Breaker()
    fails(breaker, UNREACHABLE, NOW)
    breaker.begun(NAS, after_seconds(5))

    breaker.abandoned(NAS)

    assert breaker.opens_at(NAS, after_seconds(5)) is None


def test_a_probe_that_never_reports_is_forgotten():
    breaker = Breaker()
    fails(breaker, UNREACHABLE, NOW)
    breaker.begun(NAS, after_seconds(5))

    assert breaker.opens_at(NAS, after_seconds(299)) is not None
    assert breaker.opens_at(NAS, after_seconds(305)) is None


@pytest.mark.parametrize("code", ["disk_full", "name_taken", "connection_lost", "permission_denied", "damaged"])
def test_what_befell_one_file_holds_no_other_back(code: str):
    breaker = Breaker()

    fails(breaker, TargetUnreachable("", code=code), NOW)

    assert breaker.opens_at(NAS, NOW) is None


def test_at_most_three_log_ins_in_ten_minutes_are_refused():
    breaker = Breaker()
    now, tried = NOW, []
    while now < after_seconds(3600):
        if breaker.opens_at(NAS, now) is None:
            fails(breaker, KEY_REFUSED, now)
            breaker.reset(NAS)  # somebody presses "retry now" all the time
            tried.append(now)
        now += timedelta(seconds=1)

    assert len(tried) > 10
    for first, fourth in zip(tried, tried[3:], strict=False):
        assert fourth - first >= timedelta(minutes=10)


def test_somebody_who_changed_something_need_not_wait():
    breaker = Breaker()
    fails(breaker, UNREACHABLE, NOW)

    breaker.reset(NAS)

    assert breaker.opens_at(NAS, NOW) is None
