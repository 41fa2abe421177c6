"""The player of a session's page, in a browser: seek in the waveform, see what is on the air, listen live."""

import asyncio
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.servers.chromium import Window
from tests.servers.rolltape import Rolltape

LENGTH = 20  # s of the recording


@pytest.fixture
def recording(service: Rolltape, mp3_station: str) -> int:
    """The number of a session that has finished."""
    stream = service.add_stream(mp3_station, name="Harbour FM")
    number: int = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": LENGTH})["id"]
    service.wait_for(number, ("done",))
    return number


async def place(tab: Page) -> float:
    found: float = await tab.evaluate("document.getElementById('audio').currentTime")
    return found


async def test_a_recording_is_seeked_by_keys_pointer_and_titles(recording: int, window: Window) -> None:
    tab = await window.tab(f"/sessions/{recording}")
    wave = tab.locator("#wave")
    await expect(wave).to_have_attribute("role", "slider")
    await expect(wave).to_have_attribute("aria-valuetext", re.compile(r"0:00 of 0:(19|20)"))

    await wave.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight"):
        await tab.keyboard.press(key)
    await expect(wave).to_have_attribute("aria-valuenow", "10")
    assert await place(tab) == pytest.approx(10, abs=0.2)
    await expect(tab.locator("#heard")).to_have_text("On the air: A Title")
    await expect(tab.locator("#titles > li[aria-current]")).to_have_count(1)
    await tab.keyboard.press("End")
    assert await place(tab) == pytest.approx(LENGTH, abs=0.6)
    await tab.keyboard.press("Home")
    assert await place(tab) == 0

    box = await wave.bounding_box()
    assert box is not None
    await tab.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert await place(tab) == pytest.approx(LENGTH * 0.75, abs=0.5)
    played = await tab.locator("#wave .played").get_attribute("width")
    assert float(played or 0) == pytest.approx(750, abs=20)

    await tab.locator("#titles a.seek").first.click()
    await tab.wait_for_function("() => !document.getElementById('audio').paused")
    assert await place(tab) < 3
    found = await Axe().run(tab)
    assert [broken["id"] for broken in found.response["violations"]] == []


async def test_what_records_is_heard_in_the_page_and_the_page_follows_it_to_its_end(
    service: Rolltape, mp3_station: str, window: Window
) -> None:
    stream = await asyncio.to_thread(service.add_stream, mp3_station, name="Harbour FM")
    fields = {"stream_id": stream, "duration": 25}
    number = (await asyncio.to_thread(service.call, "POST", "/api/sessions", json=fields))["id"]
    await asyncio.to_thread(service.wait_until_session, number, lambda found: found["recorded"] > 1)
    tab = await window.tab(f"/sessions/{number}")

    await tab.evaluate("() => { document.querySelector('audio').play(); }")
    await tab.wait_for_function("() => document.querySelector('audio').currentTime > 1")

    await expect(tab.locator("#wave")).to_have_attribute("role", "slider", timeout=60_000)  # without a reload
    assert (await tab.locator("#audio").get_attribute("src") or "").endswith(f"/api/sessions/{number}/audio")
