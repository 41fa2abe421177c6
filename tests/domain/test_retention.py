"""Which recordings a rule gives up."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain.retention import Rule, surplus
from rolltape.domain.units import Bytes

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class One:
    id: int
    start: datetime
    size: Bytes


def daily(count: int, megabytes: int = 100) -> list[One]:
    """A recording of each of the last days, the newest first; the number is its age in days."""
    return [One(age, NOW - timedelta(days=age), Bytes(megabytes * 1_000_000)) for age in range(count)]


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(), set()),
        (Rule(days=7), {7, 8, 9}),
        (Rule(days=10), set()),
        (Rule(count=8), {8, 9}),
        (Rule(count=10), set()),
        (Rule(count=1), set(range(1, 10))),
        (Rule(gigabytes=0.8), {8, 9}),
        (Rule(gigabytes=1), set()),
        (Rule(gigabytes=0.001), set(range(1, 10))),
        (Rule(days=9, count=5, gigabytes=0.7), {5, 6, 7, 8, 9}),
        (Rule(days=1, count=5), set(range(1, 10))),
    ],
)
def test_what_one_of_the_limits_gives_up_goes(rule: Rule, gone: set[int]) -> None:
    found = surplus(rule, daily(10), NOW)

    assert set(found) == gone
    assert all(sentence.endswith(".") for sentence in found.values())


def test_the_newest_stays_however_large_it_is() -> None:
    assert surplus(Rule(gigabytes=0.1, count=1), daily(1, megabytes=5000), NOW) == {}
    assert set(surplus(Rule(days=1), [One(1, NOW - timedelta(days=2), Bytes(1))], NOW)) == {1}


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 10**10)), max_size=30),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_a_tighter_rule_gives_up_at_least_as_much(shapes: list[tuple[int, int]], days: int, count: int) -> None:
    recordings = sorted(
        (One(number, NOW - timedelta(days=age), Bytes(size)) for number, (age, size) in enumerate(shapes)),
        key=lambda one: one.start,
        reverse=True,
    )
    loose, tight = Rule(days=days + 1, count=count + 1, gigabytes=2.0), Rule(days=days, count=count, gigabytes=1.0)

    assert set(surplus(loose, recordings, NOW)) <= set(surplus(tight, recordings, NOW))
    assert tight.is_tighter_than(loose)
    assert not loose.is_tighter_than(tight)
    assert not tight.is_tighter_than(tight)
    assert tight.is_tighter_than(Rule())
    assert not Rule().is_tighter_than(tight)


def test_a_rule_says_itself() -> None:
    assert str(Rule()) == "everything"
    assert str(Rule(days=1, count=1)) == "1 day, 1 recording"
    assert str(Rule(days=30, count=1000, gigabytes=2.5)) == "30 days, 1,000 recordings, 2.5 GB"
