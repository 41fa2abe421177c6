import pytest

from rolltape.capture.beat import BEAT, beat


@pytest.mark.parametrize(
    ("now", "delay", "expected"),
    [
        (1000.0, 0.5, 1000.5),
        (1000.003, 0.5, 1000.5),  # woken up a little late, it stays on the beat
        (1000.04, 1.0, 1001.0),
        (1000.08, 1.0, 1001.1),
        (1000.0, 0.02, 1000.1),  # never the moment that is
        (1000.01, 0.0, 1000.1),
    ],
)
def test_all_wake_up_on_the_beat(now: float, delay: float, expected: float) -> None:
    assert beat(now, delay) == pytest.approx(expected)


@pytest.mark.parametrize("late", [0.0, 0.001, 0.049, 0.3])
def test_who_looks_again_and_again_never_looks_twice_at_one_moment(late: float) -> None:
    now = 123_456.7
    for _ in range(1000):
        following = beat(now, BEAT / 3)
        assert now < following <= now + BEAT + 1e-6
        now = following + late
