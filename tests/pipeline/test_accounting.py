"""The account of a recording in words."""

from datetime import UTC, datetime, timedelta

import pytest

from rolltape.domain.recording import Account, Silence, Window, account
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import Seconds
from rolltape.pipeline.accounting import kept, measured, told

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
END = NOON + timedelta(seconds=100)


def found(*spans: tuple[float, float]) -> Account:
    """The account of takes from and to so many seconds after the start of a window of a hundred."""
    takes = [
        TakeFacts(
            number, f"take-{number}.mp3", AudioFormat(Codec.MP3), NOON + timedelta(seconds=begins),
            Seconds(ends - begins), "Cut off.",
        )
        for number, (begins, ends) in enumerate(spans, 1)
    ]  # fmt: skip
    return account(takes, Window(NOON, NOON, END, END))


def test_nothing_is_missing_of_what_is_complete() -> None:
    assert told(found((0, 100))) == "Complete: 100 % of the planned time, no gap, 1 connection."


def test_everything_is_told() -> None:
    silence = Silence(Seconds(3), Seconds(2.5))
    heard = found((2, 40), (45, 70), (80, 95)).with_longest_stall(Seconds(9.96))

    words = told(heard.with_sound(0.02, (silence,), loudness=-18.249, peak=0.5))

    assert words == (
        "Too short: 78 % of the planned time, 2 gaps of 15.0 s, 2.0 s late, 5.0 s missing at the end, 3 connections, "
        "no audio for 10.0 s at the longest, 1 longer silence, -18.2 LUFS."
    )


def test_what_is_nearly_all_is_not_all() -> None:
    assert "99.9 % of the planned time" in told(found((0, 99.96)))


@pytest.mark.parametrize("loudness", [None, -70.0])
def test_what_is_kept_and_what_is_in_the_file_agree(loudness: float | None) -> None:
    heard = found((0, 40), (45, 100)).with_longest_stall(Seconds(6)).with_sound(1.0, loudness=loudness, peak=0.0)

    entry, tags = kept(heard, []), measured(heard)

    assert [tags.gaps, float(tags.missing), tags.takes] == [1, 5, 2]
    for name in ("late", "short", "longest_stall", "silent_share", "loudness", "peak"):
        assert entry[name] == getattr(tags, name), name
    assert entry["verdicts"] == ["silent", "gapped"]
    assert entry["ends"] == END.isoformat()
