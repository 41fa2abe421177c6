"""One transfer knocks for all: a destination that cannot be reached is not tried once per file.

And at most three log-ins in ten minutes are refused: most servers shut out for good who tries five times.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rolltape.domain.errors import TargetError
from rolltape.domain.units import MINUTE, Seconds
from rolltape.transfer import retry

MOST_LOG_INS = 3  # refused ones; fail2ban's default is five
LOG_IN_WINDOW = Seconds(10 * MINUTE)
PROBE = Seconds(5 * MINUTE)  # a probe of which nothing was heard for so long is forgotten

LOG_IN = frozenset({"key_refused", "login_lost"})
HOST_LEVEL = LOG_IN | {
    "address_refused",
    "connect_timeout",
    "connection_failed",
    "connection_refused",
    "host_key_changed",
    "host_key_unknown",
    "key_encrypted",
    "key_missing",
    "key_unreadable",
    "no_common_algorithms",
    "no_file_access",
    "no_route",
    "no_ssh",
    "unknown_host",
}  # what would have befallen any other file just the same


@dataclass
class _Circuit:
    failures: int = 0
    opens_at: datetime | None = None
    probe_until: datetime | None = None
    log_ins: list[datetime] = field(default_factory=list)


class Breaker:
    """Holds attempts back, per destination. In memory: after a restart, each destination gets one more probe.

    Ask `opens_at`; if it says None, say `begun`, try, and say `succeeded`, `failed` or `abandoned`.
    """

    def __init__(self) -> None:
        self._circuits: dict[int, _Circuit] = {}

    def opens_at(self, destination_id: int, now: datetime) -> datetime | None:
        """None: go ahead. Else the moment to ask again."""
        circuit = self._circuits.get(destination_id)
        if circuit is None:
            return None
        moments = [circuit.opens_at, circuit.probe_until, _log_in_at(circuit)]
        later = [moment for moment in moments if moment is not None and moment > now]

        return max(later, default=None)

    def begun(self, destination_id: int, now: datetime) -> None:
        """An attempt begins. Where the last one failed, it is the probe, and the others wait for its result."""
        circuit = self._circuits.get(destination_id)
        if circuit is not None and circuit.failures:
            circuit.probe_until = now + timedelta(seconds=PROBE)

    def failed(self, destination_id: int, error: TargetError, now: datetime, *, random: float) -> None:
        """It failed. Failures of a single file hold nobody back: they show that the host is well."""
        if error.code == "aborted":
            self.abandoned(destination_id)
            return
        if error.code not in HOST_LEVEL:
            self.succeeded(destination_id)
            return
        circuit = self._circuits.setdefault(destination_id, _Circuit())
        circuit.failures += 1
        circuit.probe_until = None
        if error.code in LOG_IN:
            circuit.log_ins = [*circuit.log_ins, now][-MOST_LOG_INS:]
        next_ = retry.after(
            TargetError(error.message, code=_passing(error)), fruitless=circuit.failures, now=now, random=random
        )
        circuit.opens_at = next_.at

    def succeeded(self, destination_id: int) -> None:
        self._circuits.pop(destination_id, None)

    def abandoned(self, destination_id: int) -> None:
        """The attempt ended without a result: it was cancelled."""
        if (circuit := self._circuits.get(destination_id)) is not None:
            circuit.probe_until = None

    def reset(self, destination_id: int) -> None:
        """Somebody changed the destination, or wants it tried now. Refused log-ins stay counted."""
        if (circuit := self._circuits.get(destination_id)) is not None:
            circuit.failures, circuit.opens_at, circuit.probe_until = 0, None, None


def _log_in_at(circuit: _Circuit) -> datetime | None:
    if len(circuit.log_ins) < MOST_LOG_INS:
        return None
    return circuit.log_ins[0] + timedelta(seconds=LOG_IN_WINDOW)


def _passing(error: TargetError) -> str:
    """The code to wait by: the breaker itself never gives up."""
    return error.code if error.code == "unknown_host" else "connection_lost"
