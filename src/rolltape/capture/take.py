"""The file of one take, while it is recorded."""

import contextlib
import errno
import os
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from time import monotonic

from rolltape.capture.clock import Clock
from rolltape.capture.measure import measure
from rolltape.domain.take import AudioFormat, TakeFacts
from rolltape.domain.units import BitsPerSecond, Seconds


class Take:
    """A take that grows. `media` is its length in seconds, `size` in bytes, `connections` how many it came by.

    `zero` is when it begins, by the monotonic clock (see `Flow`). Where it goes on with another connection it stays
    where it is: that server may be ahead or behind.
    """

    def __init__(self, number: int, path: Path, format: AudioFormat, *, ours: bool, continues: bool = False) -> None:
        """`ours`: we write the file, not FFmpeg. `continues`: it follows the take before in the same connection."""
        self.number = number
        self.path = path
        self.format = format
        self.continues = continues
        self.size = 0
        self.media = 0.0
        self.zero = inf
        self.connections = 1
        self._began = monotonic()
        self._refused: OSError | None = None  # why the disk took no more
        self._identity: tuple[int, int] | None = None  # device and inode of the file
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600) if ours else None

    @classmethod
    def resumed(cls, facts: TakeFacts, folder: Path, *, clock: Clock) -> "Take":
        """A take of ours that goes on by a new connection. Raises OSError."""
        take = cls(facts.number, folder / facts.file, facts.format, ours=False, continues=facts.continues)
        take.size, take.media, take.zero = facts.size, facts.duration, clock.monotonic(facts.begins)
        take.connections = facts.connections + 1
        take._file = os.open(take.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.truncate(take.path, facts.size)  # a crash may have left half a frame behind it
        return take

    @property
    def is_ours(self) -> bool:
        return self._file is not None

    @property
    def ends(self) -> float:
        """When its last frame was on the air, by the monotonic clock."""
        return self.zero + self.media

    def append(self, data: bytes, seconds: float) -> None:
        assert self._file is not None
        if self._refused is not None:  # room came back: what was refused would be missing between the frames
            raise self._refused
        left = data
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as exc:
            self._refused = exc
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)  # to the last whole frame
            raise
        self.reached(self.media + seconds, self.size + len(data))

    def reached(self, media: float, size: int) -> None:
        """It holds `media` seconds now."""
        self.size = max(size, self.size)
        if media > self.media:
            self.media = media
            if self.connections == 1:
                self.zero = min(self.zero, monotonic() - media)

    def facts(self, clock: Clock, ended_by: str) -> TakeFacts:
        bit_rate = BitsPerSecond(round(self.size * 8 / self.media / 1000) * 1000) if self.media >= 1 else None
        return TakeFacts(
            self.number,
            self.path.name,
            replace(self.format, bit_rate=bit_rate),
            clock.moment(self.zero if isfinite(self.zero) else self._began),
            Seconds(self.media),
            ended_by,
            self.connections,
            self.continues,
            self.size,
        )

    def sync(self) -> None:
        """Put it on the disk. Waits for the disk.

        Raises:
            OSError: it is not on the disk, or not under its name (any more): nobody would find it there.
        """
        ours = self._file
        if ours is not None:
            os.fdatasync(ours)
            found, expected = self.path.stat(), os.fstat(ours)
        else:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(file)
                found = expected = os.fstat(file)
            finally:
                os.close(file)
        self._identity = self._identity or (expected.st_dev, expected.st_ino)
        if (found.st_dev, found.st_ino) != self._identity:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def finish(self) -> None:
        """No more audio comes: see how much there is in the end."""
        if self._file is None:
            self.size = self.path.stat().st_size
            self.media = measure(self.path, self.format.codec, known=Seconds(self.media), size=self.size).seconds

    def close(self) -> None:
        """Put it on the disk and close it. Waits for the disk."""
        try:
            self.sync()
        finally:
            if self._file is not None:
                os.close(self._file)
                self._file = None
