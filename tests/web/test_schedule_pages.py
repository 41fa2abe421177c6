"""The pages of schedules, in a browser without scripts."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from rolltape.domain.schedule import Schedule, ScheduleFields
from tests.web.conftest import Browser, Client
from tests.web.reading import Page, read

PLAIN = {
    "name": "Show", "way": "plain", "kind": "weekly", "days[]": ["1", "3"], "time": "20:00",
    "timezone": "Europe/Berlin", "duration_hours": "1", "duration_minutes": "30", "enabled": "on", "priority": "0",
}  # fmt: skip
MONDAY = datetime(2026, 6, 1, 18, tzinfo=UTC)  # the first occurrence; the bench stands at noon
LONG = "x" * 10_000
HOSTILE = '"><script>alert(1)</script>'


async def page(browser: Browser, path: str, status: int = 200) -> Page:
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return read(answer.text)


async def saved(client: Client) -> Schedule:
    (schedule,) = (await client.bench.services.schedules.page(after=None, limit=10)).items
    return schedule


async def add(client: Client, stream: int, **more: Any) -> Schedule:
    fields = {"stream_id": stream, "name": "Show", "cron": "0 20 * * *", "timezone": "Europe/Berlin", "duration": 3600}
    if "at" in more:
        fields.pop("cron")
    return await client.bench.services.schedules.create(ScheduleFields.model_validate(fields | more))


def checked(found: Page, name: str) -> list[str]:
    return [it.attributes["value"] for it in found.all("input", name=name) if "checked" in it.attributes]


async def test_an_empty_list_leads_to_the_first_step(browser: Browser, client: Client) -> None:
    assert "/streams/new" in (await browser.get("/schedules")).text

    await client.call("POST", "/api/streams", json={"name": "Radio", "url": "http://radio.example/live"})
    assert (
        "Choose the days" in (await browser.get("/schedules")).text
        or "/schedules/new" in (await browser.get("/schedules")).text
    )


@pytest.mark.parametrize(
    ("typed", "cron"),
    [
        ({}, "0 20 * * 1,3"),
        ({"days[]": ["1", "2", "3", "4", "5", "6", "7"]}, "0 20 * * *"),
        ({"kind": "nth", "days[]": ["1"], "weeks[]": ["1", "0"]}, "0 20 * * 1#1,1L"),
        ({"kind": "monthly", "dates[]": ["1", "15", "0"]}, "0 20 1,15,L * *"),
        ({"kind": "hourly", "interval": "6", "minute": "30"}, "30 */6 * * *"),
        ({"way": "cron", "cron": " @daily "}, "@daily"),
        ({"time": "9:05:00"}, "5 9 * * 1,3"),
    ],
)
async def test_a_schedule_is_set_up(
    browser: Browser, client: Client, stream: int, typed: dict[str, Any], cron: str
) -> None:
    answer = await browser.submit("/schedules/new", **PLAIN | {"stream_id": str(stream)} | typed)

    assert (answer.status_code, answer.headers["location"]) == (303, "/schedules?note=saved")
    schedule = await saved(client)
    assert (schedule.cron, schedule.at, schedule.duration, schedule.enabled) == (cron, None, 5400, True)
    assert (schedule.start_early, schedule.end_late) == (None, None)


async def test_a_single_date_is_set_up(browser: Browser, client: Client, stream: int) -> None:
    typed = PLAIN | {"stream_id": str(stream), "way": "date", "at": "2026-12-24T20:00", "start_early": "30"}

    assert (await browser.submit("/schedules/new", **typed)).status_code == 303
    schedule = await saved(client)
    assert (schedule.cron, schedule.at, schedule.start_early) == (None, datetime(2026, 12, 24, 19, tzinfo=UTC), 30)


BAD_FORMS: list[tuple[str, dict[str, Any]]] = [
    ("stream_id", {"stream_id": ""}),
    ("stream_id", {"stream_id": "99"}),
    ("stream_id", {"stream_id": "x"}),
    ("name", {"name": LONG}),
    ("name", {"name": "a\x00b"}),
    ("days", {"days[]": []}),
    ("days", {"days[]": ["9"]}),
    ("days", {"days[]": ["x"]}),
    ("days", {"days[]": ["٣"]}),
    ("weeks", {"kind": "nth", "weeks[]": []}),
    ("dates", {"kind": "monthly"}),
    ("dates", {"kind": "monthly", "dates[]": ["32"]}),
    ("kind", {"kind": "daily"}),
    ("kind", {"kind": HOSTILE}),
    ("interval", {"kind": "hourly", "interval": "5"}),
    ("interval", {"kind": "hourly", "interval": LONG}),
    ("minute", {"kind": "hourly", "minute": "60"}),
    ("minute", {"kind": "hourly", "minute": "-1"}),
    ("minute", {"kind": "hourly", "minute": "²"}),
    ("time", {"time": ""}),
    ("time", {"time": "25:00"}),
    ("time", {"time": "9 o'clock"}),
    ("time", {"time": HOSTILE}),
    ("cron", {"way": "cron", "cron": ""}),
    ("cron", {"way": "cron", "cron": "61 * * * *"}),
    ("cron", {"way": "cron", "cron": "0 0 30 2 *"}),
    ("cron", {"way": "cron", "cron": LONG}),
    ("cron", {"way": "cron", "cron": HOSTILE}),
    ("at", {"way": "date", "at": ""}),
    ("at", {"way": "date", "at": "tomorrow"}),
    ("at", {"way": "date", "at": "2020-01-01T00:00"}),
    ("at", {"way": "date", "at": "9999-12-31T23:59"}),
    ("timezone", {"timezone": ""}),
    ("timezone", {"timezone": "Mars/Olympus"}),
    ("timezone", {"timezone": LONG}),
    ("duration", {"duration_hours": "", "duration_minutes": ""}),
    ("duration", {"duration_hours": "x"}),
    ("duration", {"duration_hours": "nan"}),
    ("duration", {"duration_hours": "9999"}),
    ("duration", {"duration_minutes": "-500"}),
    ("priority", {"priority": "high"}),
    ("priority", {"priority": "99999"}),
    ("start_early", {"start_early": "-1"}),
    ("end_late", {"end_late": "soon"}),
]


async def test_what_cannot_be_taken_is_said_at_its_field_and_nothing_typed_is_lost(
    browser: Browser, client: Client, stream: int
) -> None:
    for field, typed in BAD_FORMS:
        fields = {**PLAIN, "stream_id": str(stream), "name": "My show", "end_late": "7", **typed}
        answer = await browser.submit("/schedules/new", **fields)

        found = read(answer.text)
        assert (answer.status_code, set(found.errors)) == (422, {field}), typed
        assert found.errors[field].endswith((".", ")"))
        assert found.all("p", role="alert")
        for name in ("name", "time", "timezone", "cron", "at", "duration_hours", "end_late", "minute"):
            if name in fields and not (name == "cron" and fields["way"] == "plain"):
                assert found.value(name) == fields[name], typed
        assert checked(found, "days[]") == [day for day in fields["days[]"] if day in "1234567"]
        assert "<script>alert" not in answer.text
    assert (await client.call("GET", "/api/schedules"))["items"] == []


async def test_an_empty_form_has_all_its_sentences(browser: Browser) -> None:
    answer = await browser.submit("/schedules/new", way="plain")

    assert answer.status_code == 422
    assert set(read(answer.text).errors) == {"stream_id", "time", "timezone", "duration"}


async def test_the_form_of_a_new_one_is_filled_for_its_reader(browser: Browser, stream: int) -> None:
    browser.cookies.set("rolltape_zone", "Asia%2FTokyo")

    found = await page(browser, f"/schedules/new?stream_id={stream}")

    assert found.value("timezone") == "Asia/Tokyo"
    chosen = next(it for it in found.all("option") if "selected" in it.attributes)
    assert chosen.attributes["value"] == str(stream)
    assert (checked(found, "way"), checked(found, "kind")) == (["plain"], ["weekly"])
    for odd in ("x", "-1", LONG[:100], "9" * 50):
        assert (await page(browser, f"/schedules/new?stream_id={odd}")).all("form")


@pytest.mark.parametrize(
    ("given", "way", "kind", "days"),
    [
        ({"cron": "30 9 * * mon-fri"}, "plain", "weekly", ["1", "2", "3", "4", "5"]),
        ({"cron": "0 * * * *"}, "plain", "hourly", []),
        ({"cron": "*/10 9 * 6 *"}, "cron", "weekly", ["1", "2", "3", "4", "5", "6", "7"]),
        ({"at": "2026-12-24T20:00:00"}, "date", "weekly", ["1", "2", "3", "4", "5", "6", "7"]),
    ],
)
async def test_saving_the_form_as_it_is_changes_nothing(
    browser: Browser, client: Client, stream: int, given: dict[str, Any], way: str, kind: str, days: list[str]
) -> None:
    schedule = await add(client, stream, start_early=10, priority=3, **given)
    before = ScheduleFields.model_validate(schedule)
    path = f"/schedules/{schedule.id}/edit"

    found = await page(browser, path)
    assert (checked(found, "way"), checked(found, "kind"), checked(found, "days[]")) == ([way], [kind], days)
    sent: dict[str, Any] = {"stream_id": str(stream), "way": way, "kind": kind, "days[]": days, "enabled": "on"}
    names = (
        "name", "time", "minute", "cron", "at", "timezone", "duration_hours", "duration_minutes", "priority",
        "start_early", "end_late",
    )  # fmt: skip
    sent |= {name: found.value(name) for name in names}
    sent["interval"] = "1"
    assert (await browser.submit(path, **sent)).status_code == 303

    assert ScheduleFields.model_validate(await saved(client)) == before


async def test_a_past_date_can_still_be_renamed(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream, at="2026-06-01T20:00:00")
    client.bench.clock.move(hours=10)
    found = await page(browser, f"/schedules/{schedule.id}/edit")

    sent = PLAIN | {"stream_id": str(stream), "way": "date", "at": found.value("at"), "name": "Renamed"}
    answer = await browser.submit(f"/schedules/{schedule.id}/edit", **sent | {"duration_minutes": "0"})

    assert answer.status_code == 303, read(answer.text).errors
    assert (await saved(client)).name == "Renamed"


async def test_the_preview_tells_what_it_means_and_saves_nothing(browser: Browser, client: Client) -> None:
    browser.cookies.set("rolltape_zone", "Asia%2FTokyo")

    for path in ("/schedules/preview", "/schedules/preview-part"):
        answer = await browser.submit(path, **PLAIN | {"stream_id": "", "name": ""})
        text = " ".join(answer.text.split())
        assert "Every Monday and Wednesday at 20:00 for 1 hour 30 minutes (Europe/Berlin)" in text
        assert "Mon 1 Jun 2026, 20:00" in text
        assert "(Tue 03:00 your time)" in text
        assert read(answer.text).value("cron") == "0 20 * * 1,3"
    assert (await client.call("GET", "/api/schedules"))["items"] == []


async def test_the_choices_follow_the_cron_line(browser: Browser) -> None:
    answer = await browser.submit("/schedules/preview-part", **PLAIN | {"way": "cron", "cron": "15 7 * * 6L"})

    found = read(answer.text)
    assert found.one("div", id="plain-part").attributes["hx-swap-oob"] == "true"
    assert (checked(found, "kind"), checked(found, "days[]"), checked(found, "weeks[]")) == (["nth"], ["6"], ["0"])
    assert found.value("time") == "07:15"
    assert not found.all("div", id="cron-part")


async def test_a_cron_line_that_says_more_leaves_the_choices(browser: Browser) -> None:
    answer = await browser.submit("/schedules/preview-part", **PLAIN | {"way": "cron", "cron": "*/10 9 * 6 *"})

    assert "says more than can be chosen" in answer.text
    assert checked(read(answer.text), "days[]") == ["1", "3"]


async def test_the_preview_notes_daylight_saving(browser: Browser) -> None:
    answer = await browser.submit("/schedules/preview-part", **PLAIN | {"way": "cron", "cron": "30 2 28 3 *"})

    assert "02:30 does not exist on this day; starts at 03:00" in answer.text


async def test_previews_of_nonsense_are_sentences(browser: Browser) -> None:
    nonsense: list[dict[str, Any]] = [
        {"days[]": []}, {"time": HOSTILE}, {"way": "cron", "cron": HOSTILE}, {"way": "date", "at": HOSTILE},
        {"timezone": HOSTILE}, {"duration_hours": HOSTILE}, {"way": HOSTILE}, {"way": "date", "at": "2020-01-01T00:00"},
        {"id": HOSTILE}, {"cron": LONG, "way": "cron"}, {"days[]": ["1"] * 400},
    ]  # fmt: skip
    for typed in nonsense:
        part = await browser.submit("/schedules/preview-part", **PLAIN | typed)
        whole = await browser.submit("/schedules/preview", **PLAIN | {"stream_id": "1"} | typed)

        assert part.status_code == 200, typed
        assert whole.status_code in (200, 422), typed
        assert "This means" in part.text
        assert "<script>alert" not in part.text + whole.text
    assert (await browser.submit("/schedules/preview", **PLAIN | {"id": "99"})).status_code == 404
    assert (await browser.post("/schedules/preview-part", headers={"Origin": browser.origin})).status_code == 200


async def test_the_list_says_what_is_known(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream, name=HOSTILE)
    off = await add(client, stream, name="Off", enabled=False)

    text = (await browser.get("/schedules")).text

    assert "Every day at 20:00 for 1 hour (Europe/Berlin)" in text
    assert "Mon 1 Jun 2026, 20:00" in text
    assert "<script>alert" not in text
    for link in (f"/schedules/{schedule.id}/edit", f"/schedules/{off.id}/delete", f"/sessions/new?stream_id={stream}"):
        assert link in text
    assert read(text).all("span", class_="off")[0].text == "Disabled"


async def test_the_list_is_filtered_by_its_address(browser: Browser, client: Client, stream: int) -> None:
    await add(client, stream, name="Morning")
    await add(client, stream, name="Evening", enabled=False)

    async def names(query: str) -> list[str]:
        found = await page(browser, f"/schedules?{query}")
        return [name for name in ("Morning", "Evening") if any(name in cell.text for cell in found.all("td"))]

    assert await names("") == ["Morning", "Evening"]
    assert await names("state=enabled") == ["Morning"]
    assert await names(f"state=disabled&stream_id={stream}&text=even") == ["Evening"]
    assert await names("stream_id=99") == []
    assert await names("state=nonsense&stream_id=nonsense") == ["Morning", "Evening"]
    await page(browser, f"/schedules?text={LONG}", 422)
    await page(browser, "/schedules?text=%00", 422)
    await page(browser, "/schedules?after=nonsense", 422)


async def test_disable_and_enable_come_back_to_the_same_list(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream)

    answer = await browser.submit(f"/schedules/{schedule.id}/disable?text=a%26b&note=saved")
    assert answer.headers["location"] == "/schedules?text=a%26b&note=disabled"
    assert not (await saved(client)).enabled
    answer = await browser.submit(f"/schedules/{schedule.id}/enable")
    assert answer.headers["location"] == "/schedules?note=enabled"
    assert (await saved(client)).enabled


async def test_a_deletion_asks_and_says_what_goes(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream)
    path = f"/schedules/{schedule.id}/delete"

    text = (await browser.get(path)).text
    assert "2 planned recordings will not happen" in text
    assert len((await client.call("GET", "/api/schedules"))["items"]) == 1

    answer = await browser.submit(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/schedules?note=deleted")
    assert (await client.call("GET", "/api/schedules"))["items"] == []


async def test_the_week_shows_skips_and_takes_back(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream, timezone="Asia/Tokyo")
    await add(client, stream, name="Other", cron="30 20 * * *", timezone="Asia/Tokyo")
    path = f"/schedules/week?start=2026-06-01&zone=Asia/Tokyo&stream_id={stream}"

    text = " ".join((await browser.get(path)).text.split())
    assert "<strong>20:00–21:00</strong>" in text
    assert "Overlaps Other (20:30) on this stream. All of it is recorded." in text

    query = path.partition("?")[2]
    at = {"at": "2026-06-04T11:00:00+00:00"}
    answer = await browser.submit(f"/schedules/{schedule.id}/skip?{query}", **at)
    assert answer.status_code == 303
    text = (await browser.get(answer.headers["location"])).text
    assert "This one is left out." in text
    assert text.count('class="showing skipped"') == 1
    answer = await browser.submit(f"/schedules/{schedule.id}/unskip?{query}", **at)
    assert 'class="showing skipped"' not in (await browser.get(answer.headers["location"])).text


async def test_what_is_often_is_folded(browser: Browser, client: Client, stream: int) -> None:
    await add(client, stream, cron="0 * * * *")

    found = await page(browser, "/schedules/week?start=2026-06-08&zone=UTC")

    assert [it.text for it in found.all("summary")] == ["Show: 24 times, 00:00 to 23:00"] * 7


async def test_the_week_of_moved_clocks_says_so(browser: Browser, client: Client, stream: int) -> None:
    await add(client, stream, cron="30 2 * * *")

    text = (await browser.get("/schedules/week?start=2027-03-22&zone=Europe/Berlin")).text

    assert "The clocks are moved from 02:00 to 03:00 on this day." in text
    assert "Daylight saving: 02:30 does not exist on this day; starts at 03:00." in text


async def test_the_week_begins_on_monday_where_nothing_is_said(browser: Browser) -> None:
    found = await page(browser, "/schedules/week?zone=UTC")

    days = [it.attributes["id"].removeprefix("day-") for it in found.all("h2") if "id" in it.attributes]
    assert [date.fromisoformat(day).isoweekday() for day in days] == [1, 2, 3, 4, 5, 6, 7]
    assert found.value("start") == days[0]


async def test_a_week_that_there_is_not_says_why(browser: Browser) -> None:
    for query, field in (
        ("start=today", "start"),
        ("start=0001-01-01", "start"),
        ("start=9999-12-31", "start"),
        ("zone=Mars/Olympus", "zone"),
        ("zone=../../etc/passwd", "zone"),
        ("zone=%00", "zone"),
        ("zone=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "zone"),
    ):
        answer = await browser.get(f"/schedules/week?{query}")

        assert (answer.status_code, set(read(answer.text).errors)) == (422, {field}), query
        assert "<script>alert" not in answer.text


async def test_buttons_of_no_moment(browser: Browser, client: Client, stream: int) -> None:
    schedule = await add(client, stream)

    for verb in ("skip", "unskip"):
        for at in ("", "soon", "2026-06-01T18:00:00", LONG, HOSTILE):
            answer = await browser.submit(f"/schedules/{schedule.id}/{verb}", at=at)
            assert answer.status_code == 422
            assert "<script>alert" not in answer.text
    assert (await browser.submit(f"/schedules/{schedule.id}/unskip", at=MONDAY.isoformat())).status_code == 409


async def test_a_schedule_that_is_gone(browser: Browser) -> None:
    for path in ("/schedules/99/edit", "/schedules/99/delete"):
        await page(browser, path, 404)
        assert (await browser.submit(path, **PLAIN)).status_code == 404
    for verb in ("enable", "disable", "skip", "unskip"):
        answer = await browser.submit(f"/schedules/99/{verb}", at=MONDAY.isoformat())
        assert answer.status_code == 404
    assert (await browser.get("/schedules/99")).status_code == 303
    await page(browser, "/schedules/nonsense/edit", 422)
