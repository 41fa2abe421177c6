"""Cron expressions: what is taken, what is refused, and with which sentence."""

import time
from datetime import datetime, timedelta
from itertools import islice

import pytest

from rolltape.domain import cron
from rolltape.domain.calendar import cron_rule
from rolltape.domain.errors import InputError

THURSDAY = datetime(2026, 1, 1)  # noqa: DTZ001 (a local time)


def days(expression: str, count: int) -> list[str]:
    """The next dates of an expression, after 1 January 2026, as text."""
    times = cron.local_times(cron.canonical(expression), THURSDAY, THURSDAY + timedelta(days=20 * 366))
    return [f"{local:%Y-%m-%d}" for local in islice(times, count)]


@pytest.mark.parametrize(
    ("expression", "canonical"),
    [
        ("0 9 * * 1-5", "0 9 * * 1-5"),
        ("  0   9\t* *  1-5  \n", "0 9 * * 1-5"),
        ("00 09 01 01 07", "0 9 1 1 7"),
        ("0 9 * * MON-FRI", "0 9 * * 1-5"),
        ("0 9 * jan,Dec mon", "0 9 * 1,12 1"),
        ("0 9 * * SAT-SUN", "0 9 * * 6-7"),
        ("0 9 * * 5-0", "0 9 * * 5-7"),
        ("0 9 * * SUN-SAT", "0 9 * * 0-6"),
        ("0 9 * * tue#1,fril", "0 9 * * 2#1,5L"),
        ("0 9 l * *", "0 9 L * *"),
        ("0 9 LW,1 * *", "0 9 LW,1 * *"),
        ("0/20 9-17/2 */2 * *", "0/20 9-17/2 */2 * *"),
        ("5-5/2 9 * * *", "5 9 * * *"),
        ("*/60 */24 * * *", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @Annually ", "0 0 1 1 *"),
    ],
)
def test_an_expression_becomes_five_fields_of_numbers(expression: str, canonical: str) -> None:
    assert cron.canonical(expression) == canonical


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("61 * * * *", "The minute (`61`) is out of range: it goes from 0 to 59."),
        ("-1 * * * *", "The minute (`-1`) cannot be read"),
        ("1- * * * *", "The minute (`1-`) cannot be read"),
        ("1, * * * *", "The minute (`1,`) cannot be read"),
        ("1-5-7 * * * *", "The minute (`1-5-7`) cannot be read"),
        ("*/0 * * * *", "The minute (`*/0`) has a step of 0"),
        ("*/61 * * * *", "The minute (`*/61`) has a step of 61; a step is 1 to 60."),
        (f"*/{'9' * 150} * * * *", "The minute"),
        ("*-5 * * * *", "The minute"),
        ("٣ * * * *", "The minute (`٣`) cannot be read"),
        ("² * * * *", "The minute"),
        ("0 24 * * *", "The hour (`24`) is out of range: it goes from 0 to 23."),
        ("0 5-1 * * *", "The hour (`5-1`) runs backwards"),
        ("0 9:30 * * *", "The hour (`9:30`) cannot be read"),
        ("0 9h * * *", "The hour"),
        ("0 9 0 * *", "The day of the month (`0`) is out of range: it goes from 1 to 31."),
        ("0 9 32 * *", "The day of the month"),
        ("0 9 ? * *", "The day of the month"),
        ("0 9 L/2 * *", "The day of the month"),
        ("0 9 L-3 * *", "The day of the month"),
        ("0 9 W * *", "The day of the month"),
        ("0 9 * 13 *", "The month (`13`) is out of range: it goes from 1 to 12."),
        ("0 9 * JANUARY *", "The month (`JANUARY`) cannot be read"),
        ("0 9 1 ſep *", "The month (`ſep`) cannot be read"),
        ("0 9 * MON *", "The month"),
        ("0 9 * * 8", "The day of the week (`8`) is out of range: it goes from 0 to 7."),
        ("0 9 * * FRI-TUE", "The day of the week (`FRI-TUE`) runs backwards"),
        ("0 9 * * L", "The day of the week"),
        ("0 9 * * 1#0", "The day of the week"),
        ("0 9 * * 1#6", "The day of the week"),
        ("0 9 * * 1-5#2", "The day of the week"),
        ("0 9 * * 1#", "The day of the week"),
        ("0 9 * * 9L", "The day of the week"),
        ("0 9 * * $(id)", "The day of the week"),
    ],
)
def test_a_wrong_part_is_named(expression: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        cron.canonical(expression)

    assert caught.value.field == "cron"
    assert caught.value.message.startswith(part)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("", "An expression is needed"),
        (" \n ", "An expression is needed"),
        ("0 9 * *", "Five fields are needed"),
        ("0 0 9 * * MON", "Five fields are needed"),
        ("hello", "Five fields are needed"),
        ("x" * 10_000, "The expression is longer than 200 characters."),
        ("0 " * 5_000, "The expression is longer than 200 characters."),
        ("0 9\n* * *", "The expression has a line break"),
        ("0 9 * * *\0", "The expression has a line break"),
        ("0\u00a09 * * *", "The expression has a line break"),
        ("@reboot", "@reboot names no time"),
        ("@every 5m", "There is no `@every 5m`"),
        ("@" + "x" * 150, "There is no `@xxxx"),
    ],
)
def test_what_is_no_expression_gets_a_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        cron.canonical(expression)

    assert caught.value.message.startswith(sentence)
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 30 2 *",
        "* * 30 2 *",
        "0 0 30-31 2 *",
        "0 0 31 4 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 30 2 */2",
        "0 0 */30 2 1#5",
        "0 0 30 2 *,1#5",
        "* 2 * 3 0#2",  # in New York, the hour that is skipped
    ],
)
def test_what_never_occurs_is_refused_at_once(expression: str) -> None:
    begun = time.process_time()

    with pytest.raises(InputError, match="This never occurs"):
        cron_rule(expression, "America/New_York")

    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", "2026-01-01 2026-01-02 2026-01-05"),
        ("0 9 * * 0", "2026-01-04 2026-01-11"),
        ("0 9 * * 7", "2026-01-04 2026-01-11"),
        ("0 9 * * SAT-SUN", "2026-01-03 2026-01-04 2026-01-10"),
        ("0 9 * * */2", "2026-01-01 2026-01-03 2026-01-04 2026-01-06"),
        ("0 9 * * 1#2", "2026-01-12 2026-02-09"),
        ("0 9 * * 1#5", "2026-03-30 2026-06-29"),
        ("0 9 * * 5L", "2026-01-30 2026-02-27 2026-03-27"),
        ("0 9 * * 7L", "2026-01-25 2026-02-22"),
        ("0 9 L * *", "2026-01-31 2026-02-28 2026-03-31 2026-04-30"),
        ("0 9 L 2 *", "2026-02-28 2027-02-28 2028-02-29"),
        ("0 9 LW * *", "2026-01-30 2026-02-27 2026-03-31"),
        ("0 9 29 2 *", "2028-02-29 2032-02-29"),
        ("0 9 31 * *", "2026-01-31 2026-03-31 2026-05-31"),
        # day of the month or day of the week, where both are restricted ...
        ("0 9 10 * 1", "2026-01-05 2026-01-10 2026-01-12"),
        ("0 9 30 2 1", "2026-02-02 2026-02-09"),
        # ... and both, as soon as one of them begins with a star
        ("0 9 */10 * 6", "2026-01-31 2026-02-21 2026-03-21"),
        ("0 9 11 * */2", "2026-01-11 2026-04-11 2026-06-11"),
    ],
)
def test_days_follow_the_dialect_of_debian(expression: str, expected: str) -> None:
    dates = expected.split()

    assert days(expression, len(dates)) == dates


@pytest.mark.parametrize("expression", ["0 9 29 2 */7", "0 9 * 2 1#5"])
def test_the_rarest_dates_are_still_found(expression: str) -> None:
    assert cron_rule(expression, "Europe/Berlin")
