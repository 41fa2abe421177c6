"""The order of safety: how a file gets to any place that has folders and can rename.

Grow under a hidden name, make it durable, compare it with the original, only then give it its name. Whatever is
under a final name is therefore whole, at every moment; and an attempt that broke off is continued by the next.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path, PurePosixPath
from typing import Protocol
from uuid import uuid4

from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.domain.transfer import Proof, Receipt
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import problems
from rolltape.transfer.target import Delivery

REWIND = 1024 * 1024  # bytes sent again when resuming: what was in flight when it broke off may be damaged
FULL = 256 * 1024  # bytes free, below which a write that failed has failed for want of room
TEST_CONTENT = b"Rolltape was here, and will be gone in a moment.\n"


@dataclass(frozen=True)
class Entry:
    """What is there under a name."""

    size: Bytes
    is_folder: bool = False


class Original(Protocol):
    """An open file, or something like it."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def seek(self, offset: int, /) -> int: ...


class Place(Protocol):
    """A directory, here or elsewhere. Every path is relative to it; every call blocks and may raise a TargetError."""

    def shown(self, path: PurePosixPath) -> str:
        """How `path` is named in sentences."""

    def full_path(self, path: PurePosixPath) -> str:
        """`path` as somebody at that place would write it."""

    def look(self, path: PurePosixPath) -> Entry | None:
        """What is there, None for nothing."""

    def free(self) -> Bytes | None:
        """How much may still be written, None where the place does not say."""

    def make_folders(self, path: PurePosixPath) -> None:
        """Make the folder `path` and those above it, as far as they are missing."""

    def write(self, part: PurePosixPath, file: Original, start: int, on_progress: Callable[[Bytes], None]) -> None:
        """Write `file` from byte `start` on to `part`, which has at least that many (0: begin anew).

        It is durable as far as the place can make it so. `on_progress` is told how much of the file is there.
        """

    def digest(self, path: PurePosixPath, size: Bytes) -> tuple[str, Proof]:
        """SHA-256 of what is there, and who computed it."""

    def stamp(self, path: PurePosixPath, modified: float) -> None:
        """Set the time of the last change, in seconds since 1970; may do nothing."""

    def publish(self, part: PurePosixPath, final: PurePosixPath) -> None:
        """Rename, never over something else: `TargetRefused` ("name_taken") then."""

    def settle(self, path: PurePosixPath) -> None:
        """Make the name of a file durable, and those of its folders, as far as the place can."""

    def remove(self, path: PurePosixPath) -> None:
        """Delete a file, if it is there."""


def hand_over(place: Place, delivery: Delivery, on_progress: Callable[[Bytes], None]) -> Receipt:
    """Bring `delivery` to `place`, prove that it arrived, and only then give it its name.

    Raises:
        TargetUnreachable: a passing fault; the hidden part stays for the next attempt.
        TargetRefused: somebody has to do something first.
    """
    began = time.monotonic()
    with _original(delivery) as file:
        _check_directory(place)
        proof = _delivered_before(place, delivery)
        if proof is None:
            place.make_folders(delivery.name.parent)
            proof = _send(place, delivery, file, on_progress)
        place.settle(delivery.name)  # also after an attempt that was cut off after the rename
    on_progress(delivery.size)

    return Receipt(
        remote_path=place.full_path(delivery.name),
        size=delivery.size,
        sha256=delivery.sha256,
        verified_by=proof,
        took=Seconds(time.monotonic() - began),
    )


def try_out(place: Place) -> Bytes | None:
    """Write, rename and delete a small file; returns how much is free, None where the place does not say.

    Raises:
        TargetError: what went wrong.
    """
    name = f".rolltape-test-{uuid4().hex[:8]}"
    part, final = PurePosixPath(f"{name}.part"), PurePosixPath(name)
    _check_directory(place)
    try:
        place.write(part, BytesIO(TEST_CONTENT), 0, lambda sent: None)
        found, _ = place.digest(part, Bytes(len(TEST_CONTENT)))
        if found != hashlib.sha256(TEST_CONTENT).hexdigest():
            raise problems.failed(place.shown(part), "what was written there reads differently")
        place.publish(part, final)
        place.remove(final)
    except TargetError:
        for path in (part, final):
            with suppress(TargetError):
                place.remove(path)
        raise

    return place.free()


def _check_directory(place: Place) -> None:
    """It is never made: a wrong name, or a disk that is not mounted, would fill the wrong one."""
    here = PurePosixPath()
    found = place.look(here)
    if found is None:
        raise problems.missing_directory(place.shown(here))
    if not found.is_folder:
        raise problems.not_a_directory(place.shown(here))


def _send(place: Place, delivery: Delivery, file: FileIO, on_progress: Callable[[Bytes], None]) -> Proof:
    part = delivery.part
    torso = place.look(part)
    start = _resume_at(torso, delivery.size)
    _check_space(place, delivery, already=0 if torso is None else torso.size)  # what is there is written over
    try:
        place.write(part, file, start, on_progress)
    except TargetError as exc:
        # A server that is told more than its disk can take may hang up before it has said why.
        is_full = exc.code == "disk_full" or _is_full(place)
        if not is_full:
            raise
        with suppress(TargetError):  # a torso on a full disk harms others
            place.remove(part)
        if exc.code == "disk_full":
            raise
        raise problems.disk_full(place.shown(PurePosixPath())) from exc
    proof = _prove(place, delivery)
    place.stamp(part, os.fstat(file.fileno()).st_mtime)
    place.publish(part, delivery.name)
    _look_again(place, delivery)

    return proof


def _resume_at(part: Entry | None, size: int) -> int:
    """Where to go on: a little before the end of what is there; 0 where that is nothing, or too much."""
    if part is None or part.size > size:
        return 0

    return max(0, (part.size // REWIND - 1) * REWIND)


def _is_full(place: Place) -> bool:
    """Whether there is no room at all; no, where the place does not (or no longer) say."""
    with suppress(TargetError):
        free = place.free()
        return free is not None and free < FULL

    return False


def _check_space(place: Place, delivery: Delivery, *, already: int) -> None:
    free = place.free()
    if free is not None and free < delivery.size - already:
        need = Bytes(delivery.size - already)
        detail = f" ({shown_size(free)} free, {shown_size(need)} needed)"
        raise problems.disk_full(place.shown(PurePosixPath()), detail)


def _delivered_before(place: Place, delivery: Delivery) -> Proof | None:
    """How it is known that the very file is there already: an attempt that was cut off after the rename."""
    found = place.look(delivery.name)
    if found is None:
        return None
    if not found.is_folder and found.size == delivery.size:
        digest, proof = place.digest(delivery.name, delivery.size)
        if digest == delivery.sha256:
            with suppress(TargetError):
                place.remove(delivery.part)
            return proof
    raise problems.name_taken(place.shown(delivery.name))


def _prove(place: Place, delivery: Delivery) -> Proof:
    digest, proof = place.digest(delivery.part, delivery.size)
    if digest == delivery.sha256:
        return proof

    place.remove(delivery.part)
    if _sha256(delivery.file) != delivery.sha256:
        raise _changed(delivery)
    raise problems.damaged(place.shown(delivery.name))


def _look_again(place: Place, delivery: Delivery) -> None:
    found = place.look(delivery.name)
    if found is None or found.size != delivery.size:
        raise problems.failed(place.shown(delivery.name), "it is gone right after it was renamed")


@contextmanager
def _original(delivery: Delivery) -> Iterator[FileIO]:
    try:
        file = FileIO(delivery.file)
    except OSError as exc:
        raise TargetRefused(
            f"{delivery.file}: the recording cannot be read: {exc.strerror}", code="original_missing"
        ) from exc
    with file:
        if os.fstat(file.fileno()).st_size != delivery.size:
            raise _changed(delivery)
        yield file


def read_into(file: Original, buffer: memoryview) -> int:
    """Fill `buffer` with what comes next of the original; how many bytes, fewer than it holds only at the end."""
    filled = 0
    try:
        while filled < len(buffer) and (size := file.readinto(buffer[filled:])):
            filled += size
    except OSError as exc:
        raise TargetUnreachable(f"the recording cannot be read: {exc.strerror}", code="original_unreadable") from exc

    return filled


def _sha256(file: Path) -> str | None:
    """None where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None


def _changed(delivery: Delivery) -> TargetRefused:
    return TargetRefused(
        f"{delivery.file}: the recording is no longer what it was when it was finished", code="original_changed"
    )


def shown_size(size: Bytes) -> str:
    """A size as people say it, like "1.2 GB"."""
    amount, units = float(size), iter(("bytes", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
