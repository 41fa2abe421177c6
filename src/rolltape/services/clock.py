"""What time it is. Handed in, so that decisions can be tried at any moment."""

from collections.abc import Callable
from datetime import UTC, date, datetime

BUILT = date(2026, 11, 1)  # a clock before this day is wrong, and nothing is planned by it

Clock = Callable[[], datetime]  # returns the present moment, aware, in UTC


def utc_now() -> datetime:
    return datetime.now(UTC)
