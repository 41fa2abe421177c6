"""What has to be true, however a step was broken off: at once, and after the service went on.

All of it is read from the files, by none of the program's own ways but the reading of facts.
"""

import hashlib
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolltape.domain.facts import facts_file
from rolltape.services.facts import read_facts
from tests.crash.shim import Call
from tests.crash.steps import DATABASE, THERE

RECORDINGS = "recordings"
HIDDEN = "."


@dataclass(frozen=True)
class State:
    """A data folder: the hashes of its files by their place in it, and the rows of its database."""

    files: dict[str, str]
    rows: dict[str, list[dict[str, Any]]]
    schema: frozenset[str]

    @property
    def recordings(self) -> dict[str, str]:
        return self._named(RECORDINGS)

    @property
    def delivered(self) -> dict[str, str]:
        return self._named(THERE)

    @property
    def takes(self) -> dict[str, str]:
        return {name: digest for name, digest in self.files.items() if name.startswith(f"{RECORDINGS}/.takes/")}

    @property
    def parts(self) -> list[str]:
        return [name for name in self.files if name.endswith(".part") and not name.startswith("backups/")]

    def _named(self, place: str) -> dict[str, str]:
        """What lies there under a name that is not hidden."""
        found = {name.removeprefix(f"{place}/"): digest for name, digest in self.files.items() if _is_in(name, place)}
        return {
            name: digest for name, digest in found.items() if not any(p.startswith(HIDDEN) for p in name.split("/"))
        }


def _is_in(name: str, place: str) -> bool:
    return name.startswith(f"{place}/")


def look(folder: Path) -> State:
    """The folder as it is. The database is read from a copy, which takes what lies beside it into account as well."""
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(DATABASE)
    }
    with tempfile.TemporaryDirectory() as copy:
        for suffix in ("", "-wal"):
            if (source := folder / f"{DATABASE}{suffix}").exists():
                shutil.copy(source, copy)
        rows, schema = _read(Path(copy) / DATABASE)
    return State(files, rows, schema)


def _read(file: Path) -> tuple[dict[str, list[dict[str, Any]]], frozenset[str]]:
    with closing(sqlite3.connect(file)) as db:
        db.row_factory = sqlite3.Row
        assert [tuple(row) for row in db.execute("PRAGMA integrity_check")] == [("ok",)], "the database is damaged"
        assert not db.execute("PRAGMA foreign_key_check").fetchall(), "rows point at nothing"
        schema = [tuple(row) for row in db.execute("SELECT type, name, sql FROM sqlite_master")]
        tables = [name for kind, name, _ in schema if kind == "table"]
        rows = {table: [dict(row) for row in db.execute(f"SELECT * FROM {table}")] for table in tables}
    return rows, frozenset(map(str, schema))


def breaches(now: State, before: State, goal: State) -> Iterator[str]:
    """What of the contract does not hold at a moment in between. `goal` is how it ends when nothing goes wrong."""
    whole = {*goal.recordings.values(), *goal.delivered.values(), *before.recordings.values()}
    for name, digest in (now.recordings | now.delivered).items():
        if digest not in whole:
            yield f"{name} has its name and is not whole"
    for row in now.rows.get("transfers", ()):
        if row["state"] == "delivered" and row["sha256"] not in now.delivered.values():
            yield "there is a receipt for what has not arrived"
    for row in now.rows.get("sessions", ()):
        yield from _lost_audio(row, now, before)


def _lost_audio(row: dict[str, Any], now: State, before: State) -> Iterator[str]:
    ours = {name: digest for name, digest in before.takes.items() if f"/.takes/{row['id']}/take-" in name}
    has_takes = bool(ours) and all(now.takes.get(name) == digest for name, digest in ours.items())
    is_here = row["sha256"] in now.recordings.values()
    is_there = row["sha256"] in now.delivered.values()
    if not (has_takes or is_here or is_there) and (ours or row["sha256"] in before.recordings.values()):
        yield "the audio is lost"
    if not has_takes and not is_here and row["state"] in ("recording", "processing") and ours:
        yield "the takes are gone before the recording is finished"


def differences(end: State, before: State, goal: State) -> Iterator[str]:
    """How it ended otherwise than when nothing went wrong."""
    yield from breaches(end, before, goal)
    for what, found, wanted in (
        ("recordings", end.recordings, goal.recordings),
        ("copies", end.delivered, goal.delivered),
        ("takes", end.takes, goal.takes),
        ("states", _states(end), _states(goal)),
        ("schema", end.schema, goal.schema),
        ("facts", _facts(end), _facts(goal)),
    ):
        if found != wanted:
            yield f"other {what} in the end: {_shown(found, wanted)} instead of {_shown(wanted, found)}"
    if end.parts:
        yield f"unfinished files are left: {end.parts}"


def _shown(one: Any, other: Any) -> list[Any]:
    """What is in one and not in the other."""
    return [item for item in one if item not in other]


def _states(state: State) -> list[tuple[Any, ...]]:
    sessions = [
        (row["id"], row["state"], row["file"], row["sha256"], row.get("deleted_why"), row.get("missing_since"))
        for row in state.rows["sessions"]
    ]
    transfers = [(row["session_id"], row["state"], row["sha256"]) for row in state.rows["transfers"]]
    return sessions + transfers


def _facts(state: State) -> list[str]:
    """Which recordings have facts beside them."""
    names = [Path(RECORDINGS) / name for name in state.recordings]
    return [str(name) for name in names if str(facts_file(name)) in state.files]


def unreadable(folder: Path) -> Iterator[str]:
    """Facts and backups that cannot be read."""
    for file in (folder / RECORDINGS).rglob(".*.json"):
        read_facts(file)
    for file in (folder / "backups").glob("*.zip"):
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                yield f"{file.name} is damaged"


def disorder(calls: Sequence[Call], folder: Path) -> Iterator[str]:
    """What was not on the disk when the database said that it was: the same, of a power cut, read from the calls.

    A file is synced before it gets its name; its folder, and the folders that were made for it, before the database is
    told so (see `child`).
    """
    unsynced: set[str] = set()  # files with something new in them
    nameless: set[str] = set()  # folders with a new name in them
    is_named = False
    places = tuple(f"{folder}/{place}" for place in (RECORDINGS, THERE))
    for call in calls:
        if call.what == "hit" or call.path.startswith(f"{folder}/{RECORDINGS}/.takes"):
            continue
        match call.call:
            case "write" | "truncate":
                unsynced.add(call.path)
            case "sync":
                unsynced.discard(call.path)
                nameless.discard(call.path)
            case "says" if is_named and nameless:
                yield f"the database says that it is {call.path}, before these folders are synced: {sorted(nameless)}"
            case "unlink":
                unsynced.discard(call.path)
            case "mkdir" if call.path.startswith(places):
                nameless.add(str(Path(call.path).parent))
            case "rename" | "link" if call.other.startswith(places):
                if call.path in unsynced:
                    yield f"{call.other} got its name before it was synced"
                is_named = is_named or not Path(call.other).name.startswith(HIDDEN)
                nameless.add(str(Path(call.other).parent))
