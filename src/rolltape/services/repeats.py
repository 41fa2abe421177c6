"""Which failures are news, of something that is tried again every few seconds."""

import time

from rolltape.domain.units import HOUR, Seconds

AGAIN = Seconds(HOUR)  # a failure that lasts is told so often


class Repeats:
    """What failed last, until it goes well again."""

    def __init__(self) -> None:
        self._said = ""
        self._told = 0.0  # monotonic

    def is_news(self, error: BaseException) -> bool:
        """Whether to tell of `error`: it is another one than the last, or that was told long ago."""
        cause = getattr(error, "orig", None) or error  # SQLAlchemy's sentences have the whole statement in them
        said, now = f"{type(cause).__name__}: {cause}", time.monotonic()
        if said == self._said and now - self._told < AGAIN:
            return False
        self._said, self._told = said, now
        return True

    def well(self) -> None:
        """It went well: whatever fails next is news."""
        self._said = ""
