"""Password, signed-in browsers and API tokens: the page and the API."""

import re
from collections.abc import AsyncIterator

import pytest

from rolltape.web.pages.account import browser_name
from tests.web.conftest import COOKIE, PASSWORD, Browser, Client

OWN = {"Origin": "http://rolltape"}
PAGE = "/system/account"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def other(client: Client, browser: Browser) -> AsyncIterator[Browser]:
    """A second browser in which listener is signed in."""
    async with Browser(client.app, peer="192.168.1.30") as second:
        second.headers["User-Agent"] = FIREFOX
        await second.submit("/login", name="listener", password=PASSWORD)
        yield second


# The page


async def test_the_page_names_the_browsers_and_the_tokens(browser: Browser, other: Browser) -> None:
    page = await browser.get(PAGE)

    assert page.status_code == 200
    assert "Firefox on Linux" in page.text
    assert "192.168.1.30" in page.text
    assert "This one" in page.text
    assert "tests" in page.text


async def test_another_browser_is_signed_out(browser: Browser, other: Browser) -> None:
    (path,) = re.findall(r'action="(/system/account/logins/\d+/end)"', (await browser.get(PAGE)).text)

    answer = await browser.submit(path)

    assert answer.headers["location"] == f"{PAGE}?note=ended"
    assert (await other.get(PAGE)).status_code == 303
    assert (await browser.submit(path)).status_code == 404


async def test_a_new_password_signs_the_others_out(browser: Browser, other: Browser) -> None:
    new = "another password"

    answer = await browser.submit(f"{PAGE}/password", old=PASSWORD, new=new, again=new)

    assert answer.headers["location"] == f"{PAGE}?note=password"
    assert (await browser.get(PAGE)).status_code == 200
    assert (await other.get(PAGE)).status_code == 303
    assert (await other.submit("/login", name="listener", password=PASSWORD)).status_code == 422
    assert (await other.submit("/login", name="listener", password=new)).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "again", "field"),
    [
        ("wrong password", "another password", "another password", "old"),
        ("", "another password", "another password", "old"),
        (PASSWORD, "short", "short", "new"),
        (PASSWORD, "x" * 1001, "x" * 1001, "new"),
        (PASSWORD, "another password", "yet another", "again"),
        (PASSWORD, "", "", "new"),
    ],
)
async def test_a_password_that_cannot_be_taken_is_told_at_its_field(
    browser: Browser, old: str, new: str, again: str, field: str
) -> None:
    answer = await browser.submit(f"{PAGE}/password", old=old, new=new, again=again)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert "another password" not in answer.text
    assert PASSWORD not in answer.text
    assert (await browser.submit("/login", name="listener", password=PASSWORD)).status_code == 303


async def test_a_token_is_shown_once_and_works_until_it_is_deleted(browser: Browser, client: Client) -> None:
    made = await browser.submit(f"{PAGE}/tokens", name="backup <b>script</b>")
    (token,) = re.findall(r'value="(rt_[\w-]+)"', made.text)
    page = await browser.get(PAGE)
    (asked,) = re.findall(r'href="(/system/account/tokens/2/delete)"', page.text)
    question = await browser.get(asked)

    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert token not in page.text
    assert "<b>" not in page.text + question.text
    assert (await client.request("GET", "/api/system", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    assert (await browser.submit(asked)).headers["location"] == f"{PAGE}?note=deleted"
    assert (await client.request("GET", "/api/system", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    assert (await browser.get(asked)).status_code == 404


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00b", "\u202eabc"])
async def test_a_token_needs_a_name_that_can_be_shown(browser: Browser, client: Client, name: str) -> None:
    answer = await browser.submit(f"{PAGE}/tokens", name=name)

    assert answer.status_code == 422
    assert 'id="name-error"' in answer.text
    assert len(await client.bench.services.tokens.all()) == 1


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on an iPhone"),
        ("curl/8.0", "curl/8.0"),
        ("", "A browser without a name"),
        ("x" * 200, "x" * 40),
    ],
)
def test_browsers_are_called_what_people_call_them(agent: str, name: str) -> None:
    assert browser_name(agent) == name


# The API


async def test_tokens_in_the_api(client: Client) -> None:
    made = await client.call("POST", "/api/tokens", json={"name": " script "}, expect=201)
    listed = (await client.call("GET", "/api/tokens"))["items"]

    assert set(made) == {"id", "name", "token"}
    assert made["name"] == "script"
    assert [token["name"] for token in listed] == ["script", "tests"]
    assert made["token"] not in str(listed)
    await client.call("DELETE", f"/api/tokens/{made['id']}", expect=204)
    await client.call("DELETE", f"/api/tokens/{made['id']}", expect=404)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 201}, {"name": 5}, {"name": "\ud800"}, {"x": 1}, []])
async def test_tokens_with_names_that_cannot_be_used_are_refused(client: Client, body: object) -> None:
    assert await client.refused("POST", "/api/tokens", json=body)


async def test_logins_in_the_api(client: Client, browser: Browser, other: Browser) -> None:
    mine = (await browser.get("/api/logins")).json()["items"]
    by_token = (await client.call("GET", "/api/logins"))["items"]

    assert sorted(login["is_this"] for login in mine) == [False, True]
    assert [login["is_this"] for login in by_token] == [False, False]
    assert "sha256" not in mine[0]
    (second,) = (login for login in mine if not login["is_this"])
    assert (second["peer"], second["agent"]) == ("192.168.1.30", FIREFOX)

    assert (await browser.delete(f"/api/logins/{second['id']}", headers=OWN)).status_code == 204
    assert (await other.get("/api/system")).status_code == 401
    await client.call("DELETE", f"/api/logins/{second['id']}", expect=404)


async def test_the_password_in_the_api(client: Client, browser: Browser, other: Browser) -> None:
    async def change(**body: object) -> int:
        return (await browser.post("/api/account/password", json=body, headers=OWN)).status_code

    assert await change(old="wrong password", new="another password") == 422
    assert await change(old=PASSWORD, new="short") == 422
    assert await change(old=PASSWORD, new="x" * 5000) == 422
    assert await change(old=PASSWORD) == 422
    assert await change(old=PASSWORD, new="another password") == 204
    assert (await other.get("/api/system")).status_code == 401
    assert COOKIE in browser.cookies
    by_token = await client.call(
        "POST", "/api/account/password", json={"old": PASSWORD, "new": "another password"}, expect=409
    )
    assert "token" in by_token["error"]["message"]


async def test_guessing_the_password_in_the_api_is_answered_with_the_wait(browser: Browser) -> None:
    body = {"old": "wrong password", "new": "another password"}

    answers = [await browser.post("/api/account/password", json=body, headers=OWN) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json()["error"]["code"] == "too_many_attempts"
