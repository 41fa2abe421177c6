"""A directory reached over SFTP: the usual place.

What the server advertises (statvfs, limits, fsync, posix-rename) is used, and may fail all the same. The proof is the
server's own SHA-256 where it runs commands; else the copy is read back.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from rolltape.domain.errors import TargetError, TargetUnreachable
from rolltape.domain.transfer import Proof
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import problems
from rolltape.transfer import sftp_client as sftp
from rolltape.transfer.connection import SLOW_DISK, Connection
from rolltape.transfer.pace import Pace
from rolltape.transfer.place import Entry, Original, read_into
from rolltape.transfer.sftp_client import ProtocolError, SftpClient, StatusError

WINDOW = Bytes(10 * 7 * 32 * 1024)  # unanswered bytes; a little more than the 2 MiB that OpenSSH lets come


class SftpPlace:
    """`directory` on the server of `connection`, which is logged in."""

    def __init__(self, connection: Connection, client: SftpClient, directory: str, limit: int | None) -> None:
        self._connection = connection
        self._client = client
        self._directory = PurePosixPath(directory)
        self._limit = limit

    @classmethod
    def open(cls, connection: Connection, directory: str, limit: int | None) -> "SftpPlace | None":
        """None where the server has no SFTP."""
        stream = connection.subsystem("sftp")
        if stream is None:
            return None
        try:
            with connection.watched():
                client = SftpClient(stream, packet=stream.packet_size)
        except (ProtocolError, struct.error):
            return None
        except TargetUnreachable:
            if connection.is_active:  # only the channel was closed: the subsystem could not be started
                return None
            raise
        return cls(connection, client, directory, limit)

    def shown(self, path: PurePosixPath) -> str:
        return f"{self._connection.host}:{self._directory / path}"

    def full_path(self, path: PurePosixPath) -> str:
        return str(self._directory / path)

    def look(self, path: PurePosixPath) -> Entry | None:
        with self._translated(path):
            found = self._client.stat(self._path(path))
        return None if found is None else Entry(Bytes(found.size or 0), found.is_folder)

    def free(self) -> Bytes | None:
        with self._translated(PurePosixPath()):
            volume = self._client.volume(self._path(PurePosixPath()))
        if volume is not None and volume.read_only:
            raise problems.read_only(self.shown(PurePosixPath()))
        return None if volume is None else Bytes(volume.free)

    def make_folders(self, path: PurePosixPath) -> None:
        for folder in reversed([path, *path.parents][:-1]):
            found = self.look(folder)
            if found is None:
                self._make_folder(folder)
            elif not found.is_folder:
                raise problems.name_taken(self.shown(folder))

    def write(self, part: PurePosixPath, file: Original, start: int, on_progress: Callable[[Bytes], None]) -> None:
        flags = sftp.WRITE if start else sftp.WRITE | sftp.CREATE | sftp.TRUNCATE
        pace = Pace(self._limit, self._connection.check_aborted)
        block = pace.block(self._client.block_size)
        file.seek(start)
        done = start

        def fill(buffer: memoryview) -> int:
            pace.wait(len(buffer))
            return read_into(file, buffer)

        def acknowledged(sent: int) -> None:
            nonlocal done
            done = sent
            on_progress(Bytes(sent))

        with self._translated(part):
            handle = self._client.open(self._path(part), flags)
            self._client.write(handle, fill, start, block=block, window=WINDOW, on_acknowledged=acknowledged)
            with self._connection.patient(Seconds(done / SLOW_DISK)):
                self._client.sync(handle)
                self._client.close(handle)

    def digest(self, path: PurePosixPath, size: Bytes) -> tuple[str, Proof]:
        found = self._connection.sha256(self.full_path(path), size)
        if found is not None:
            return found, Proof.SHA256

        return self._read_back(path), Proof.READBACK

    def stamp(self, path: PurePosixPath, modified: float) -> None:
        with suppress(StatusError):
            self._client.set_times(self._path(path), int(modified))

    def publish(self, part: PurePosixPath, final: PurePosixPath) -> None:
        if self.look(final) is not None:
            raise problems.name_taken(self.shown(final))
        with self._translated(final):
            try:
                self._client.rename(self._path(part), self._path(final))
            except StatusError:
                if self.look(final) is not None:  # OpenSSH links and then removes; perhaps it is the very file
                    raise problems.failed(self.shown(final), "the server could not end the renaming") from None
                if b"posix-rename@openssh.com" not in self._client.extensions:
                    raise
                self._client.posix_rename(self._path(part), self._path(final))

    def settle(self, path: PurePosixPath) -> None:
        """SFTP has no way to sync a folder."""

    def remove(self, path: PurePosixPath) -> None:
        with self._translated(path):
            try:
                self._client.remove(self._path(path))
            except StatusError as exc:
                if exc.status != sftp.NO_SUCH_FILE:
                    raise

    def _make_folder(self, path: PurePosixPath) -> None:
        with self._translated(path):
            try:
                self._client.make_folder(self._path(path))
            except StatusError:
                if (found := self.look(path)) is None or not found.is_folder:  # else another transfer was faster
                    raise

    def _read_back(self, path: PurePosixPath) -> str:
        digest = hashlib.sha256()
        with self._translated(path):
            handle = self._client.open(self._path(path), sftp.READ)
            size = self._client.stat(self._path(path))
            for block in self._client.read(handle, size.size or 0 if size else 0, WINDOW):
                digest.update(block)
            self._client.close(handle)
        return digest.hexdigest()

    def _path(self, path: PurePosixPath) -> bytes:
        return str(self._directory / path).encode(errors="surrogateescape")

    @contextmanager
    def _translated(self, path: PurePosixPath) -> Iterator[None]:
        """Speak of the server's refusals in this program's words, and keep the cause."""
        try:
            with self._connection.watched():
                yield
        except StatusError as exc:
            raise self._refusal(exc, path) from exc
        except (ProtocolError, struct.error) as exc:
            raise problems.failed(self._connection.host, f"the server answers in riddles: {exc}") from exc

    def _refusal(self, exc: StatusError, path: PurePosixPath) -> TargetError:
        where = self.shown(path)
        text = exc.text.lower()
        if exc.status == sftp.PERMISSION_DENIED:
            return problems.permission_denied(where)
        if exc.status == sftp.BAD_MESSAGE:
            return problems.bad_name(where)
        if "no space" in text or "quota" in text or self._is_full():
            return problems.disk_full(where)
        return problems.failed(where, f"the server could not {exc.operation} it: {exc.text or 'no reason given'}")

    def _is_full(self) -> bool:
        with suppress(StatusError, ProtocolError, struct.error, TargetUnreachable):
            volume = self._client.volume(self._path(PurePosixPath()))
            return volume is not None and volume.free < self._client.block_size
        return False
