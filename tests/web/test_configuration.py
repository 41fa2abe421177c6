"""The configuration in the API and on its page."""

import pytest

from tests.web.conftest import Browser, Client
from tests.web.reading import read

TEXT = """\
format: 1
streams:
- name: Radio & <b>Söhne</b>
  url: http://me:S3CR3T@radio.example/live
"""


async def bring_in(client: Client, text: str | bytes = TEXT, expect: int = 200, **query: object):
    return await client.call("POST", "/api/config/import", content=text, params=query, expect=expect)


async def test_a_document_goes_in_and_comes_out_by_the_api(client: Client) -> None:
    looked = await bring_in(client, dry_run=True)
    empty = await client.call("GET", "/api/streams")
    done = await bring_in(client)
    again = await bring_in(client)

    answer = await client.request("GET", "/api/config/export")
    assert (looked["applied"], looked["changes"], done["applied"], done["changes"]) == (False, 1, True, 1)
    assert looked["fingerprint"] == done["fingerprint"]
    assert empty["items"] == []
    assert (again["changes"], {item["action"] for item in again["items"]}) == (0, {"unchanged", "left"})
    assert answer.headers["content-type"] == "application/yaml"
    assert "rolltape-configuration.yaml" in answer.headers["content-disposition"]
    assert "Radio & <b>Söhne</b>" in answer.text
    assert "S3CR3T" not in answer.text


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/yaml", ""])
async def test_however_a_program_calls_it_a_document_is_taken(client: Client, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}

    answer = await client.request("POST", "/api/config/import", content=TEXT.encode(), headers=headers)

    assert (answer.status_code, answer.json()["changes"]) == (200, 1)


async def test_what_is_wrong_is_told_by_place(client: Client) -> None:
    answer = await bring_in(client, "format: 1\nstreams:\n- {name: A, url: ftp://x/}\n- {url: http://x/}\n", expect=422)

    assert answer["error"]["message"].endswith("There is 1 more like this. Nothing was changed.")
    assert list(answer["error"]["fields"]) == ["Line 3, stream A, url", "Line 4, stream 2, name"]


async def test_to_remove_things_what_was_shown_has_to_be_named(client: Client) -> None:
    await bring_in(client)
    text = "format: 1\nstreams: []\n"

    fields = (await bring_in(client, text, expect=422, prune=True))["error"]["fields"]
    looked = await bring_in(client, text, prune=True, dry_run=True)
    await bring_in(client, text, prune=True, fingerprint="other", expect=409)
    done = await bring_in(client, text, prune=True, fingerprint=looked["fingerprint"])

    assert list(fields) == ["fingerprint"]
    assert [item["action"] for item in done["items"] if item["kind"] == "stream"] == ["removed"]
    assert (await client.call("GET", "/api/streams"))["items"] == []


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 10_000, b"&a [*a]", b"x" * 1_000_000])
async def test_a_body_that_is_no_document_is_refused(client: Client, body: bytes) -> None:
    answer = await client.request("POST", "/api/config/import", content=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


async def test_it_needs_a_login(stranger: Browser) -> None:
    assert (await stranger.get("/api/config/export")).status_code == 401
    assert (await stranger.post("/api/config/import", content=TEXT)).status_code in (401, 403)


async def submit(browser: Browser, path: str, *, file: bytes | None = None, **fields: str):
    files = {"file": ("config.yaml", file, "application/yaml")} if file is not None else {"none": ("", b"")}
    return await browser.post(path, data=fields, files=files, headers={"Origin": browser.origin})


async def test_the_page_shows_what_would_change_and_asks(client: Client, browser: Browser) -> None:
    shown = await submit(browser, "/system/configuration", file=TEXT.encode())

    page = read(shown.text)
    assert shown.status_code == 200
    assert page.one("h1").text == "Bring in this configuration?"
    assert [item.text for item in page.all("li", class_="said")] == ["Stream Radio & <b>Söhne</b>"]
    assert (await client.call("GET", "/api/streams"))["items"] == []
    document, fingerprint = page.value("document"), page.value("fingerprint")
    done = await submit(browser, "/system/configuration/import", document=document, fingerprint=fingerprint)
    assert (done.status_code, done.headers["location"]) == (303, "/system/configuration?note=imported")
    assert len((await client.call("GET", "/api/streams"))["items"]) == 1


async def test_the_page_shows_it_anew_when_something_changed_meanwhile(client: Client, browser: Browser) -> None:
    shown = read((await submit(browser, "/system/configuration", file=TEXT.encode())).text)
    await client.call("POST", "/api/streams", json={"name": "Radio & <b>Söhne</b>", "url": "http://other.example/"})

    document, fingerprint = shown.value("document"), shown.value("fingerprint")
    answer = await submit(browser, "/system/configuration/import", document=document, fingerprint=fingerprint)

    page = read(answer.text)
    assert answer.status_code == 409
    assert "changed meanwhile" in page.one("p", role="alert").text
    assert any(
        "address: http://other.example/ → http://me:***@radio.example/live" in one.text for one in page.all("li")
    )


async def test_the_page_says_every_problem_and_changes_nothing(client: Client, browser: Browser) -> None:
    answer = await submit(browser, "/system/configuration", file=b"format: 1\nstreams:\n- {url: '<script>'}\n- 5\n")

    page = read(answer.text)
    assert answer.status_code == 422
    assert len(page.all("li", class_="said")) == 3
    assert "<script>'" not in answer.text


@pytest.mark.parametrize("file", [None, b""])
async def test_without_a_file_the_page_asks_for_one(browser: Browser, file: bytes | None) -> None:
    answer = await submit(browser, "/system/configuration", file=file)

    assert answer.status_code == 422
    assert "Choose a file first." in answer.text


async def test_the_page_offers_the_document(browser: Browser) -> None:
    page = read((await browser.get("/system/configuration")).text)

    link = next(one for one in page.all("a") if one.text == "Download the configuration")
    assert (await browser.get(link.attributes["href"])).text.startswith("# Configuration of Rolltape")


async def test_the_description_of_the_api_says_how_to_send_it(browser: Browser) -> None:
    text = (await browser.get("/api/docs")).text

    assert "--data-binary @rolltape-configuration.yaml" in text
