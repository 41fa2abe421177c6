"""Open tabs stay up to date, and do not hold the service up."""

import asyncio

from tests.servers.chromium import Window
from tests.servers.rolltape import Rolltape

TABS = 9  # more than the connections that a browser opens to one host
STOP = 8.0  # s


async def test_nine_tabs_show_at_once_what_another_one_did(service: Rolltape, window: Window, mp3_station: str):
    stream = service.add_stream(mp3_station, name="Harbour FM")
    tabs = [await window.tab("/") for _ in range(TABS)]

    session = await asyncio.to_thread(
        service.call, "POST", "/api/sessions", json={"stream_id": stream, "duration": 600, "name": "Night Concert"}
    )

    for tab in tabs:
        await tab.bring_to_front()
        await tab.get_by_role("heading", name="Night Concert").wait_for(timeout=15_000)
    await asyncio.to_thread(service.call, "POST", f"/api/sessions/{session['id']}/cancel")
    for tab in tabs:
        await tab.bring_to_front()
        await tab.get_by_role("heading", name="Night Concert").wait_for(state="detached", timeout=15_000)


async def test_open_tabs_do_not_delay_the_stop_and_find_the_service_again(service: Rolltape, window: Window):
    tabs = [await window.tab("/") for _ in range(TABS)]
    await asyncio.to_thread(service.add_stream, "http://radio.example/live")
    await tabs[-1].bring_to_front()
    await tabs[-1].get_by_role("link", name="Add the first stream").wait_for(state="detached")  # it is connected

    took = await asyncio.to_thread(service.stop)
    told = tabs[-1].locator("#lost")
    await told.wait_for(state="visible")
    await asyncio.to_thread(service.start)
    await told.wait_for(state="hidden", timeout=30_000)

    assert took < STOP
    window.notices.errors.clear()  # that the connection was lost is what this is about


async def test_what_is_typed_and_what_plays_survives_an_update(service: Rolltape, window: Window, mp3_station: str):
    stream = service.add_stream(mp3_station, name="Harbour FM")
    tab = await window.tab("/streams")
    await tab.fill("#text", "half typed")

    await asyncio.to_thread(service.add_stream, mp3_station, name="Another")
    await tab.get_by_role("link", name="Another", exact=True).wait_for()

    assert await tab.input_value("#text") == "half typed"
    assert stream
