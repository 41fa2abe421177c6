"""The database locked or damaged while it is in use."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rolltape.domain.user import Token
from rolltape.services.clock import utc_now
from rolltape.store import NO_ANSWER, Database, is_no_answer


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
async def database(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database whose users wait for half a second where they wait for five otherwise."""
    monkeypatch.setattr("rolltape.store.database.BUSY_TIMEOUT", 500)
    monkeypatch.setattr("rolltape.store.database.LONGEST_TURN", 0.5)
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


async def write(database: Database, name: str) -> float:
    """How long a write took, until it was done or not answered."""
    began = time.monotonic()
    with contextlib.suppress(*NO_ANSWER):
        async with database.write() as db:
            db.add(Token(name=name, sha256=name, created_at=utc_now()))
    return time.monotonic() - began


async def test_however_many_wait_behind_a_lock_each_is_answered_in_time(database: Database, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        took = await asyncio.gather(*(write(database, f"locked{number}") for number in range(12)))
        async with database.read() as db:
            assert await db.scalar(text("SELECT count(*) FROM tokens")) == 0
        other.execute("ROLLBACK")

    await write(database, "after")

    assert max(took) < 5  # twelve times half a second, one behind the other, would be more
    async with database.read() as db:
        assert await db.scalar(text("SELECT name FROM tokens")) == "after"


async def test_what_was_asked_wrongly_is_no_fault_of_the_database(database: Database) -> None:
    await write(database, "same")

    with pytest.raises(IntegrityError) as caught:
        async with database.write() as db:
            db.add(Token(name="other", sha256="same", created_at=utc_now()))

    assert not is_no_answer(caught.value)


async def test_damage_is_told_to_who_listens(file: Path, sqlite_url: str) -> None:
    told: list[str] = []
    database = Database(sqlite_url, on_damage=told.append)
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))

    async with database.read() as db:
        with pytest.raises(SQLAlchemyError) as caught:
            await db.execute(text("SELECT * FROM streams, sessions, events, tokens, users"))
    await database.close()

    assert is_no_answer(caught.value)
    assert told
    assert "malformed" in told[0]
