"""Ends what waits for an answer that does not come.

Paramiko's own time-outs do not fire while it sits in a full TCP buffer: 986 s were measured in a black hole.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rolltape.domain.units import Seconds

LONGEST_LOOK_AWAY = Seconds(1)  # between two looks: so much later than `stall` may a silence be noticed


class Watchdog:
    """Calls `bite` once when nothing was heard for `stall` seconds while somebody waits."""

    def __init__(self, stall: Seconds, bite: Callable[[], None]) -> None:
        self._stall = stall
        self._bite = bite
        self._patience = stall
        self._heard: float | None = None  # None: nobody waits
        self._over = threading.Event()
        self.has_bitten = False
        threading.Thread(target=self._watch, name="rolltape-watchdog", daemon=True).start()

    def expect(self) -> None:
        """From now on an answer is waited for, if that was not so before."""
        if self._heard is None:
            self._heard = time.monotonic()

    def heard(self) -> None:
        """There was a sign of life; now the next one is waited for."""
        self._heard = time.monotonic()

    def rest(self) -> None:
        """Nobody waits for the moment."""
        self._heard = None

    @contextmanager
    def patient(self, more: Seconds) -> Iterator[None]:
        """For the time of the block, silence may last `more` seconds longer: the other side is at work."""
        self._patience = Seconds(self._stall + more)
        try:
            yield
        finally:
            self.rest()
            self._patience = self._stall

    def stop(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(min(LONGEST_LOOK_AWAY, self._stall / 10)):
            heard = self._heard
            if heard is not None and time.monotonic() - heard > self._patience:
                self.has_bitten = True
                self._bite()
                return
