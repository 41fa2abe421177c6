"""The time of day, as it was when a recording began, carried on by the monotonic clock.

Somebody may set the machine's clock while a show is recorded; the show goes on.
"""

import time
from datetime import UTC, datetime, timedelta

from rolltape.domain.units import Seconds


class Clock:
    """Turns moments of the monotonic clock (the one of the event loop) into the time of day, and back."""

    def __init__(self) -> None:
        self._day = datetime.now(UTC)
        self._monotonic = time.monotonic()

    def now(self) -> datetime:
        return self.moment(time.monotonic())

    def moment(self, monotonic: float) -> datetime:
        return self._day + timedelta(seconds=monotonic - self._monotonic)

    def monotonic(self, moment: datetime) -> float:
        return self._monotonic + (moment - self._day).total_seconds()

    def until(self, moment: datetime) -> Seconds:
        """How long it is until `moment`; below 0 once it has passed."""
        return Seconds(self.monotonic(moment) - time.monotonic())
