"""The account of a session: what of its takes belongs into the recording, and what is missing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain.recording import (
    CLOCK,
    GAP,
    MOST_SILENCES,
    Account,
    Gap,
    Silence,
    Verdict,
    Window,
    account,
    silence_map,
)
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import Seconds

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MP3 = AudioFormat(Codec.MP3)


def at(seconds: float) -> datetime:
    """A moment, in seconds after the planned start."""
    return NOON + timedelta(seconds=seconds)


def take(number: int, begins: float, ends: float) -> TakeFacts:
    return TakeFacts(number, f"take-{number}.mp3", MP3, at(begins), Seconds(ends - begins), f"end of {number}")


def takes(*spans: tuple[float, float]) -> list[TakeFacts]:
    return [take(number, *span) for number, span in enumerate(spans, 1)]


def cuts(found: Account) -> list[tuple[int, float, float]]:
    """Number of the take, skip and length of each cut."""
    return [(cut.take.number, round(cut.skip, 3), round(cut.length, 3)) for cut in found.cuts]


def figures(found: Account) -> dict[str, float]:
    return {name: float(getattr(found, name)) for name in ("recorded", "planned", "coverage", "late", "short", "takes")}


HUNDRED = Window(at(0), at(0), at(100), at(100))
PADDED = Window(at(-10), at(0), at(100), at(120))


# What belongs into the recording


def test_one_take_that_fills_the_window_is_complete() -> None:
    found = account(takes((0, 100)), HUNDRED)

    assert cuts(found) == [(1, 0, 100)]
    assert figures(found) == {"recorded": 100, "planned": 100, "coverage": 1, "late": 0, "short": 0, "takes": 1}
    assert found.gaps == ()
    assert found.verdicts == (Verdict.COMPLETE,)


def test_what_lies_outside_of_the_window_is_cut_off() -> None:
    found = account(takes((-4, 104)), HUNDRED)

    assert cuts(found) == [(1, 4, 100)]
    assert (found.cuts[0].begins, found.cuts[0].ends) == (at(0), at(100))


def test_even_a_tenth_before_the_window_is_cut_off() -> None:
    assert cuts(account(takes((-0.1, 100.1)), HUNDRED)) == [(1, 0.1, 100)]


def test_early_start_and_late_end_belong_to_the_recording() -> None:
    found = account(takes((-14, 125)), PADDED)

    assert cuts(found) == [(1, 4, 130)]
    assert figures(found) == {"recorded": 130, "planned": 130, "coverage": 1, "late": 0, "short": 0, "takes": 1}
    assert found.verdict is Verdict.COMPLETE


def test_takes_outside_of_the_window_count_for_nothing() -> None:
    found = account(takes((-30, -20), (-15, -10), (0, 100), (120, 130)), PADDED)

    assert cuts(found) == [(3, 0, 100)]
    assert found.takes == 1
    assert found.gaps == ()


def test_a_later_take_begins_where_the_earlier_one_ended() -> None:
    found = account(takes((0, 50), (44, 100)), HUNDRED)

    assert cuts(found) == [(1, 0, 50), (2, 6, 50)]
    assert float(found.recorded) == 100
    assert found.verdict is Verdict.COMPLETE


@pytest.mark.parametrize("begins", [49.71, 49.9, 50.0, 50.05, 50.1])
def test_takes_that_meet_within_the_tolerance_of_the_clock_are_joined_as_they_came(begins: float) -> None:
    found = account(takes((0, 50), (begins, 100)), HUNDRED)

    assert cuts(found) == [(1, 0, 50), (2, 0, round(100 - begins, 3))]
    assert found.gaps == ()
    assert found.coverage <= 1


def test_a_take_that_brings_nothing_new_is_left_out() -> None:
    found = account(takes((0, 50), (44, 49), (49.8, 49.98), (49.95, 50.05), (45, 100)), HUNDRED)

    assert cuts(found) == [(1, 0, 50), (5, 5, 50)]


def test_many_short_connections_add_up_without_doubling() -> None:
    found = account(takes(*((second - 4, second + 1) for second in range(100))), HUNDRED)

    assert found.recorded == pytest.approx(100)
    assert found.takes == 100
    assert found.verdict is Verdict.COMPLETE


# What is missing


def test_a_gap_has_a_start_a_length_and_a_cause() -> None:
    found = account(takes((-10, 30), (31.5, 70), (72, 120)), PADDED)

    assert found.gaps == (
        Gap(Seconds(40), Seconds(1.5), "end of 1", Seconds(40)),
        Gap(Seconds(80), Seconds(2), "end of 2", Seconds(78.5)),
    )
    assert found.recorded == pytest.approx(126.5)
    assert found.coverage == pytest.approx(126.5 / 130)
    assert found.verdicts == (Verdict.GAPPED,)


@pytest.mark.parametrize(("missing", "gaps"), [(0.1, 0), (0.11, 1), (0.3, 1)])
def test_more_than_a_tenth_of_a_second_is_a_gap(missing: float, gaps: int) -> None:
    found = account(takes((0, 50), (50 + missing, 100)), HUNDRED)

    assert len(found.gaps) == gaps


def test_a_gap_goes_on_over_a_take_that_brings_nothing() -> None:
    found = account(takes((0, 50), (52, 52.05), (60, 100)), HUNDRED)

    assert found.gaps == (Gap(Seconds(50), Seconds(10), "end of 1", Seconds(50)),)


@pytest.mark.parametrize(("begins", "verdict"), [(0.9, Verdict.COMPLETE), (1.0, Verdict.COMPLETE), (1.1, Verdict.LATE)])
def test_more_than_a_second_after_the_planned_start_is_late(begins: float, verdict: Verdict) -> None:
    found = account(takes((begins, 100)), HUNDRED)

    assert found.late == begins
    assert found.gaps == ()
    assert found.verdict is verdict


@pytest.mark.parametrize(("ends", "verdict"), [(99.1, Verdict.COMPLETE), (99, Verdict.COMPLETE), (98.9, Verdict.SHORT)])
def test_more_than_a_second_before_the_planned_end_is_short(ends: float, verdict: Verdict) -> None:
    found = account(takes((0, ends)), HUNDRED)

    assert found.short == pytest.approx(100 - ends)
    assert found.verdict is verdict


def test_late_and_short_are_measured_from_the_plan_without_its_padding() -> None:
    found = account(takes((-2, 101)), PADDED)

    assert float(found.late) == float(found.short) == 0
    assert found.verdict is Verdict.COMPLETE
    assert found.coverage == pytest.approx(103 / 130)


def test_of_several_verdicts_the_worst_counts_and_all_are_listed() -> None:
    found = account(takes((20, 40), (50, 80)), HUNDRED)

    assert found.verdicts == (Verdict.SHORT, Verdict.LATE, Verdict.GAPPED)
    assert found.with_sound(0.95).verdicts == (Verdict.SILENT, Verdict.SHORT, Verdict.LATE, Verdict.GAPPED)
    assert found.with_sound(0.95).verdict is Verdict.SILENT


@pytest.mark.parametrize(("share", "verdict"), [(0.89, Verdict.COMPLETE), (0.9, Verdict.SILENT), (1.0, Verdict.SILENT)])
def test_nine_tenths_of_silence_are_silence(share: float, verdict: Verdict) -> None:
    assert account(takes((0, 100)), HUNDRED).with_sound(share).verdict is verdict


def test_what_is_heard_of_it_changes_nothing_else() -> None:
    found = account(takes((0, 40), (50, 100)), HUNDRED)
    silence = Silence(Seconds(3), Seconds(2))

    heard = found.with_longest_stall(Seconds(7)).with_sound(0.02, (silence,), loudness=-23.0, peak=0.5)

    told: list[object] = [heard.longest_stall, heard.silences, heard.loudness, heard.peak]
    assert told == [7, (silence,), -23.0, 0.5]
    assert (heard.gaps, heard.verdicts, figures(heard)) == (found.gaps, found.verdicts, figures(found))


def test_the_map_of_silence_has_what_is_noticed() -> None:
    short, long, longer = (Silence(Seconds(at), Seconds(length)) for at, length in ((1, 1.9), (5, 2), (50, 30)))

    assert silence_map([short, long, longer]) == (long, longer)


def test_of_too_many_silences_the_longest_are_in_the_map_in_their_order() -> None:
    many = [Silence(Seconds(10 * number), Seconds(2 + number % 7)) for number in range(2 * MOST_SILENCES)]

    found = silence_map(many)

    assert len(found) == MOST_SILENCES
    assert list(found) == sorted(found, key=lambda silence: silence.start)
    assert min(silence.length for silence in found) >= 5


@pytest.mark.parametrize("spans", [[], [(-20.0, -5.0)], [(100.0, 130.0)], [(50.0, 50.05)], [(99.95, 130.0)]])
def test_without_audio_there_is_no_verdict(spans: list[tuple[float, float]]) -> None:
    found = account(takes(*spans), HUNDRED)

    assert figures(found) == {"recorded": 0, "planned": 100, "coverage": 0, "late": 100, "short": 0, "takes": 0}
    assert found.verdicts == ()
    assert found.verdict is None
    assert found.with_sound(1.0).verdict is None


def test_a_window_of_no_length_has_no_coverage() -> None:
    found = account(takes((0, 100)), Window(at(0), at(0), at(0), at(0)))

    assert found.coverage == 0
    assert found.verdict is None


def test_a_moved_window_keeps_its_lengths() -> None:
    moved = PADDED.moved_to(at(5))

    assert moved == Window(at(5), at(15), at(115), at(135))
    assert moved.length == PADDED.length


# A clock that is set while nothing of ours runs


def test_takes_after_a_clock_was_set_back_are_laid_behind_the_others() -> None:
    found = account(takes((0, 600), (-1800, -1700), (-1690, 5000)), Window(at(0), at(0), at(1000), at(1000)))

    assert cuts(found) == [(1, 0, 600), (2, 0, 100), (3, 0, 290)]
    assert [round(gap.length, 3) for gap in found.gaps] == [10]
    assert float(found.gaps[0].start) == 700
    assert found.cuts[1].begins == at(600)


def test_a_clock_that_is_right_again_is_believed() -> None:
    found = account(takes((0, 300), (-1800, -1700), (500, 1000)), Window(at(0), at(0), at(1000), at(1000)))

    assert cuts(found) == [(1, 0, 300), (2, 0, 100), (3, 0, 500)]
    assert found.gaps == (Gap(Seconds(400), Seconds(100), "end of 2", Seconds(400)),)


def test_what_a_server_sends_again_is_not_taken_for_a_clock_that_was_set_back() -> None:
    found = account(takes((0, 600), (490, 1000)), Window(at(0), at(0), at(1000), at(1000)))

    assert cuts(found) == [(1, 0, 600), (2, 110, 400)]


# Whatever the takes are


SPANS = st.lists(
    st.tuples(st.integers(-1000, 8000), st.integers(1, 4000)).map(lambda x: (x[0] / 20, (x[0] + x[1]) / 20)),
    max_size=8,
)
SHORT_SPANS = SPANS.map(lambda spans: sorted((begins, min(ends, begins + 100)) for begins, ends in spans))
WINDOWS = st.lists(st.integers(0, 6000), min_size=4, max_size=4).map(
    lambda moments: Window(*(at(moment / 20) for moment in sorted(moments)))
)


def ticks(moment: datetime) -> int:
    return round((moment - NOON).total_seconds() * 20)


@given(SPANS, WINDOWS)
def test_every_second_is_accounted_for(spans: list[tuple[float, float]], window: Window) -> None:
    found = account(takes(*spans), window)

    if not found.cuts:
        assert not found.recorded
        return
    before = (found.cuts[0].begins - window.opens).total_seconds()
    after = (window.closes - found.cuts[-1].ends).total_seconds()
    total = before + found.recorded + sum(gap.length for gap in found.gaps) + after
    assert before >= 0
    assert after >= 0
    assert abs(total - found.planned) <= CLOCK * (len(found.cuts) - 1) + 1e-6
    assert 0 < found.coverage <= 1
    assert found.late == pytest.approx(max(0, (found.cuts[0].begins - window.start).total_seconds()))
    assert found.short == pytest.approx(max(0, (window.end - found.cuts[-1].ends).total_seconds()))


@given(SPANS, WINDOWS)
def test_cuts_lie_in_their_takes_and_follow_one_another(spans: list[tuple[float, float]], window: Window) -> None:
    found = account(takes(*spans), window)

    for cut in found.cuts:
        assert cut.skip >= 0
        assert cut.length >= GAP
        assert cut.skip + cut.length <= cut.take.duration + 1e-6
    for one, other in zip(found.cuts, found.cuts[1:], strict=False):
        assert one.take.number < other.take.number
        assert (other.begins - one.ends).total_seconds() >= -CLOCK
        assert other.ends > one.ends
    assert all(gap.length > GAP and 0 < gap.start < found.planned for gap in found.gaps)


@given(SHORT_SPANS, WINDOWS)
def test_no_audio_of_the_window_is_left_out(spans: list[tuple[float, float]], window: Window) -> None:
    found = account(takes(*spans), window)

    # The model: twentieths of a second, each in the recording or not.
    heard = {tick for begins, ends in spans for tick in range(round(begins * 20), round(ends * 20))}
    heard &= set(range(ticks(window.opens), ticks(window.closes)))
    kept = {tick for cut in found.cuts for tick in range(ticks(cut.begins), ticks(cut.ends))}
    assert kept <= heard
    assert len(heard - kept) <= 2 * len(spans)  # what is shorter than a tenth is not worth a seam


def test_a_take_keeps_its_facts() -> None:
    one = take(1, 0, 60)

    found = account([one], HUNDRED)

    assert found.cuts[0].take == one
    assert replace(one, begins=at(5)).ends == at(65)
