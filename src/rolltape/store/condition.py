"""What state a database is in before anything uses it: sound, none yet, or not to be used.

`PRAGMA quick_check` alone is not enough: it says "ok" of a file of no length and of the database of another program.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from rolltape.disk import sync_folder
from rolltape.domain.units import Seconds
from rolltape.store.database import APPLICATION_ID, DatabaseError, address_of, reason_of

LONGEST_CHECK = Seconds(3)  # 100,000 sessions take 0.5 s; what is many times as large is checked as far as that goes
SIDECARS = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database
OURS = frozenset({"alembic_version", "sessions", "streams", "schedules"})  # tables that every one of ours has

_MAGIC = b"SQLite format 3\0"
_HEADER_SIZE = 100  # bytes
_APPLICATION_ID = slice(68, 72)  # big-endian. Source: SQLite, "Database File Format", 1.3
_STEPS = 10_000  # of SQLite's machine between looks at the clock
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_descriptors: dict[tuple[int, int], int] = {}  # by device and inode


class Condition(StrEnum):
    SOUND = "sound"
    MISSING = "missing"  # there is no file
    EMPTY = "empty"  # there is one, or a server's database, with nothing in it
    CORRUPT = "corrupt"
    FOREIGN = "foreign"  # of another program


@dataclass(frozen=True)
class Look:
    """What a look at a database has found; `reason` says what speaks against it, "" where nothing does."""

    condition: Condition
    reason: str = ""


def file_of(url: str) -> Path | None:
    """The file of an SQLite database; None where it is on a server, or in memory."""
    address = address_of(url)
    if address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
        return None
    assert address.database is not None
    return Path(address.database).absolute()


def look_at(url: str) -> Look:
    """Look at the database without changing it.

    Raises:
        DatabaseError: it cannot be read or reached, or is in use; that says nothing about its state.
    """
    address = address_of(url)
    if address.get_backend_name() != "sqlite":
        return _look_at_server(address)
    file = file_of(url)
    return _look_at_file(file) if file is not None else Look(Condition.MISSING)


def has_wal(file: Path) -> bool:
    """Whether the last changes lie beside the database, as they do while it is open and after a kill."""
    return file.with_name(f"{file.name}-wal").exists()


def place_aside(file: Path, condition: Condition, now: datetime) -> Path:
    """Where a file that cannot be used is moved to: beside where it was, under a name that nothing has."""
    name = f"{file.name}.{condition}.{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    aside, number = file.with_name(name), 1
    while aside.exists():
        number += 1
        aside = file.with_name(f"{name}.{number}")
    return aside


def move_aside(file: Path, aside: Path) -> None:
    """Move a database with what lies beside it, the database last: killed in between, this is done again."""
    for suffix in (*SIDECARS, ""):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(aside.with_name(aside.name + suffix))
    sync_folder(file.parent)


def has_sound_header(file: Path) -> bool:
    """A quick look while the database is in use: whether its first page is still that of one of ours.

    Raises:
        FileNotFoundError: it is gone.
    """
    try:
        header = os.pread(_kept_open(file), _HEADER_SIZE, 0)
    except FileNotFoundError:
        raise
    except OSError:
        return True  # not readable now; who uses the database will hear of it
    return header[: len(_MAGIC)] == _MAGIC and _application_id(header) in (0, APPLICATION_ID)


def _look_at_file(file: Path) -> Look:
    try:
        header = _header(file)
    except FileNotFoundError:
        return Look(Condition.MISSING)
    if not header:
        return Look(Condition.EMPTY, "The file has no length.")
    if header[: len(_MAGIC)] != _MAGIC:
        return Look(Condition.CORRUPT, "The file does not begin like a database.")
    if _application_id(header) not in (0, APPLICATION_ID):
        return Look(Condition.FOREIGN, "The file belongs to another program.")
    is_ours = _application_id(header) == APPLICATION_ID
    try:
        with _opened(file, may_write=is_ours) as db:
            return _look_inside(db)
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorcode & 0xFF in _DAMAGED:
            return Look(Condition.CORRUPT, f"SQLite says: {exc}.")
        raise DatabaseError(f"{file}: the database cannot be used: {exc}.") from exc


def _look_inside(db: sqlite3.Connection) -> Look:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return Look(Condition.EMPTY, "There are no tables in it.")
    if application_id != APPLICATION_ID:
        return Look(Condition.FOREIGN, "The file belongs to another program.")
    if not tables >= OURS:
        return Look(Condition.CORRUPT, f"Tables are missing in it: {', '.join(sorted(OURS - tables))}.")
    found = _quick_check(db)
    return Look(Condition.SOUND) if found == "ok" else Look(Condition.CORRUPT, f"SQLite says: {found}.")


def _quick_check(db: sqlite3.Connection) -> str:
    """ "ok", or the first thing that is wrong. What takes too long counts as sound."""
    deadline = time.monotonic() + LONGEST_CHECK
    db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        return str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return "ok"


def _look_at_server(address: URL) -> Look:
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
    except SQLAlchemyError as exc:
        shown = address.render_as_string(hide_password=True)
        raise DatabaseError(f"{shown}: the database cannot be reached: {reason_of(exc)}") from exc
    finally:
        engine.dispose()
    if not tables:
        return Look(Condition.EMPTY, "There are no tables in it.")
    if not tables >= OURS:
        return Look(Condition.FOREIGN, "There are tables of another program in it.")
    return Look(Condition.SOUND)


def _kept_open(file: Path) -> int:
    """A descriptor of `file` that stays open as long as this process.

    To close any descriptor of a file takes away all locks that the process has on it, those of SQLite as well: the next
    program to close the database would believe that nobody uses it, and remove what lies beside it.
    Source: SQLite, "How To Corrupt An SQLite Database File", 2.2.
    """
    found = file.stat()
    key = (found.st_dev, found.st_ino)
    if key not in _descriptors:
        _descriptors[key] = os.open(file, os.O_RDONLY)
    return _descriptors[key]


def _header(file: Path) -> bytes:
    """The beginning of a database that this process has not opened: its locks would go (see `_kept_open`)."""
    try:
        with file.open("rb") as content:
            return content.read(_HEADER_SIZE)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise DatabaseError(f"{file}: the database cannot be read: {exc.strerror}.") from exc


def _application_id(header: bytes) -> int:
    return int.from_bytes(header[_APPLICATION_ID], "big")


@contextlib.contextmanager
def _opened(file: Path, *, may_write: bool) -> Iterator[sqlite3.Connection]:
    """The database, as SQLite reads it. Only our own may be written: what a kill left beside it is put in order."""
    mode = "rw" if may_write else "ro"
    db = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=2, isolation_level=None)
    try:
        db.execute("PRAGMA trusted_schema = OFF")
        yield db
    finally:
        db.close()
