"""Bad input to every field gets 422, the field and a sentence, and changes nothing."""

from typing import Any

import pytest

from tests.web.conftest import Client

STREAM = {"name": "Other", "url": "http://radio.example/other"}
LONG = "x" * 10_000
HOSTILE = "a\x00b", "a\nb", "a\u202eb", "\ud800"


def each(fields: str, *values: Any) -> list[tuple[str, Any]]:
    """Every one of `fields` with every one of `values`."""
    return [(field, value) for field in fields.split() for value in values]


BAD_STREAMS: list[tuple[str, Any]] = [
    *each("name", "", "   ", LONG, None, 5, ["x"], *HOSTILE),
    *each(
        "url",
            "", "radio.example", "file:///etc/passwd", "/etc/passwd", "concat:a|b", "subfile,,start,0:x", "pipe:0",
            "data:audio/mp3;base64,xx", "lavfi:sine", "tee:x", "-y", "http://", "http://x\n-f", "http://a b/",
            "http://x:0/", "http://x:99999/", "http://[::1/", "javascript:alert(1)", LONG, None, 5, {}, "srt://x",
            "http://x/\x00", "gopher://x/", "ftp://x/", "http://exa\u202emple/",
    ),
    *each("fallback_urls", "http://x/", ["file:///x"], [5], ["http://x/"] * 11),
    *each("artist album album_artist genre", LONG, 5, None, *HOSTILE),
    *each(
        "title_pattern filename_pattern",
        "", "{", "{nothing}", "{show.__class__}", "{0}", "{show!r}", "{{show}}", "}", LONG, None,
    ),
    *each("engine", "", "vlc", None, 5),
    *each("mp3_quality", "", "V10", "V-1", "best", "128", "999k", "128k; rm -rf /", None, 2),
    *each("max_duration", 0, -1, "long", None, 10**9, []),
    *each("start_early end_late", -1, 10**9, "x", None),
    *each("stall_timeout", 0, -5, "x", None, 10**9),
    *each("max_attempts", 0, -1, "x", 1.5, 10**9),
    *each("verify_tls", "perhaps", None, 7),
    *each("destination_ids", [99], [1, 1], ["x"], "1", None, [0], [-1], [2**40], list(range(1, 30))),
    ("delete_after_delivery", "perhaps"),
    ("nonsense", 1),
]  # fmt: skip

BAD_SCHEDULES: list[tuple[str, Any]] = [
    *each("stream_id", 0, -1, 99, "x", None, 2**40, 1.5),
    *each("name", LONG, 5, *HOSTILE),
    *each(
        "cron",
            "", " ", "* * * *", "* * * * * *", "61 * * * *", "* 24 * * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
            "0 0 30 2 *", "0 0 31 4 *", "*/0 * * * *", "5-1 * * * *", "1- * * * *", "a b c d e", "@reboot", "@nonsense",
            LONG, 5, [], "0 9 * * 1#6", "\x00", "0 9 * * ١",
    ),
    *each("timezone", "", "Mars/Olympus", "../../etc/passwd", LONG, None, 5, "\x00", "UTC\n"),
    *each("duration", 0, -1, "x", None, 10**9),
    *each("enabled", "perhaps", None),
    *each("priority", "x", 10**9, 1.5, None),
    *each("start_early end_late", -1, "x", 10**9),
]  # fmt: skip
SCHEDULE = {"cron": "0 9 * * *", "timezone": "UTC", "duration": 60}

BAD_DESTINATIONS: list[tuple[str, Any]] = [
    *each("name", "", LONG, None, *HOSTILE),
    *each("kind", "", "ftp", None),
    *each("host", "", "-oProxyCommand=touch /tmp/x", "a b", "a;b", "$(id)", "`id`", "a\nb", LONG, None, 5),
    *each("port", 0, -1, 65536, "x", None),
    *each("user", "", "-l", "a b", "$(id)", "a\nb", LONG, None),
    *each("key_file", "", "../../etc/shadow", "a\x00b", LONG, None),
    *each("directory", "", "a/../../b", "a\nb", LONG, None),
    *each("bandwidth_limit", 0, -1, "x", 2**60),
]
DESTINATION = {"name": "NAS", "host": "nas.lan", "user": "me", "key_file": "id", "directory": "radio"}

NOT_JSON_OBJECTS: list[bytes] = [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"{" * 5000, b'{"name": NaN}']


@pytest.mark.parametrize(("field", "value"), BAD_STREAMS)
async def test_streams(client: Client, stream: int, field: str, value: Any) -> None:
    created = await client.refused("POST", "/api/streams", json=STREAM | {field: value})
    changed = await client.refused("PATCH", f"/api/streams/{stream}", json={field: value})

    assert {name.split(".")[0] for name in created} == {field}
    assert {name.split(".")[0] for name in changed} == {field}
    assert len((await client.call("GET", "/api/streams"))["items"]) == 1


@pytest.mark.parametrize(("field", "value"), BAD_SCHEDULES)
async def test_schedules(client: Client, stream: int, field: str, value: Any) -> None:
    body = SCHEDULE | {"stream_id": stream}
    known = await client.call("POST", "/api/schedules", json=body)

    created = await client.refused("POST", "/api/schedules", json=body | {field: value})
    changed = await client.refused("PATCH", f"/api/schedules/{known['id']}", json={field: value})

    assert set(created) == {field}
    assert set(changed) == {field}
    assert len((await client.call("GET", "/api/schedules"))["items"]) == 1


@pytest.mark.parametrize(
    ("field", "value"), [pair for pair in BAD_SCHEDULES if pair[0] in ("cron", "timezone", "duration")]
)
async def test_previews(client: Client, field: str, value: Any) -> None:
    refused = await client.refused("POST", "/api/schedules/preview", json=SCHEDULE | {"count": 3, field: value})

    assert set(refused) == {field}


@pytest.mark.parametrize("count", [0, -1, 10**6, "x"])
async def test_previews_of_no_length(client: Client, count: Any) -> None:
    assert set(await client.refused("POST", "/api/schedules/preview", json=SCHEDULE | {"count": count})) == {"count"}


@pytest.mark.parametrize(("field", "value"), BAD_DESTINATIONS)
async def test_destinations(client: Client, field: str, value: Any) -> None:
    known = await client.call("POST", "/api/destinations", json=DESTINATION | {"name": "Known"})

    created = await client.refused("POST", "/api/destinations", json=DESTINATION | {field: value})
    changed = await client.refused("PATCH", f"/api/destinations/{known['id']}", json={field: value})

    assert set(created) == {field}
    assert set(changed) == {field}


async def test_a_local_folder_is_named_by_its_whole_path(client: Client) -> None:
    body = {"name": "Folder", "kind": "local", "directory": "radio"}

    assert set(await client.refused("POST", "/api/destinations", json=body)) == {"directory"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("duration", 0), ("duration", -1), ("duration", 10**9), ("duration", "x"), ("duration", None),
     ("stream_id", 0), ("stream_id", "x"), ("name", LONG), ("name", "a\nb"), ("more", 1)],
)  # fmt: skip
async def test_record_now(client: Client, stream: int, field: str, value: Any) -> None:
    body = {"stream_id": stream, "duration": 60} | {field: value}

    assert set(await client.refused("POST", "/api/sessions", json=body)) == {field}
    assert (await client.call("GET", "/api/sessions"))["items"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "after=x", "after=" + "A" * 300, "after=%00", "state=nonsense",
     "verdict=nonsense", "stream_id=0", "stream_id=x", "since=yesterday", "since=2026-01-01T00:00:00", "until=x"],
)  # fmt: skip
async def test_filters_of_lists(client: Client, query: str) -> None:
    assert await client.refused("GET", f"/api/sessions?{query}")


@pytest.mark.parametrize("body", NOT_JSON_OBJECTS)
async def test_bodies_that_are_no_json_objects(client: Client, stream: int, body: bytes) -> None:
    for method, path in (
        ("POST", "/api/streams"),
        ("PATCH", f"/api/streams/{stream}"),
        ("POST", "/api/schedules"),
        ("POST", "/api/schedules/preview"),
        ("POST", "/api/sessions"),
        ("POST", "/api/destinations"),
        ("POST", "/api/streams/probe"),
    ):
        answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), (method, path, answer.text)
        assert answer.json()["error"]["message"]


async def test_json_in_disguise_is_refused(client: Client) -> None:
    body = b'{"name": "x", "url": "http://radio.example/"}'

    answer = await client.request("POST", "/api/streams", content=body, headers={"Content-Type": "text/plain"})

    assert answer.status_code == 422


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "1.5", "%00", "..%2f..%2fetc%2fpasswd"])
async def test_numbers_that_are_none(client: Client, number: str) -> None:
    for noun in ("streams", "schedules", "sessions", "destinations"):
        answer = await client.request("GET", f"/api/{noun}/{number}")
        assert answer.status_code in (404, 422), answer.text


@pytest.mark.parametrize("noun", ["streams", "schedules", "sessions", "destinations"])
async def test_what_is_not_there(client: Client, noun: str) -> None:
    answer = await client.call("GET", f"/api/{noun}/4711", expect=404)

    assert answer["error"]["code"] == "not_found"
    assert "4711" in answer["error"]["message"]


async def test_a_name_is_taken_once(client: Client, stream: int) -> None:
    answer = await client.call("POST", "/api/streams", json=STREAM | {"name": "Radio"}, expect=409)

    assert answer["error"]["message"] == "There is a stream named Radio already."
