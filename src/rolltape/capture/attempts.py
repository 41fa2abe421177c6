"""Which address to try next, and how long to wait before."""

from collections.abc import Sequence

from rolltape.domain.errors import FormatUnsupported, SourceError
from rolltape.domain.units import Seconds

LONGEST_DELAY = Seconds(10)  # a show goes on while we wait
LASTED = Seconds(3)  # a connection that held for as long was a good one


class Attempts:
    """The attempts of a session to connect, over its addresses in turn.

    After a good connection broke off, the first address comes first again. `error` is the last failure.
    """

    def __init__(self, urls: Sequence[str], most: int | None) -> None:
        """`most`: attempts in a row, None for no limit."""
        self._urls = urls
        self._most = most
        self._next = 0
        self._failed = 0  # in a row
        self._delay = Seconds(0)
        self._unsupported: set[str] = set()
        self.error: SourceError | None = None

    @property
    def url(self) -> str:
        return self._urls[self._next]

    @property
    def are_used_up(self) -> bool:
        return self._most is not None and self._failed >= self._most

    @property
    def are_hopeless(self) -> bool:
        """Whether every address sends something that cannot be recorded."""
        return self._unsupported.issuperset(self._urls)

    def failed(self, error: SourceError, *, lasted: Seconds) -> Seconds:
        """Note that the connection to `url` failed, `lasted` seconds after its first audio. Returns the delay."""
        self.error = error
        if isinstance(error, FormatUnsupported):
            self._unsupported.add(self.url)
        if lasted >= LASTED:
            self._failed, self._next, self._delay = 0, 0, Seconds(0)
        else:
            self._failed += 1
            self._next = (self._next + 1) % len(self._urls)
        delay, self._delay = self._delay, Seconds(min(self._delay + 1, LONGEST_DELAY))
        if error.retry_after is not None and len(self._urls) == 1:
            return max(delay, error.retry_after)
        return delay
