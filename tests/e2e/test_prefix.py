"""Everything works under a path behind a proxy, whether or not it takes the path off."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.conftest import NAME, PASSWORD
from tests.e2e.proxies import proxy_under_a_path
from tests.servers.chromium import chromium
from tests.servers.rolltape import rolltape

PAGES = ("/", "/streams", "/streams/new", "/schedules/week", "/sessions", "/logs", "/system/account", "/api/docs")


@pytest.mark.parametrize(
    ("kind", "keeps_prefix"), [("nginx", True), ("nginx", False), ("caddy", True), ("caddy", False)]
)
async def test_pages_forms_and_live_updates_work_under_a_path(
    tmp_path: Path, mp3_station: str, kind: str, keeps_prefix: bool
):
    station = mp3_station.split("/")[2]
    with (
        rolltape(tmp_path / "rolltape", ROLLTAPE_BASE_PATH="/radio", ROLLTAPE_ALLOW_TARGETS=station) as service,
        proxy_under_a_path(kind, tmp_path / "proxy", service.port, keeps_prefix=keeps_prefix) as address,
    ):
        service.add_account(NAME, PASSWORD)
        async with chromium(address) as window:
            tab = await window.tab()
            await tab.goto(address)  # without a slash at its end
            await tab.wait_for_url(f"{address}/login*")
            await tab.close()
            tab = await window.sign_in(NAME, PASSWORD)
            assert tab.url.startswith(f"{address}/")
            for path in PAGES:
                answer = await tab.goto(f"{address}{path}")
                assert answer is not None
                assert answer.status == 200, path
                foreign = await tab.eval_on_selector_all(
                    "a[href], form[action]",
                    "all => all.map(one => one.href || one.action).filter(to => !to.includes('/radio'))",
                )
                assert foreign == [], path

            await tab.goto(f"{address}/streams/new")
            await tab.fill("#url", mp3_station)
            await tab.fill("#name", "Harbour FM")
            await tab.click("text=Save")
            await tab.get_by_role("heading", name="Harbour FM", exact=True).wait_for()
            await tab.goto(f"{address}/streams")
            await asyncio.to_thread(service.add_stream, mp3_station, name="From elsewhere")
            await tab.get_by_role("link", name="From elsewhere", exact=True).wait_for()
            await tab.click("text=Sign out")
            await tab.wait_for_url(f"{address}/login*")

            window.notices.assert_none()
