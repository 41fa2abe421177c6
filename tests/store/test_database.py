"""Transactions, migrations, and files that are not ours."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, func, select, text

from rolltape import store
from rolltape.domain import destination, schedule, session, stream, take, transfer, user  # noqa: F401 (the tables)
from rolltape.domain.base import Base
from rolltape.domain.errors import InputError
from rolltape.domain.user import Token
from rolltape.services.clock import utc_now
from rolltape.store import Database, migrate, revisions
from rolltape.store.database import APPLICATION_ID, DatabaseError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'rolltape.db'}"


async def test_migrations_make_the_schema_of_the_models(url: str) -> None:
    await migrate(url)
    await migrate(url)

    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


async def test_migrations_make_the_same_schema_on_postgresql(postgresql_url: str) -> None:
    await migrate(postgresql_url)

    engine = create_engine(postgresql_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


async def test_sqlite_is_set_up_to_keep_what_it_was_given(url: str) -> None:
    await migrate(url)
    database = Database(url)

    async with database.read() as db:
        found = {
            name: await db.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "application_id")
        }
    await database.close()

    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0,
        "application_id": APPLICATION_ID,
    }  # fmt: skip


async def test_many_writers_that_read_first_all_get_through(url: str) -> None:
    await migrate(url)
    first, second = Database(url), Database(url)

    async def write(database: Database, count: int) -> None:
        for number in range(count):
            async with database.write() as db:
                before = await db.scalar(select(func.count()).select_from(Token))
                name = f"{id(database)}-{asyncio.current_task()}-{number}"
                db.add(Token(name=str(before), sha256=str(hash(name)), created_at=utc_now()))

    await asyncio.gather(*(write(database, 20) for database in (first, second) for _ in range(4)))

    async with first.read() as db:
        assert await db.scalar(select(func.count()).select_from(Token)) == 160
    await first.close()
    await second.close()


async def test_a_block_that_raises_changes_nothing(url: str) -> None:
    await migrate(url)
    database = Database(url)

    async def write_and_fail() -> None:
        async with database.write() as db:
            db.add(Token(name="x", sha256="y", created_at=utc_now()))
            await db.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()

    async with database.read() as db:
        assert await db.scalar(select(func.count()).select_from(Token)) == 0
    await database.close()


async def test_the_database_of_another_program_is_left_alone(tmp_path: Path, url: str) -> None:
    with closing(sqlite3.connect(tmp_path / "rolltape.db")) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
        foreign.commit()
    before = (tmp_path / "rolltape.db").read_bytes()

    with pytest.raises(DatabaseError, match="another program"):
        await migrate(url)

    assert (tmp_path / "rolltape.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_told(tmp_path: Path, url: str) -> None:
    (tmp_path / "rolltape.db").write_text("Dear diary, today I was corrupted. " * 100)

    with pytest.raises(DatabaseError, match="cannot be used"):
        await migrate(url)


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, url: str) -> None:
    await migrate(url)
    with closing(sqlite3.connect(tmp_path / "rolltape.db")) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()

    with pytest.raises(DatabaseError, match="newer Rolltape"):
        await migrate(url)


@pytest.mark.parametrize("address", ["", "nonsense", "mysql://localhost/x", "sqlite", "://"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="named like"):
        await migrate(address)


def test_the_names_of_the_files_tell_the_schemas_and_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))

    told = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert revisions() == told
