"""A backup takes the place of the present rows: all of it in one transaction, or nothing."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.engine import Connection

from rolltape.domain.base import Base
from rolltape.domain.errors import ConflictError
from rolltape.domain.session import SessionState
from rolltape.domain.transfer import TransferState
from rolltape.services.backups.hiding import KEPT
from rolltape.services.backups.merging import DEPENDENTS, Choices, Merge, Present, Row, read_present
from rolltape.store.snapshot import BATCH, Fresh, insert_rows, never_again

# Beside what the backup has: what would tell of things that are no longer there, and who is signed in.
EMPTIED = (*KEPT, "notices", "messages", "logins")

_TABLES = Base.metadata.tables
_AT_WORK = (SessionState.RECORDING, SessionState.PROCESSING)


def put_in_place(connection: Connection, fresh: Fresh, choices: Choices, *, highest_session: int) -> list[str]:
    """Replace the rows of the database by those of a backup; returns what is left to do, as sentences.

    No new session gets an id up to `highest_session`. Belongs into a transaction that writes.

    Raises:
        ConflictError: something is being recorded, finished or sent.
    """
    if connection.dialect.name == "postgresql":  # on SQLite there is one writer at a time
        connection.execute(text(f"LOCK TABLE {', '.join(EMPTIED)} IN EXCLUSIVE MODE"))
    check_is_idle(connection)
    present = read_present(connection, fresh)
    later = list(_since(connection, present))
    for table in reversed(Base.metadata.sorted_tables):
        if table.name in EMPTIED:
            connection.execute(delete(table))
    merge = Merge(fresh, present, choices)
    for name in KEPT:
        insert_rows(connection, _TABLES[name], merge.rows(name))
    for name in KEPT:
        if "id" in _TABLES[name].c:
            never_again(connection, _TABLES[name], highest_session if name == "sessions" else 0)
    _enter_later(connection, later)
    insert_rows(connection, _TABLES["events"], _events(merge, choices))
    if choices.with_accounts:
        _add_accounts(connection, fresh)
    return merge.notes


def check_is_idle(connection: Connection) -> None:
    """
    Raises:
        ConflictError: something is being recorded, finished or sent.
    """
    sessions, transfers = _TABLES["sessions"], _TABLES["transfers"]
    names = connection.scalars(select(sessions.c.name).where(sessions.c.state.in_(_AT_WORK)).limit(1)).all()
    sent = select(transfers.c.id).where(transfers.c.state == TransferState.SENDING).limit(1)
    if names:
        raise ConflictError(
            f"“{names[0] or 'A session'}” is being recorded or finished. Wait until it is done, or stop it, and then "
            "restore the backup."
        )
    if connection.scalar(sent) is not None:
        raise ConflictError("A recording is being delivered. Wait until it is done, and then restore the backup.")


def _since(connection: Connection, present: Present) -> Iterator[tuple[str, Row]]:
    """The rows of sessions that are over since the backup was made, and what belongs to them."""
    ids = [row["id"] for row in present.over.values()]
    yield from (("sessions", row) for row in present.over.values())
    for name in DEPENDENTS:
        table = _TABLES[name]
        for first in range(0, len(ids), BATCH):
            query = select(table).where(table.c.session_id.in_(ids[first : first + BATCH]))
            yield from ((name, dict(row)) for row in connection.execute(query).mappings())


def _enter_later(connection: Connection, later: list[tuple[str, Row]]) -> None:
    """Enter those rows again. What they refer to may be gone; other rows may have their ids by now."""
    known = {
        name: set(connection.scalars(select(_TABLES[name].c.id))) for name in ("streams", "schedules", "destinations")
    }
    for name, row in later:
        for column, table in (
            ("stream_id", "streams"),
            ("schedule_id", "schedules"),
            ("destination_id", "destinations"),
        ):
            if row.get(column) is not None and row[column] not in known[table]:
                row[column] = None
        if name != "sessions":
            row.pop("id", None)
        insert_rows(connection, _TABLES[name], [row])


def _events(merge: Merge, choices: Choices) -> Iterator[Row]:
    for session_id, state, message in merge.ended:
        yield {"session_id": session_id, "at": choices.now, "kind": str(state), "message": message}


def _add_accounts(connection: Connection, fresh: Fresh) -> None:
    """Accounts and tokens of the backup, beside those that there are."""
    keys: tuple[tuple[str, Callable[[Row], Any]], ...] = (
        ("users", lambda row: row["name"]),
        ("tokens", lambda row: row["sha256"]),
    )
    for name, key in keys:
        table = _TABLES[name]
        known = {key(dict(row)) for row in connection.execute(select(table)).mappings()}
        for row in fresh.rows(table):
            if key(row) not in known:
                insert_rows(connection, table, [{column: value for column, value in row.items() if column != "id"}])
