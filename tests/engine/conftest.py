"""The services of tests/services, on SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rolltape.store import Database
from tests.services.conftest import Bench, build


@pytest.fixture
async def bench(sqlite_url: str, tmp_path: Path, ffmpeg: str) -> AsyncIterator[Bench]:
    database = Database(sqlite_url)
    yield build(database, tmp_path, ffmpeg)
    await database.close()
