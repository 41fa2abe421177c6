"""Forms as people use them: with a mouse, with nothing but a keyboard, and in a browser without scripts."""

import asyncio
import re
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from tests.e2e.conftest import NAME, PASSWORD
from tests.servers.chromium import Window, chromium
from tests.servers.rolltape import Rolltape, rolltape

MB = 1024 * 1024
MOST_GROWTH = 50 * MB  # of the service's memory by a picture that would take 240 MB when unpacked
WEEKDAY = "(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
NATURAL = "document.querySelector('img.cover').naturalWidth"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mp3_station: str) -> Iterator[Rolltape]:
    """One for all of these; each test has a stream of its own."""
    with rolltape(
        tmp_path_factory.mktemp("forms"), ROLLTAPE_ALLOW_TARGETS=mp3_station.split("/")[2], TZ="UTC"
    ) as running:
        running.add_account(NAME, PASSWORD)
        yield running


@pytest.fixture
def account(service: Rolltape) -> tuple[str, str]:
    return NAME, PASSWORD


# Schedules


async def test_choices_and_cron_line_of_a_schedule_follow_each_other(service: Rolltape, window: Window) -> None:
    stream = service.add_stream("http://radio.example/", name="Morning FM")
    tab = await window.tab("/schedules")
    await tab.get_by_role("link", name="Add a schedule").first.click()
    await tab.fill("#name", "Morning Show")
    await tab.select_option("#stream_id", str(stream))
    cron, preview = tab.locator("#cron"), tab.locator("#preview")

    await tab.click("text=Monday to Friday")
    await expect(cron).to_have_value(re.compile(r"^0 20 \* \* (1-5|1,2,3,4,5|MON-FRI)$"))
    for day in ("Tuesday", "Wednesday", "Thursday", "Friday"):
        await tab.get_by_label(day, exact=True).uncheck()
    await tab.fill("#time", "09:30")
    await expect(cron).to_have_value("30 9 * * 1")
    await expect(preview).to_contain_text("Monday at 09:30")
    coming = preview.get_by_role("listitem")
    for number in range(await coming.count()):
        await expect(coming.nth(number)).to_contain_text(re.compile(r"Mon .*09:30"))

    await cron.fill("15 7 * * 6,7")
    await expect(tab.get_by_label("Cron line")).to_be_checked()
    await expect(tab.get_by_label("Saturday")).to_be_checked()
    await expect(tab.get_by_label("Sunday")).to_be_checked()
    await expect(tab.get_by_label("Monday", exact=True)).not_to_be_checked()
    await expect(tab.locator("#time")).to_have_value("07:15")

    await cron.fill("*/7 3 * 2 *")
    await expect(tab.locator("#plain-part")).to_contain_text("says more than can be chosen here")
    await expect(preview).to_contain_text("February")

    await cron.fill("at breakfast")
    await expect(preview.locator("strong")).to_have_count(0)
    await tab.get_by_role("button", name="Save").click()
    await expect(tab.locator("#cron-error")).to_be_visible()
    kept = {"#cron": "at breakfast", "#name": "Morning Show", "#stream_id": str(stream)}
    assert {field: await tab.input_value(field) for field in kept} == kept
    assert "Morning Show" not in [one["name"] for one in schedules(service)]

    await tab.fill("#cron", "30 9 * * 1")
    await expect(tab.get_by_label("Monday", exact=True)).to_be_checked()
    await tab.get_by_role("button", name="Save").click()
    await tab.get_by_text("Saved.").wait_for()
    (made,) = [one for one in schedules(service) if one["name"] == "Morning Show"]
    assert (made["cron"], made["name"], made["stream_id"]) == ("30 9 * * 1", "Morning Show", stream)


async def test_back_leads_from_what_was_saved_to_the_form_and_the_list(service: Rolltape, window: Window) -> None:
    stream = service.add_stream("http://radio.example/", name="Back FM")
    tab = await window.tab("/schedules")
    await tab.get_by_role("link", name="Add a schedule").first.click()
    await tab.get_by_role("button", name="Save").click()
    await expect(tab.locator("#stream_id-error")).to_be_visible()
    await tab.select_option("#stream_id", str(stream))
    await tab.get_by_role("button", name="Save").click()
    await tab.get_by_text("Saved.").wait_for()

    await tab.go_back()
    await expect(tab.locator("h1")).to_have_text("Add a schedule")
    await expect(tab.locator("#stream_id-error")).to_be_visible()  # as it was answered: nothing is sent again
    await tab.go_back()
    await expect(tab.locator("h1")).to_have_text("Add a schedule")
    await tab.go_back()
    await expect(tab.locator("h1")).to_have_text("Schedules")
    assert [one["stream_id"] for one in schedules(service)].count(stream) == 1


def schedules(service: Rolltape) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.call("GET", "/api/schedules")["items"]
    return found


# Streams


async def test_the_form_of_a_stream_says_what_will_be_and_fills_in_the_name(
    service: Rolltape, window: Window, mp3_station: str
) -> None:
    tab = await window.tab("/streams/new")
    preview, probe = tab.locator("#preview"), tab.locator("#probe")
    for address, sentence in (
        ("ftp://radio.example/", r"ftp"),
        ("no address", r"\w+\.$"),
        (f"{mp3_station}-not", r"\(404\)"),
    ):
        await tab.fill("#url", address)
        await tab.click("text=Test the address")
        await expect(probe.locator(".bad")).to_contain_text(re.compile(sentence))
        assert await tab.input_value("#name") == ""

    await tab.fill("#url", mp3_station)
    await tab.click("text=Test the address")
    await expect(probe).to_contain_text("MP3 at 128 kbit/s")
    await expect(tab.locator("#name")).to_have_value("Test Radio")
    await expect(preview).to_contain_text("Test Radio")

    await tab.fill("#name", "Harbour FM")
    await tab.click("summary:has-text('Title and file name')")
    await tab.fill("#title_pattern", "{weekday} with {stream}")
    await expect(preview).to_contain_text(re.compile(f"{WEEKDAY} with Harbour FM"))
    await tab.fill("#filename_pattern", "{year}/{stream}: all")
    await expect(preview).to_contain_text(re.compile(r"20\d\d/Harbour FM- ?all\.mp3"))
    await tab.fill("#filename_pattern", "{nonsense}")
    await expect(preview).to_contain_text("There is no {nonsense}")
    await tab.fill("#filename_pattern", "{stream}")
    await expect(preview).to_contain_text("FileHarbour FM.mp3")
    await tab.get_by_role("button", name="Save").click()

    await expect(tab.get_by_role("heading", name="Harbour FM", exact=True)).to_be_visible()
    (made,) = [one for one in service.call("GET", "/api/streams")["items"] if one["name"] == "Harbour FM"]
    assert (made["url"], made["title_pattern"]) == (mp3_station, "{weekday} with {stream}")


async def test_covers_are_seen_before_and_after_they_are_sent(
    service: Rolltape, window: Window, tmp_path: Path
) -> None:
    stream = service.add_stream("http://radio.example/", name="Covered FM")
    tab = await window.tab(f"/streams/{stream}")
    shown, addresses = tab.locator("img.cover"), set()
    await expect(shown).to_be_hidden()
    for kind in ("jpeg", "png", "webp"):
        picture = tmp_path / f"cover.{kind}"
        Image.effect_mandelbrot((800, 600), (-2, -1, 1, 1), 20).convert("RGB").save(picture)
        await tab.set_input_files("#file", picture)
        await tab.wait_for_function(f"() => {NATURAL} == 800")
        assert (await shown.get_attribute("src") or "").startswith(f"data:image/{kind}")

        await tab.locator("form:has(#file) button").click()
        await tab.get_by_text("The cover was changed.").wait_for()
        await tab.wait_for_function(f"() => {NATURAL} == 600")
        addresses.add(await shown.get_attribute("src"))
    assert len(addresses) == 3  # a browser keeps a cover for ever; another one has another address

    await tab.get_by_role("button", name="Remove the cover").click()
    await expect(shown).to_be_hidden()
    service.call("GET", f"/api/streams/{stream}/artwork", expect=404)


async def test_what_is_no_cover_gets_a_sentence_and_takes_no_memory(
    service: Rolltape, window: Window, tmp_path: Path
) -> None:
    stream = service.add_stream("http://radio.example/", name="Bare FM")
    tab = await window.tab(f"/streams/{stream}")
    for name, content, sentence in (
        ("cover.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not a JPEG, PNG or"),
        ("cover.png", b"<!doctype html><script>alert(1)</script>", "not a JPEG, PNG or WebP image."),
        ("empty.png", b"", "Choose a picture first."),
        ("vast.png", vast_png(9000), "more than 25 million pixels"),
        ("heavy.jpg", bytes(50 * MB), "too large. At most 11 MB"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        before = memory(service)
        await tab.goto(f"{service.url}/streams/{stream}")
        await tab.set_input_files("#file", file)

        await tab.locator("form:has(#file) button").click()

        await expect(tab.locator("main, body").first).to_contain_text(sentence)
        assert memory(service) - before < MOST_GROWTH, name
    service.call("GET", f"/api/streams/{stream}/artwork", expect=404)


def test_a_body_that_is_refused_is_taken_to_its_end_so_that_the_answer_is_seen(service: Rolltape) -> None:
    head = f"POST /streams/1/cover HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {50 * MB}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as browser:
        browser.sendall(head.encode())
        for _ in range(50):
            browser.sendall(bytes(MB))  # fails where the connection is closed before its end
        answer = browser.recv(65536).decode()

    assert answer.startswith("HTTP/1.1 413 ")


def memory(service: Rolltape) -> int:
    """Bytes that the service holds at this moment."""
    assert service.process is not None
    held: int = psutil.Process(service.process.pid).memory_info().rss
    return held


def vast_png(side: int) -> bytes:
    """A picture of a few hundred KB that is unpacked to 3 bytes for each of its pixels."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


# Without a mouse, and without scripts


async def test_a_recording_is_stopped_with_the_keyboard_alone(
    service: Rolltape, account: tuple[str, str], mp3_station: str
) -> None:
    stream = service.add_stream(mp3_station, name="Night FM")
    fields = {"stream_id": stream, "duration": 600, "name": "Night Concert"}
    session = service.call("POST", "/api/sessions", json=fields)["id"]
    service.wait_until_session(session, lambda found: found["recorded"] > 1)
    async with chromium(service.url, width=375) as window:
        tab = await window.tab("/")
        await reach(tab, "#name")
        await tab.keyboard.type(NAME)
        await reach(tab, "#password")
        await tab.keyboard.type(PASSWORD)
        await tab.keyboard.press("Enter")
        await tab.get_by_role("heading", name="Dashboard").wait_for()

        await reach(tab, ".skip")
        await expect(tab.locator(".skip")).to_be_in_viewport()
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#main")).to_be_focused()

        await tab.reload()
        await reach(tab, ".menu")
        await expect(tab.locator("#nav")).to_be_hidden()
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#nav")).to_be_visible()
        await reach(tab, "#nav a[href$='/sessions']")
        await tab.keyboard.press("Enter")
        await tab.get_by_role("heading", name="Sessions").wait_for()

        await reach(tab, f"#list a[href$='/sessions/{session}']")
        await tab.keyboard.press("Enter")
        await tab.locator("#session").wait_for()
        await reach(tab, f"form[action$='/sessions/{session}/stop'] button")
        await tab.keyboard.press("Enter")
        await tab.get_by_text("Stopped.").wait_for()
        window.notices.assert_none()
    assert service.wait_for(session)["state"] == "done"


async def reach(tab: Page, selector: str) -> None:
    """Press Tab until the focus is there, and see that it shows."""
    for _ in range(60):
        await tab.keyboard.press("Tab")
        if await tab.evaluate("selector => document.activeElement.matches(selector)", selector):
            outline = await tab.evaluate(
                "() => { const how = getComputedStyle(document.activeElement);"
                " return how.outlineStyle !== 'none' || how.boxShadow !== 'none'; }"
            )
            assert outline, f"nobody sees that {selector} has the focus"
            return
    raise AssertionError(f"Tab does not lead to {selector}")


async def test_without_scripts_everything_can_be_done(
    service: Rolltape, account: tuple[str, str], mp3_station: str
) -> None:
    async with chromium(service.url, scripts=False) as window:
        tab = await window.sign_in(*account)
        await add_a_stream(tab, mp3_station)
        await add_a_schedule(tab)
        session = await record_and_stop(tab)
        file = service.recordings / service.wait_for(session)["recording"]["file"]
        assert file.exists()
        await delete(tab, service, session)
        window.notices.assert_none()
    assert service.request("GET", f"/api/sessions/{session}").status_code == 404
    assert not file.exists()
    (schedule,) = [one for one in schedules(service) if one["name"] == "Early Bird"]
    assert schedule["cron"] == "5 6 * * 7"


async def add_a_stream(tab: Page, station: str) -> None:
    await tab.click("nav >> text=Streams")
    await tab.click("text=Add a stream")
    await tab.fill("#url", station)
    await tab.fill("#name", "Plain FM")
    await tab.get_by_role("button", name="Save").click()
    await tab.get_by_role("heading", name="Plain FM", exact=True).wait_for()
    await tab.get_by_role("button", name="Test it now").click()
    await tab.get_by_text("It works.").wait_for()
    await expect(tab.locator("nav.side")).to_be_visible()  # a whole page, not a part of one


async def add_a_schedule(tab: Page) -> None:
    await tab.get_by_role("link", name="Add a schedule").first.click()
    await tab.fill("#name", "Early Bird")
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"):
        await tab.get_by_label(day, exact=True).uncheck()
    await tab.fill("#time", "06:05")
    await tab.get_by_role("button", name="Preview").click()
    await expect(tab.locator("#preview")).to_contain_text("Sunday at 06:05")
    assert await tab.input_value("#cron") == "5 6 * * 7"
    await tab.get_by_role("button", name="Save").click()
    await tab.get_by_text("Saved.").wait_for()


async def record_and_stop(tab: Page) -> int:
    await tab.get_by_role("link", name="Record now Plain FM").click()
    await tab.fill("[name=duration_hours]", "1")
    await tab.locator("main button.btn-primary").click()
    await tab.wait_for_url("**/sessions/*")
    stop = tab.get_by_role("button", name="Stop")
    async with asyncio.timeout(60):
        while not await stop.count() or not await tab.get_by_text(re.compile(r"[2-9] s recorded")).count():
            await asyncio.sleep(0.3)
            await tab.reload()
    await stop.click()
    await tab.get_by_text("Stopped.").wait_for()
    return int(re.findall(r"/sessions/(\d+)", tab.url)[0])


async def delete(tab: Page, service: Rolltape, session: int) -> None:
    await tab.goto(f"{service.url}/sessions/{session}")
    await expect(tab.get_by_text("Every second of it")).to_be_visible()
    await expect(tab.locator("audio")).to_be_visible()
    await tab.get_by_role("link", name="Delete").click()
    await tab.get_by_label("Also delete the file").check()
    await tab.get_by_role("button", name="Delete it").click()
    await tab.get_by_text("Deleted.").wait_for()
