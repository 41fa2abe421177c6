"""Patterns of titles and file names, and the track number."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain import pattern
from rolltape.domain.errors import InputError

START = datetime(2026, 7, 5, 20, 30, tzinfo=ZoneInfo("Europe/Berlin"))
KNOWN = pattern.values(start=START, show="Night {date}", stream="Radio One", artist="DJ", album="")


@pytest.mark.parametrize(
    ("day", "number"),
    [
        (date(2020, 1, 1), 0),
        (date(2020, 1, 2), 1),
        (date(2020, 12, 31), 365),
        (date(2021, 1, 1), 366),
        (date(2026, 7, 5), 2377),
        (date(2019, 12, 31), -1),
    ],
)
def test_the_track_number_counts_days_since_2020(day: date, number: int) -> None:
    assert pattern.track_number(day) == number


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{date} {show}", "2026-07-05 Night {date}"),
        ("{stream}/{year}/{month}/{day} {time} {weekday}", "Radio One/2026/07/05 20-30 Sunday"),
        ("{artist}-{album}-{track}", "DJ--2377"),
        ("{show}{show}", "Night {date}Night {date}"),
        ("plain", "plain"),
        ("%s \\1", "%s \\1"),
    ],
)
def test_a_pattern_is_filled_in_once(text: str, result: str) -> None:
    assert pattern.check(text, "title_pattern") == text
    assert pattern.render(text, KNOWN) == result


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The pattern is empty."),
        (" \t", "The pattern is empty."),
        ("{name}", "There is no {name}; the names are date, time, show"),
        ("{}", "There is no {}"),
        ("{ date }", "There is no { date }"),
        ("{DATE}", "There is no {DATE}"),
        ("{date:%Y}", "There is no {date:%Y}"),
        ("{show.__class__}", "There is no {show.__class__}"),
        ("{0}", "There is no {0}"),
        ("{date", "A brace is not closed"),
        ("date}", "A brace is not closed"),
        ("{{date}}", "A brace is not closed"),
        ("{date}\n", "There is a character in it that cannot be shown."),
        ("a\0b", "There is a character in it that cannot be shown."),
        ("\u202e{date}", "There is a character in it that cannot be shown."),
        ("\ud800", "There is a character in it that cannot be shown."),
        ("x" * 501, "The pattern is longer than 500 characters."),
    ],
)
def test_a_pattern_that_cannot_be_filled_in_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        pattern.check(text, "filename_pattern")

    assert caught.value.field == "filename_pattern"
    assert caught.value.message.startswith(sentence)


@given(st.lists(st.sampled_from([*(f"{{{name}}}" for name in pattern.NAMES), "{", "}", "x", "{x}"])).map("".join))
def test_what_is_accepted_can_be_filled_in(text: str) -> None:
    try:
        pattern.check(text, "title_pattern")
    except InputError:
        return

    assert pattern.render(text, dict.fromkeys(pattern.NAMES, "")).strip("x") == ""
