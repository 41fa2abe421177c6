"""The dashboard and the list of transfers."""

from datetime import UTC, datetime

import pytest

from tests.archive import fill
from tests.web.reading import read


@pytest.fixture
def archive(client, sqlite_url):
    """A small archive with everything in it."""
    fill(sqlite_url, streams=4, schedules=6, sessions=220, now=datetime.now(UTC))
    return client


async def test_a_new_dashboard_leads_to_the_first_stream(client):
    page = read((await client.request("GET", "/")).text)

    assert page.all("a", href="/setup/stream")


async def test_the_dashboard_tells_what_went_wrong_and_what_to_do(archive):
    page = read((await archive.request("GET", "/")).text)

    told = page.one("section", id="troubles").text
    assert "Failed" in told
    assert "no answer within 20 s." in told
    assert "test it" in told


async def test_the_dashboard_shows_the_next_five_in_order(archive):
    page = await archive.request("GET", "/")
    coming = await archive.call("GET", "/api/schedules/upcoming?limit=5")

    places = [page.text.find(f'datetime="{entry["start"].replace("Z", "+00:00")}"') for entry in coming["items"]]
    assert len(places) == 5
    assert -1 not in places


async def test_the_dashboard_gives_the_room_in_hours_of_recording(archive):
    page = read((await archive.request("GET", "/")).text)

    assert any("of recording left" in card.text for card in page.all("div", class_="card"))


async def test_transfers_are_listed_by_pages_and_filtered(archive):
    first = read((await archive.request("GET", "/transfers")).text)
    (older,) = first.all("a", rel="next")
    second = await archive.request("GET", older.attributes["href"])
    none = read((await archive.request("GET", "/transfers?state=refused&destination_id=")).text)

    assert second.status_code == 200
    assert len(first.all("tr")) == 51
    assert not none.all("tr")
    assert none.all("a", href="/transfers")


async def test_a_delivered_transfer_shows_its_receipt(archive):
    text = (await archive.request("GET", "/transfers")).text

    assert "proved by its checksum on the server" in text


async def test_a_transfer_can_be_sent_again_and_cancelled_from_the_page(archive):
    again = await archive.request("POST", "/transfers/1/retry")
    queued = await archive.call("GET", "/api/transfers?state=queued")
    cancelled = await archive.request("POST", "/transfers/1/cancel")
    twice = await archive.request("POST", "/transfers/1/cancel")

    assert again.status_code == cancelled.status_code == 303
    assert [one["id"] for one in queued["items"]] == [1]
    assert twice.status_code == 409
    assert read(twice.text).one("h1").text == "Not possible at the moment"


@pytest.mark.parametrize(
    "query", ["state=nonsense", "after=AAAA", "after=%00", "destination_id=x", "destination_id=-1"]
)
async def test_a_nonsense_filter_is_a_page_with_a_sentence(archive, query):
    answer = await archive.request("GET", f"/transfers?{query}")

    assert answer.status_code in (200, 422)
    assert answer.headers["content-type"].startswith("text/html")
    assert read(answer.text).one("h1").text
