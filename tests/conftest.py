"""What tests of every package share."""

import asyncio
import compileall
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

import rolltape
from rolltape.ffmpeg.run import find
from rolltape.store import migrate
from tests.servers.icecast import Icecast, icecast
from tests.servers.postgres import create_database, postgres

# What a test makes go wrong is told plainly: drawing a stack trace with all that is in it takes seconds.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=False)])


def pytest_configure(config: pytest.Config) -> None:
    """Compile the program once: hundreds of times it is started, and where PYTHONDONTWRITEBYTECODE is set, each start
    would do so again.
    """
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(rolltape.__file__).parent, quiet=2)


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The FFmpeg that comes with the package."""
    return find(None)


@pytest.fixture(scope="session")
def icecast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Icecast]:
    """An Icecast without sources."""
    with icecast(tmp_path_factory.mktemp("icecast")) as server:
        yield server


@pytest.fixture(scope="session")
def mp3_station(icecast_server: Icecast) -> Iterator[str]:
    """The address of a station that sends 128 kbit/s MP3."""
    with icecast_server.mp3("station.mp3", title="A Title"):
        yield icecast_server.url("station.mp3")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a new installation has it, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "new.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The address of a new SQLite database."""
    file = tmp_path / "test.db"
    shutil.copy(migrated_sqlite, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL; its database `new` is as a new installation has it."""
    with postgres(tmp_path_factory.mktemp("postgres")) as address:
        asyncio.run(migrate(create_database(address, "new")))
        yield address


@pytest.fixture
def postgresql_url(postgres_server: str) -> str:
    """The address of a new PostgreSQL database."""
    return create_database(postgres_server, f"test{uuid4().hex}", template="new")
