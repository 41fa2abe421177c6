"""What the page changes counts in the running application."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolltape import logs
from rolltape.app import App
from rolltape.pipeline import Queue
from rolltape.settings import load
from rolltape.store import migrate


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logs.set_levels(logging.getLevelName(before), {})


async def test_preferences_count_at_once(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path)
    await migrate(settings.database_url)
    app = App(settings)
    await app.services.preferences.load()

    await app.services.preferences.change(
        {
            "timezone": "Asia/Tokyo", "max_concurrent_sessions": 1, "max_transfers_per_destination": 3,
            "log_levels": "capture=debug",
        }
    )  # fmt: skip

    assert app.services.sessions.timezone == "Asia/Tokyo"
    assert app.workshop.transfers_per_destination == 3
    assert logging.getLogger("rolltape.capture").level == logging.DEBUG
    slots = app.engine._slots[Queue.CAPTURE]
    async with slots.hold((0, 0.0)):
        assert slots._free == 0
    await app.database.close()
