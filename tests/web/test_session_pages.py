"""The pages of sessions, as a browser without scripts uses them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from rolltape.domain.session import Event, Session, SessionState
from rolltape.domain.take import Take
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.units import Seconds
from rolltape.domain.waveform import POINTS, Waveform
from tests.services.conftest import START
from tests.web.conftest import Browser, Client
from tests.web.reading import read

HOSTILE = "<img src=x onerror=alert(1)>\"onmouseover=x '</script>"
DONE: dict[str, Any] = {
    "state": SessionState.DONE, "verdict": "gapped", "file": f"Radio/{HOSTILE.replace('/', '-')}.mp3", "size": 960_000,
    "duration": 60.0, "sha256": "ab" * 32, "title": f"2026-06-01 {HOSTILE}", "recorded": 60.0, "coverage": 0.95,
    "take_count": 2, "gaps": [{"start": 20, "length": 3, "cause": HOSTILE, "position": 20}],
    "tags": {"title": "Tagged title", "artist": HOSTILE, "recorded": "2026-06-01T14:00:00+02:00"},
    "account": {
        "verdicts": ["gapped"], "planned": 63.0, "recorded": 60.0, "late": 0.0, "short": 0.0, "silent_share": 0.02,
        "longest_stall": 4.5, "silences": [{"start": 12.5, "length": 3.25}], "loudness": -23.46, "peak": 0.5,
        "titles": [{"start": 0, "title": "First song"}, {"start": 30, "title": HOSTILE}, {"start": 50, "title": ""}],
    },
}  # fmt: skip


async def record(client: Client, stream: int, name: str = "Show", **values: Any) -> int:
    """A session as these values say."""
    session = await client.bench.services.sessions.record_now(stream, Seconds(63), name)
    if values:
        async with client.bench.database.write() as db:
            await db.execute(update(Session).where(Session.id == session.id).values(**values))
    return session.id


async def finished(client: Client, stream: int, **values: Any) -> int:
    """One with all that a recording can have, of a station that wishes us ill."""
    number = await record(client, stream, HOSTILE, **(DONE | values))
    file = client.bench.folder / "recordings" / DONE["file"]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"audio")
    async with client.bench.database.write() as db:
        db.add(Waveform(session_id=number, peaks=bytes(range(250)) * 4))
        take = {"session_id": number, "codec": "mp3", "bit_rate": 128_000, "begins": START, "duration": 30.0}
        await db.execute(insert(Take).values(number=1, ended_by=HOSTILE, **take))
        db.add(Event(session_id=number, at=START, kind="title", message=HOSTILE))
        db.add(
            Transfer(
                session_id=number, destination_name=HOSTILE, state=TransferState.DELIVERED, attempts=1, sent=960_000,
                size=960_000, remote_path=f"/srv/{HOSTILE}.mp3", sha256="ab" * 32, verified_by="sha256",
                created_at=START, finished_at=START,
            )
        )  # fmt: skip
    return number


async def test_the_list_is_filtered_by_its_address(browser: Browser, client: Client, stream: int) -> None:
    other = (await client.call("POST", "/api/streams", json={"name": "Other", "url": "http://o.example/"}))["id"]
    second, third = START + timedelta(days=1), START + timedelta(days=2)
    done: dict[str, Any] = {"state": SessionState.DONE}
    await record(client, stream, "Done show", verdict="complete", **done)
    await record(client, stream, "100% Gapped_ show", verdict="gapped", planned_start=second, **done)
    await record(client, other, "Failed show", state=SessionState.FAILED, planned_start=third)

    async def shown(query: str) -> list[str]:
        answer = await browser.get(f"/sessions?{query}")
        assert answer.status_code == 200
        links = [link for link in read(answer.text).all("a") if link.attributes["href"].startswith("/sessions/")]
        names = [link.text.removesuffix(" show") for link in links if link.text.endswith("show")]
        return ["Gapped" if "Gapped" in name else name for name in names]

    assert await shown("") == ["Failed", "Gapped", "Done"]
    assert await shown("state=done&verdict=&stream_id=&from=&to=&text=") == ["Gapped", "Done"]
    assert await shown("verdict=gapped") == ["Gapped"]
    assert await shown(f"stream_id={other}") == ["Failed"]
    assert await shown("text=show+gAPP") == ["Gapped"]
    assert await shown("text=d_") == ["Gapped"]
    assert await shown("text=%25") == ["Gapped"]
    assert await shown("text=nothing") == []
    assert await shown("from=2026-06-02") == ["Failed", "Gapped"]
    assert await shown("to=2026-06-01") == ["Done"]
    assert await shown("from=2026-06-02&to=2026-06-02") == ["Gapped"]
    assert await shown("schedule_id=5") == []


async def test_what_was_chosen_stays_chosen(browser: Browser, client: Client, stream: int) -> None:
    page = read((await browser.get(f"/sessions?text=%22%3Cb%3E&state=failed&stream_id={stream}&from=2026-01-02")).text)

    assert page.value("text") == '"<b>'
    assert page.value("from") == "2026-01-02"
    chosen = [option.attributes["value"] for option in page.all("option") if "selected" in option.attributes]
    assert chosen == [str(stream), "failed"]
    assert "Show all" in page.one("div", class_="empty").text


@pytest.mark.parametrize(
    "query",
    ["state=nonsense", "verdict=x", "from=yesterday", "to=9999-12-31", "from=0001-01-01", "from=2026-13-45", "to=%00"],
)
async def test_a_filter_that_does_not_read_is_none(browser: Browser, client: Client, stream: int, query: str) -> None:
    await record(client, stream, "Show")

    answer = await browser.get(f"/sessions?{query}")

    assert answer.status_code == 200
    assert ">Show</a>" in answer.text


@pytest.mark.parametrize("query", ["stream_id=x", "stream_id=-1", "after=x", "text=" + "x" * 300, "schedule_id=1e9"])
async def test_an_address_that_was_made_up_gets_a_page_that_says_so(browser: Browser, query: str) -> None:
    answer = await browser.get(f"/sessions?{query}")

    assert answer.status_code == 422
    assert "<h1" in answer.text


async def test_an_empty_list_has_one_button(browser: Browser, client: Client) -> None:
    first = read((await browser.get("/sessions")).text)
    await client.call("POST", "/api/streams", json={"name": "Radio", "url": "http://radio.example/"})
    then = read((await browser.get("/sessions")).text)

    assert first.one("a", class_="btn-primary").text == "Add a stream"
    assert {button.text for button in then.all("a", class_="btn-primary")} == {"Record now"}


async def test_a_long_list_is_paged(browser: Browser, client: Client, stream: int) -> None:
    for number in range(53):
        await record(client, stream, f"Show {number}", state=SessionState.DONE)
        client.bench.clock.move(minutes=1)

    first = read((await browser.get("/sessions?text=show")).text)
    older = first.one("a", rel="next")
    second = read((await browser.get(older.attributes["href"])).text)

    names = [link.text for page in (first, second) for link in page.all("a") if link.text[-1:].isdigit()]
    assert names == [f"Show {number}" for number in reversed(range(53))]
    assert "text=show" in older.attributes["href"]
    assert [link.text for link in second.all("a") if link.text == "Newest"] == ["Newest"]


async def test_the_page_of_a_recording_tells_all_of_it(browser: Browser, client: Client, stream: int) -> None:
    number = await finished(client, stream)

    answer = await browser.get(f"/sessions/{number}")
    page = read(answer.text)

    assert answer.status_code == 200
    assert page.one("audio").attributes["src"] == f"/api/sessions/{number}/audio"
    assert page.one("path").attributes["d"].count("M") == POINTS
    assert [float(line.attributes["x1"]) for line in page.all("line", class_="song")] == [0, 500]
    (gap,) = page.all("line", class_="gap")
    assert float(gap.attributes["x1"]) == pytest.approx(333.3)
    assert [link.text for link in page.all("a", class_="seek")] == ["0:00", "0:30", "0:20", "0:12"]
    assert page.all("a", href=f"/api/sessions/{number}/audio?download=1")[0].text == "Download"
    for told in (
        "95 %",
        "ab" * 32,
        "14:00:00",
        "Gaps: the connection was lost",
        "checksum",
        "2 titles",
        "Tagged title",
    ):
        assert told in answer.text, told
    assert page.all("a", href=f"/sessions/{number}/delete")
    assert not page.all("a", href=f"/sessions/{number}/cancel")


async def test_nothing_that_a_station_says_becomes_part_of_the_page(
    browser: Browser, client: Client, stream: int
) -> None:
    await client.call("PATCH", f"/api/streams/{stream}", json={"name": HOSTILE})
    number = await finished(client, stream)
    failed = await record(
        client, stream, HOSTILE, state=SessionState.FAILED, error_code="closed", error_message=HOSTILE
    )
    live = {"bit_rate": 128_000, "title": HOSTILE, "gaps": 1, "connected": False}
    recording = await record(client, stream, HOSTILE, state=SessionState.RECORDING, live=live)

    for path in (
        "/sessions", f"/sessions/{number}", f"/sessions/{failed}", f"/sessions/{recording}", "/sessions/new",
        f"/sessions/{number}/delete", f"/sessions/{recording}/cancel",
    ):  # fmt: skip
        answer = await browser.get(path)
        page = read(answer.text)
        assert answer.status_code == 200
        assert HOSTILE in "".join(element.text for element in page.elements), path
        assert not [image for image in page.all("img") if image.attributes.get("src") == "x"], path
        assert not [element for element in page.elements if any(name.startswith("on") for name in element.attributes)]
        assert not [element for element in page.elements if "style" in element.attributes]
        assert all(script.attributes.get("src") for script in page.all("script")), path


async def test_what_records_is_shown_as_it_is(browser: Browser, client: Client, stream: int) -> None:
    live = {"bit_rate": 128_000, "title": "A song", "gaps": 2, "connected": False}
    number = await record(client, stream, state=SessionState.RECORDING, live=live, recorded=30.0)

    answer = await browser.get(f"/sessions/{number}")
    page = read(answer.text)

    assert page.one("audio").attributes["src"] == f"/api/sessions/{number}/listen"
    for told in ("128 kbit/s", "2 gaps", "A song", "30 s recorded", "Not connected at the moment"):
        assert told in answer.text
    assert page.all("form", action=f"/sessions/{number}/stop")
    assert page.all("a", href=f"/sessions/{number}/cancel")
    assert not page.all("a", href=f"/sessions/{number}/delete")


@pytest.mark.parametrize(
    ("speed", "words"),
    [(0.934, "The audio comes at 93 % of the speed that it plays at."), (1.01, "The audio comes as fast as it plays.")],
)
async def test_how_fast_the_audio_comes_is_told(
    browser: Browser, client: Client, stream: int, speed: float, words: str
) -> None:
    live = {"bit_rate": 128_000, "title": None, "gaps": 0, "connected": True, "speed": speed, "stall": 2.5}
    number = await record(client, stream, state=SessionState.RECORDING, live=live, recorded=30.0)

    page, dashboard = (await browser.get(f"/sessions/{number}")).text, (await browser.get("/")).text
    told = (await client.call("GET", f"/api/sessions/{number}"))["live"]

    assert words in page
    assert ("the audio comes at 93.4 % of its speed" in dashboard) == (speed < 0.95)
    assert (told["speed"], told["stall"]) == (speed, 2.5)


async def test_where_the_speed_is_not_known_nothing_is_said_of_it(
    browser: Browser, client: Client, stream: int
) -> None:
    live = {"bit_rate": 128_000, "title": None, "gaps": 0, "connected": True, "speed": None, "stall": 0.0}
    number = await record(client, stream, state=SessionState.RECORDING, live=live)

    for path in (f"/sessions/{number}", "/"):
        assert "The audio comes" not in (await browser.get(path)).text


async def test_what_was_heard_is_told(browser: Browser, client: Client, stream: int) -> None:
    number = await finished(client, stream)

    page = read((await browser.get(f"/sessions/{number}")).text)
    told = (await client.call("GET", f"/api/sessions/{number}"))["account"]

    facts = page.all("dl")[0].text
    for words in ("Longest wait for audio", "4.5 s", "2 %, 1 longer stretch", "−23.5 LUFS", "−6.0 dBFS"):
        assert words in facts
    assert page.all("a", class_="seek", href=f"/api/sessions/{number}/audio#t=12.5")
    assert told["silences"] == [{"start": 12.5, "length": 3.25}]
    assert (told["longest_stall"], told["loudness"], told["peak"]) == (4.5, -23.46, 0.5)
    assert told["titles"][0] == {"start": 0, "title": "First song"}


async def test_an_account_of_before_is_shown_without_what_it_has_not(
    browser: Browser, client: Client, stream: int
) -> None:
    before = {name: DONE["account"][name] for name in ("verdicts", "planned", "recorded", "late", "short", "titles")}
    number = await finished(client, stream, account=before)

    answer = await browser.get(f"/sessions/{number}")
    told = (await client.call("GET", f"/api/sessions/{number}"))["account"]

    assert "LUFS" not in answer.text
    assert (told["loudness"], told["silences"], told["longest_stall"]) == (None, None, None)


@pytest.mark.parametrize("state", list(SessionState))
async def test_every_state_has_a_page_in_words(
    browser: Browser, client: Client, stream: int, state: SessionState
) -> None:
    number = await record(client, stream, state=state)

    answer = await browser.get(f"/sessions/{number}")

    assert answer.status_code == 200
    assert read(answer.text).one("h1").text.startswith("Show")


@pytest.mark.parametrize("verdict", ["complete", "gapped", "short", "late", "silent"])
async def test_every_verdict_is_explained(browser: Browser, client: Client, stream: int, verdict: str) -> None:
    number = await record(client, stream, state=SessionState.DONE, verdict=verdict)

    page = read((await browser.get(f"/sessions/{number}")).text)

    assert bool(page.all("p", class_="note")) == (verdict != "complete")


async def test_a_failure_says_what_to_do_and_can_be_tried_again(browser: Browser, client: Client, stream: int) -> None:
    failure = {"state": SessionState.FAILED, "error_code": "processing_failed", "error_message": "It is not sound."}
    number = await record(client, stream, take_count=1, **failure)

    answer = await browser.get(f"/sessions/{number}")
    assert "try the session again" in answer.text
    assert "It is not sound." in answer.text
    again = await browser.submit(f"/sessions/{number}/retry")

    assert (again.status_code, again.headers["location"]) == (303, f"/sessions/{number}?note=retried")
    assert (await client.bench.services.sessions.get(number)).state is SessionState.PROCESSING


async def test_a_recording_of_an_older_version_is_shown_with_what_it_has(
    browser: Browser, client: Client, stream: int
) -> None:
    gaps = [{"start": 20, "length": 5, "cause": "a"}, {"start": 40, "length": 5, "cause": "b"}]
    number = await finished(client, stream, gaps=gaps, account={"verdicts": ["gapped"], "ends": "x"}, tags=None)

    page = read((await browser.get(f"/sessions/{number}")).text)

    assert [link.text for link in page.all("a", class_="seek")] == ["0:20", "0:35"]


async def test_without_a_waveform_or_a_file_the_page_does_without(
    browser: Browser, client: Client, stream: int
) -> None:
    number = await record(client, stream, **DONE)

    answer = await browser.get(f"/sessions/{number}")

    assert answer.status_code == 200
    assert "no longer on this machine" in answer.text
    assert not read(answer.text).all("audio")


async def test_a_long_story_is_cut_at_its_begin(browser: Browser, client: Client, stream: int) -> None:
    number = await record(client, stream, state=SessionState.DONE)
    events = [
        {"session_id": number, "at": START + timedelta(seconds=second), "kind": "x", "message": f"Event {second}."}
        for second in range(1200)
    ]
    async with client.bench.database.write() as db:
        await db.execute(insert(Event), events)

    answer = await browser.get(f"/sessions/{number}")

    assert "The first 701 entries are left out here." in answer.text  # one of them says that it was created
    assert "Event 1199." in answer.text
    assert "Event 699." not in answer.text


async def test_record_now_begins_a_session(browser: Browser, client: Client, stream: int) -> None:
    form = read((await browser.get(f"/sessions/new?stream_id={stream}")).text)
    made = await browser.submit(
        "/sessions/new", stream_id=stream, duration_hours="1", duration_minutes="30", name="Special"
    )

    (chosen,) = [option for option in form.all("option") if "selected" in option.attributes]
    assert chosen.attributes["value"] == str(stream)
    assert (form.value("duration_hours"), form.value("duration_minutes")) == ("1", "0")
    assert made.status_code == 303
    session = await client.bench.services.sessions.get(int(made.headers["location"].split("/")[2].split("?")[0]))
    assert (session.name, session.planned_end - session.planned_start) == ("Special", timedelta(minutes=90))


@pytest.mark.parametrize(
    ("field", "value", "at"),
    [
        ("duration_hours", "an hour", "duration"),
        ("duration_hours", "-1", "duration"),
        ("duration_hours", "1e999", "duration"),
        ("duration_hours", "999999", "duration"),
        ("duration_hours", "nan", "duration"),
        ("stream_id", "", "stream_id"),
        ("stream_id", "x", "stream_id"),
        ("stream_id", "9" * 30, "stream_id"),
        ("name", "x" * 300, "name"),
        ("name", "a\x07b", "name"),
    ],
)
async def test_what_cannot_be_recorded_is_told_at_the_field(
    browser: Browser, client: Client, stream: int, field: str, value: str, at: str
) -> None:
    good = {"stream_id": stream, "duration_hours": "2", "duration_minutes": "15", "name": "Kept"}

    answer = await browser.submit("/sessions/new", **(good | {field: value}))
    page = read(answer.text)

    assert answer.status_code == 422
    assert list(page.errors) == [at]
    assert page.value("duration_minutes") == "15"
    assert page.value("name") == (value if field == "name" else "Kept")
    assert (await client.call("GET", "/api/sessions"))["items"] == []


async def test_a_stream_that_is_gone_is_told_too(browser: Browser, client: Client, stream: int) -> None:
    answer = await browser.submit("/sessions/new", stream_id=99, duration_hours="1", duration_minutes="0", name="")

    assert answer.status_code in (404, 422)
    assert "There is no stream 99." in answer.text


async def test_cancelling_asks_first(browser: Browser, client: Client, stream: int) -> None:
    number = await record(client, stream, state=SessionState.RECORDING, recorded=90.0)

    asked = await browser.get(f"/sessions/{number}/cancel")
    assert "1 min 30 s) is discarded" in asked.text
    assert (await client.bench.services.sessions.get(number)).wish is None
    done = await browser.submit(f"/sessions/{number}/cancel")

    assert done.headers["location"] == f"/sessions/{number}?note=cancelled"
    assert (await client.bench.services.sessions.get(number)).wish == "cancel"


async def test_stopping_keeps_what_there_is(browser: Browser, client: Client, stream: int) -> None:
    number = await record(client, stream, state=SessionState.RECORDING)

    done = await browser.submit(f"/sessions/{number}/stop")

    assert done.headers["location"] == f"/sessions/{number}?note=stopped"
    assert (await client.bench.services.sessions.get(number)).wish == "stop"


@pytest.mark.parametrize("with_file", [True, False])
async def test_deleting_asks_first_and_about_the_file(
    browser: Browser, client: Client, stream: int, with_file: bool
) -> None:
    number = await finished(client, stream)
    file = Path(client.bench.folder / "recordings" / DONE["file"])

    asked = read((await browser.get(f"/sessions/{number}/delete")).text)
    assert asked.one("input", name="with_file").attributes.get("checked") is None
    assert file.exists()
    done = await browser.submit(f"/sessions/{number}/delete", **({"with_file": "on"} if with_file else {}))

    assert done.headers["location"] == "/sessions?note=deleted"
    assert file.exists() is not with_file
    assert (await browser.get(f"/sessions/{number}")).status_code == 404


async def test_what_cannot_be_done_any_more_is_a_page_with_a_sentence(
    browser: Browser, client: Client, stream: int
) -> None:
    number = await record(client, stream, state=SessionState.DONE)
    running = await record(client, stream, state=SessionState.RECORDING)

    for path in (f"/sessions/{number}/stop", f"/sessions/{number}/retry", f"/sessions/{running}/delete"):
        answer = await browser.submit(path)
        assert answer.status_code == 409, path
        assert "<h1" in answer.text
    assert (await client.bench.services.sessions.get(running)).state is SessionState.RECORDING


@pytest.mark.parametrize("path", ["/sessions/9999", "/sessions/x", "/sessions/0", "/sessions/9999/delete"])
async def test_what_is_no_session_is_not_found(browser: Browser, path: str) -> None:
    assert (await browser.get(path)).status_code in (404, 422)
