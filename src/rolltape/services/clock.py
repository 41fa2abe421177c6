"""What time it is. Handed in, so that decisions can be tried at any moment."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]  # returns the present moment, aware, in UTC


def utc_now() -> datetime:
    return datetime.now(UTC)
