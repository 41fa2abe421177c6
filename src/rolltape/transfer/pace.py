"""Not faster than allowed: a token bucket."""

import time
from collections.abc import Callable

BURST = 0.25  # s worth of bytes that may go at once
NAP = 0.2  # s at most between two looks whether somebody aborted


class Pace:
    """At most `limit` bytes per second, None for as fast as it goes.

    `check` is called while it waits, and may raise.
    """

    def __init__(
        self,
        limit: int | None,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limit = limit
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    def block(self, largest: int) -> int:
        """A good size of a block: small enough for the rate to be even."""
        return largest if self._limit is None else max(1024, min(largest, int(self._limit * BURST)))

    def wait(self, size: int) -> None:
        """Wait until `size` more bytes may go."""
        if self._limit is None:
            return
        self._due = max(self._due, self._clock() - BURST)
        self._wait_until(self._due)
        self._due += size / self._limit

    def _wait_until(self, due: float) -> None:
        while (left := due - self._clock()) > 0:
            self._check()
            self._sleep(min(left, NAP))
