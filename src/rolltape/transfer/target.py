"""What a delivery is, and what a place must be able to do to be delivered to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from rolltape.domain.address import Egress
from rolltape.domain.destination import HostKey
from rolltape.domain.transfer import Receipt
from rolltape.domain.units import Bytes, Seconds

STALL = Seconds(30)  # without an answer for this long, a connection counts as lost


@dataclass(frozen=True)
class TransferSettings:
    """`keys` is the folder of private keys; `stall` is how long a silent connection is waited for, in seconds."""

    keys: Path
    egress: Egress
    stall: Seconds = STALL


@dataclass(frozen=True)
class Delivery:
    """One recording to deliver. `name` lies below the destination's directory; `sha256` is that of `file`."""

    file: Path
    name: PurePosixPath
    size: Bytes
    sha256: str

    def __post_init__(self) -> None:
        if self.name.is_absolute() or ".." in self.name.parts or not self.name.name:
            raise ValueError(f"{self.name} is no path below a directory")

    @property
    def part(self) -> PurePosixPath:
        """Where it grows before it gets its name: hidden, beside it, and never mistaken for another recording's."""
        ident = f".{self.sha256[:8]}.part"
        stem = self.name.name.encode()[: 255 - 1 - len(ident)].decode(errors="ignore")
        return self.name.with_name(f".{stem}{ident}")


@dataclass(frozen=True)
class Trial:
    """How a test of a destination went.

    `host_key` is what the server showed, None where it showed none; `known`: it is the accepted one. `free_bytes` is
    None where it is not known. `code` is "" where all went well, else that of the error.
    """

    ok: bool
    host_key: HostKey | None
    known: bool
    free_bytes: Bytes | None
    message: str
    code: str = ""


class Target(Protocol):
    """A place recordings are delivered to. Calls block: `deliver()` runs them in a thread of their own."""

    def send(self, delivery: Delivery, on_progress: Callable[[Bytes], None]) -> Receipt:
        """Deliver it, whole or not at all. `on_progress` is told how much of it has arrived.

        Raises:
            TargetUnreachable: a passing fault; worth a retry.
            TargetRefused: somebody has to do something first.
        """

    def test(self) -> Trial:
        """Write, rename and delete a small file. What goes wrong is told, not raised."""

    def abort(self) -> None:
        """Make `send` or `test` end soon, by raising; called from another thread."""
