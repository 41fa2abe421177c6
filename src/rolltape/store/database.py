"""The database: SQLite by default, PostgreSQL by choice; one way to read and one to write.

Every writer begins with BEGIN IMMEDIATE on SQLite: a transaction that reads first and writes later fails at once
with "database is locked" when another one wrote in between, and no timeout helps.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, inspect, make_url
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, create_engine
from sqlalchemy.exc import DatabaseError as SomeDatabaseError
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as TooLong
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from rolltape.domain.errors import InputError, RolltapeError
from rolltape.domain.units import Seconds

APPLICATION_ID = 0x524F4C4C  # "ROLL", in the header of our SQLite files
# How long a statement waits for another program's lock, and a writer for its turn before that: who asks is answered
# within the sum of both, be it by "try again soon".
BUSY_TIMEOUT = 5_000  # ms
LONGEST_TURN = Seconds(5)

_MIGRATIONS = Path(__file__).parent / "migrations"
_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
_SYNC_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


class DatabaseError(RolltapeError):
    """The database cannot be used as it is."""

    code = "database"
    permanent = True


NO_ANSWER = (OperationalError, InterfaceError, TooLong)  # it is locked, away, full or read-only: later it may answer


def is_no_answer(error: BaseException) -> bool:
    """Whether the database did not answer, or is damaged; else what it was asked was wrong."""
    return isinstance(error, NO_ANSWER) or type(error) is SomeDatabaseError


def is_full(error: BaseException) -> bool:
    """Whether the disk of the database had no room left."""
    cause = getattr(error, "orig", None)
    codes = (getattr(cause, "sqlite_errorcode", None), getattr(cause, "sqlstate", None))
    return sqlite3.SQLITE_FULL in codes or "53100" in codes  # PostgreSQL: disk_full


class Database:
    """Transactions on the database at `url`. `db` is what a transaction is called by its users.

    `on_change` is called after each transaction that wrote, with the names of the tables it wrote to; `on_damage`
    with what SQLite says when it finds the file damaged.
    """

    def __init__(
        self,
        url: str,
        *,
        on_change: Callable[[set[str]], None] = lambda _tables: None,
        on_damage: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.url = url
        self._on_change = on_change
        address = _with_driver(url, _ASYNC_DRIVERS)
        self._is_sqlite = address.get_backend_name() == "sqlite"
        self._engine = create_async_engine(address, pool_pre_ping=not self._is_sqlite)
        if self._is_sqlite:
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
            event.listen(self._engine.sync_engine, "handle_error", _tell_damage(on_damage))
            event.listen(self._engine.sync_engine, "handle_error", _give_up_read_only)
        self._writers = self._engine.execution_options(immediate=True)
        # One writer at a time in this process: waiting in line is cheaper and fairer than polling a lock.
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one state of the database and changes nothing."""
        async with AsyncSession(self._engine, expire_on_commit=False) as db:
            yield db

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed at the end of the block, or rolled back when the block raises."""
        turn = self._own_turn() if self._is_sqlite else contextlib.nullcontext()
        async with turn, AsyncSession(self._writers, sync_session_class=_Writing, expire_on_commit=False) as db:
            async with db.begin():
                yield db
            changed: set[str] = db.info.get("changed", set())
        if changed:
            self._on_change(changed)

    async def close(self) -> None:
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def _own_turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(LONGEST_TURN):
                await self._turn.acquire()
        except TimeoutError as exc:
            raise TooLong("Other writers took all the time.") from exc
        try:
            yield
        finally:
            self._turn.release()


class _Writing(Session):
    """A transaction that notes which tables it changes."""


def _note_rows(db: Session, _transaction: UOWTransaction) -> None:
    rows = (*db.new, *db.dirty, *db.deleted)
    db.info.setdefault("changed", set()).update(row.__tablename__ for row in rows)


def _note_statement(state: ORMExecuteState) -> None:
    if not state.is_select:
        table = state.statement.entity_description["table"].name  # type: ignore[attr-defined]
        state.session.info.setdefault("changed", set()).add(table)


event.listen(_Writing, "after_flush", _note_rows)
event.listen(_Writing, "do_orm_execute", _note_statement)


async def migrate(url: str) -> None:
    """Bring the database at `url` to the present schema, creating it where there is none.

    All of it is one transaction: after a kill or with a full disk the database is as it was, and this is done again.

    Raises:
        DatabaseError: it is not ours, newer than this program, or cannot be opened.
    """
    await asyncio.to_thread(migrate_now, url)


def migrate_now(url: str, revision: str = "head") -> None:
    """As `migrate`, to any schema there was; the caller waits."""
    address = _with_driver(url, _SYNC_DRIVERS)
    engine = sync_engine(url)
    if address.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _put_off_foreign_keys)
    try:
        present = _present_schema(engine)
        if revision == "head" and present == revisions()[0]:
            return  # nobody is kept waiting for nothing
        if present is not None and present not in revisions():
            raise DatabaseError(f"the database was made by a newer Rolltape than this one: its schema is {present}")
        with engine.execution_options(immediate=True).begin() as connection:
            _upgrade(connection, revision)
            if present is not None:
                _check_foreign_keys(connection)
    except SQLAlchemyError as exc:
        shown = address.render_as_string(hide_password=True)
        raise DatabaseError(f"{shown}: the database cannot be used: {reason_of(exc)}") from exc
    finally:
        engine.dispose()


def _present_schema(engine: Engine) -> str | None:
    """The schema that the database has, by its own account; None where it has none."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # a third of a start that most starts do not need
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise DatabaseError(f"the database cannot be brought up to date: rows of {broken[0]} point at nothing")


def sync_engine(url: str) -> Engine:
    """Connections to the database at `url` for who may wait: migrations and backups."""
    address = _with_driver(url, _SYNC_DRIVERS)
    engine = create_engine(address)
    if address.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def revisions() -> list[str]:
    """The names of all schemas there were, the present one first: each migration's file begins with its number."""
    return sorted((file.name[:4] for file in _MIGRATIONS.glob("versions/[0-9]*.py")), reverse=True)


def address_of(url: str) -> URL:
    """The address of a database, with the driver for who may wait.

    Raises:
        InputError: it is none.
    """
    return _with_driver(url, _SYNC_DRIVERS)


def reason_of(error: SQLAlchemyError) -> str:
    """What the database itself says, in one line."""
    return " ".join(str(error.__cause__ or error).split())


def _with_driver(url: str, drivers: dict[str, str]) -> URL:
    try:
        address = make_url(url)
        return address.set(drivername=drivers[address.get_backend_name()])
    except (SQLAlchemyError, KeyError) as exc:
        message = "a database is named like sqlite:////folder/rolltape.db or postgresql://user@host/name"
        raise InputError("database_url", message) from exc


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA application_id")
        (application_id,) = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM sqlite_master")
        (tables,) = cursor.fetchone()
        if application_id != APPLICATION_ID and tables:
            raise DatabaseError("the database file belongs to another program")
        if application_id != APPLICATION_ID:
            cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for pragma in (
            "journal_mode = WAL", "synchronous = FULL", f"busy_timeout = {BUSY_TIMEOUT}", "foreign_keys = ON",
            "trusted_schema = OFF",
        ):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _put_off_foreign_keys(connection: Any, _record: object) -> None:
    """A table that is made anew is dropped in between, which would delete all that points at it."""
    connection.execute("PRAGMA foreign_keys = OFF")


def _tell_damage(on_damage: Callable[[str], None]) -> Callable[[ExceptionContext], None]:
    """For each error: tells those that say that the file is damaged."""
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def look(context: ExceptionContext) -> None:
        code = getattr(context.original_exception, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in damaged:
            on_damage(str(context.original_exception))

    return look


def _give_up_read_only(context: ExceptionContext) -> None:
    """Have a connection opened anew that can only read.

    SQLite opens a file for reading where it cannot be opened for writing just then: no more files may be open, or the
    disk is read-only for a while. Such a connection never writes again, so it must not stay for the next one who asks.
    """
    code = getattr(context.original_exception, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_READONLY:
        context.is_disconnect = True


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
