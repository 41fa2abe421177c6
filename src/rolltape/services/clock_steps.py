"""Steps of the clock: who sets it while shows are planned by it moves them."""

import time
from collections.abc import Callable
from datetime import timedelta

from rolltape.domain import words
from rolltape.domain.units import HOUR, MINUTE, Seconds
from rolltape.services.findings import Finding

STEP = Seconds(MINUTE / 2)  # a clock that is set from the network is moved by less, or slowly
TOLD_FOR = Seconds(HOUR)


class ClockSteps:
    """Compares the clock on the wall with one that cannot be set, whenever it is asked.

    A machine that slept is not told apart: its clock moves on, and shows were missed just the same.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()
        self._step = timedelta(0)
        self._told_until = 0.0  # by the steady clock

    def finding(self) -> Finding | None:
        """That the clock was set in the last hour, and by how much."""
        now = self._steady()
        apart = self._wall() - now
        if abs(apart - self._apart) >= STEP:
            self._step = timedelta(seconds=apart - self._apart)
            self._told_until = now + TOLD_FOR
        self._apart = apart  # a clock that only gains or loses is none that was set
        if now >= self._told_until:
            return None
        size = words.of_span(Seconds(abs(self._step.total_seconds())))
        direction = "ahead" if self._step > timedelta(0) else "back"
        message = f"The clock of this machine was set {direction} by {size}, or the machine slept."
        advice = "Have the clock set from the network all the time. See whether a show of this hour was recorded late."
        return Finding("clock_step", "warning", message, advice)
