"""The pages of streams, as a browser without scripts uses them."""

import io

import pytest
from PIL import Image

from tests.web.reading import read

GOOD = {
    "name": "Harbour FM",
    "url": "http://radio.example/live",
    "title_pattern": "{date} {show}",
    "filename_pattern": "{stream}/{date} {show}",
    "engine": "auto",
    "mp3_quality": "V2",
    "start_early": "0",
    "end_late": "0",
    "stall_timeout": "20",
    "max_attempts": "",
    "max_duration_hours": "24",
    "max_duration_minutes": "0",
    "fallback_urls": "",
    "verify_tls": "on",
}
BAD = [
    ("name", "", "A name is needed."),
    ("name", "x" * 300, "200 characters"),
    ("name", "a\x07b", "cannot be shown"),
    ("url", "", "An address is needed."),
    ("url", "file:///etc/passwd", "file: cannot be recorded"),
    ("url", "concat:a|b", "cannot be recorded"),
    ("url", "-y", "cannot be recorded"),
    ("url", "http://" + "x" * 5000, "longer than"),
    ("fallback_urls", "http://a.example/\nftp://b.example/", "ftp: cannot be recorded"),
    ("title_pattern", "{nobody}", "There is no {nobody}"),
    ("title_pattern", "{x.__class__}", "There is no {x.__class__}"),
    ("filename_pattern", "", "The pattern is empty."),
    ("mp3_quality", "loud", "A quality is"),
    ("start_early", "soon", "number"),
    ("end_late", "-5", "greater than or equal to 0"),
    ("stall_timeout", "1e999", "finite"),
    ("max_attempts", "many", "integer"),
    ("max_duration", "a while", "number"),
]


def picture(kind: str, size: tuple[int, int] = (300, 200)) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, "navy").save(output, kind)
    return output.getvalue()


async def test_without_streams_the_list_offers_to_add_one(client):
    page = read((await client.request("GET", "/streams")).text)

    assert page.all("a", href="/streams/new", class_="btn-primary")
    assert not page.all("table")


async def test_a_stream_that_is_typed_is_there_afterwards(client):
    answer = await client.request("POST", "/streams/new", data=GOOD)
    shown = await client.request("GET", answer.headers["location"])

    assert answer.status_code == 303
    assert read(shown.text).one("h1").text == "Harbour FM"
    (made,) = (await client.call("GET", "/api/streams"))["items"]
    assert (made["url"], made["verify_tls"], made["max_duration"]) == ("http://radio.example/live", True, 86400)


async def test_the_form_of_a_new_stream_begins_with_what_is_preferred(client):
    await client.call("PATCH", "/api/preferences", json={"start_early": 30, "end_late": 90.5})

    page = read((await client.request("GET", "/streams/new")).text)

    assert (page.value("start_early"), page.value("end_late")) == ("30", "90.5")


@pytest.mark.parametrize(("field", "typed", "sentence"), BAD)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(client, field, typed, sentence):
    given = {"max_duration_hours": typed} if field == "max_duration" else {field: typed}
    data = GOOD | {"artist": "Kept", "fallback_urls": "http://second.example/"} | given

    answer = await client.request("POST", "/streams/new", data=data)
    page = read(answer.text)

    assert answer.status_code == 422
    assert sentence in page.error(field)
    assert page.value("artist") == "Kept"
    assert page.value(next(iter(given))) == typed.strip("\n") or "\x07" in typed
    assert (await client.call("GET", "/api/streams"))["items"] == []


async def test_the_form_of_a_stream_shows_it_and_changes_it(client, stream):
    before = read((await client.request("GET", f"/streams/{stream}/edit")).text)
    data = GOOD | {"name": "Another", "fallback_urls": "http://b.example/\n\nhttp://c.example/", "max_attempts": "3"}
    answer = await client.request("POST", f"/streams/{stream}/edit", data=data)

    changed = await client.call("GET", f"/api/streams/{stream}")
    assert before.value("name") == "Radio"
    assert answer.status_code == 303
    assert changed["fallback_urls"] == ["http://b.example/", "http://c.example/"]
    assert (changed["name"], changed["max_attempts"]) == ("Another", 3)


async def test_an_unticked_box_is_taken_as_no(client, stream):
    data = {name: value for name, value in GOOD.items() if name != "verify_tls"}

    await client.request("POST", f"/streams/{stream}/edit", data=data)

    assert (await client.call("GET", f"/api/streams/{stream}"))["verify_tls"] is False


async def test_a_name_that_is_taken_is_refused_at_the_name(client, stream):
    answer = await client.request("POST", "/streams/new", data=GOOD | {"name": "Radio"})

    assert answer.status_code == 422
    assert "Radio" in read(answer.text).error("name")


async def test_the_preview_says_title_tags_and_file_name(client):
    data = GOOD | {"filename_pattern": "{year}/{show} {track}", "genre": "Jazz"}

    shown = (await client.request("POST", "/streams/preview", data=data)).text

    assert "Harbour FM" in shown
    assert ".mp3" in shown
    assert "Jazz" in shown


@pytest.mark.parametrize("typed", ["{", "", "{nobody}", "///", "x" * 600])
async def test_a_preview_of_nonsense_is_a_sentence(client, typed):
    answer = await client.request("POST", "/streams/preview", data=GOOD | {"filename_pattern": typed})

    assert answer.status_code == 200
    assert read(answer.text).all("p")


async def test_an_address_that_does_not_answer_is_told_at_the_probe(client):
    answer = await client.request("POST", "/streams/probe", data={"url": "http://127.0.0.1:9/"})

    assert answer.status_code == 200
    assert "127.0.0.1" in read(answer.text).one("p", role="alert").text


async def test_deleting_asks_first_and_says_what_goes(client, stream):
    for _ in range(2):
        fields = {"stream_id": stream, "cron": "0 9 * * *", "timezone": "UTC", "duration": 3600}
        await client.call("POST", "/api/schedules", json=fields)

    asked = await client.request("GET", f"/streams/{stream}/delete")
    still = await client.call("GET", "/api/streams")
    answer = await client.request("POST", f"/streams/{stream}/delete")

    assert "2 schedules of it will be deleted" in asked.text
    assert len(still["items"]) == 1
    assert answer.status_code == 303
    assert (await client.call("GET", "/api/streams"))["items"] == []


async def test_what_is_not_there_is_a_page_that_says_so(client):
    for path in ("/streams/99", "/streams/99/edit", "/streams/99/delete", "/streams/nothing", "/nowhere"):
        answer = await client.request("GET", path)

        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_cover_is_taken_shown_as_a_jpeg_and_removed(client, stream, kind):
    files = {"file": ("../../cover.png", picture(kind), "image/png")}
    answer = await client.request("POST", f"/streams/{stream}/cover", files=files)
    shown = read((await client.request("GET", f"/streams/{stream}")).text)
    address = shown.one("img", class_="cover").attributes["src"]
    image = await client.request("GET", address)
    await client.request("POST", f"/streams/{stream}/cover/delete")

    assert answer.status_code == 303
    assert image.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(image.content)).format == "JPEG"
    assert (await client.call("GET", f"/api/streams/{stream}"))["has_artwork"] is False


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<html><script>alert(1)</script></html>",
        b"",
        b"GIF89a" + b"\0" * 100,
        picture("JPEG")[:300],
    ],
)
async def test_what_is_no_picture_gets_a_sentence_and_the_cover_stays(client, stream, content):
    files = {"file": ("cover.png", content, "image/png")}

    answer = await client.request("POST", f"/streams/{stream}/cover", files=files)

    assert answer.status_code == 422
    assert read(answer.text).one("p", role="alert").text.endswith((".", ")"))
    assert (await client.call("GET", f"/api/streams/{stream}"))["has_artwork"] is False


async def test_a_picture_of_too_many_points_is_refused_before_it_is_unpacked(client, stream):
    files = {"file": ("cover.png", picture("PNG", (9000, 9000)), "image/png")}

    answer = await client.request("POST", f"/streams/{stream}/cover", files=files)

    assert answer.status_code == 422
    assert "million pixels" in answer.text


async def test_an_upload_that_is_too_large_is_refused_with_a_sentence(client, stream):
    files = {"file": ("cover.png", b"\x89PNG" + b"\0" * 12_000_000, "image/png")}

    answer = await client.request("POST", f"/streams/{stream}/cover", files=files)

    assert answer.status_code == 413
    assert "MB" in answer.text or "bytes" in answer.text


async def test_hostile_names_are_shown_as_text(client):
    hostile = "<img src=x onerror=alert(1)>\"'</script>"
    fields = {"name": hostile, "url": "http://radio.example/", "artist": hostile, "genre": hostile}
    made = await client.call("POST", "/api/streams", json=fields)

    for path in ("/streams", f"/streams/{made['id']}", f"/streams/{made['id']}/edit", f"/streams/{made['id']}/delete"):
        text = (await client.request("GET", path)).text

        assert "<img src=x" not in text, path
        assert "&lt;img src=x onerror=alert(1)&gt;" in text, path


async def test_the_password_in_an_address_is_not_shown_on_the_page(client):
    fields = {"name": "Private", "url": "http://me:S3CR3T@radio.example/live?key=S3CR3T"}
    made = await client.call("POST", "/api/streams", json=fields)

    for path in ("/streams", f"/streams/{made['id']}/delete"):
        assert "S3CR3T" not in (await client.request("GET", path)).text


async def test_the_list_finds_by_name_and_address(client):
    for name, url in (
        ("Harbour FM", "http://a.example/"),
        ("Radio Nord", "http://harbour.example/"),
        ("X_Y", "http://c.example/"),
    ):
        await client.call("POST", "/api/streams", json={"name": name, "url": url})

    found = read((await client.request("GET", "/streams?text=HARBOUR")).text)
    none = read((await client.request("GET", "/streams?text=%25")).text)

    assert len(found.all("img", class_="thumb")) + len(found.all("span", class_="thumb")) == 2
    assert none.all("a", href="/streams")


async def test_a_test_of_the_address_fills_in_what_the_station_says(client, mp3_station):
    form = {"url": mp3_station, "name": "", "genre": "", "verify_tls": "on"}

    page = read((await client.request("POST", "/streams/probe", data=form)).text)
    typed = read((await client.request("POST", "/streams/probe", data=form | {"name": "Mine", "genre": "Jazz"})).text)

    assert page.value("name") == "Test Radio"
    assert page.value("genre") == "Test"
    assert not typed.all("input")


async def test_five_seconds_can_be_listened_to_before_a_stream_is_saved(client, mp3_station):
    form = {"url": mp3_station, "name": "", "verify_tls": "on", "listen": "on"}

    page = read((await client.request("POST", "/streams/probe", data=form)).text)
    heard = await client.request("GET", page.one("audio").attributes["src"])

    assert heard.headers["content-type"] == "audio/mpeg"
    assert len(heard.content) > 4 * 16_000
    assert (await client.call("GET", "/api/streams"))["items"] == []
