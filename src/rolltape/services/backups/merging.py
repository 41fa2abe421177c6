"""What a restored database holds: the rows of the backup, and of the present ones what the backup cannot know.

From the present ones come passwords and host keys where they belong to the same thing, and the outcome of sessions that
were under way or planned when the backup was made and are over since: nothing is recorded twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from rolltape.domain.address import check_url, with_secrets_of
from rolltape.domain.base import Base
from rolltape.domain.destination import DestinationKind
from rolltape.domain.notification import ChannelFields, ChannelKind, masked
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.session import NOT_BEGUN, OVER, SessionState
from rolltape.domain.transfer import UNDER_WAY, TransferState
from rolltape.services.backups.hiding import HOST_KEY, Secrets, lacks
from rolltape.store.snapshot import Fresh

Row = dict[str, Any]

ERROR_CODE = "restored"  # of a session or transfer whose end is not known
UNKNOWN_END = "It was under way when the backup was made that was restored; what became of it is not in the backup."
PASSED = "Its time came after the backup was made that was restored; what became of it is not in the backup."
NOT_SENT = "It was waiting when the backup was made that was restored. Try again if it has not arrived."

DEPENDENTS = ("events", "takes", "transfers", "waveforms")  # tables whose rows belong to a session

_TABLES = Base.metadata.tables


@dataclass(frozen=True)
class Choices:
    """What a restoration is given beside the backup.

    `covers` are the pictures that there will be, `keys` the private keys; `secrets` is None without the passphrase.
    """

    now: datetime
    secrets: Secrets | None = None
    with_accounts: bool = False
    with_host_keys: bool = False
    covers: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


@dataclass
class Present:
    """What counts of the present database."""

    streams: dict[int, Row] = field(default_factory=dict)
    destinations: dict[tuple[str, int], Row] = field(default_factory=dict)
    channels: dict[tuple[str, str], Row] = field(default_factory=dict)
    over: dict[int, Row] = field(default_factory=dict)  # sessions that the backup has not to the end
    epoch: int = 0


def read_present(connection: Connection, fresh: Fresh) -> Present:
    """What of the present database counts beside the backup."""
    streams = {row["id"]: row for row in _all(connection, "streams")}
    destinations = {(row["host"], row["port"]): row for row in _all(connection, "destinations") if row["host_key"]}
    channels = {(row["kind"], row["name"]): row for row in _all(connection, "channels")}
    epoch = connection.scalar(select(func.max(_TABLES["sessions"].c.epoch))) or 0
    return Present(streams, destinations, channels, _over_since(connection, fresh), epoch)


class Merge:
    """The rows of the restored database. `notes` tells, once they were all asked for, what is left to do."""

    def __init__(self, fresh: Fresh, present: Present, choices: Choices) -> None:
        self._fresh = fresh
        self._present = present
        self._choices = choices
        self._sealed = choices.secrets or Secrets()
        self._known = [*self._sealed.urls(), *(url for row in present.streams.values() for url in _urls(row))]
        self.ended: list[tuple[int, str, str]] = []  # sessions that are over by the restoration: state and sentence
        self._cancelled = 0
        self._notes: list[str] = []

    @property
    def notes(self) -> list[str]:
        counted = (
            ("Recordings that were under way when the backup was made, and whose end is not known", len(self.ended)),
            ("Deliveries that had not ended then; send again what has not arrived", self._cancelled),
        )
        return [*self._notes, *(f"{what}: {count}." for what, count in counted if count)]

    @property
    def kept(self) -> dict[int, Row]:
        """Sessions that stay as they are now, by the id that they have in the backup."""
        return self._present.over

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of the backup as they are entered."""
        changes: dict[str, Callable[[Row], Row | None]] = {
            "streams": self._stream,
            "destinations": self._destination,
            "channels": self._channel,
            "schedules": self._schedule,
            "preferences": self._preference,
            "sessions": self._session,
            "transfers": self._transfer,
        }
        change = changes.get(table, self._same)
        for row in self._fresh.rows(_TABLES[table]):
            if table in DEPENDENTS and row["session_id"] in self._present.over:
                continue
            changed = change(row)
            if changed is not None:
                yield changed

    def _same(self, row: Row) -> Row:
        return row

    def _stream(self, row: Row) -> Row:
        same = self._present.streams.get(row["id"])
        sealed = self._sealed.of("streams", row["id"])
        likely = [url for one in (sealed, same) if one is not None for url in _urls(one)]
        urls = [check_url(with_secrets_of(url, [*likely, *self._known])) for url in _urls(row)]
        if any(lacks(url) for url in urls):
            self._notes.append(f"The password in the address of {row['name']} is not known: enter it in the stream.")
        artwork = row["artwork"] if row["artwork"] in self._choices.covers else None
        return row | {"url": urls[0], "fallback_urls": urls[1:], "artwork": artwork}

    def _destination(self, row: Row) -> Row:
        if row["kind"] is not DestinationKind.SSH:
            return row
        if row["key_file"] not in self._choices.keys and not row["key_file"].startswith("/"):
            self._notes.append(f"The key {row['key_file']} of {row['name']} is not here: make one, or bring it along.")
        key = self._host_key(row)
        if key["host_key"] is None:
            self._notes.append(f"The server of {row['name']} is not known: test the destination and accept its key.")
        return row | key

    def _host_key(self, row: Row) -> Row:
        sealed = self._sealed.of("destinations", row["id"]) if self._choices.with_host_keys else None
        found = sealed or self._present.destinations.get((row["host"], row["port"])) or {}
        return {name: found.get(name) for name in HOST_KEY}

    def _channel(self, row: Row) -> Row:
        present = self._present.channels.get((row["kind"], row["name"]))
        sealed = self._sealed.of("channels", row["id"])
        for known in (sealed, present):
            if known is not None and masked(ChannelKind(row["kind"]), known["address"]) == row["address"]:
                row = row | {"address": known["address"], "secret": known["secret"]}
                ChannelFields.model_validate({name: row[name] for name in ChannelFields.model_fields})
                return row
        self._notes.append(f"The address of {row['name']} is not known: it is switched off until you enter it.")
        return row | {"enabled": False}

    def _schedule(self, row: Row) -> Row:
        # What should have been recorded since was, or was not; it is not this service that missed it.
        return row | {"planned_until": max(row["planned_until"], self._choices.now)}

    def _preference(self, row: Row) -> Row | None:
        return row if row["name"] in PreferenceFields.model_fields else None

    def _session(self, row: Row) -> Row | None:
        if row["id"] in self._present.over:
            return None
        # Whoever runs one of the present sessions must not take it for this one.
        row = row | {"epoch": row["epoch"] + self._present.epoch + 1, "live": None, "wish": None}
        if row["state"] in OVER:
            return row
        now = self._choices.now
        if row["state"] in NOT_BEGUN:
            if row["planned_end"] + timedelta(seconds=row["end_late"]) > now:
                return row | {"state": SessionState.SCHEDULED}
            return self._end(row, SessionState.MISSED, PASSED)
        if row["state"] is SessionState.DELIVERING:
            self.ended.append((row["id"], SessionState.DONE, UNKNOWN_END))
            return row | {"state": SessionState.DONE, "ended_at": min(row["planned_end"], now)}
        return self._end(row, SessionState.FAILED, UNKNOWN_END)

    def _end(self, row: Row, state: SessionState, message: str) -> Row:
        self.ended.append((row["id"], state, message))
        # When it was planned to end, not now: nothing has happened today that anybody has to be told of.
        ended_at = min(row["planned_end"], self._choices.now)
        return row | {"state": state, "ended_at": ended_at, "error_code": ERROR_CODE, "error_message": message}

    def _transfer(self, row: Row) -> Row:
        if row["state"] not in UNDER_WAY:
            return row
        self._cancelled += 1
        return row | {
            "state": TransferState.CANCELLED,
            "next_attempt_at": None,
            "error_code": ERROR_CODE,
            "error_message": NOT_SENT,
        }


def _over_since(connection: Connection, fresh: Fresh) -> dict[int, Row]:
    """The present rows of sessions that the backup has as planned or under way, and that are over now.

    By the id that they have in the backup; another session for the same occurrence is the same to us.
    """
    ids: set[int] = set()
    open_ids: dict[tuple[str, int, datetime], int] = {}
    for row in fresh.rows(_TABLES["sessions"]):
        ids.add(row["id"])
        if row["state"] not in OVER:
            open_ids["id", row["id"], row["planned_start"]] = row["id"]
            if row["schedule_id"] is not None:
                open_ids["schedule", row["schedule_id"], row["planned_start"]] = row["id"]
    if not open_ids:
        return {}
    sessions = _TABLES["sessions"]
    first = min(start for _, _, start in open_ids)
    query = select(sessions).where(sessions.c.state.in_(OVER), sessions.c.planned_start >= first)
    found: dict[int, Row] = {}
    for row in map(dict, connection.execute(query).mappings()):
        by_id = open_ids.get(("id", row["id"], row["planned_start"]))
        by_occurrence = open_ids.get(("schedule", row["schedule_id"], row["planned_start"]))
        same = by_id if by_id is not None else by_occurrence
        if same is not None and (row["id"] == same or row["id"] not in ids):
            found[same] = row
    return found


def _all(connection: Connection, table: str) -> Iterator[Row]:
    for row in connection.execute(select(_TABLES[table])).mappings():
        yield dict(row)


def _urls(row: Row) -> list[str]:
    return [url for url in (row.get("url"), *(row.get("fallback_urls") or ())) if isinstance(url, str)]
