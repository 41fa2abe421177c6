"""Who may ask, for what, how much."""

from collections.abc import AsyncIterator

import pytest

from rolltape.web.api import ROUTES
from rolltape.web.guard import LARGEST_BODY, OPEN
from tests.web.conftest import Client

NUMBERS = ("{stream_id}", "{schedule_id}", "{session_id}", "{destination_id}", "{transfer_id}")


def filled_in(path: str) -> str:
    for name in NUMBERS:
        path = path.replace(name, "1")
    return f"/api{path}"


async def test_every_route_needs_a_token(client: Client) -> None:
    walked = [(method, filled_in(path)) for method, path, *_ in ROUTES]
    walked += [("GET", "/api/openapi.json"), ("GET", "/api/docs"), ("GET", "/metrics"), ("GET", "/nothing")]
    assert len(walked) > 35

    for method, path in walked:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic dTpw"}):
            answer = await client.request(method, path, token=False, headers={"Origin": "http://rolltape", **headers})
            assert answer.status_code == 401, (method, path)
            assert answer.json()["error"]["code"] == "unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_routes_in_the_table_are_all_there_are(client: Client) -> None:
    document = await client.call("GET", "/api/openapi.json")

    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert listed == {(method, f"/api{path}") for method, path, *_ in ROUTES}


async def test_what_is_open_says_little(client: Client) -> None:
    for path in sorted(OPEN):
        answer = await client.request("GET", path, token=False)
        assert answer.status_code == 200
        assert len(answer.content) < 150
        assert "0.1" not in answer.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8666", "radio.example.org.evil.example", "", "a b", "[::1", "1.2.3.4.evil.com"],
)
async def test_a_name_that_others_control_is_refused(client: Client, host: str) -> None:
    answer = await client.request("GET", "/api/system", headers={"Host": host})

    assert answer.status_code == 421
    assert "ROLLTAPE_ALLOWED_HOSTS" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    ["localhost:8666", "192.168.1.5:8666", "[fe80::1]:8666", "nas", "nas.local", "nas.lan", "x.home.arpa:1",
     "radio.example.org", "RADIO.example.org:443"],
)  # fmt: skip
async def test_names_of_the_local_network_are_known(client: Client, host: str) -> None:
    assert (await client.request("GET", "/api/system", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://rolltape:9999"},
        {"Origin": "https://rolltape"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://rolltape"},
    ],
)
async def test_other_sites_change_nothing(client: Client, stream: int, headers: dict[str, str]) -> None:
    for method, path, more in (
        ("POST", "/api/sessions", {"json": {"stream_id": stream, "duration": 60}}),
        ("PUT", f"/api/streams/{stream}/artwork", {"files": {"file": b"x"}}),
        ("DELETE", f"/api/streams/{stream}", {}),
    ):
        answer = await client.request(method, path, headers=headers, **more)
        assert answer.status_code == 403
    assert (await client.call("GET", "/api/sessions"))["items"] == []


async def test_without_an_origin_only_a_token_may_change_things(client: Client, stream: int) -> None:
    body = {"stream_id": stream, "duration": 60}

    assert (await client.request("POST", "/api/sessions", json=body, token=False)).status_code == 403
    assert (await client.request("POST", "/api/sessions", json=body)).status_code == 201


async def test_a_body_that_is_too_large_is_refused_announced_or_not(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    announced = await client.request("POST", "/api/streams", content=b"x" * (LARGEST_BODY + 1))
    streamed = await client.request("POST", "/api/streams", content=endless())

    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert streamed.json()["error"]["code"] == "too_large"


async def test_answers_carry_the_headers_that_protect_browsers(client: Client) -> None:
    for path in ("/", "/api/system", "/api/streams/999"):
        headers = (await client.request("GET", path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert (await client.request("GET", "/api/system")).headers["cache-control"] == "no-store"


async def test_what_is_not_there_and_what_cannot_be_done(client: Client) -> None:
    missing = await client.request("GET", "/api/nothing")
    impossible = await client.request("DELETE", "/api/system")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (impossible.status_code, impossible.json()["error"]["code"]) == (405, "method_not_allowed")
