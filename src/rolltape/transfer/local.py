"""A folder on this machine, or one that is mounted here."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rolltape.disk import NO_INODES, reason, sync_name
from rolltape.domain.destination import DestinationFields, HostKey
from rolltape.domain.errors import TargetError
from rolltape.domain.transfer import Proof, Receipt
from rolltape.domain.units import Bytes
from rolltape.transfer import problems
from rolltape.transfer.pace import Pace
from rolltape.transfer.place import Entry, Original, hand_over, read_into, shown_size, try_out
from rolltape.transfer.target import Delivery, TransferSettings, Trial

BLOCK = 1024 * 1024  # bytes

_PROBLEMS: dict[int, Callable[[str], TargetError]] = {
    errno.EACCES: problems.permission_denied,
    errno.EPERM: problems.permission_denied,
    errno.EROFS: problems.read_only,
    errno.EDQUOT: problems.disk_full,
    errno.EFBIG: problems.disk_full,
    errno.ENAMETOOLONG: problems.bad_name,
    errno.EINVAL: problems.bad_name,
    errno.EEXIST: problems.name_taken,
    errno.ENOTDIR: problems.name_taken,
}


class LocalTarget:
    """A destination that is a local folder."""

    def __init__(self, destination: DestinationFields, host_key: HostKey | None, settings: TransferSettings) -> None:
        self._place = LocalPlace(Path(destination.directory), destination.bandwidth_limit)

    def send(self, delivery: Delivery, on_progress: Callable[[Bytes], None]) -> Receipt:
        return hand_over(self._place, delivery, on_progress)

    def test(self) -> Trial:
        try:
            free = try_out(self._place)
        except TargetError as exc:
            return Trial(ok=False, host_key=None, known=False, free_bytes=None, message=exc.message, code=exc.code)
        room = "" if free is None else f"; {shown_size(free)} are free"
        message = f"{self._place.shown(PurePosixPath())}: everything works{room}"
        return Trial(ok=True, host_key=None, known=False, free_bytes=free, message=message)

    def abort(self) -> None:
        self._place.aborted = True


class LocalPlace:
    """A folder on this machine."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = limit
        self.aborted = False

    def shown(self, path: PurePosixPath) -> str:
        return str(self._folder / path)

    full_path = shown

    def look(self, path: PurePosixPath) -> Entry | None:
        there = self._folder / path
        with self._translated(path):
            try:
                return Entry(Bytes(there.stat().st_size), there.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                # A link that leads nowhere is something, too.
                return Entry(Bytes(0)) if there.is_symlink() else None

    def free(self) -> Bytes | None:
        with self._translated(PurePosixPath()):
            volume = os.statvfs(self._folder)
        return Bytes(volume.f_bavail * volume.f_frsize)

    def make_folders(self, path: PurePosixPath) -> None:
        with self._translated(path):
            (self._folder / path).mkdir(parents=True, exist_ok=True)

    def write(self, part: PurePosixPath, file: Original, start: int, on_progress: Callable[[Bytes], None]) -> None:
        pace = Pace(self._limit, self._check_aborted)
        buffer = memoryview(bytearray(pace.block(BLOCK)))
        file.seek(start)
        with self._translated(part), self._opened(part, anew=start == 0) as copy:
            copy.seek(start)
            while size := read_into(file, buffer):
                pace.wait(size)
                self._check_aborted()
                copy.write(buffer[:size])
                on_progress(Bytes(copy.tell()))
            os.fsync(copy.fileno())

    def digest(self, path: PurePosixPath, size: Bytes) -> tuple[str, Proof]:
        digest = hashlib.sha256()
        with self._translated(path), (self._folder / path).open("rb", buffering=0) as copy:
            # Out of the cache with it, so that it is the disk that is read.
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while block := copy.read(BLOCK):
                self._check_aborted()
                digest.update(block)
        return digest.hexdigest(), Proof.READBACK

    def stamp(self, path: PurePosixPath, modified: float) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._folder / path, (modified, modified))

    def publish(self, part: PurePosixPath, final: PurePosixPath) -> None:
        self._check_aborted()
        old, new = self._folder / part, self._folder / final
        with self._translated(final):
            try:
                os.link(old, new)  # a rename would replace what is there
            except FileExistsError:
                raise
            except OSError:  # no hard links on this file system
                if new.exists() or new.is_symlink():
                    raise problems.name_taken(self.shown(final)) from None
                old.rename(new)
            else:
                old.unlink()  # not above: that it fails does not mean that something else has the name

    def settle(self, path: PurePosixPath) -> None:
        with self._translated(path):
            sync_name(self._folder / path, self._folder)

    def remove(self, path: PurePosixPath) -> None:
        with self._translated(path):
            (self._folder / path).unlink(missing_ok=True)

    def _opened(self, part: PurePosixPath, *, anew: bool) -> BinaryIO:
        return (self._folder / part).open("wb" if anew else "r+b", buffering=0)

    def _check_aborted(self) -> None:
        if self.aborted:
            raise problems.aborted(str(self._folder))

    @contextmanager
    def _translated(self, path: PurePosixPath) -> Iterator[None]:
        """Speak of what the file system refuses in this program's words, and keep the cause."""
        try:
            yield
        except OSError as exc:
            where = self.shown(path)
            if exc.errno == errno.ENOSPC:
                why = reason(exc, self._folder)
                raise problems.disk_full(where, f" ({NO_INODES})" if why == NO_INODES else "") from exc
            if exc.errno in _PROBLEMS:
                raise _PROBLEMS[exc.errno](where) from exc
            raise problems.failed(where, exc.strerror or str(exc)) from exc
