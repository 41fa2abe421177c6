"""What a disk has left, why it takes nothing more, and how a file gets onto it whole."""

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.units import Bytes

NO_INODES = "no inodes are left: there is room, but the disk takes no more files"

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN})
# What a disk, or the limits on files, can do to whoever writes: it passes, or somebody puts it in order.
TROUBLES = FULL | GONE | {
    errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM,
}  # fmt: skip

TOO_LARGE = "The file was as large as a file may be."

_CAUSES = {
    errno.EDQUOT: "The quota of the disk was used up.",
    errno.EFBIG: TOO_LARGE,
    errno.EROFS: "The disk could only be read.",
    errno.EIO: "The disk reported a fault.",
    errno.EMFILE: "Too many files were open.",
    errno.ENFILE: "Too many files were open.",
} | dict.fromkeys(GONE, "The file or its folder was gone.")


@dataclass(frozen=True)
class Room:
    """What a file system has left for this user. `files` is how many more it takes, None where it does not count."""

    device: int
    total: Bytes
    free: Bytes
    files: int | None


def room(folder: Path) -> Room:
    """The room on the disk of a folder.

    Raises:
        OSError: there is no such folder (any more).
    """
    found = os.statvfs(folder)
    files = found.f_favail if found.f_files else None  # btrfs and its kin have as many as there is room
    total = Bytes(found.f_blocks * found.f_frsize)
    return Room(folder.stat().st_dev, total, Bytes(found.f_bavail * found.f_frsize), files)


def write_whole(file: Path, content: bytes, *, is_synced: bool = True) -> None:
    """Write a file for our eyes only, all of it or none: who reads it, or a kill, finds the old one or the new one.

    `is_synced`: a power cut shall not leave it empty. Waits for the disk then.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    # Some names are as long as names may be.
    part = file.with_name(f".{hashlib.sha256(file.name.encode()).hexdigest()[:16]}.part")
    try:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as target:
            target.write(content)
            target.flush()
            if is_synced:
                os.fsync(target.fileno())
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk, so that a new one survives a power cut. Waits for the disk.

    Raises:
        OSError: the disk is broken, or there is no such folder (any more).
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_name(file: Path, base: Path) -> None:
    """Bring the name of a file below `base` to the disk, and those of the folders that may have been made for it.

    All of them, for who made one may have been killed before it was synced. Waits for the disk.

    Raises:
        OSError: the disk is broken, or the file is not there (any more).
    """
    for folder in file.relative_to(base).parents:
        sync_folder(base / folder)


def reason(exc: OSError, folder: Path) -> str:
    """Why something in `folder` could not be written, in words.

    The system says "no space left" as well when a disk has run out of inodes. Who is told so looks at a disk with
    room on it, and does not know what to do.
    """
    if exc.errno == errno.ENOSPC and _has_no_inodes(folder):
        return NO_INODES
    return exc.strerror or str(exc)


def cause(exc: OSError, folder: Path) -> str:
    """Why writing in `folder` broke off, as a sentence for the account of what was lost by it."""
    if exc.errno == errno.ENOSPC:
        return "The disk took no more files: it had no inodes left." if _has_no_inodes(folder) else "The disk was full."
    if exc.errno in _CAUSES:
        return _CAUSES[exc.errno]
    return f"It could not be written: {exc.strerror or exc}."


def try_out(folder: Path, size: Bytes) -> None:
    """See whether `folder` takes a file of this size now; nothing of it is left. Waits for the disk.

    Raises:
        OSError: it does not. Quotas, and disks that take what they are told and fail afterwards, are found out, too.
    """
    part = folder / ".try.part"
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as target:
            target.write(bytes(size))
            target.flush()
            os.fsync(target.fileno())
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _has_no_inodes(folder: Path) -> bool:
    try:
        return room(folder).files == 0
    except OSError:
        return False
