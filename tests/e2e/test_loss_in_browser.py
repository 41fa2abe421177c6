"""What is shown of a lost database is accessible, too: on a page, and at the first visit."""

from pathlib import Path

import pytest

from tests.e2e.conftest import NAME, PASSWORD
from tests.e2e.test_every_page import judged
from tests.servers.chromium import chromium
from tests.servers.process import end
from tests.servers.rolltape import Rolltape


@pytest.mark.parametrize("width", [1280, 375])
async def test_what_is_told_of_a_loss_is_accessible(tmp_path: Path, width: int) -> None:
    data = tmp_path / "rolltape" / "data"
    (data / "recordings" / ".takes" / "1").mkdir(parents=True)  # Rolltape has worked here before
    (data / "rolltape.db").write_text("no database")
    service = Rolltape(tmp_path / "rolltape", {}, token="none: whoever asks for one opens the database first")
    service.start()
    assert service.process is not None
    try:
        async with chromium(service.url, width=width) as window:
            tab = await window.tab("/setup")
            problems = await judged(tab, "/setup", width)
            shown = await tab.inner_text("h1")
            await tab.goto(f"{service.url}/setup/restore-latest", wait_until="load")
            problems += await judged(tab, "/setup/restore-latest", width)
            await tab.close()
            service.add_account(NAME, PASSWORD)
            tab = await window.sign_in(NAME, PASSWORD)
            await tab.goto(f"{service.url}/system", wait_until="load")
            problems += await judged(tab, "/system", width)

            assert shown == "The database was lost"
            assert "The database was damaged" in await tab.inner_text("main")
            assert problems == []
    finally:
        end(service.process)
