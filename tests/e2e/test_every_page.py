"""Every page, in both themes and at both widths: accessible, without errors, without other hosts, not too wide."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from rolltape.web.pages import PAGES
from tests.archive import fill
from tests.e2e.conftest import NAME, PASSWORD
from tests.servers.chromium import chromium
from tests.servers.rolltape import Rolltape, rolltape

RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all else is the same in both themes
THEMES: tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...] = (("light", RULES), ("dark", COLOURS))
AXE = Axe().axe_script
# Which rules are broken and where. To list as well what is right took longer than to judge it.
BROKEN = """rules => axe.run({runOnly: rules, resultTypes: ["violations"]}).then(found => found.violations.map(
    broken => `${broken.id}: ${JSON.stringify(broken.nodes.slice(0, 3).map(node => node.target))}`))"""
PARTS = 2  # that the pages are judged in, beside one another
NO_PAGES = ("/cover/", "/login", "/setup")  # a picture; what is for who is not signed in, or only once
# What a page shows only when it is asked in a certain way.
MORE = (
    "/sessions?state=failed", "/sessions?verdict=gapped", "/sessions?state=skipped&stream_id=1",
    "/transfers?state=refused",
    "/schedules/week?start=2026-10-19&zone=Europe/Berlin", "/schedules?text=nothing-like-that", "/logs?level=error",
    "/sessions/1?note=saved", "/nowhere",
)  # fmt: skip


def addresses(ids: dict[str, int]) -> list[str]:
    """The address of every page."""
    found = []
    for method, path, _ in PAGES:
        if method == "GET" and not any(part in path for part in NO_PAGES):
            found.append(re.sub(r"{(\w+)}", lambda place: str(ids.get(place[1], 1)), path))
    return [*found, "/setup/stream", *MORE]


@pytest.fixture
def lively(tmp_path: Path, migrated_sqlite: Path, mp3_station: str) -> Iterator[tuple[Rolltape, dict[str, int]]]:
    """A Rolltape with an archive, and with a recording under way."""
    data = tmp_path / "rolltape" / "data"
    data.mkdir(parents=True)
    shutil.copy(migrated_sqlite, data / "rolltape.db")
    fill(f"sqlite:///{data / 'rolltape.db'}", streams=5, schedules=8, sessions=120)
    with rolltape(tmp_path / "rolltape", ROLLTAPE_ALLOW_TARGETS=mp3_station.split("/")[2]) as service:
        service.add_account(NAME, PASSWORD)
        stream = service.add_stream(mp3_station, name="Harbour FM, live")
        fields = {"stream_id": stream, "duration": 3600, "name": "Under way"}
        session = service.call("POST", "/api/sessions", json=fields)["id"]
        service.wait_for(session, ("recording",))
        token = service.call("POST", "/api/tokens", json={"name": "Script"})["id"]
        hook = {"name": "Hook", "kind": "webhook", "address": "https://example.invalid/hook"}
        channel = service.call("POST", "/api/channels", json=hook)["id"]
        backup = service.call("POST", "/api/backups", json={"passphrase": "a long passphrase"})["name"]
        yield (
            service,
            {"backup": backup, "channel_id": channel, "stream_id": stream, "session_id": session, "token_id": token},
        )


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("width", [1280, 375])
async def test_every_page_is_accessible_and_fits_in_light_and_dark(lively, width: int, part: int):
    service, ids = lively
    problems: list[str] = []
    async with chromium(service.url, width=width) as window:
        tab = await window.tab("/login")
        problems += await judged(tab, "/login", width)
        await tab.close()
        tab = await window.sign_in(NAME, PASSWORD)
        for address in [*addresses(ids), "/sessions/5", "/sessions/118", "/streams/1"][part::PARTS]:
            await tab.goto(f"{service.url}{address}", wait_until="load")
            problems += await judged(tab, address, width)

        assert problems == []
        window.notices.assert_none()


async def judged(tab: Page, address: str, width: int) -> list[str]:
    """What is wrong with a page, with everything on it unfolded."""
    await tab.evaluate("() => document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    await tab.evaluate(AXE)
    problems = []
    for theme, rules in THEMES:
        await tab.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no colour is in between
        await tab.wait_for_function(f"() => document.documentElement.dataset.bsTheme === '{theme}'")
        broken = await tab.evaluate(BROKEN, rules)
        problems += [f"{address}, {theme}: {rule}" for rule in broken]
    across = await tab.evaluate("document.documentElement.scrollWidth")
    return problems if across <= width else [*problems, f"{address} is {across} px wide"]
