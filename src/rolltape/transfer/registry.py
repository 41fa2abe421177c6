"""Which target serves which kind of destination."""

from collections.abc import Callable

from rolltape.domain.destination import DestinationFields, DestinationKind, HostKey
from rolltape.transfer.local import LocalTarget
from rolltape.transfer.target import Target, TransferSettings


def _ssh(destination: DestinationFields, host_key: HostKey | None, settings: TransferSettings) -> Target:
    from rolltape.transfer.ssh import SshTarget  # not before it is needed: Paramiko takes 32 MB

    return SshTarget(destination, host_key, settings)


TARGETS: dict[DestinationKind, Callable[[DestinationFields, HostKey | None, TransferSettings], Target]] = {
    DestinationKind.SSH: _ssh,
    DestinationKind.LOCAL: LocalTarget,
}
