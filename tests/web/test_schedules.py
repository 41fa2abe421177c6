"""Schedules in the API: previews, what comes next, the week, and one that is left out."""

from typing import Any

import pytest

from tests.web.conftest import Client

SCHEDULE = {"name": "Show", "cron": "0 20 * * *", "timezone": "Europe/Berlin", "duration": 3600}
WEEK = "/api/schedules/week?start=2026-06-01"  # the bench stands at noon of this Monday, in UTC
LONG = "x" * 10_000


@pytest.fixture
async def schedule(client: Client, stream: int) -> int:
    number: int = (await client.call("POST", "/api/schedules", json=SCHEDULE | {"stream_id": stream}))["id"]
    return number


async def test_a_preview_has_the_plain_choice_and_the_readers_time(client: Client) -> None:
    asked = {"cron": "30 9 * * mon-fri", "timezone": "Europe/Berlin", "reader_timezone": "Asia/Tokyo", "count": 1}
    answer = await client.call("POST", "/api/schedules/preview", json=asked)

    assert answer["plain"] == {
        "kind": "weekly", "days": [1, 2, 3, 4, 5], "weeks": [1], "dates": [1], "interval": 1, "hour": 9, "minute": 30,
    }  # fmt: skip
    (occurrence,) = answer["occurrences"]
    assert occurrence["local_start"] == "2026-06-02T09:30:00+02:00"
    assert occurrence["reader_start"] == "2026-06-02T16:30:00+09:00"


async def test_a_preview_without_plain_choice_and_reader(client: Client) -> None:
    for asked in ({"cron": "*/10 9-17 * 6 *"}, {"at": "2026-12-24T20:00:00"}):
        answer = await client.call("POST", "/api/schedules/preview", json=asked)

        assert answer["plain"] is None
        assert answer["occurrences"][0]["reader_start"] is None


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", LONG, 5, "\x00", "UTC\n", "\ud800"])
async def test_a_preview_for_a_reader_nowhere(client: Client, zone: Any) -> None:
    refused = await client.refused("POST", "/api/schedules/preview", json={"cron": "@daily", "reader_timezone": zone})

    assert set(refused) == {"reader_timezone"}


async def test_what_comes_next(client: Client, schedule: int) -> None:
    items = (await client.call("GET", "/api/schedules/upcoming"))["items"]

    assert [(item["schedule_id"], item["start"]) for item in items[:2]] == [
        (schedule, "2026-06-01T18:00:00Z"),
        (schedule, "2026-06-02T18:00:00Z"),
    ]
    assert [item["state"] for item in items] == ["scheduled", "scheduled", None, None, None]
    assert len((await client.call("GET", "/api/schedules/upcoming?limit=2"))["items"]) == 2


async def test_the_week(client: Client, stream: int, schedule: int) -> None:
    other = await client.call("POST", "/api/streams", json={"name": "Other", "url": "http://radio.example/other"})

    answer = await client.call("GET", f"{WEEK}&timezone=Asia/Tokyo&stream_id={stream}")

    assert [day["date"] for day in answer["days"]] == [f"2026-06-0{number}" for number in range(1, 8)]
    assert [len(day["items"]) for day in answer["days"]] == [0, 1, 1, 1, 1, 1, 1]
    first = answer["days"][1]["items"][0]
    assert first["local_start"] == "2026-06-02T03:00:00+09:00"
    assert (first["skipped"], first["overlaps"], first["over_limit"]) == (False, [], False)
    of_other = await client.call("GET", f"{WEEK}&stream_id={other['id']}")
    assert [day["items"] for day in of_other["days"]] == [[]] * 7


async def test_skip_and_take_back(client: Client, schedule: int) -> None:
    start = {"start": "2026-06-01T18:00:00Z"}

    await client.call("POST", f"/api/schedules/{schedule}/skip", json=start)
    week = await client.call("GET", WEEK)
    back = await client.call("POST", f"/api/schedules/{schedule}/unskip", json=start)

    assert week["days"][0]["items"][0]["skipped"]
    assert back["next_start"] == start["start"]
    assert not (await client.call("GET", WEEK))["days"][0]["items"][0]["skipped"]
    await client.call("POST", f"/api/schedules/{schedule}/unskip", json=start, expect=409)
    await client.call("POST", "/api/schedules/99/unskip", json=start, expect=404)


@pytest.mark.parametrize("start", ["", "soon", None, "2026-06-01T18:00:00", LONG, [], {}])
async def test_moments_that_are_none(client: Client, schedule: int, start: Any) -> None:
    for verb in ("skip", "unskip"):
        refused = await client.refused("POST", f"/api/schedules/{schedule}/{verb}", json={"start": start})

        assert set(refused) == {"start"}


async def test_filters(client: Client, stream: int, schedule: int) -> None:
    async def found(query: str) -> list[int]:
        return [item["id"] for item in (await client.call("GET", f"/api/schedules?{query}"))["items"]]

    assert await found(f"stream_id={stream}&enabled=true&text=sho") == [schedule]
    for nothing in ("stream_id=99", "enabled=false", "text=%25", "text=nothing"):
        assert await found(nothing) == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/schedules?stream_id=0", "stream_id"),
        ("/api/schedules?stream_id=x", "stream_id"),
        ("/api/schedules?enabled=perhaps", "enabled"),
        (f"/api/schedules?text={LONG}", "text"),
        ("/api/schedules?text=%00", "text"),
        ("/api/schedules/upcoming?limit=0", "limit"),
        ("/api/schedules/upcoming?limit=1000000", "limit"),
        ("/api/schedules/week", "start"),
        ("/api/schedules/week?start=", "start"),
        ("/api/schedules/week?start=today", "start"),
        ("/api/schedules/week?start=0001-01-01", "start"),
        ("/api/schedules/week?start=9999-12-31", "start"),
        (f"/api/schedules/week?start={LONG}", "start"),
        (f"{WEEK}&timezone=", "timezone"),
        (f"{WEEK}&timezone=Mars/Olympus", "timezone"),
        (f"{WEEK}&timezone=../../etc/passwd", "timezone"),
        (f"{WEEK}&timezone={LONG}", "timezone"),
        (f"{WEEK}&timezone=%00", "timezone"),
        (f"{WEEK}&stream_id=-1", "stream_id"),
        (f"{WEEK}&limit=0", "limit"),
        (f"{WEEK}&limit=100000", "limit"),
    ],
)
async def test_questions_that_cannot_be_answered(client: Client, path: str, field: str) -> None:
    assert set(await client.refused("GET", path)) == {field}
