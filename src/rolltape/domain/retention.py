"""Which recordings of a stream are kept, by their age, their number and the room they take."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from rolltape.domain.units import Bytes

GIGABYTE = 1_000_000_000  # bytes, as disks are sold


class Kept(Protocol):
    """A recording, as far as a rule looks at it."""

    @property
    def id(self) -> int: ...
    @property
    def start(self) -> datetime: ...
    @property
    def size(self) -> Bytes: ...


class Limits(Protocol):
    """What has a rule: a stream, or its fields."""

    keep_days: int | None
    keep_count: int | None
    keep_gigabytes: float | None


@dataclass(frozen=True)
class Rule:
    """What is kept; None for no limit. A recording that one of the limits gives up goes."""

    days: int | None = None
    count: int | None = None
    gigabytes: float | None = None

    @classmethod
    def of(cls, limits: Limits) -> "Rule":
        return cls(limits.keep_days, limits.keep_count, limits.keep_gigabytes)

    @property
    def is_set(self) -> bool:
        return self != Rule()

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    def is_tighter_than(self, other: "Rule") -> bool:
        """Whether it may give up something that `other` keeps."""
        pairs = ((self.days, other.days), (self.count, other.count), (self.gigabytes, other.gigabytes))
        return any(ours is not None and (theirs is None or ours < theirs) for ours, theirs in pairs)

    def __str__(self) -> str:
        """Like "30 days, 100 recordings"."""
        parts = []
        if self.days is not None:
            parts.append("1 day" if self.days == 1 else f"{self.days:,} days")
        if self.count is not None:
            parts.append("1 recording" if self.count == 1 else f"{self.count:,} recordings")
        if self.gigabytes is not None:
            parts.append(f"{self.gigabytes:g} GB")
        return ", ".join(parts) or "everything"


def surplus(rule: Rule, recordings: Iterable[Kept], now: datetime) -> dict[int, str]:
    """The recordings that `rule` gives up, each with the reason as a sentence. `recordings` are the newest first.

    The newest one is given up by its age only: a limit of room that is smaller than one recording shall not delete
    each of them as soon as it is there.
    """
    found: dict[int, str] = {}
    taken = 0
    for place, recording in enumerate(recordings):
        taken += recording.size
        if rule.days is not None and recording.start <= now - timedelta(days=rule.days):
            found[recording.id] = f"It is older than {rule.days} day{'' if rule.days == 1 else 's'}."
        elif rule.count is not None and place >= rule.count:
            found[recording.id] = f"There are {rule.count} newer one{'' if rule.count == 1 else 's'}."
        elif rule.gigabytes is not None and place > 0 and taken > rule.gigabytes * GIGABYTE:
            found[recording.id] = f"The newer ones take {rule.gigabytes:g} GB."
    return found
