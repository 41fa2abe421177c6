"""Keeps what is told in files: the present one, and older ones until they are too old or too many.

Lines are written by a thread, so that a slow disk keeps nobody waiting, each with one call, so that it is there when
the process is killed. A folder that cannot be written stops nothing: the console goes on, and `problem` says why.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from rolltape.disk import reason
from rolltape.domain.log import CURRENT, closed_files, name_of_closed
from rolltape.domain.units import DAY, Bytes, Seconds
from rolltape.logs.setup import json_formatter

MOST_WAITING = 10_000  # lines that wait for the disk; what comes on top of them is lost, and counted
MOST_FILES = 100  # older files that are kept at most, so that a flood of lines does not fill the disk
STOP_PATIENCE = Seconds(2)  # for what still waits when the service stops
RETRY = Seconds(5)  # between tries to open a file that could not be opened


class LogFile(logging.Handler):
    """`size` is the largest size of one file; files are kept for `days`."""

    def __init__(self, folder: Path, *, size: Bytes, days: float) -> None:
        super().__init__()
        self.setFormatter(json_formatter())
        self.size = size
        self.days = days
        self.problem: str | None = None
        self._folder = folder
        self._file: int | None = None  # a descriptor
        self._written = 0  # bytes in the present file
        self._day: date | None = None  # on which the present file began
        self._closed_until = 0.0  # monotonic; no try to open it before
        self._lost = 0
        self._lines: queue.Queue[bytes | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(f"{self.format(record)}\n".encode())
        except queue.Full:
            self._lost += 1
        except Exception:
            self.handleError(record)

    @property
    def lost(self) -> int:
        """Lines that could not be kept and are not told of in a file yet."""
        return self._lost

    def close(self) -> None:
        """Write what waits, and end."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=STOP_PATIENCE)
        self._thread.join(STOP_PATIENCE)
        super().close()

    def _run(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                self._keep(line)
        finally:
            self._close()

    def _keep(self, line: bytes) -> None:
        """Write a line, or note why that is not possible."""
        if time.monotonic() < self._closed_until:
            self._lost += 1
            return
        try:
            self._write(line)
        except OSError as exc:
            self._lost += 1
            self.problem = f"{self._folder} cannot be written: {reason(exc, self._folder)}"
            self._closed_until = time.monotonic() + RETRY
            self._close()
        else:
            self.problem = None

    def _write(self, line: bytes) -> None:
        today = datetime.now(UTC).date()
        if self._file is not None and not self._is_in_place(self._file):
            self._close()  # somebody removed it, or put it away
        if self._file is not None and self._is_over(today, len(line)):
            self._turn()
        if self._file is None:
            self._open(today)
        assert self._file is not None
        if self._lost:
            lost = self._lost
            self._written += _write_all(self._file, _loss(lost))
            self._lost -= lost
        self._written += _write_all(self._file, line)

    def _open(self, today: date) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._drop_old()
        path = self._folder / CURRENT
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        found = os.fstat(self._file)
        self._written = found.st_size
        self._day = today
        if found.st_size and datetime.fromtimestamp(found.st_mtime, UTC).date() != today:
            self._turn()
            self._open(today)
        elif found.st_size and not _ends_with_newline(path):
            _write_all(self._file, b"\n")  # a line was torn when the machine lost its power

    def _is_in_place(self, file: int) -> bool:
        try:
            there = (self._folder / CURRENT).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(file))

    def _is_over(self, today: date, coming: int) -> bool:
        return self._day != today or (self._written > 0 and self._written + coming > self.size)

    def _turn(self) -> None:
        """The present file becomes an older one."""
        self._close()
        (self._folder / CURRENT).rename(self._folder / name_of_closed(datetime.now(UTC)))

    def _drop_old(self) -> None:
        oldest = time.time() - self.days * DAY
        older = closed_files(self._folder)
        for number, file in enumerate(older):
            with contextlib.suppress(FileNotFoundError):
                if number < len(older) - MOST_FILES or file.stat().st_mtime < oldest:
                    file.unlink()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


_present: LogFile | None = None


@contextlib.contextmanager
def kept(folder: Path, *, size: Bytes, days: float) -> Iterator[LogFile]:
    """Within the block, everything that is told is also kept in files in `folder`."""
    global _present  # logging is one for the whole process, and so is this
    _present = LogFile(folder, size=size, days=days)
    root = logging.getLogger()
    root.addHandler(_present)
    try:
        yield _present
    finally:
        root.removeHandler(_present)
        _present.close()
        _present = None


def problem() -> str | None:
    """Why the log is not kept in files at the moment, as a sentence; None while it is."""
    if _present is None or _present.problem is None:
        return None
    return f"{_present.problem}; {_present.lost} lines are lost so far"


def set_limits(*, size: Bytes, days: float) -> None:
    """From the next line on, other limits of size and age."""
    if _present is not None:
        _present.size, _present.days = size, days


def _write_all(file: int, line: bytes) -> int:
    """Write a whole line. A disk that fills up may take part of it."""
    left = memoryview(line)
    while left:
        left = left[os.write(file, left) :]
    return len(line)


def _loss(lost: int) -> bytes:
    record = logging.LogRecord(
        "rolltape.logs.keep", logging.WARNING, "", 0, "%d lines could not be kept", (lost,), None
    )
    return f"{json_formatter().format(record)}\n".encode()


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
