"""Every request is told to the log, and what is refused as a warning."""

from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from rolltape.web import journal
from tests.web.conftest import Browser, Client


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    capture = LogCapture()
    monkeypatch.setattr(journal, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries


async def test_what_is_answered_is_told_without_its_query(client: Client, told: list[Any]) -> None:
    await client.call("GET", "/api/streams?after=&limit=5", expect=422)

    [entry] = told
    assert entry["took"] > 0
    assert entry | {"took": 0} == {
        "log_level": "debug", "event": "a request was answered", "action": "request", "method": "GET",
        "path": "/api/streams", "status": 422, "peer": "127.0.0.1", "took": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "http://evil.example"}, 403), ({"Host": "evil.example"}, 421), ({"Content-Length": "9" * 12}, 413)],
)
async def test_what_is_refused_is_a_warning(
    client: Client, told: list[Any], headers: dict[str, str], status: int
) -> None:
    await client.request("POST", "/api/streams", headers=headers)

    assert [(entry["log_level"], entry["action"], entry["status"]) for entry in told] == [
        ("warning", "request_refused", status)
    ]


async def test_a_path_cannot_forge_a_line(client: Client, told: list[Any]) -> None:
    await client.request("GET", "/api/%0a%0dlogin%20ok")

    assert [entry["path"] for entry in told] == ["/api/\n\rlogin ok"]  # written out by the log


async def test_files_and_health_are_not_told(stranger: Browser, told: list[Any]) -> None:
    await stranger.get("/static/x/app.css")
    await stranger.get("/health/live")

    assert told == []
