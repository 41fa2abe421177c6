"""What is shown and can be done after the database was lost."""

from pathlib import Path

import pytest

from rolltape import web
from rolltape.services.backups import Reason
from rolltape.services.lost import Loss, Lost
from rolltape.store import Database
from tests.services.conftest import START, build
from tests.web.conftest import PASSWORD, Browser, Client
from tests.web.reading import read

LOST = Lost(loss=Loss.CORRUPT, at=START, moved_to="/srv/secret/rolltape.db.corrupt.1", is_searched=True, found=3)
PAGES = ("/", "/streams", "/schedules", "/sessions", "/transfers", "/destinations", "/logs", "/system", "/nowhere")


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_tells_it_to_who_is_signed_in(client: Client, browser: Browser, path: str) -> None:
    client.bench.services.recovery.tell(LOST)

    page = (await browser.get(path)).text

    assert "The database was damaged" in page
    assert "/srv/secret/rolltape.db.corrupt.1" in page
    assert "3 recordings were found again." in page
    assert read(page).all("a", href="/system/backups")


async def test_it_is_dismissed_by_a_button_and_by_a_program(client: Client, browser: Browser) -> None:
    recovery = client.bench.services.recovery
    recovery.tell(LOST)
    told = await client.call("GET", "/api/recovery")

    await browser.submit("/system/recovery/dismiss")

    assert told["lost"]["loss"] == "corrupt"
    assert "The database" not in (await browser.get("/streams")).text
    recovery.tell(LOST)
    assert (await client.call("POST", "/api/recovery/dismiss"))["lost"] is None


async def test_a_search_is_begun_by_a_button_and_by_a_program(client: Client, browser: Browser) -> None:
    recovery = client.bench.services.recovery
    answer = await browser.submit("/system/recovery/search")
    await recovery.close()
    begun = await client.call("POST", "/api/recovery/search")
    await recovery.close()
    async with recovery._searching:  # as long as a search is under way
        busy = await client.request("POST", "/api/recovery/search")

    assert answer.headers["location"] == "/system?note=searching"
    assert begun["search"]["refused"] == 0
    assert busy.status_code == 503


async def test_the_first_visit_after_a_loss_is_told_apart_and_restores_the_latest_backup(
    client: Client, tmp_path: Path, migrated_sqlite: Path
) -> None:
    services = client.bench.services
    await client.bench.stream("Harbour")
    await services.backups.create(Reason.MANUAL)
    after = tmp_path / "after.db"
    after.write_bytes(migrated_sqlite.read_bytes())
    bench = build(Database(f"sqlite:///{after}"), tmp_path, services.listening._ffmpeg)
    bench.services.recovery.tell(LOST)
    code = await bench.services.users.setup_code() or ""
    async with Browser(web.create(bench.services, allowed_hosts=[])) as visitor:
        first = (await visitor.get("/setup")).text
        asked = (await visitor.get("/setup/restore-latest")).text
        wrong = await visitor.submit("/setup/restore-latest", code="AAAA-AAAA-AAAA")
        before = await bench.services.streams.names()
        done = await visitor.submit("/setup/restore-latest", code=code)

        assert "The database was lost" in first
        assert "Welcome to Rolltape" not in first
        assert "/srv/secret" not in first  # who is not signed in need not know where it lies
        assert "rolltape.db.corrupt.1" in first
        assert read(first).all("input", name="code")
        assert "It was made on" in asked
        assert (wrong.status_code, before) == (422, [])
        assert "The backup is restored" in done.text
        assert [name for _, name in await bench.services.streams.names()] == ["Harbour"]
        made = await visitor.submit(
            "/setup", code=code, name="listener", password=PASSWORD, again=PASSWORD, timezone="UTC"
        )
        assert made.status_code == 303
        assert (await visitor.submit("/setup/restore-latest", code=code)).status_code == 409
    await bench.database.close()


async def test_without_a_backup_it_says_so(client: Client) -> None:
    code = await client.bench.services.users.setup_code() or ""
    async with Browser(client.app) as visitor:
        page = (await visitor.get("/setup/restore-latest")).text
        answer = await visitor.submit("/setup/restore-latest", code=code)

    assert "There is no backup here" in page
    assert answer.status_code == 404
