"""The way of a newcomer, in a browser: from the first visit to a delivered recording that is heard."""

import asyncio
import re
from pathlib import Path

from playwright.async_api import Page

from tests.e2e.conftest import NAME, PASSWORD
from tests.servers.chromium import Window, chromium
from tests.servers.rolltape import Rolltape, rolltape
from tests.servers.sshd import Sshd

CODE = re.compile(r"\b([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})\b")
A_NEWCOMERS_PATIENCE = 300  # s, from the first page to the first recording that is heard


async def test_from_the_first_visit_to_a_delivered_recording_in_the_player(
    tmp_path: Path, mp3_station: str, server: Sshd
):
    allowed = f"{mp3_station.split('/')[2]},127.0.0.1:{server.port}"
    with rolltape(tmp_path / "rolltape", ROLLTAPE_ALLOW_TARGETS=allowed) as service:
        async with chromium(service.url, zone="Europe/Berlin") as window:
            began = asyncio.get_running_loop().time()
            tab = await make_the_account(window, service)
            await add_the_first_station(tab, mp3_station)
            await hear_the_test_recording(tab)
            assert asyncio.get_running_loop().time() - began < A_NEWCOMERS_PATIENCE

            await add_a_destination(tab, service, server)
            await send_recordings_there(tab)
            session = await record_for_six_seconds(tab)
            await asyncio.to_thread(service.wait_for, session, ("done",))
            await hear_what_was_delivered(tab, service, session)

            window.notices.assert_none()
        (delivered,) = (server.home).rglob("*.mp3")
        proved = await asyncio.to_thread(service.session, session)
        (original,) = [file for file in service.recordings.rglob("*.mp3") if file.name == delivered.name]
    assert delivered.read_bytes() == original.read_bytes()
    assert proved["transfers"][0]["verified_by"] == "sha256"
    listened = await asyncio.create_subprocess_exec("mpg123", "-q", "-t", delivered)
    assert await listened.wait() == 0


async def make_the_account(window: Window, service: Rolltape) -> Page:
    tab = await window.tab("/")
    await tab.wait_for_url("**/setup")
    found = CODE.search(service.log)
    assert found is not None
    await tab.fill("#code", "WRONG-CODE")
    await tab.fill("#name", NAME)
    await tab.fill("#password", PASSWORD)
    await tab.fill("#again", PASSWORD)
    await tab.click("text=Make the account")
    await tab.locator("#code-error").wait_for()
    assert await tab.input_value("#name") == NAME

    await tab.fill("#code", found[1].lower())
    await tab.fill("#password", PASSWORD)
    await tab.fill("#again", PASSWORD)
    await tab.click("text=Make the account")
    await tab.wait_for_url("**/setup/stream*")
    return tab


async def add_the_first_station(tab: Page, station: str) -> None:
    await tab.fill("#url", station)
    await tab.click("text=Listen to it")
    await tab.locator("#name").wait_for()
    await tab.fill("#name", "Harbour FM")
    await tab.click("text=Test recording for 30 seconds")
    await tab.wait_for_url("**/setup/recording/*")


async def hear_the_test_recording(tab: Page) -> None:
    await tab.locator("audio").wait_for(timeout=60_000)
    await play(tab)


async def add_a_destination(tab: Page, service: Rolltape, server: Sshd) -> None:
    await tab.goto(f"{service.url}/destinations/keys")
    await tab.fill("#key_name", "rolltape")
    await tab.click("text=Make the key")
    public = await tab.locator("pre", has_text="ssh-ed25519").inner_text()
    server.authorize(public)

    await tab.goto(f"{service.url}/destinations/new")
    fields = {"name": "NAS", "host": "127.0.0.1", "port": str(server.port), "user": server.user, "key_file": "rolltape"}
    for name, value in (fields | {"directory": str(server.home)}).items():
        await tab.fill(f"#{name}", value)
    await tab.click("text=Save")
    await tab.click("text=Test it now")
    await tab.get_by_text(server.host_key.fingerprint).wait_for()
    await tab.click("text=Accept this key")
    await tab.get_by_text("The server's key is accepted.").wait_for()
    await tab.click("text=Test it now")
    await tab.get_by_text("It works.").wait_for()


async def send_recordings_there(tab: Page) -> None:
    await tab.click("nav >> text=Streams")
    await tab.get_by_role("link", name="Edit Harbour FM").click()
    await tab.get_by_label("NAS").check()
    await tab.click("text=Save")
    await tab.get_by_text("Saved.").wait_for()


async def record_for_six_seconds(tab: Page) -> int:
    await tab.click("text=Record now")
    await tab.fill("[name=duration_hours]", "0")
    await tab.fill("[name=duration_minutes]", "0.1")
    await tab.locator("main button.btn-primary").click()
    await tab.wait_for_url("**/sessions/*")
    return int(re.findall(r"/sessions/(\d+)", tab.url)[0])


async def hear_what_was_delivered(tab: Page, service: Rolltape, session: int) -> None:
    await tab.goto(f"{service.url}/sessions/{session}")
    await tab.get_by_text("NAS").first.wait_for()
    await play(tab)
    await tab.evaluate("() => { document.querySelector('audio').currentTime = 4; }")
    await tab.wait_for_function("() => document.querySelector('audio').currentTime > 4.2")


async def play(tab: Page) -> None:
    """Start the player, and see that time passes in it."""
    await tab.evaluate("() => document.querySelector('audio').play()")
    await tab.wait_for_function("() => document.querySelector('audio').currentTime > 0.5")
