import pytest

from rolltape.capture.beat import BEAT, beat


@pytest.mark.parametrize(
    ("now", "delay", "expected"),
    [
        (1000.0, 5.0, 1005),
        (1000.03, 5.0, 1005),  # woken up a little late, it stays on the beat
        (1000.4, 10.0, 1010),
        (1000.8, 10.0, 1011),
        (1000.0, 0.2, 1001),  # never the moment that is
        (1000.1, 0.0, 1001),
    ],
)
def test_all_wake_up_on_the_beat(now: float, delay: float, expected: int) -> None:
    assert beat(now * BEAT, delay * BEAT) == pytest.approx(expected * BEAT)


@pytest.mark.parametrize("late", [0.0, 0.001, 0.049, 0.3])
def test_who_looks_again_and_again_never_looks_twice_at_one_moment(late: float) -> None:
    now = 123_456.7
    for _ in range(1000):
        following = beat(now, BEAT / 3)
        assert now < following <= now + BEAT + 1e-6
        now = following + late
