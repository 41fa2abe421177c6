"""Titles lie on the recording's audio, not on the clock of the wall."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain.recording import Cut
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.titles import LONGEST, MOST, Mark, marks, shown
from rolltape.domain.units import Seconds

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def cut(begins: float, ends: float, *, skip: float = 0) -> Cut:
    take = TakeFacts(1, "take", AudioFormat(Codec.MP3), at(begins - skip), Seconds(ends - begins + skip), "it ended")
    return Cut(take, Seconds(skip), Seconds(ends - begins))


TWO = [cut(10, 100, skip=5), cut(160, 200)]  # 90 s, a gap of 60 s, 40 s


def pairs(found: list[Mark]) -> list[tuple[float, str]]:
    return [(mark.start, mark.title) for mark in found]


def test_a_title_begins_where_it_is_heard() -> None:
    told = [(at(10), "A"), (at(40.5), "B"), (at(170), "C")]

    assert pairs(marks(TWO, told)) == [(0, "A"), (30.5, "B"), (100, "C")]


def test_what_was_on_the_air_when_the_recording_begins_is_its_first_title() -> None:
    told = [(at(-500), "Long over"), (at(8), "On the air"), (at(50), "Next")]

    assert pairs(marks(TWO, told)) == [(0, "On the air"), (40, "Next")]


def test_a_title_told_while_nothing_came_begins_behind_the_gap() -> None:
    told = [(at(20), "A"), (at(120), "Never heard"), (at(150), "B")]

    assert pairs(marks(TWO, told)) == [(10, "A"), (90, "B")]


def test_what_comes_after_the_end_is_no_title_of_it() -> None:
    assert pairs(marks(TWO, [(at(20), "A"), (at(200), "B"), (at(999), "C")])) == [(10, "A")]


def test_a_title_that_is_told_again_is_one_and_an_empty_one_ends_it() -> None:
    told = [(at(10), ""), (at(20), "A"), (at(30), "A"), (at(40), ""), (at(50), "A")]

    assert pairs(marks(TWO, told)) == [(10, "A"), (30, ""), (40, "A")]


def test_without_audio_there_are_no_titles() -> None:
    assert marks([], [(at(0), "A")]) == []


def test_a_station_that_tells_titles_without_end_is_cut_off() -> None:
    told = [(at(10 + number / 100), f"Title {number}") for number in range(3 * MOST)]

    assert len(marks([cut(10, 100)], told)) == MOST


def test_hostile_titles_are_one_visible_line() -> None:
    assert shown("a\u202eb\x00c\r\nd\u2066e\ufeff") == "a b c d e"
    assert shown("<img src=x onerror=alert(1)>") == "<img src=x onerror=alert(1)>"
    assert len(shown("x" * 100_000)) == LONGEST


@given(st.text())
def test_a_shown_title_has_nothing_in_it_that_cannot_be_seen(text: str) -> None:
    found = shown(text)

    assert not {"\n", "\r", "\t", "\x00", "\u202e", "\u2067", "\u200f", "\u2028"} & set(found)
    found.encode()
    assert found == found.strip()
