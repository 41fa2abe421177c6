"""The bandwidth limit."""

import pytest

from rolltape.transfer.pace import Pace


class Clock:
    now = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def paced(limit: int | None, clock: Clock) -> Pace:
    return Pace(limit, lambda: None, clock=lambda: clock.now, sleep=clock.sleep)


@pytest.mark.parametrize("limit", [1024, 10_000, 1_000_000])
def test_the_rate_is_even_and_not_above_the_limit(limit: int):
    clock = Clock()
    pace = paced(limit, clock)
    block = pace.block(130_000)
    sent = 0

    for _ in range(100):
        pace.wait(block)
        sent += block
        assert sent <= limit * clock.now + 2 * block

    assert 100 * block / clock.now == pytest.approx(limit, rel=0.05)


def test_a_slow_reader_does_not_earn_a_burst():
    clock = Clock()
    pace = paced(10_000, clock)
    sent = []
    for _ in range(30):
        pace.wait(1000)
        sent.append(clock.now)
        if len(sent) == 10:
            clock.now += 60  # the line was down

    assert sent[-1] - sent[10] > 1.5


def test_without_a_limit_nothing_waits():
    clock = Clock()
    pace = paced(None, clock)

    pace.wait(10**9)

    assert clock.now == 0
    assert pace.block(130_000) == 130_000
