"""The first visit, as a browser without scripts does it."""

import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from rolltape.domain.session import Session, SessionState
from tests.services.conftest import START
from tests.web.conftest import COOKIE, PASSWORD, Browser, Client


async def typed(client: Client, **more: str) -> dict[str, str]:
    """The form of the account, filled in well."""
    code = await client.bench.services.users.setup_code() or ""
    return {"code": code, "name": "listener", "password": PASSWORD, "again": PASSWORD, "timezone": "Asia/Tokyo"} | more


async def set_up(browser: Browser, client: Client, **more: str) -> httpx2.Response:
    return await browser.submit("/setup", **await typed(client, **more))


async def test_a_newcomer_is_led_from_the_account_over_a_station_to_a_recording(
    client: Client, stranger: Browser, mp3_station: str
) -> None:
    first = await stranger.get("/")
    assert first.headers["location"] == "/setup"
    assert "One-time code" in (await stranger.get("/setup")).text

    made = await set_up(stranger, client)
    assert (made.status_code, made.headers["location"]) == (303, "/setup/stream")
    assert client.bench.services.preferences.values.timezone == "Asia/Tokyo"
    assert "Address of the station" in (await stranger.get("/setup/stream")).text

    found = await stranger.submit("/setup/probe", url=mp3_station)
    assert found.status_code == 200
    assert "It works." in found.text
    assert "MP3 at 128 kbit/s" in found.text
    (name,) = re.findall(r'name="name" type="text" value="([^"]+)"', found.text)

    recorded = await stranger.submit("/setup/stream", url=mp3_station, name=name, genre="Jazz", then="test")
    page = await stranger.get(recorded.headers["location"])
    (stream,) = (await client.call("GET", "/api/streams"))["items"]
    (session,) = (await client.call("GET", "/api/sessions"))["items"]
    assert recorded.headers["location"] == f"/setup/recording/{session['id']}"
    assert (stream["name"], stream["genre"], stream["url"]) == (name, "Jazz", mp3_station)
    assert (session["name"], session["stream_id"]) == ("Test recording", stream["id"])
    assert "Connecting to the station" in page.text


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"state": SessionState.RECORDING, "started_at": START}, "Recording half a minute"),
        ({"state": SessionState.PROCESSING, "recorded": 30.0}, "Finishing the file"),
        ({"state": SessionState.DONE, "recorded": 30.0, "file": "a.mp3"}, "<audio controls"),
        ({"state": SessionState.FAILED, "error_message": "<b>It</b> is gone."}, "&lt;b&gt;It&lt;/b&gt; is gone."),
    ],
)
async def test_the_recording_is_told_as_it_goes(
    browser: Browser, client: Client, stream: int, values: dict[str, Any], shown: str
) -> None:
    made = await browser.submit(f"/setup/record/{stream}")
    number = int(made.headers["location"].rpartition("/")[2])
    async with client.bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == number).values(**values))

    page = await browser.get(made.headers["location"])

    assert page.status_code == 200
    assert shown in page.text
    assert ("Try again" in page.text) == (values["state"] is SessionState.FAILED)


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        ({"code": "AAAA-AAAA-AAAA"}, 403, "This is not the code."),
        ({"code": ""}, 403, "This is not the code."),
        ({"name": ""}, 422, "A name is needed."),
        ({"name": "x" * 201}, 422, "A name has at most 200 characters."),
        ({"name": "\u202eanna"}, 422, "There is a character in it that cannot be shown."),
        ({"password": "short", "again": "short"}, 422, "A password has at least 8 characters."),
        ({"password": "x" * 1001, "again": "x" * 1001}, 422, "A password has at most 1000 characters."),
        ({"name": "Annabelle", "password": "annabelle", "again": "annabelle"}, 422, "must not be the name."),
        ({"again": "another password"}, 422, "This is not the same password as above."),
        ({"timezone": "Mars/Olympus"}, 422, "Mars/Olympus"),
        ({"timezone": "../../etc/passwd"}, 422, "passwd"),
    ],
)
async def test_what_cannot_be_taken_is_told_at_its_field_and_the_rest_stays(
    client: Client, stranger: Browser, more: dict[str, str], status: int, sentence: str
) -> None:
    answer = await set_up(stranger, client, **more)

    (field,) = set(re.findall(r'id="(\w+)-error"', answer.text))
    assert answer.status_code == status
    assert field in more
    assert sentence in answer.text
    assert 'value="listener"' in answer.text or "name" in more
    assert PASSWORD not in answer.text
    assert "set-cookie" not in answer.headers
    assert not await client.bench.services.users.exist()


async def test_an_empty_form_and_a_hostile_one_are_shown_again(client: Client, stranger: Browser) -> None:
    empty = await stranger.submit("/setup")
    hostile = await set_up(stranger, client, name='"><script>alert(1)</script>', again="other", timezone="<b>")

    assert (empty.status_code, hostile.status_code) == (422, 422)
    assert "<script>alert" not in hostile.text
    assert "<b>" not in hostile.text


async def test_who_guesses_the_code_is_told_to_wait(client: Client, stranger: Browser) -> None:
    statuses = [(await set_up(stranger, client, code=f"AAAA-AAAA-AAA{number}")).status_code for number in range(2, 9)]
    answer = await set_up(stranger, client)

    assert statuses == [403] * 5 + [429] * 2
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_the_code_no_account_is_made_and_with_it_only_one(client: Client, stranger: Browser) -> None:
    code = (await typed(client))["code"]
    assert (await set_up(stranger, client, code="wrong")).status_code == 403
    assert (await set_up(stranger, client)).status_code == 303
    async with Browser(client.app, peer="192.168.1.66") as eve:
        late = await eve.submit("/setup", **await typed(client, code=code, name="eve"))
        shown = await eve.get("/setup")

    assert late.status_code == 409
    assert "Sign in instead" in late.text
    assert (shown.status_code, shown.headers["location"]) == (303, "/login")
    assert COOKIE not in eve.cookies


async def test_a_zone_that_the_environment_fixes_is_not_asked_for(
    client: Client, stranger: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.bench.services.preferences, "_locked", {"timezone": "TZ"})
    before = client.bench.services.preferences.values.timezone

    page = await stranger.get("/setup")
    made = await set_up(stranger, client, timezone="Asia/Tokyo")

    assert 'name="timezone"' not in page.text
    assert before in page.text
    assert made.status_code == 303
    assert client.bench.services.preferences.values.timezone == before


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "file:///etc/passwd", "http://127.0.0.1:1/nothing", "javascript:alert(1)", "http://" + "x" * 5000],
)
async def test_an_address_that_cannot_be_recorded_is_told_at_the_field(browser: Browser, url: str) -> None:
    answer = await browser.submit("/setup/probe", url=url)

    assert answer.status_code == 422
    assert 'id="url-error"' in answer.text
    assert "Skip this step" in answer.text


async def test_a_station_needs_a_name_that_is_free(browser: Browser, client: Client, stream: int) -> None:
    address = "http://radio.example/live"

    unnamed = await browser.submit("/setup/stream", url=address, name="", then="test")
    taken = await browser.submit("/setup/stream", url=address, name="Radio", genre="Jazz", then="test")
    kept = await browser.submit("/setup/stream", url=address, name="Another", then="keep")

    assert (unnamed.status_code, taken.status_code) == (422, 422)
    assert 'id="name-error"' in unnamed.text
    assert "There is a stream named Radio already." in taken.text
    assert 'value="Jazz"' in taken.text
    assert (kept.status_code, kept.headers["location"]) == (303, "/?note=welcome")
    assert (await client.call("GET", "/api/sessions"))["items"] == []


async def test_every_step_after_the_account_can_be_left_out(browser: Browser, stream: int) -> None:
    recording = (await browser.submit(f"/setup/record/{stream}")).headers["location"]
    for path in ("/setup/stream", recording):
        assert 'href="/?note=welcome">Skip this step' in (await browser.get(path)).text


async def test_what_is_not_there_is_told(browser: Browser) -> None:
    assert (await browser.get("/setup/recording/999")).status_code == 404
    assert (await browser.submit("/setup/record/999")).status_code == 404
    assert (await browser.get("/setup/recording/x")).status_code == 422
