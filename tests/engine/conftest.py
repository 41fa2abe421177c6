"""The services of tests/services, on SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rolltape.store import Database, migrate
from tests.services.conftest import Bench, build


@pytest.fixture
async def bench(tmp_path: Path, ffmpeg: str) -> AsyncIterator[Bench]:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    await migrate(url)
    database = Database(url)
    yield build(database, tmp_path, ffmpeg)
    await database.close()
