"""A directory on a server reached over SSH: by SFTP, or by commands where the server has no SFTP."""

from collections.abc import Callable

from rolltape.domain.destination import DestinationFields, HostKey
from rolltape.domain.errors import TargetError, TargetRefused
from rolltape.domain.transfer import Receipt
from rolltape.domain.units import Bytes
from rolltape.transfer.connection import Connection
from rolltape.transfer.place import Place, hand_over, shown_size, try_out
from rolltape.transfer.scp import ShellPlace
from rolltape.transfer.sftp import SftpPlace
from rolltape.transfer.target import Delivery, TransferSettings, Trial


class SshTarget:
    """A destination over SSH."""

    def __init__(self, destination: DestinationFields, host_key: HostKey | None, settings: TransferSettings) -> None:
        self._destination = destination
        self._accepted = host_key
        self._connection = Connection(destination, host_key, settings)

    def send(self, delivery: Delivery, on_progress: Callable[[Bytes], None]) -> Receipt:
        try:
            self._connection.open()
            return hand_over(self._log_in(), delivery, on_progress)
        finally:
            self._connection.close()

    def test(self) -> Trial:
        try:
            self._connection.open()
            free = try_out(self._log_in())
        except TargetError as exc:
            return self._trial(exc.message, code=exc.code)
        finally:
            self._connection.close()
        room = "" if free is None else f"; {shown_size(free)} are free"
        return self._trial(f"{self._destination.host}: everything works{room}", free=free)

    def abort(self) -> None:
        self._connection.abort()

    def _log_in(self) -> Place:
        connection, where = self._connection, self._destination
        connection.log_in()
        place = SftpPlace.open(connection, where.directory, where.bandwidth_limit) or ShellPlace.open(
            connection, where.directory, where.bandwidth_limit
        )
        if place is None:
            raise TargetRefused(
                f"{where.host}: the server offers neither SFTP nor a shell to {where.user}; enable SFTP there",
                code="no_file_access",
            )
        return place

    def _trial(self, message: str, *, code: str = "", free: Bytes | None = None) -> Trial:
        shown, accepted = self._connection.shown_key, self._accepted
        known = shown is not None and accepted is not None and (shown.type, shown.key) == (accepted.type, accepted.key)
        return Trial(ok=not code, host_key=shown, known=known, free_bytes=free, message=message, code=code)
