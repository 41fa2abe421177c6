"""What a restoration would change, by name, before anything is changed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rolltape.domain.base import Base
from rolltape.domain.destination import DestinationFields
from rolltape.domain.notification import ChannelFields
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import Session
from rolltape.domain.stream import StreamFields
from rolltape.services.backups.merging import Merge, Row

MOST_NAMED = 50  # of one kind; more are counted only

_TABLES = Base.metadata.tables
_Things = dict[Any, tuple[str, Any]]  # by what makes them the same thing: name and content


@dataclass(frozen=True)
class Named:
    """How many there are, and what the first of them are called."""

    count: int
    names: list[str]


@dataclass(frozen=True)
class Change:
    """What becomes of the things of one kind."""

    kind: str
    added: Named
    changed: Named
    removed: Named

    @property
    def is_none(self) -> bool:
        return not (self.added.count or self.changed.count or self.removed.count)


def compare(connection: Connection, merge: Merge) -> list[Change]:
    """The present database beside what would take its place."""

    def present(table: str) -> list[Row]:
        return [dict(row) for row in connection.execute(select(_TABLES[table])).mappings()]

    old = {name: present(name) for name in ("streams", "destinations", "schedules", "preferences", "channels")}
    new = {name: list(merge.rows(name)) for name in old}
    changes = [_change(name, _things(name, old), _things(name, new)) for name in old]
    for _ in merge.rows("transfers"):  # for its notes
        continue
    return [*changes, _sessions(connection, merge)]


def _things(table: str, rows: dict[str, list[Row]]) -> _Things:
    streams = {row["id"]: row["name"] for row in rows["streams"]}
    destinations = {row["id"]: row["name"] for row in rows["destinations"]}
    makers: dict[str, Callable[[Row], tuple[Any, str, Any]]] = {
        "streams": lambda row: (row["name"], row["name"], _stream(row, destinations)),
        "destinations": lambda row: (row["name"], row["name"], _fields(DestinationFields, row)),
        "channels": lambda row: (row["name"], row["name"], _fields(ChannelFields, row)),
        "schedules": lambda row: _schedule(row, streams.get(row["stream_id"], "")),
        "preferences": lambda row: (row["name"], _label(row["name"]), row["value"]),
    }
    return {key: (name, content) for key, name, content in map(makers[table], rows[table])}


def _stream(row: Row, destinations: dict[int, str]) -> Any:
    """What a stream says, with its destinations by name: their numbers may be others."""
    goes_to = [destinations.get(number) for number in row["destination_ids"]]
    return _fields(StreamFields, row) | {"destination_ids": goes_to, "artwork": row["artwork"]}


def _schedule(row: Row, stream: str) -> tuple[Any, str, Any]:
    name = f"{row['name']} ({stream})" if row["name"] else stream
    return (stream, row["id"]), name, _fields(ScheduleFields, row) | {"stream_id": stream}


def _fields(model: Any, row: Row) -> Row:
    return {name: row[name] for name in model.model_fields if name in row}


def _label(name: str) -> str:
    field = PreferenceFields.model_fields.get(name)
    return (field.title if field else None) or name


def _change(kind: str, old: _Things, new: _Things) -> Change:
    return Change(
        kind=kind,
        added=_named(new[key][0] for key in new.keys() - old.keys()),
        changed=_named(new[key][0] for key in new.keys() & old.keys() if new[key] != old[key]),
        removed=_named(old[key][0] for key in old.keys() - new.keys()),
    )


def _sessions(connection: Connection, merge: Merge) -> Change:
    """Sessions are counted: there may be very many, and their names say little."""
    old = {(number, start) for number, start in connection.execute(select(Session.id, Session.planned_start))}
    kept = {(row["id"], row["planned_start"]) for row in merge.kept.values()}
    new = {(row["id"], row["planned_start"]) for row in merge.rows("sessions")} | kept
    return Change("sessions", Named(len(new - old), []), Named(0, []), Named(len(old - new), []))


def _named(names: Iterable[str]) -> Named:
    found = sorted(names, key=str.casefold)
    return Named(len(found), found[:MOST_NAMED])
