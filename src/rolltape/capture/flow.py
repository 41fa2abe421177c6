"""How audio comes by one connection, by the monotonic clock."""

from math import inf
from time import monotonic

from rolltape.domain.units import Seconds

EVEN = Seconds(1.5)  # without audio that came earlier than expected: what is sent again at once has come by then
EARLIER = Seconds(0.02)  # counts as earlier; the rest is noise


class Flow:
    """The arrivals of audio since a connection began to send, or went on after a pause.

    A server sends its last seconds at once to whoever connects, then as they are played. So audio is on time when it
    comes earliest, measured against its place: `zero` is when the first of it was on the air.
    """

    def __init__(self, *, pause: float = 0.0) -> None:
        """`pause`: one that must be reckoned with again."""
        self.opened = monotonic()
        self.arrived = self.opened  # the last audio
        self.media = 0.0  # seconds that came
        self.zero = inf
        self.pause = pause  # the longest recent one between two arrivals, in seconds
        self.is_draining = False  # what comes now came a while ago, and waited in the network's buffers
        self._uneven = self.opened  # when audio came earlier than expected for the last time

    def came(self, seconds: float) -> None:
        now = monotonic()
        self.media += seconds
        if now - self.media < self.zero - EARLIER:
            self._uneven = now
        self.zero = min(self.zero, now - self.media)
        if not self.is_draining:
            self.pause = max(now - self.arrived, self.pause * 0.99)
            self.arrived = now

    @property
    def ends(self) -> float:
        """When the last audio that came was on the air."""
        return self.zero + self.media

    @property
    def silence(self) -> Seconds:
        """How long nothing has come."""
        return Seconds(monotonic() - self.arrived)

    @property
    def is_even(self) -> bool:
        """Whether audio comes as it is played, so that `zero` can be believed."""
        return monotonic() - self._uneven >= EVEN
