"""Signing in and out, as a browser without scripts does it."""

import re
from datetime import timedelta

import pytest

from rolltape import web
from tests.web.conftest import COOKIE, PASSWORD, Browser, Client


@pytest.fixture(autouse=True)
async def _account(client: Client) -> None:
    await client.bench.services.users.create("listener", PASSWORD)


async def sign_in(browser: Browser, **fields: str):
    return await browser.submit("/login", **{"name": "listener", "password": PASSWORD} | fields)


async def test_who_signs_in_comes_to_the_page_that_was_asked_for(stranger: Browser) -> None:
    asked = await stranger.get("/streams?text=a%20b")
    page = await stranger.get(asked.headers["location"])
    (leads_to,) = re.findall(r'name="next" value="([^"]*)"', page.text)

    answer = await sign_in(stranger, next=leads_to)

    assert (answer.status_code, answer.headers["location"]) == (303, "/streams?text=a%20b")
    assert (await stranger.get(answer.headers["location"])).status_code == 200


async def test_the_cookie_is_for_this_browser_and_this_port_only(client: Client) -> None:
    app = web.create(client.bench.services, allowed_hosts=[], port=8777, base_path="/radio")
    async with Browser(app) as browser:
        answer = await browser.submit("/radio/login", name="listener", password=PASSWORD)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("rolltape_8777=")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "samesite=strict", "path=/radio"}
    assert answer.headers["location"] == "/radio/"


async def test_over_https_the_cookie_stays_there_and_who_stays_signed_in_keeps_it(client: Client) -> None:
    async with Browser(client.app, base_url="https://rolltape") as browser:
        answer = await sign_in(browser, remember="on")

    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"secure", "httponly", "samesite=strict", "path=/"} < parts
    assert f"max-age={int(timedelta(days=180).total_seconds())}" in parts


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "wrong password"},
        {"password": ""},
        {"name": "nobody"},
        {"name": ""},
        {"name": "\x00", "password": "\x00"},
        {"name": "x" * 100_000, "password": "x" * 100_000},
        {"name": "<script>alert(1)</script>"},
        {"name": '" onmouseover="alert(1)'},
    ],
)
async def test_what_is_wrong_is_told_and_the_name_stays(stranger: Browser, fields: dict[str, str]) -> None:
    answer = await sign_in(stranger, **fields)

    assert answer.status_code == 422
    assert "The name or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers
    assert "<script>alert" not in answer.text
    assert 'onmouseover="' not in answer.text
    assert not re.search(r'name="password"[^>]*value="[^"]', answer.text)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe=\x00", b"name&password", b"name=listener&name=ben&password[]=x"])
async def test_a_form_that_is_none_is_a_wrong_login(stranger: Browser, body: bytes) -> None:
    headers = {"Origin": stranger.origin, "Content-Type": "application/x-www-form-urlencoded"}

    assert (await stranger.post("/login", content=body, headers=headers)).status_code == 422


async def test_a_file_in_place_of_a_password_is_none(stranger: Browser) -> None:
    answer = await stranger.post(
        "/login", data={"name": "listener"}, files={"password": b"correct horse"}, headers={"Origin": stranger.origin}
    )

    assert answer.status_code == 422


async def test_twenty_wrong_passwords_are_stopped_at_the_sixth(stranger: Browser, browser_signed_in: Browser) -> None:
    statuses = []
    for _ in range(20):
        answer = await sign_in(stranger, password="wrong password")
        statuses.append(answer.status_code)

    assert statuses == [422] * 5 + [429] * 15
    assert answer.headers["retry-after"] == "2"
    assert "Wait 2 seconds" in answer.text
    assert (await sign_in(stranger)).status_code == 429
    assert (await browser_signed_in.get("/streams")).status_code == 200


@pytest.fixture
async def browser_signed_in(client: Client):
    async with Browser(client.app, peer="192.168.1.30") as browser:
        assert (await sign_in(browser)).status_code == 303
        yield browser


@pytest.mark.parametrize("leads_to", ["//evil.example", "http://evil.example", "/\\evil.example", "javascript:x", ""])
async def test_nobody_is_led_to_another_site(stranger: Browser, leads_to: str) -> None:
    page = await stranger.get("/login", params={"next": leads_to})
    answer = await sign_in(stranger, next=leads_to)
    again = await stranger.get("/login", params={"next": leads_to})

    assert "evil" not in page.text
    assert answer.headers["location"] == "/"
    assert (again.status_code, again.headers["location"]) == (303, "/")


async def test_who_signs_out_has_to_sign_in_again(browser_signed_in: Browser, client: Client) -> None:
    value = browser_signed_in.cookies[COOKIE]

    answer = await browser_signed_in.submit("/logout")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?note=signed-out")
    assert COOKIE not in browser_signed_in.cookies
    browser_signed_in.cookies.set(COOKIE, value)
    assert (await browser_signed_in.get("/streams")).status_code == 303


async def test_a_link_cannot_sign_anybody_out(browser_signed_in: Browser) -> None:
    assert (await browser_signed_in.get("/logout")).status_code == 405
    assert (await browser_signed_in.get("/streams")).status_code == 200
