"""Upgrades from every earlier schema, broken off at every statement, on a full disk, and the way back."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from rolltape.store import DatabaseError, revisions
from rolltape.store.database import migrate_now
from tests.servers.postgres import create_database

EARLIER = [revision for revision in reversed(revisions()) if revision != revisions()[0]]

# Rows as an earlier version left them; the columns are those that every schema has.
STREAM = {
    "id": 1, "name": "Harbour", "url": "http://radio.example/live", "fallback_urls": "[]", "artist": "", "album": "",
    "album_artist": "", "genre": "", "title_pattern": "{date}", "filename_pattern": "{date}", "engine": "auto",
    "mp3_quality": "V2", "max_duration": 86400.0, "start_early": 0.0, "end_late": 0.0, "stall_timeout": 20.0,
    "verify_tls": True, "destination_ids": "[]", "delete_after_delivery": False, "created_at": "2026-01-01 00:00:00",
}  # fmt: skip
SESSION = {
    "id": 7, "stream_id": 1, "name": "Show", "state": "done", "verdict": "complete", "epoch": 1, "priority": 0,
    "opens": "2026-01-02 09:00:00", "planned_start": "2026-01-02 09:00:00", "planned_end": "2026-01-02 10:00:00",
    "start_early": 0.0, "end_late": 0.0, "timezone": "UTC", "recorded": 3600.0, "gaps": "[]", "take_count": 1,
    "file": "Show.mp3", "size": 5, "sha256": "0" * 64, "attempts": 0,
}  # fmt: skip
EVENT = {"id": 3, "session_id": 7, "at": "2026-01-02 09:00:00", "kind": "recorded", "message": "Recorded."}
TOKEN = {"id": 1, "name": "script", "sha256": "1" * 64, "created_at": "2026-01-01 00:00:00"}
ROWS = {"streams": STREAM, "sessions": SESSION, "events": EVENT, "tokens": TOKEN}

# Upgrades the database named by the first word, and dies at the n-th statement of it (0: never; prints how many).
KILLED = """
import asyncio, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from rolltape.store import migrate

count = 0

@event.listens_for(Engine, "before_cursor_execute")
def _count(*_):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

@event.listens_for(Engine, "commit")
def _commit(_):
    _count()

asyncio.run(migrate(sys.argv[1]))
print(count)
"""


@pytest.fixture(scope="module", params=EARLIER)
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp(f"schema-{request.param}") / "rolltape.db"
    fill(file, request.param)
    return file


def fill(file: Path, revision: str) -> None:
    """Make a database of an earlier schema, with rows in it."""
    migrate_now(f"sqlite:///{file}", revision)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        for table, row in ROWS.items():
            marks = ", ".join("?" for _ in row)
            db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
def file(earlier: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "rolltape.db"
    shutil.copy(earlier, copy)
    return copy


def contents(file: Path) -> dict[str, Any]:
    """The schema and all rows of a database."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        schema = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        return {"schema": schema} | {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def upgraded(file: Path) -> dict[str, Any]:
    migrate_now(f"sqlite:///{file}")
    return contents(file)


def test_nothing_is_lost_and_the_schema_is_that_of_a_new_database(
    file: Path, migrated_sqlite: Path, tmp_path: Path
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "new.db")

    found = upgraded(file)

    new = contents(tmp_path / "new.db")
    assert {name for _, name, _ in found["schema"]} == {name for _, name, _ in new["schema"]}
    with closing(sqlite3.connect(file)) as db:
        db.row_factory = sqlite3.Row
        for table, row in ROWS.items():
            (kept,) = db.execute(f"SELECT * FROM {table}").fetchall()
            assert {name: kept[name] for name in row} == row


def killed(file: Path, statement: int) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-c", KILLED, f"sqlite:///{file}", str(statement)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_killed_at_each_statement_the_next_start_brings_it_to_its_end(file: Path, tmp_path: Path) -> None:
    before = contents(file)
    counted, goal = tmp_path / "counted.db", tmp_path / "goal.db"
    shutil.copy(file, counted)
    shutil.copy(file, goal)
    statements = int(killed(counted, 0).stdout)
    wanted = upgraded(goal)
    assert statements > 10

    for statement in _spread(statements):
        victim = tmp_path / "victim.db"
        _copy(file, victim)
        assert killed(victim, statement).returncode == -signal.SIGKILL
        assert contents(victim) in (before, wanted), f"half an upgrade after statement {statement}"
        assert upgraded(victim) == wanted


def _spread(count: int) -> Iterator[int]:
    """Some of the statements, the first and the last among them; all of them if the environment asks for it."""
    step = 1 if os.environ.get("EVERY_STATEMENT") else max(1, count // 5)
    yield from sorted({*range(1, count + 1, step), count - 1, count})


def _copy(source: Path, target: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copy(source, target)


def test_killed_twice_in_a_row_it_is_still_brought_to_its_end(file: Path) -> None:
    for statement in (9, 14):
        killed(file, statement)

    migrate_now(f"sqlite:///{file}")

    assert contents(file)["tokens"]


def test_a_full_disk_leaves_it_as_it_was(file: Path, tmp_path: Path) -> None:
    before = contents(file)
    goal = tmp_path / "goal.db"
    shutil.copy(file, goal)
    wanted = upgraded(goal)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={file.stat().st_size + 40_960}", "tmpfs", disk], check=True)
    try:
        shutil.copy(file, disk / "rolltape.db")

        with pytest.raises(DatabaseError, match="full"):
            migrate_now(f"sqlite:///{disk / 'rolltape.db'}")

        assert contents(disk / "rolltape.db") == before
        subprocess.run(["mount", "-o", "remount,size=4M", disk], check=True)
        assert upgraded(disk / "rolltape.db") == wanted
    finally:
        subprocess.run(["umount", disk], check=True)


def test_on_postgresql_nothing_is_lost_either(postgres_server: str) -> None:
    for revision in EARLIER:
        url = create_database(postgres_server, f"earlier{revision}")
        migrate_now(url, revision)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            for table, row in ROWS.items():
                marks = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"), row)

        migrate_now(url)

        with engine.connect() as connection:
            for table in ROWS:
                assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 1
        engine.dispose()
