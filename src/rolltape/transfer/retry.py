"""When to try a transfer again, and when somebody has to act first.

A passing fault is tried again for ever, ever more seldom; one that lasts (a full disk, a host without an address)
more seldom from the start; a failure without a reason, and a copy that comes out damaged, only a few times. What a
person has to change is looked at again every six hours, for the change may have been made over there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rolltape.domain.errors import TargetError
from rolltape.domain.units import HOUR, MINUTE, Bytes, Seconds

FIRST_DELAY = Seconds(5)
LONGEST_DELAY = Seconds(15 * MINUTE)  # a NAS that wakes up gets its recordings within a quarter of an hour
FIRST_LONG_DELAY = Seconds(5 * MINUTE)
LONGEST_LONG_DELAY = Seconds(30 * MINUTE)
RECHECK = Seconds(6 * HOUR)
PROGRESS = Bytes(8 * 1024 * 1024)  # an attempt that got this much further was no failure of the network as a whole

LASTING = frozenset({"disk_full", "unknown_host"})
MOST_TRIES = {"key_refused": 3, "failed": 5, "vanished": 5, "damaged": 2}  # then somebody has to act
ONLY_BY_HAND = frozenset({"host_key_changed", "host_key_unknown", "name_taken", "original_changed"})


@dataclass(frozen=True)
class Next:
    """What follows a failed attempt.

    `at` is the moment of the next one, None where the transfer is refused until somebody acts; then `recheck_at` says
    when to look by ourselves whether somebody did, None for never.
    """

    at: datetime | None
    recheck_at: datetime | None = None


def after(error: TargetError, *, fruitless: int, now: datetime, random: float) -> Next:
    """What to do after `error`, the `fruitless`th failure in a row (see `fruitless()`; the first is 1).

    `random` is 0 to 1: delays are spread over their upper half, so that transfers do not come back all at once.
    """
    most = MOST_TRIES.get(error.code)
    is_over = error.permanent if most is None else fruitless >= most
    if is_over:
        by_hand = error.code in ONLY_BY_HAND
        return Next(at=None, recheck_at=None if by_hand else now + timedelta(seconds=RECHECK))

    return Next(at=now + timedelta(seconds=_delay(error.code, fruitless) * (0.5 + random / 2)))


def fruitless(before: int, code_before: str | None, error: TargetError, *, gained: Bytes) -> int:
    """How often in a row it has failed now, after it had failed `before` times, last with `code_before`.

    `gained` is how many bytes further the attempt got than any before it. Whoever keeps the transfer stores the
    result and hands it to `after()`. Failures that are only borne a few times are counted apart from all others.
    """
    if error.code in MOST_TRIES:
        return before + 1 if error.code == code_before else 1
    if code_before in MOST_TRIES or gained >= PROGRESS:
        return 1

    return before + 1


def _delay(code: str, fruitless: int) -> float:
    lasts = code in LASTING or code == "key_refused"  # log-ins are counted by the other side, too
    first, longest = (FIRST_LONG_DELAY, LONGEST_LONG_DELAY) if lasts else (FIRST_DELAY, LONGEST_DELAY)
    return min(first * 2.0 ** min(fruitless - 1, 30), longest)
