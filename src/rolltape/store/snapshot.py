"""All rows of a database: out of one that is in use, and into a fresh one.

A row is told as JSON has it: moments in ISO 8601 and UTC, bytes in base64. So a backup is the same for SQLite and
PostgreSQL, and no file of another origin is ever opened as a database. The columns of an older schema are read from the
database itself.
"""

import base64
import binascii
import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy import types as sql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rolltape.domain.errors import InputError
from rolltape.store.condition import file_of
from rolltape.store.database import DatabaseError, migrate_now, sync_engine

JsonRow = dict[str, Any]
Reader = Callable[[Column[Any], Any], Any]  # makes a value of a column of what JSON has

BATCH = 500  # rows that are read or written at once
LARGEST_BATCH = 4 * 1024**2  # characters of rows that are kept in memory at once
VERSION_TABLE = "alembic_version"  # where a database notes its revision

_PLAIN = frozenset({str, int, float, bool, type(None)})
_LARGEST = {sql.BigInteger: 2**63, sql.Integer: 2**31}  # what PostgreSQL takes; SQLite would take more


class Snapshot:
    """One state of a database. `revision` is that of its schema, "" where it has none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        metadata = MetaData()
        metadata.reflect(connection)
        tables = {table.name: table for table in metadata.sorted_tables}
        version = tables.pop(VERSION_TABLE, None)
        self.revision = "" if version is None else str(connection.scalar(select(version.c.version_num)) or "")
        self._tables = tables

    @property
    def tables(self) -> list[str]:
        """The names of the tables; what others refer to comes before them."""
        return list(self._tables)

    def rows(self, table: str) -> Iterator[JsonRow]:
        """The rows of a table by their key, as JSON has them."""
        query = select(self._tables[table]).order_by(*self._tables[table].primary_key)
        found = self._connection.execute(query.execution_options(yield_per=BATCH))
        for row in found.mappings():
            yield {name: to_json(value) for name, value in row.items()}


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """The state of the database at `url` at this moment. Others may go on reading and writing meanwhile.

    Raises:
        DatabaseError: it cannot be read.
    """
    engine = sync_engine(url)
    # On PostgreSQL, statements of one transaction see different states otherwise; on SQLite they never do.
    options = {"isolation_level": "REPEATABLE READ"} if engine.name == "postgresql" else {}
    try:
        with engine.connect().execution_options(**options) as connection:
            yield Snapshot(connection)
    except SQLAlchemyError as exc:
        raise DatabaseError(f"the database cannot be read: {exc.__cause__ or exc}") from exc
    finally:
        engine.dispose()


def revision_of(url: str) -> str:
    """The revision of the schema of the database at `url`; "" where there is none yet.

    Raises:
        DatabaseError: it cannot be read.
    """
    file = file_of(url)
    if file is not None and not (file.is_file() and file.stat().st_size):
        return ""  # to open it would make it
    engine = sync_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return ""
            return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or "")
    except SQLAlchemyError as exc:
        raise DatabaseError(f"the database cannot be read: {exc.__cause__ or exc}") from exc
    finally:
        engine.dispose()


class Fresh:
    """A database of our own making, which the rows of a backup are loaded into to be looked at."""

    def __init__(self, file: Path, revision: str) -> None:
        self._url = f"sqlite:///{file}"
        migrate_now(self._url, revision)
        self._engine: Engine = sync_engine(self._url)
        metadata = MetaData()
        with self._engine.connect() as connection:
            metadata.reflect(connection)
        self._tables = {table.name: table for table in metadata.sorted_tables if table.name != VERSION_TABLE}

    @property
    def tables(self) -> list[str]:
        """The names of its tables; what others refer to comes before them."""
        return list(self._tables)

    def load(self, rows: Iterable[tuple[str, JsonRow]]) -> None:
        """Enter rows, each with the name of its table.

        Raises:
            InputError: a row has not the columns of its table, or a value that is none for its column.
        """
        writers = self._engine.execution_options(immediate=True)
        try:
            with writers.begin() as connection:
                for name, batch in _batches(rows):
                    table = self._tables[name]
                    readers = [(column, _reader(column)) for column in table.columns]
                    connection.execute(insert(table), [_checked_row(table, readers, row) for row in batch])
        except IntegrityError as exc:
            raise InputError("backup", f"Its rows do not fit together: {exc.orig}.", code="backup_damaged") from exc
        except SQLAlchemyError as exc:
            raise DatabaseError(f"the rows of the backup could not be loaded: {exc.__cause__ or exc}") from exc

    def migrate(self) -> None:
        """Bring it to the present schema."""
        migrate_now(self._url)

    def rows(self, table: Table) -> Iterator[dict[str, Any]]:
        """The rows of a table of the present schema, as the program has them.

        Raises:
            InputError: a value is none for its column.
        """
        with self._engine.connect() as connection:
            query = select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH)
            try:
                for row in connection.execute(query).mappings():
                    yield dict(row)
            except (ValueError, LookupError, TypeError) as exc:
                raise InputError("backup", f"{table.name}: {exc}.", code="backup_damaged") from exc

    def close(self) -> None:
        self._engine.dispose()


def to_json(value: Any) -> Any:
    """A value of a row as JSON has it."""
    if type(value) in _PLAIN:  # nearly all of them
        return value
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return value


def from_json(column: Column[Any], value: Any, read: Reader | None = None) -> Any:
    """What `to_json` made of a value of `column`. `read` is its reader, for who knows it already.

    Raises:
        InputError: it made nothing like that.
    """
    if value is None and column.nullable:
        return None
    try:
        return (read or _reader(column))(column, value)
    except (ValueError, TypeError, RecursionError) as exc:
        message = f"{column.table.name}: {str(value)[:40]!r} is no value for {column.name}."
        raise InputError("backup", message, code="backup_damaged") from exc


def insert_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Enter rows of the present schema; returns how many there were."""
    count = 0
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(dict(row))
        if len(batch) == BATCH:
            count += _insert(connection, table, batch)
            batch = []
    return count + _insert(connection, table, batch)


def never_again(connection: Connection, table: Table, number: int = 0) -> None:
    """Have the database give no id up to `number`, nor one that is or was in use, to a new row of `table`."""
    highest = max(number, connection.scalar(select(func.max(table.c.id))) or 0)
    if connection.dialect.name == "postgresql":
        sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table.name})
        given = connection.scalar(text(f"SELECT last_value FROM {sequence}")) or 0
        connection.execute(text("SELECT setval(:name, :last)"), {"name": sequence, "last": max(highest, given, 1)})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        parameters = {"name": table.name, "last": highest}
        known = connection.execute(
            text("UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = :name"), parameters
        )
        if known.rowcount == 0:
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), parameters)


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    if rows:
        connection.execute(insert(table), rows)
    return len(rows)


def _batches(rows: Iterable[tuple[str, JsonRow]]) -> Iterator[tuple[str, list[JsonRow]]]:
    """Rows of one table at a time, as many as may be in memory at once."""
    name, size = "", 0
    batch: list[JsonRow] = []
    for table, row in rows:
        if batch and (table != name or len(batch) == BATCH or size > LARGEST_BATCH):
            yield name, batch
            batch, size = [], 0
        name = table
        batch.append(row)
        size += sum(len(value) if isinstance(value, str) else 1000 for value in row.values())
    if batch:
        yield name, batch


def _checked_row(table: Table, readers: list[tuple[Column[Any], Reader]], row: JsonRow) -> dict[str, Any]:
    if row.keys() != {column.name for column, _ in readers}:
        raise InputError("backup", f"{table.name}: a row has other columns than expected.", code="backup_damaged")
    return {column.name: from_json(column, row[column.name], read) for column, read in readers}


def _reader(column: Column[Any]) -> Reader:
    kind = column.type
    for type_, read in _READERS:
        if isinstance(kind, type_):
            return read
    raise TypeError(f"{kind} is no type of ours")


def _read_whole(column: Column[Any], value: Any) -> int:
    largest = next(limit for kind, limit in _LARGEST.items() if isinstance(column.type, kind))
    if type(value) is not int or not -largest <= value < largest:
        raise ValueError
    return value


def _read_number(_column: Column[Any], value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _read_boolean(_column: Column[Any], value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _read_text(column: Column[Any], value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise ValueError
    value.encode()  # lone surrogates are no text
    length = getattr(column.type, "length", None)
    if length is not None and len(value) > length:
        raise ValueError
    return value


def _read_moment(_column: Column[Any], value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _read_bytes(_column: Column[Any], value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as exc:
        raise ValueError from exc


def _read_json(_column: Column[Any], value: Any) -> Any:
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False)
    plain.encode()
    if "\\u0000" in plain:  # PostgreSQL takes none
        raise ValueError
    return value


_READERS: tuple[tuple[type[sql.TypeEngine[Any]], Reader], ...] = (
    (sql.Boolean, _read_boolean),
    (sql.Integer, _read_whole),
    (sql.Float, _read_number),
    (sql.DateTime, _read_moment),
    (sql.JSON, _read_json),
    (sql.LargeBinary, _read_bytes),
    (sql.String, _read_text),
)
