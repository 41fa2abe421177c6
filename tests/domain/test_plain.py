"""The plain choices and their expressions follow one another."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain import cron
from rolltape.domain.calendar import Rule, check_zone, cron_rule, occurrences
from rolltape.domain.errors import InputError
from rolltape.domain.plain import (
    DATES,
    EVERY_DAY,
    INTERVALS,
    LAST,
    WEEKEND,
    WEEKS,
    WORKING_DAYS,
    Kind,
    Plain,
    from_cron,
    to_cron,
)

START = datetime(2026, 3, 20, tzinfo=UTC)  # nine days before the clocks of Berlin go forward

hours, minutes = st.integers(0, 23), st.integers(0, 59)
days = st.frozensets(st.sampled_from(sorted(EVERY_DAY)), min_size=1)
choices = st.one_of(
    st.builds(Plain, st.just(Kind.WEEKLY), days=days, hour=hours, minute=minutes),
    st.builds(
        Plain, st.just(Kind.NTH), days=days, weeks=st.frozensets(st.sampled_from(WEEKS), min_size=1),
        hour=hours, minute=minutes,
    ),
    st.builds(
        Plain, st.just(Kind.MONTHLY), dates=st.frozensets(st.sampled_from(DATES), min_size=1),
        hour=hours, minute=minutes,
    ),
    st.builds(Plain, st.just(Kind.HOURLY), interval=st.sampled_from(INTERVALS), minute=minutes),
)  # fmt: skip

numbers = st.one_of(
    st.just("*"), st.integers(0, 31).map(str), st.sampled_from(["*/1", "*/2", "*/4", "*/7", "*/13", "1-5", "0-7/2"])
)
terms = st.lists(st.one_of(numbers, st.sampled_from(["L", "LW", "1#2", "0#1", "5L", "7#5", "mon", "SUN", "FRI-SUN"])))
expressions = st.lists(terms.filter(bool).map(",".join), min_size=5, max_size=5).map(" ".join)


@given(choices)
def test_a_choice_comes_back_from_its_expression(plain: Plain) -> None:
    expression = to_cron(plain)

    assert from_cron(expression) == plain
    assert cron.canonical(expression) == expression


@given(expressions)
def test_a_choice_is_when_its_expression_is(expression: str) -> None:
    plain = from_cron(expression)
    if plain is None:
        return

    zone = check_zone("Europe/Berlin")
    until = START + timedelta(days=60)
    said = occurrences(Rule(zone, cron=cron.canonical(expression)), START, until=until)
    chosen = occurrences(Rule(zone, cron=to_cron(plain)), START, until=until)
    assert list(said) == list(chosen)


@given(st.one_of(st.text(), st.text("0123456789*/-,#L@ \t"), expressions))
def test_any_text_has_a_choice_or_none(text: str) -> None:
    plain = from_cron(text)

    assert plain is None or from_cron(to_cron(plain)) == plain


@pytest.mark.parametrize(
    ("expression", "plain"),
    [
        ("0 9 * * 1-5", Plain(days=WORKING_DAYS, hour=9)),
        ("0 9 * * MON-FRI", Plain(days=WORKING_DAYS, hour=9)),
        ("30 22 * * 6,7", Plain(days=WEEKEND, hour=22, minute=30)),
        ("30 22 * * sat,0", Plain(days=WEEKEND, hour=22, minute=30)),
        ("0 9 * * 0-6", Plain(days=EVERY_DAY, hour=9)),
        ("@daily", Plain()),
        ("@weekly", Plain(days=frozenset({7}))),
        ("@monthly", Plain(Kind.MONTHLY)),
        ("@hourly", Plain(Kind.HOURLY)),
        ("15 */6 * * *", Plain(Kind.HOURLY, interval=6, minute=15)),
        ("0 9 * * 1#2", Plain(Kind.NTH, days=frozenset({1}), weeks=frozenset({2}), hour=9)),
        ("0 9 * * 0L,0#1", Plain(Kind.NTH, days=frozenset({7}), weeks=frozenset({1, LAST}), hour=9)),
        ("0 9 1,15,L * *", Plain(Kind.MONTHLY, dates=frozenset({1, 15, LAST}), hour=9)),
    ],
)
def test_what_people_write_is_understood(expression: str, plain: Plain) -> None:
    assert from_cron(expression) == plain


@pytest.mark.parametrize(
    "expression",
    [
        "", "nonsense", "@reboot", "@yearly", "61 * * * *", "0 0 30 2 *", "* * * * *", "*/15 * * * *", "0,30 9 * * *",
        "0 9,17 * * *", "0 9-12 * * *", "0 0-23 * * *", "0 */5 * * *", "0 * * * 1-5", "0 9 * 6-8 *", "0 9 1 * 1",
        "0 9 LW * *", "0 9 1,LW * *", "0 9 * * 1#1,2#2", "0 9 * * 1,5L", "0 9 */2 * 1", "0 9 29 2 */7", "x" * 10_000,
        "\ud800", "0 9 * * 1\x00",
    ],
)  # fmt: skip
def test_what_says_more_has_no_plain_choice(expression: str) -> None:
    assert from_cron(expression) is None


def test_working_days_are_monday_to_friday() -> None:
    rule = cron_rule(to_cron(Plain(days=WORKING_DAYS, hour=9)), "Europe/Berlin")
    same = cron_rule("0 9 * * 1-5", "Europe/Berlin")

    until = START + timedelta(days=30)
    assert list(occurrences(rule, START, until=until)) == list(occurrences(same, START, until=until))


@pytest.mark.parametrize(
    ("plain", "field"),
    [
        (Plain(days=frozenset()), "days"),
        (Plain(days=frozenset({8})), "days"),
        (Plain(days=frozenset({0})), "days"),
        (Plain(Kind.NTH, weeks=frozenset()), "weeks"),
        (Plain(Kind.NTH, weeks=frozenset({6})), "weeks"),
        (Plain(Kind.NTH, days=frozenset()), "days"),
        (Plain(Kind.MONTHLY, dates=frozenset()), "dates"),
        (Plain(Kind.MONTHLY, dates=frozenset({32})), "dates"),
        (Plain(Kind.HOURLY, interval=5), "interval"),
        (Plain(Kind.HOURLY, interval=0), "interval"),
        (Plain(hour=24), "hour"),
        (Plain(hour=-1), "hour"),
        (Plain(minute=60), "minute"),
    ],
)
def test_what_cannot_be_chosen_is_refused_by_its_field(plain: Plain, field: str) -> None:
    with pytest.raises(InputError) as refused:
        to_cron(plain)

    assert refused.value.field == field
    assert refused.value.message.endswith(".")
