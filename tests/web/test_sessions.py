"""What can be had of a session by its number: the recording, its picture, its takes; and its end."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy import update

from rolltape.domain.session import Session, SessionState
from rolltape.domain.units import Seconds
from rolltape.domain.waveform import POINTS, Waveform
from tests.web.conftest import Client

AUDIO = bytes(range(256)) * 40  # 10,240 bytes
NAME = "Radio/2026-06-01 Ä “show”; x=<b>.mp3"


@pytest.fixture
async def session(client: Client, stream: int) -> int:
    """One that is done, with a recording of a hostile name."""
    bench = client.bench
    number = (await bench.services.sessions.record_now(stream, Seconds(60))).id
    file = bench.folder / "recordings" / NAME
    file.parent.mkdir()
    file.write_bytes(AUDIO)
    values: dict[str, Any] = {
        "state": SessionState.DONE, "file": NAME, "size": len(AUDIO), "duration": 60.0, "sha256": "0" * 64,
        "gaps": [{"start": 1, "length": 2, "cause": "It ended."}],
    }  # fmt: skip
    async with bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == number).values(**values))
        db.add(Waveform(session_id=number, peaks=b"\x07" * POINTS))
    return number


async def test_a_recording_is_played_in_the_page_or_downloaded_by_name(client: Client, session: int) -> None:
    played = await client.request("GET", f"/api/sessions/{session}/audio")
    saved = await client.request("GET", f"/api/sessions/{session}/audio?download=1")

    assert played.content == saved.content == AUDIO
    assert played.headers["content-type"] == saved.headers["content-type"] == "audio/mpeg"
    assert played.headers["x-content-type-options"] == "nosniff"
    kinds = [answer.headers["content-disposition"].partition("; ") for answer in (played, saved)]
    assert [kind for kind, _, _ in kinds] == ["inline", "attachment"]
    for _, _, name in kinds:  # RFC 5987
        assert name.startswith("filename*=utf-8''")
        assert name.isascii()
        assert unquote(name.removeprefix("filename*=utf-8''")) == Path(NAME).name
        assert not set(name.removeprefix("filename*=utf-8''")) & set("\"'<>; ")


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-0", 206, AUDIO[:1], "bytes 0-0/10240"),
        ("bytes=100-199", 206, AUDIO[100:200], "bytes 100-199/10240"),
        ("bytes=10000-", 206, AUDIO[10000:], "bytes 10000-10239/10240"),
        ("bytes=-5", 206, AUDIO[-5:], "bytes 10235-10239/10240"),
        ("bytes=10200-99999999", 206, AUDIO[10200:], "bytes 10200-10239/10240"),
        ("bytes=10240-", 416, b"", "bytes */10240"),
        ("bytes=99999999999999999999-", 416, b"", "bytes */10240"),
    ],
)
async def test_a_player_can_seek(
    client: Client, session: int, asked: str, status: int, content: bytes, told: str
) -> None:
    answer = await client.request("GET", f"/api/sessions/{session}/audio", headers={"Range": asked})

    assert (answer.status_code, answer.headers["content-range"]) == (status, told)
    assert not content or answer.content == content
    assert answer.headers.get("accept-ranges", "bytes") == "bytes"


@pytest.mark.parametrize("part", ["0-1,", "0-9999,", "-1,", "5-,", ",", "x,"])
async def test_ten_thousand_ranges_cost_nothing(client: Client, session: int, part: str) -> None:
    began = time.monotonic()
    answer = await client.request("GET", f"/api/sessions/{session}/audio", headers={"Range": "bytes=" + part * 10_000})

    assert time.monotonic() - began < 1
    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) <= len(AUDIO)


@pytest.mark.parametrize(
    "asked", ["", "bytes", "bytes=", "bytes=a-b", "lines=1-2", "bytes=5-2", "bytes=--1", "x" * 9000]
)
async def test_a_range_that_does_not_read_is_no_fault_of_ours(client: Client, session: int, asked: str) -> None:
    answer = await client.request("GET", f"/api/sessions/{session}/audio", headers={"Range": asked})

    assert answer.status_code in (200, 206, 400, 416)


async def test_its_size_can_be_asked_without_its_content(client: Client, session: int) -> None:
    answer = await client.request("HEAD", f"/api/sessions/{session}/audio")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(AUDIO))
    assert answer.headers["accept-ranges"] == "bytes"
    assert (await client.request("HEAD", "/api/sessions/9999/audio")).status_code == 404


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "Radio/../../secret", "..%2fsecret", "gone.mp3", "Radio"])
async def test_nothing_else_than_a_recording_is_ever_sent(client: Client, session: int, name: str) -> None:
    (client.bench.folder / "secret").write_text("secret")
    async with client.bench.database.write() as db:
        await db.execute(update(Session).values(file=name))

    answer = await client.request("GET", f"/api/sessions/{session}/audio")

    assert answer.status_code == 404
    assert "no longer here" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "1%00", "-1", "1.5", "9" * 30, "%2e%2e"])
async def test_recordings_are_named_by_number_only(client: Client, session: int, path: str) -> None:
    answer = await client.request("GET", f"/api/sessions/{path}/audio")

    assert answer.status_code in (404, 422)


async def test_the_waveform_and_the_takes_are_told(client: Client, session: int, stream: int) -> None:
    drawn = await client.call("GET", f"/api/sessions/{session}/waveform")
    takes = await client.call("GET", f"/api/sessions/{session}/takes")
    read = await client.call("GET", f"/api/sessions/{session}")
    bare = (await client.bench.services.sessions.record_now(stream, Seconds(60))).id

    assert drawn == {"points": [7] * POINTS, "duration": 60.0}
    assert takes == {"items": []}
    assert read["gaps"] == [{"start": 1, "length": 2, "cause": "It ended.", "position": None}]  # of an older recording
    await client.call("GET", f"/api/sessions/{bare}/waveform", expect=404)
    await client.call("GET", "/api/sessions/9999/takes", expect=404)


async def test_a_session_is_deleted_and_its_file_only_when_asked(client: Client, session: int, stream: int) -> None:
    file = client.bench.folder / "recordings" / NAME

    await client.call("DELETE", f"/api/sessions/{session}", expect=204)
    assert file.exists()
    await client.call("GET", f"/api/sessions/{session}", expect=404)
    await client.call("DELETE", f"/api/sessions/{session}", expect=404)

    second = (await client.bench.services.sessions.record_now(stream, Seconds(60))).id
    refused = await client.call("DELETE", f"/api/sessions/{second}", expect=409)
    assert "under way" in refused["error"]["message"]
    async with client.bench.database.write() as db:
        await db.execute(update(Session).values(state=SessionState.DONE, file=NAME))
    await client.refused("DELETE", f"/api/sessions/{second}?keep_file=perhaps")
    await client.call("DELETE", f"/api/sessions/{second}?keep_file=false", expect=204)
    assert not file.exists()


async def test_a_test_recording_is_asked_for(client: Client, stream: int) -> None:
    made = await client.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 30, "deliver": False})

    session = await client.bench.services.sessions.get(made["id"])
    assert session.plan is not None
    assert session.plan["stream"]["destination_ids"] == []
    assert await client.refused("POST", "/api/sessions", json={"stream_id": stream, "duration": 30, "deliver": "no?"})


async def test_only_what_records_can_be_listened_to(client: Client, session: int) -> None:
    refused = await client.call("GET", f"/api/sessions/{session}/listen", expect=409)

    assert "does not record" in refused["error"]["message"]
    await client.call("GET", "/api/sessions/9999/listen", expect=404)


async def test_a_sample_is_recorded_and_heard(client: Client, mp3_station: str) -> None:
    made = await client.call("POST", "/api/streams/sample", json={"url": mp3_station}, expect=201)

    heard = await client.request("GET", f"/api/samples/{made['id']}")
    assert (heard.status_code, heard.headers["content-type"]) == (200, "audio/mpeg")
    assert made["duration"] == pytest.approx(5, abs=0.3)
    assert made["message"] == "Here are 5 seconds of Test Radio."


@pytest.mark.parametrize("sample", ["0" * 32, "x", "..%2f..%2fsecret", "0" * 33, "A" * 32])
async def test_what_is_no_sample_is_not_there(client: Client, sample: str) -> None:
    assert (await client.request("GET", f"/api/samples/{sample}")).status_code in (404, 422)


@pytest.mark.parametrize(
    "body", [{}, {"url": "file:///etc/passwd"}, {"url": 5}, {"url": "http://x/", "verify_tls": "maybe"}, {"more": 1}]
)
async def test_a_sample_of_nonsense_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert await client.refused("POST", "/api/streams/sample", json=body)


async def test_a_sample_of_a_station_that_is_not_there_says_so(client: Client) -> None:
    refused = await client.call("POST", "/api/streams/sample", json={"url": "http://127.0.0.1:1/x"}, expect=422)

    assert "no server listens there" in refused["error"]["message"]
