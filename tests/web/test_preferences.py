"""Preferences in the API."""

from typing import Any

import pytest

from tests.web.conftest import Client


async def test_a_preference_is_changed_and_brought_back(client: Client) -> None:
    await client.call("PATCH", "/api/preferences", json={"log_retention": 5, "timezone": "Asia/Tokyo"})
    answer = await client.call("PATCH", "/api/preferences", json={"timezone": None})

    values = {item["name"]: item for item in answer["items"]}
    assert (values["log_retention"]["value"], values["log_retention"]["default"]) == (5, 30)
    assert values["timezone"]["value"] == "Europe/Berlin"
    assert await client.call("GET", "/api/preferences") == answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_retention", 0), ("log_retention", "x"), ("log_retention", []), ("timezone", "Mars/Olympus"),
        ("timezone", "\u0000"), ("timezone", {}), ("log_level", "loud"), ("log_levels", "x=y"), ("nonsense", 1),
        ("start_early", -1), ("max_concurrent_sessions", 2**70), ("log_levels", "x" * 5000), ("port", 80),
    ],
)  # fmt: skip
async def test_a_bad_value_is_refused_with_its_field(client: Client, name: str, value: Any) -> None:
    before = await client.call("GET", "/api/preferences")

    fields = await client.refused("PATCH", "/api/preferences", json={"log_size": 5, name: value})

    assert list(fields) == [name]
    assert await client.call("GET", "/api/preferences") == before


@pytest.mark.parametrize("body", ["", "[]", "5", "null", "{", '{"log_size": NaN}'])
async def test_a_body_that_is_none_is_refused(client: Client, body: str) -> None:
    answer = await client.request(
        "PATCH", "/api/preferences", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422


async def test_the_system_tells_what_is_ahead(client: Client) -> None:
    answer = await client.call("GET", "/api/system")

    assert answer["forecast"]["sessions"] == 0
    assert answer["forecast"]["full_at"] is None
    assert answer["forecast"]["free"] > 0


async def test_new_streams_begin_with_the_preferred_padding(client: Client) -> None:
    await client.call("PATCH", "/api/preferences", json={"start_early": 30, "end_late": 90})
    stream = {"name": "One", "url": "http://radio.example/live"}

    usual = await client.call("POST", "/api/streams", json=stream)
    own = await client.call("POST", "/api/streams", json=stream | {"name": "Two", "end_late": 0})

    assert (usual["start_early"], usual["end_late"]) == (30, 90)
    assert (own["start_early"], own["end_late"]) == (30, 0)
