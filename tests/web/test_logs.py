"""The log in the API: filtered, by pages, and as a download."""

import json
from typing import Any

import pytest

from rolltape.domain.log import CURRENT
from tests.web.conftest import Client

HOSTILE = '</script><img src=x onerror=alert(1)>"\u2028'


@pytest.fixture
def told(client: Client) -> None:
    """A log of ten lines; the last one is hostile."""
    folder = client.bench.folder / "log"
    folder.mkdir(exist_ok=True)
    lines = [
        {
            "time": f"2026-06-01T12:00:0{number}.000000Z", "level": ("info", "warning", "error")[number % 3],
            "component": ("capture", "web")[number % 2], "message": f"line {number}", "session_id": number % 4,
        }
        for number in range(9)
    ]  # fmt: skip
    lines.append(lines[0] | {"time": "2026-06-01T12:00:09Z", "message": HOSTILE, "title": HOSTILE})
    (folder / CURRENT).write_text("".join(f"{json.dumps(line)}\n".replace('": ', '":') for line in lines))


async def messages(client: Client, **filters: Any) -> list[str]:
    answer = await client.call("GET", "/api/logs", params=filters)
    return [item["message"] for item in answer["items"]]


@pytest.mark.usefixtures("told")
async def test_lines_come_by_pages(client: Client) -> None:
    first = await client.call("GET", "/api/logs?limit=3")
    second = await client.call("GET", f"/api/logs?limit=3&after={first['next']}")

    assert [item["message"] for item in first["items"]] == [HOSTILE, "line 8", "line 7"]
    assert [item["message"] for item in second["items"]] == ["line 6", "line 5", "line 4"]
    assert first["items"][0]["fields"] == {"title": HOSTILE}


@pytest.mark.usefixtures("told")
async def test_lines_are_filtered(client: Client) -> None:
    assert await messages(client, level="error") == ["line 8", "line 5", "line 2"]
    assert await messages(client, component="web", session_id=3) == ["line 7", "line 3"]
    assert await messages(client, text="LINE 4") == ["line 4"]
    assert await messages(client, since="2026-06-01T12:00:08Z") == [HOSTILE, "line 8"]
    assert await messages(client, component="") == await messages(client)


BAD = [
    "level=loud", "level=", "session_id=0", "session_id=x", "session_id=99999999999", "since=yesterday",
    "since=2026-06-01T12:00:00", "limit=0", "limit=201", "after=nonsense", f"text={'x' * 201}",
    f"component={'x' * 101}",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD)
async def test_a_bad_filter_is_refused_with_its_name(client: Client, query: str) -> None:
    fields = await client.refused("GET", f"/api/logs?{query}")

    assert list(fields) == [query.partition("=")[0]]


@pytest.mark.usefixtures("told")
async def test_the_download_is_text_that_no_browser_shows(client: Client) -> None:
    answer = await client.request("GET", "/api/logs/download?level=error")

    assert answer.text.splitlines()[0].startswith("2026-06-01T12:00:02.000000Z error   [capture] line 2")
    assert len(answer.text.splitlines()) == 3
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")


async def test_without_a_log_there_is_an_empty_list(client: Client) -> None:
    answer = await client.call("GET", "/api/logs")

    assert answer == {"items": [], "next": None, "scanned": 0, "is_cut": False}
