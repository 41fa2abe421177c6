"""Media time against wall time: how fast audio comes, and how long nothing came."""

from collections import deque

from rolltape.domain.units import MINUTE, Seconds

WINDOW = MINUTE  # over which the speed is measured
SHORTEST = Seconds(20)  # before anything is said of it
BURST = Seconds(30)  # the longest that what a server sends at once to who connects may take to come
FROZEN = Seconds(5)  # without audio; of a stream that comes in gushes, twice its longest pause
TOLERANCE = 0.03  # of the speed: clocks and networks are never exact
HOLD = Seconds(10)  # so long it has to be wrong, or right again, before that is told

_FROZEN, _SLOW, _FAST = "frozen", "slow", "fast"


class Pace:
    """How fast audio comes by one connection, against the speed that it plays at.

    What is sent at once at the begin tells nothing of it, so it is left out. A stream that comes in gushes is measured
    from gush to gush.
    """

    def __init__(self) -> None:
        self._edges: deque[tuple[float, float]] = deque()  # when there was more audio, and how much, in seconds
        self._began: float | None = None
        self._pause = 0.0  # the longest between two edges
        self._now = 0.0
        self._told: str | None = None  # what is wrong, as far as it was told
        self._seen: str | None = None  # what is wrong now
        self._since = 0.0  # when `_seen` was seen first

    @property
    def speed(self) -> float | None:
        """Audio ÷ time over the last minute, 1 for a stream that plays as it should; None: not known yet."""
        if not self._edges:
            return None
        begin, media_then = self._edges[0]
        end, media = self._edges[-1]
        if self._now - end > self._patience:
            end = self._now
        if end - begin < SHORTEST:
            return None
        return (media - media_then) / (end - begin)

    def anew(self) -> None:
        """The connection goes on after a pause, with what it sends at once."""
        self._edges.clear()
        self._began = None

    def note(self, now: float, media: float, *, is_even: bool) -> str | None:
        """`media` seconds have come up to `now`. A sentence where something is wrong, or well again, and news.

        `is_even`: what the server sent at once has come. A stream that is too fast never is.
        """
        self._now = now
        if self._told == _FROZEN and self._edges and media > self._edges[-1][1]:
            self.anew()
        if self._began is None:
            self._began = now
        if not self._edges and not is_even and now - self._began < BURST:
            return None
        self._enter(now, media)
        return self._news(now)

    def _enter(self, now: float, media: float) -> None:
        if self._edges and media <= self._edges[-1][1]:
            return
        if self._edges:
            self._pause = max(now - self._edges[-1][0], self._pause * 0.99)
        self._edges.append((now, media))
        while len(self._edges) > 2 and now - self._edges[1][0] >= WINDOW:
            self._edges.popleft()

    def _news(self, now: float) -> str | None:
        wrong = self._wrong(now)
        if wrong != self._seen:
            self._seen, self._since = wrong, now
        if wrong == self._told or (wrong != _FROZEN and now - self._since < HOLD):
            return None
        speed = self.speed
        if wrong is None and speed is None and self._told != _FROZEN:  # nothing is known yet
            return None
        self._told = wrong
        if wrong == _FROZEN:
            return "Nothing comes at the moment, though the connection stands."
        if wrong is None or speed is None:
            return "The audio comes as it should again."
        return f"The audio comes too {wrong}, at {speed:.0%} of the speed that it plays at."

    def _wrong(self, now: float) -> str | None:
        if len(self._edges) > 1 and now - self._edges[-1][0] > self._patience:
            return _FROZEN
        speed = self.speed
        if speed is None:
            return None
        # A gush more or less in the time that is measured is no other speed.
        allowed = TOLERANCE + self._pause / max(self._edges[-1][0] - self._edges[0][0], SHORTEST)
        if abs(speed - 1) <= allowed:
            return None
        return _SLOW if speed < 1 else _FAST

    @property
    def _patience(self) -> float:
        return max(FROZEN, 2 * self._pause)


class Stall:
    """The longest time for which no audio came, from the first to the last; over all connections."""

    def __init__(self) -> None:
        self.longest = Seconds(0)
        self._arrived: float | None = None

    def came(self, moment: float) -> None:
        if self._arrived is not None:
            self.longest = max(self.longest, Seconds(moment - self._arrived))
        self._arrived = moment
