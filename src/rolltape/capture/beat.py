"""Moments at which all sessions do what can wait a little, so that the process wakes up once for many of them.

With some tens of streams, most of the CPU time is not what is done but waking up for it.
"""

from math import floor

from rolltape.domain.units import Seconds

BEAT = Seconds(0.175)  # from one to the next; what a thousand sessions do at once holds up nothing else for long


def beat(now: float, delay: float) -> float:
    """The beat nearest to `delay` seconds from `now`, by the monotonic clock; always one that is to come."""
    return max(round((now + delay) / BEAT), floor(now / BEAT) + 1) * BEAT
