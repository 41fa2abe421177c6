"""What is kept, in the API and on its pages."""

import pytest

from tests.services.test_retention import Archive
from tests.web.conftest import Browser, Client
from tests.web.reading import read


@pytest.fixture
def archive(client: Client) -> Archive:
    return Archive(client.bench)


async def test_a_program_sees_what_would_go_and_agrees_to_just_that(client: Client, archive: Archive) -> None:
    ids = await archive.fill(5, keep_count=3)
    path = f"/api/streams/{archive.stream}/retention"

    found = await client.call("GET", path)
    other = await client.call("GET", path, params={"keep_count": 1})
    await client.call("POST", path, json={"fingerprint": other["fingerprint"]}, expect=409)
    await client.call("POST", path, json={"fingerprint": found["fingerprint"]})
    await archive.retention.run()

    assert (found["keep_count"], found["recordings"], found["room"], found["only_copy"]) == (3, 5, 2000, True)
    assert [one["session_id"] for one in found["going"]] == ids[3:]
    assert found["waits"] == "The rule is new, or keeps less than before."
    assert len(other["going"]) == 4
    session = await client.call("GET", f"/api/sessions/{ids[4]}")
    assert session["recording"]["deleted_why"] == "There are 3 newer ones."
    await client.call("GET", f"/api/sessions/{ids[4]}/audio", expect=404)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keep_days", 0), ("keep_days", -1), ("keep_days", 1.5), ("keep_days", "x"), ("keep_days", 10**30),
        ("keep_count", 0), ("keep_gigabytes", 0), ("keep_gigabytes", "nan"), ("keep_gigabytes", []),
    ],
)  # fmt: skip
async def test_a_bad_rule_is_refused_with_its_field(client: Client, stream: int, name: str, value: object) -> None:
    assert list(await client.refused("PATCH", f"/api/streams/{stream}", json={name: value})) == [name]


async def test_a_rule_of_a_stream_can_be_taken_back(client: Client, stream: int) -> None:
    path = f"/api/streams/{stream}"

    assert (await client.call("PATCH", path, json={"keep_days": 30}))["keep_days"] == 30
    assert (await client.call("PATCH", path, json={"keep_days": None}))["keep_days"] is None
    await client.call("GET", "/api/streams/99/retention", expect=404)
    await client.call("POST", f"/api/streams/{stream}/retention", json={"fingerprint": "x" * 99}, expect=422)


def typed(**rule: str) -> dict[str, str]:
    fields = {
        "name": "Radio", "url": "http://radio.example/live", "title_pattern": "{date}", "filename_pattern": "{date}",
        "engine": "auto", "mp3_quality": "V2", "start_early": "0", "end_late": "0", "stall_timeout": "20",
        "max_duration_hours": "24",
    }  # fmt: skip
    return fields | rule


async def test_the_form_leads_to_what_a_new_rule_would_delete(
    client: Client, browser: Browser, archive: Archive
) -> None:
    await archive.fill(3)
    edit = f"/streams/{archive.stream}/edit"

    new = await browser.submit(edit, **typed(keep_count="2", keep_gigabytes="1.5"))
    same = await browser.submit(edit, **typed(keep_count="2", keep_gigabytes="1.5"))
    form = read((await browser.get(edit)).text)
    bad = await browser.submit(edit, **typed(keep_days="soon"))

    assert new.headers["location"] == f"/streams/{archive.stream}/retention?note=saved"
    assert same.headers["location"] == f"/streams/{archive.stream}?note=saved"
    assert (form.value("keep_count"), form.value("keep_gigabytes"), form.value("keep_days")) == ("2", "1.5", "")
    assert list(read(bad.text).errors) == ["keep_days"]


async def test_the_page_shows_what_would_go_and_deletes_it_when_asked(
    client: Client, browser: Browser, archive: Archive
) -> None:
    ids = await archive.fill(4, keep_count=2)
    path = f"/streams/{archive.stream}/retention"

    page = read((await browser.get(path)).text)
    assert page.one("button", class_="btn-danger").text == "Delete these 2 recordings"
    assert any("kept nowhere else" in one.text for one in page.all("p", class_="warn"))
    old = await browser.submit(path, fingerprint="another")
    done = await browser.submit(path, fingerprint=page.value("fingerprint"))
    await archive.retention.run()

    assert old.status_code == 409
    assert "Something has changed meanwhile" in read(old.text).one("p", role="alert").text
    assert done.headers["location"] == f"{path}?note=going"
    assert await archive.kept() == ids[:2]
    assert "Nothing would go now." in (await browser.get(path)).text
    assert "There are 2 newer ones." in (await browser.get(f"/sessions/{ids[3]}")).text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"keep_count": "1"}, "Of 3 recordings here, 2 would go now"), ({"keep_count": "9"}, "Nothing would go now"),
        ({"keep_days": "x"}, "no number"), ({"keep_gigabytes": "nan"}, "no number"), ({"keep_days": "0"}, "no number"),
        ({}, ""),
    ],
)  # fmt: skip
async def test_while_a_rule_is_typed_the_form_says_what_it_would_do(
    browser: Browser, archive: Archive, fields: dict[str, str], says: str
) -> None:
    await archive.fill(3)

    answer = await browser.submit("/streams/retention", id=archive.stream, **fields)

    assert answer.status_code == 200
    assert says in answer.text if says else not answer.text.strip()


@pytest.mark.parametrize("number", ["", "x", "99", "-1", "9" * 30])
async def test_a_rule_of_a_stream_that_is_not_there_breaks_nothing(browser: Browser, number: str) -> None:
    answer = await browser.submit("/streams/retention", id=number, keep_days="1")

    assert answer.status_code in (200, 404)


async def test_what_is_missing_is_listed_and_taken_note_of(client: Client, browser: Browser, archive: Archive) -> None:
    await archive.fill(4)
    for _ in range(3):
        archive.file(0).unlink()
    await archive.retention.run()

    finding = next(
        one for one in (await client.call("GET", "/api/system"))["findings"] if one["code"] == "recordings_missing"
    )
    page = read((await browser.get(finding["link"])).text)
    wrong = await browser.submit("/system/missing", count="1")
    done = await browser.submit("/system/missing", count=page.value("count"))

    assert finding["message"].startswith("3 of 4 recordings are not where they were.")
    assert (page.value("count"), len(page.all("td", data_label="File"))) == ("3", 3)
    assert (wrong.status_code, done.status_code) == (409, 303)
    assert "Every recording is where it should be" in (await browser.get("/system/missing")).text


@pytest.mark.parametrize("count", ["", "x", "9" * 40, "-3"])
async def test_a_count_that_is_none_is_refused(browser: Browser, count: str) -> None:
    assert (await browser.submit("/system/missing", count=count)).status_code == 409
