"""What was heard of pieces adds up."""

from dataclasses import replace

import pytest

from rolltape.domain.units import Seconds
from rolltape.process.hearing import Hearing, decoded_duration, from_json, hearing, to_json, together

PRINTED = """\
frame:0 pts:0 pts_time:0
lavfi.silence_start=1.5
lavfi.astats.Overall.Peak_level=-20.0
lavfi.silence_end=2.25
lavfi.silence_duration=0.75
lavfi.astats.Overall.Peak_level=0.0
lavfi.silence_start=3.5
out_time_us=4000000
progress=end
"""


def heard(duration: float, *silences: tuple[float, float], levels: tuple[float, ...] = ()) -> Hearing:
    return Hearing(Seconds(duration), tuple((Seconds(begin), Seconds(end)) for begin, end in silences), levels)


def test_what_ffmpeg_printed_is_understood():
    found = hearing(PRINTED)

    assert found == heard(4, (1.5, 2.25), (3.5, 4), levels=(found.levels[0], 1.0))
    assert found.levels[0] == pytest.approx(0.1)
    assert found.silent_share == pytest.approx(1.25 / 4)


def test_pieces_are_laid_behind_one_another():
    whole = together([heard(10, (2, 3), levels=(0.5,)), heard(5, levels=(0.25,)), heard(5, (1, 2), levels=(1.0,))])

    assert whole == heard(20, (2, 3), (16, 17), levels=(0.5, 0.25, 1.0))


def test_a_silence_over_a_border_is_one():
    whole = together([heard(10, (8, 10)), heard(10, (0, 10)), heard(10, (0, 1), (3, 4))])

    assert whole.silences == ((Seconds(8), Seconds(21)), (Seconds(23), Seconds(24)))


def test_of_nothing_nothing_is_silent():
    assert together([]).silent_share == 0


def test_what_was_kept_is_what_is_read():
    kept = heard(4, (0, 1.25), (3, 4), levels=(0.0, 1.0, 51 / 255))
    kept = replace(kept, blocks={-2310: 4, -7000: 1})

    assert from_json(to_json(kept)) == kept


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"duration": -1, "silences": [], "levels": "", "blocks": {}}',
        '{"duration": NaN, "silences": [], "levels": "", "blocks": {}}',
        '{"duration": Infinity, "silences": [], "levels": "", "blocks": {}}',
        '{"duration": 3, "silences": [[2, 1]], "levels": "", "blocks": {}}',
        '{"duration": 3, "silences": [[1, 4]], "levels": "", "blocks": {}}',
        '{"duration": 3, "silences": [[1, 2], [1, 2]], "levels": "", "blocks": {}}',
        '{"duration": 3, "silences": 5, "levels": "", "blocks": {}}',
        '{"duration": 3, "silences": [], "levels": "xy", "blocks": {}}',
        '{"duration": 3, "silences": [], "levels": 5, "blocks": {}}',
        '{"duration": 3, "silences": [], "levels": ""}',
        '{"duration": 3, "silences": [], "levels": "", "blocks": []}',
        '{"duration": 3, "silences": [], "levels": "", "blocks": {"a": 1}}',
        '{"duration": 3, "silences": [], "levels": "", "blocks": {"-2300": 0}}',
        '{"duration": 3, "silences": [], "levels": "", "blocks": {"-7001": 1}}',
        '{"duration": "a", "silences": [], "levels": "", "blocks": {}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_hearing_is_refused(line: str):
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(line)


@pytest.mark.parametrize(
    ("output", "duration"),
    [
        ("", 0),
        ("out_time_us=N/A\nprogress=end\n", 0),
        ("out_time_us=1500000\nprogress=continue\nout_time_us=2500000\nprogress=end\n", 2.5),
    ],
)
def test_the_last_word_on_the_duration_counts(output: str, duration: float):
    assert decoded_duration(output) == duration
