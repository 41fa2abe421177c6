"""When to try a message again, and when to give it up."""

from datetime import datetime, timedelta

from rolltape.domain.units import DAY, HOUR, Seconds

FIRST_DELAY = Seconds(10)
LONGEST_DELAY = Seconds(HOUR)
PATIENCE = timedelta(seconds=DAY)  # older news is none


def retry_at(attempts: int, *, created_at: datetime, now: datetime, random: float) -> datetime | None:
    """Moment of the next attempt after `attempts` of them failed, or None once the message is too old.

    `random` is 0 to 1: delays are spread over their upper half, so that channels do not come back all at once.
    """
    delay = min(FIRST_DELAY * 2.0 ** min(attempts - 1, 30), LONGEST_DELAY) * (0.5 + random / 2)
    moment = now + timedelta(seconds=delay)
    return moment if moment < created_at + PATIENCE else None
