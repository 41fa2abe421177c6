"""The folder of backups: what lies in it, and how a new one gets there whole or not at all."""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from rolltape.disk import sync_folder
from rolltape.domain.errors import BackupError, InputError, NotFoundError
from rolltape.domain.units import DAY, Bytes
from rolltape.services.backups.archive import Archive, Reason

UNFINISHED = (".part", ".work")  # ends of what is removed when it is a day old

_NAME = re.compile(rf"rolltape-(\d{{8}}-\d{{6}})-({'|'.join(Reason)})\.zip")


@dataclass(frozen=True)
class Backup:
    """A backup in the folder. `version` is that of the Rolltape that made it, `problem` why it cannot be used."""

    name: str
    reason: Reason
    created: datetime
    size: Bytes
    version: str
    has_secrets: bool
    problem: str | None = None


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[tuple[str, int, int], Backup] = {}

    def all(self) -> list[Backup]:
        """The backups, the newest first."""
        try:
            files = [file for file in self.path.iterdir() if _NAME.fullmatch(file.name) and not file.is_symlink()]
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise BackupError(f"{self.path} cannot be read: {exc.strerror}.") from exc
        found = []
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                found.append(self.describe(file))
        return sorted(found, key=lambda backup: (backup.created, backup.name), reverse=True)

    def file(self, name: str) -> Path:
        file = self.path / name
        if not _NAME.fullmatch(name) or file.is_symlink() or not file.is_file():
            raise NotFoundError("There is no backup of this name.")
        return file

    def describe(self, file: Path) -> Backup:
        """What a backup says of itself. It is looked at once, until the file is another one."""
        about = file.stat()
        key = (str(file), about.st_mtime_ns, about.st_size)
        if key not in self._known:
            self._known[key] = _describe(file, Bytes(about.st_size))
        return self._known[key]

    @contextlib.contextmanager
    def part(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A file for our eyes only, to be written and then published; removed in any case.

        Raises:
            BackupError: it cannot be written.
        """
        part = self.path / f".{secrets.token_hex(8)}.part"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w+b") as file:
                yield part, file
        except OSError as exc:
            raise BackupError(f"The backup could not be written to {self.path}: {exc.strerror or exc}.") from exc
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def publish(self, part: Path, created: datetime, reason: Reason) -> Path:
        """Give a file that is written its name. None is ever written over."""
        while True:
            final = self.path / f"rolltape-{created.astimezone(UTC):%Y%m%d-%H%M%S}-{reason}.zip"
            try:
                os.link(part, final)
            except FileExistsError:
                created += timedelta(seconds=1)
                continue
            except OSError:  # a file system without hard links
                if final.exists():
                    created += timedelta(seconds=1)
                    continue
                part.rename(final)
            sync_folder(self.path)
            return final

    def delete(self, name: str) -> None:
        try:
            self.file(name).unlink()
        except OSError as exc:
            raise BackupError(f"{name} cannot be deleted: {exc.strerror}.") from exc

    def clear(self) -> None:
        """Remove what was left unfinished, unless another program may be at it."""
        files = self.path.iterdir() if self.path.is_dir() else ()
        for file in files:
            if file.name.startswith(".") and file.suffix in UNFINISHED:
                with contextlib.suppress(OSError):
                    if time.time() - file.stat().st_mtime > DAY:
                        _remove(file)


def finish(file: BinaryIO) -> None:
    """Have what was written on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _describe(file: Path, size: Bytes) -> Backup:
    named = _NAME.fullmatch(file.name)
    try:
        with Archive(file) as archive:
            told = archive.manifest
    except (InputError, OSError) as exc:
        if named is None:
            raise
        moment = datetime.strptime(f"{named[1]}+0000", "%Y%m%d-%H%M%S%z")
        return Backup(file.name, Reason(named[2]), moment, size, "", False, problem=str(exc))
    reason = Reason(named[2]) if named else told.reason
    return Backup(file.name, reason, told.created, size, told.version, told.has_secrets)


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
        return
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
