"""Who may ask, for what, how much."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from rolltape import web
from rolltape.web.access import local_path, way_to_login
from rolltape.web.api import ROUTES
from rolltape.web.application import routes
from rolltape.web.guard import LARGEST_BODY, LARGEST_UPLOAD, OPEN
from rolltape.web.pages import PAGES
from tests.web.conftest import COOKIE, PASSWORD, Browser, Client

OWN = {"Origin": "http://rolltape"}
LONGEST_OPEN = 50  # bytes of an answer about the health: whether, not what
USELESS = [
    {}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic dTpw"}, {"Cookie": f"{COOKIE}=nonsense"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Remote-User": "admin"},
]  # fmt: skip
CHANGES = [
    ("POST", "/api/sessions"), ("DELETE", "/api/streams/1"), ("POST", "/logout"), ("POST", "/login"),
    ("POST", "/streams/1/delete"), ("POST", "/api/tokens"),
]  # fmt: skip
EVIL_HOSTS = [
    "evil.example", "evil.example:8666", "radio.example.org.evil.example", "", "a b", "[::1", "1.2.3.4.evil.com",
    "user@rolltape", "rolltape/x", "rolltape?x", "rolltape\\x",
]  # fmt: skip


def all_routes(client: Client) -> list[tuple[str, str]]:
    """Method and path of everything that the application answers to, with numbers filled in."""
    app = routes()
    found: list[tuple[str, str]] = []
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):
            found.append(("GET", f"{route.path}/app.css"))
        else:
            path = re.sub(r"{[^}]+}", "1", route.path or "")
            found += [(method, path) for method in sorted(route.methods or ())]
    assert len(found) > len(ROUTES) + len(PAGES)
    return found


def is_for_programs(path: str) -> bool:
    return path.startswith("/api/") or path == "/metrics"


async def test_every_route_needs_a_login_or_a_token(client: Client, stranger: Browser) -> None:
    await client.bench.services.users.create("listener", PASSWORD)
    walked = [*all_routes(client), ("GET", "/api/docs"), ("GET", "/metrics"), ("GET", "/nothing"), ("PUT", "/api")]
    opened = set()

    for method, path in walked:
        for headers in USELESS:
            answer = await stranger.request(method, path, headers=OWN | headers)
            if path in OPEN or path.startswith("/static/"):
                opened.add(path)
            elif is_for_programs(path) or path == "/api":
                assert answer.status_code == 401, (method, path, headers)
                assert method == "HEAD" or answer.json()["error"]["code"] == "unauthorized"
                assert answer.headers["www-authenticate"] == "Bearer"
            else:
                assert answer.status_code == 303, (method, path, headers)
                assert answer.headers["location"].partition("?")[0] == "/login"
                assert not answer.content
    assert {path for path in opened if not path.startswith("/static/")} <= OPEN
    assert len(opened) >= 3


async def test_the_routes_in_the_table_are_all_there_are(client: Client) -> None:
    document = await client.call("GET", "/api/openapi.json")

    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert listed == {(method, f"/api{path}") for method, path, *_ in ROUTES}


async def test_the_health_says_little_to_strangers(client: Client) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = await client.request("GET", path, token=False)
        assert answer.status_code == 200
        assert len(answer.content) < LONGEST_OPEN
        assert "0.1" not in answer.text
        assert "server" not in answer.headers
    assert (await client.request("GET", "/health/else", token=False)).status_code == 401


# Before there is an account, and without a login


async def test_before_there_is_an_account_every_page_leads_to_the_first_visit(client: Client) -> None:
    for path in ("/", "/streams", "/sessions?state=done", "/nothing", "/setup/stream"):
        answer = await client.request("GET", path, token=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup")
    assert (await client.request("GET", "/api/system", token=False)).status_code == 401


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/", "/login"),
        ("/streams", "/login?next=/streams"),
        ("/sessions?state=done&stream_id=1", "/login?next=/sessions%3Fstate%3Ddone%26stream_id%3D1"),
        ("/a%0d%0aSet-Cookie:%20x=1", "/login?next=/a%250D%250ASet-Cookie%253A%2520x%253D1"),
        ("/streams%2f..%2f\u00e9", "/login?next=/streams/../%25C3%25A9"),
        ("//evil.example/x", "/login"),
    ],
)
async def test_a_page_leads_to_the_login_and_from_there_back(client: Client, asked: str, led_to: str) -> None:
    await client.bench.services.users.create("listener", PASSWORD)

    answer = await client.request("GET", f"http://rolltape{asked}", token=False)

    assert (answer.status_code, answer.headers["location"]) == (303, led_to)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "text",
    ["", "streams", "http://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
     "/\n", "/a\x00", "javascript:alert(1)", " /streams", "/" + "x" * 5000, "/\u2028", "/\ud800", "///evil.example"],
)  # fmt: skip
def test_what_is_no_path_of_ours_leads_to_the_dashboard(text: str) -> None:
    assert local_path(text) == "/"


def test_paths_of_ours_are_led_to() -> None:
    for path in ("/", "/streams", "/sessions?state=done&since=2026-01-05T09:00:00Z", "/streams/1/edit"):
        assert local_path(path) == path
    assert way_to_login("/", "note=saved") == "/login?next=/%3Fnote%3Dsaved"


async def test_who_is_signed_in_comes_in_and_who_signs_out_does_not(browser: Browser, client: Client) -> None:
    assert (await browser.get("/api/system")).status_code == 200
    assert (await browser.get("/streams")).status_code == 200

    await client.bench.services.users.log_out(browser.cookies[COOKIE])

    assert (await browser.get("/api/system")).status_code == 401
    assert (await browser.get("/streams")).status_code == 303


async def test_a_wrong_token_is_not_made_good_by_a_login(browser: Browser) -> None:
    answer = await browser.get("/api/system", headers={"Authorization": "Bearer nonsense"})

    assert answer.status_code == 401


async def test_the_cookie_of_another_port_is_none_of_ours(browser: Browser) -> None:
    value = browser.cookies[COOKIE]
    browser.cookies.clear()
    for name in ("rolltape_9999", "rolltape", "session"):
        browser.cookies.set(name, value)

    assert (await browser.get("/api/system")).status_code == 401


# Other names, other sites


@pytest.mark.parametrize("host", EVIL_HOSTS)
async def test_a_name_that_others_control_is_refused(client: Client, host: str) -> None:
    answer = await client.request("GET", "/api/system", headers={"Host": host})

    assert answer.status_code == 421
    assert "ROLLTAPE_ALLOWED_HOSTS" in answer.json()["error"]["message"]


async def test_a_name_that_others_control_is_refused_on_every_route(browser: Browser, client: Client) -> None:
    token = {"Authorization": f"Bearer {client.token}"}
    for method, path in all_routes(client):
        headers = {"Host": "evil.example:8666", "Origin": "http://evil.example:8666"}
        for more in ({}, token):
            answer = await browser.request(method, path, headers=headers | more)
            assert answer.status_code == 421, (method, path)


async def test_somebody_with_a_browser_is_told_so_in_a_page_that_cannot_be_spoken_for(stranger: Browser) -> None:
    answer = await stranger.get("/<script>alert(1)</script>", headers={"Host": "<b>evil.example</b>"})

    assert answer.status_code == 421
    assert answer.headers["content-type"].startswith("text/html")
    assert "ROLLTAPE_ALLOWED_HOSTS" in answer.text
    assert "<script" not in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    "host",
    ["localhost:8666", "192.168.1.5:8666", "[fe80::1]:8666", "nas", "nas.local", "nas.lan", "x.home.arpa:1",
     "radio.example.org", "RADIO.example.org:443"],
)  # fmt: skip
async def test_names_of_the_local_network_are_known(client: Client, host: str) -> None:
    assert (await client.request("GET", "/api/system", headers={"Host": host})).status_code == 200


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://rolltape:9999"},
    {"Origin": "https://rolltape"},
    {"Origin": "http://rolltape.evil.example"},
    {"Origin": "http://evil.example#http://rolltape"},
    {"Origin": "http://rolltape@evil.example"},
    {"Origin": "http://rolltape/"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://rolltape"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_other_sites_change_nothing(client: Client, stream: int, headers: dict[str, str]) -> None:
    for method, path, more in (
        ("POST", "/api/sessions", {"json": {"stream_id": stream, "duration": 60}}),
        ("PUT", f"/api/streams/{stream}/artwork", {"files": {"file": b"x"}}),
        ("DELETE", f"/api/streams/{stream}", {}),
    ):
        answer = await client.request(method, path, headers=headers, **more)
        assert answer.status_code == 403
    assert (await client.call("GET", "/api/sessions"))["items"] == []


@pytest.mark.parametrize("headers", [{}, *FOREIGN])
async def test_other_sites_cannot_use_a_login(
    browser: Browser, client: Client, stream: int, headers: dict[str, str]
) -> None:
    body = f'{{"stream_id": {stream}, "duration": 60}}'
    bodies: list[dict[str, Any]] = [
        {"content": body, "headers": {"Content-Type": "application/json"}},
        {"content": body, "headers": {"Content-Type": "text/plain"}},
        {"data": {"stream_id": str(stream), "duration": "60"}},
        {"files": {"file": b"x"}},
        {},
    ]
    for method, path in CHANGES:
        for more in bodies:
            sent = more | {"headers": more.get("headers", {}) | headers}
            answer = await browser.request(method, path, **sent)
            assert answer.status_code == 403, (method, path, sent)

    assert (await client.call("GET", "/api/sessions"))["items"] == []
    assert len((await client.call("GET", "/api/streams"))["items"]) == 1
    assert len(await client.bench.services.tokens.all()) == 1
    assert (await browser.get("/api/system")).status_code == 200


async def test_every_route_that_changes_things_refuses_other_sites(browser: Browser, client: Client) -> None:
    for method, path in all_routes(client):
        if method not in ("GET", "HEAD", "OPTIONS"):
            answer = await browser.request(method, path, headers={"Origin": "http://rolltape:9999"})
            assert answer.status_code == 403, (method, path)


async def test_a_login_changes_things_from_our_own_pages(browser: Browser, stream: int) -> None:
    body = {"stream_id": stream, "duration": 60}

    answer = await browser.post("/api/sessions", json=body, headers=OWN | {"Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 201


async def test_without_an_origin_only_a_token_may_change_things(client: Client, stream: int) -> None:
    body = {"stream_id": stream, "duration": 60}

    assert (await client.request("POST", "/api/sessions", json=body, token=False)).status_code == 403
    assert (await client.request("POST", "/api/sessions", json=body)).status_code == 201


async def test_no_get_changes_anything(browser: Browser, client: Client, stream: int) -> None:
    before = [await client.call("GET", f"/api/{noun}") for noun in ("streams", "schedules", "sessions", "tokens")]

    for method, path in all_routes(client):
        if method == "GET" and path != "/api/events":
            await browser.get(path)

    after = [await client.call("GET", f"/api/{noun}") for noun in ("streams", "schedules", "sessions", "tokens")]
    after[3]["items"][0]["last_used_at"] = before[3]["items"][0]["last_used_at"]
    assert after == before


# Proxies


def behind(client: Client, *proxies: str) -> Any:
    return web.create(client.bench.services, allowed_hosts=[], trusted_proxies=list(proxies))


async def test_forwarded_headers_of_strangers_are_ignored(client: Client) -> None:
    await client.bench.services.users.create("listener", PASSWORD)
    forged = {"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https", "X-Real-IP": "127.0.0.1"}
    for app in (client.app, behind(client, "172.16.0.0/12")):
        async with Browser(app, peer="192.168.1.66") as stranger:
            https = await stranger.post("/api/streams", headers=forged | {"Origin": "https://rolltape"})
            identity = await stranger.get("/api/system", headers=forged | {"X-Remote-User": "listener"})
        assert https.status_code == 403
        assert "ROLLTAPE_TRUSTED_PROXIES" in https.json()["error"]["message"]
        assert identity.status_code == 401


async def test_forwarded_headers_of_a_listed_proxy_count(client: Client, browser: Browser, stream: int) -> None:
    async with Browser(behind(client, "172.16.0.0/12"), peer="172.17.0.2") as proxy:
        proxy.cookies = browser.cookies
        headers = {"X-Forwarded-Proto": "https", "Origin": "https://rolltape", "X-Forwarded-For": "10.9.9.9"}
        made = await proxy.post("/api/sessions", json={"stream_id": stream, "duration": 60}, headers=headers)
        plain = await proxy.post("/api/sessions", json={}, headers=headers | {"Origin": "http://rolltape"})

    assert made.status_code == 201
    assert plain.status_code == 403


@pytest.mark.parametrize("path", ["/radio/streams", "/streams"])
async def test_below_a_path_people_are_led_there(client: Client, path: str) -> None:
    app = web.create(client.bench.services, allowed_hosts=[], base_path="/radio")
    async with Browser(app) as stranger:
        first = await stranger.get(path)
        await client.bench.services.users.create("listener", PASSWORD)
        later = await stranger.get(path)

    assert first.headers["location"] == "/radio/setup"
    assert later.headers["location"] == "/radio/login?next=/streams"


# How much


@pytest.mark.parametrize("path", ["/api/streams", "/login", "/setup"])
async def test_a_body_that_is_too_large_is_refused_announced_or_not(client: Client, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b"a" * 65536

    form = {"Content-Type": "application/x-www-form-urlencoded"} | OWN
    announced = await client.request("POST", path, content=b"x" * (LARGEST_BODY + 1), headers=form)
    streamed = await client.request("POST", path, content=endless(), headers=form)

    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert sent < 2 * LARGEST_BODY
    if path.startswith("/api"):
        assert streamed.json()["error"]["code"] == "too_large"


async def test_a_cover_may_be_larger_than_a_form(client: Client, stream: int) -> None:
    for method, path in (("PUT", f"/api/streams/{stream}/artwork"), ("POST", f"/streams/{stream}/cover")):
        fits = await client.request(method, path, files={"file": b"x" * (LARGEST_BODY + 1)})
        too_large = await client.request(method, path, content=b"x" * (LARGEST_UPLOAD + 1))
        assert fits.status_code != 413
        assert too_large.status_code == 413


async def test_a_length_that_is_no_number_is_refused(client: Client) -> None:
    for length in ("-1", "1e9", "x", "\u00b2".encode()):
        answer = await client.request("POST", "/api/streams", headers={"Content-Length": length})
        assert answer.status_code == 413


async def test_a_body_that_does_not_end_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolltape.web.guard.LONGEST_UPLOAD", 0.2)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await client.request("POST", "/api/streams", content=stuck())

    assert answer.status_code == 408


# What browsers are told


async def test_answers_carry_the_headers_that_protect_browsers(browser: Browser, client: Client) -> None:
    answers = [await browser.get(path) for path in ("/", "/streams", "/api/system", "/api/streams/999", "/nothing")]
    answers += [await browser.get("/streams/999"), await browser.delete("/api/system", headers=OWN)]
    answers += [await browser.post("/api/streams"), await browser.get("/", headers={"Host": "evil.example"})]
    answers += [await client.request("GET", path, token=False) for path in ("/", "/login", "/setup", "/health/live")]

    assert {answer.status_code for answer in answers} >= {200, 303, 403, 404, 405, 421}
    for answer in answers:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


async def test_only_static_files_are_kept_by_browsers(stranger: Browser, client: Client) -> None:
    ((_, path),) = [route for route in all_routes(client) if route[1].startswith("/static/")]

    answer = await stranger.get(path)

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/static/../api/system", "/static/1/../../../pyproject.toml", "/static/%2e%2e/login"])
async def test_below_the_static_files_there_is_nothing_else(stranger: Browser, path: str) -> None:
    answer = await stranger.get(f"http://rolltape{path}")

    assert answer.status_code in (303, 401, 404), path


async def test_what_is_not_there_and_what_cannot_be_done(client: Client) -> None:
    missing = await client.request("GET", "/api/nothing")
    impossible = await client.request("DELETE", "/api/system")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (impossible.status_code, impossible.json()["error"]["code"]) == (405, "method_not_allowed")
