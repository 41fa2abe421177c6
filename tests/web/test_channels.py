"""Channels in the API and on their pages: set up, tried, changed, and never telling what is secret."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.receiver import Receiver, receiver
from tests.services.notifications.conftest import Desk
from tests.web.conftest import Browser, Client
from tests.web.reading import read

CANARY = "S3CR3T-7f"
PAGE = "/system/notifications"
FORM = {"name": "Hook", "kind": "webhook", "events[]": ["failed", "missed"], "interval": "5", "enabled": "on"}


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def hook(listener: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": "Hook", "kind": "webhook", "address": listener.url(f"/{CANARY}"), **more}


async def test_a_channel_is_made_read_changed_and_deleted(client: Client, listener: Receiver) -> None:
    made = await client.call("POST", "/api/channels", json=hook(listener, events=["failed"]))
    path = f"/api/channels/{made['id']}"
    await client.call("PATCH", path, json={"name": "New", "address": made["address"], "secret": "***"})
    trial = await client.call("POST", f"{path}/test")
    read_again = await client.call("GET", path)
    listed = await client.call("GET", "/api/channels")
    await client.call("DELETE", path)

    assert len(made["secret"]) >= 40  # told this once
    assert made["address"] == f"http://127.0.0.1:{listener.port}/***"
    assert trial == {"ok": True, "code": "", "message": "The message was taken."}
    assert listener.received[0].path == f"/{CANARY}"
    assert (read_again["name"], read_again["secret"], read_again["last_error"]) == ("New", "***", None)
    assert read_again["last_ok_at"] is not None
    assert listed == {"items": [read_again], "next": None}
    await client.call("GET", path, expect=404)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "ftp://host/"}, "address"),
        ({"address": "http://host/***"}, "address"),
        ({"address": "x" * 5000}, "address"),
        ({"address": ""}, "address"),
        ({"address": None}, "address"),
        ({"name": ""}, "name"),
        ({"name": "\u202e"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"kind": "apprise", "address": "syslog://"}, "address"),
        ({"secret": "short"}, "secret"),
        ({"secret": ["a" * 20]}, "secret"),
        ({"events": "failed"}, "events"),
        ({"events": ["failed", "birthday"]}, "events.1"),
        ({"interval": 0}, "interval"),
        ({"interval": 10**9}, "interval"),
        ({"interval": "often"}, "interval"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"last_error": "x"}, "last_error"),
    ],
)
async def test_what_cannot_be_taken_is_refused_at_its_field(
    client: Client, listener: Receiver, changes: dict[str, Any], field: str
) -> None:
    made = await client.call("POST", "/api/channels", json=hook(listener))

    for method, path, body in (
        ("POST", "/api/channels", hook(listener, name="Other") | changes),
        ("PATCH", f"/api/channels/{made['id']}", changes),
    ):
        assert field in await client.refused(method, path, json=body)


async def test_a_name_is_taken_once(client: Client, listener: Receiver) -> None:
    await client.call("POST", "/api/channels", json=hook(listener))

    answer = await client.call("POST", "/api/channels", json=hook(listener), expect=409)

    assert answer["error"]["message"] == "There is a channel named Hook already."


async def test_a_test_that_fails_says_why_and_is_remembered(client: Client, listener: Receiver) -> None:
    listener.behaviour = 500
    made = await client.call("POST", "/api/channels", json=hook(listener))

    trial = await client.call("POST", f"/api/channels/{made['id']}/test")

    host = f"127.0.0.1:{listener.port}"
    assert trial == {"ok": False, "code": "channel_error", "message": f"{host} answered with 500."}
    assert (await client.call("GET", f"/api/channels/{made['id']}"))["last_error"] == f"{host} answered with 500."
    findings = (await client.call("GET", "/api/system"))["findings"]
    assert [found["code"] for found in findings] == ["channel_failing"]


async def test_the_way_through_the_pages(browser: Browser, client: Client, listener: Receiver) -> None:
    empty = read((await browser.get(PAGE)).text)
    made = await browser.submit(f"{PAGE}/new", **FORM, address=listener.url(f"/{CANARY}"), secret="")
    number = (await client.call("GET", "/api/channels"))["items"][0]["id"]
    secret = read(made.text).one("input", id="shown").attributes["value"]
    tried = await browser.submit(f"{PAGE}/{number}/test")
    again = await browser.submit(f"{PAGE}/{number}/edit", **await filled(browser, number), name="Newer")
    asked = await browser.get(f"{PAGE}/{number}/delete")
    gone = await browser.submit(f"{PAGE}/{number}/delete")

    assert {link.text for link in empty.all("a", href=f"{PAGE}/new")} == {"Add a channel"}
    assert made.status_code == 201
    assert len(secret) >= 40
    assert "It works." in tried.text
    assert again.headers["location"] == f"{PAGE}/{number}?note=saved"
    assert "Delete Newer?" in asked.text
    assert gone.headers["location"] == f"{PAGE}?note=deleted"
    assert (await client.call("GET", "/api/channels"))["items"] == []


async def filled(browser: Browser, number: int) -> dict[str, object]:
    """What the form of a channel would send if nothing was typed, but for the name."""
    page = read((await browser.get(f"{PAGE}/{number}/edit")).text)
    events = [box.attributes["value"] for box in page.all("input", name="events[]") if "checked" in box.attributes]
    values = {name: page.value(name) for name in ("kind", "address", "secret", "interval")}
    return values | {"events[]": events, "enabled": "on"}


async def test_a_form_that_is_saved_as_it_is_changes_nothing(
    browser: Browser, client: Client, listener: Receiver
) -> None:
    made = await client.call("POST", "/api/channels", json=hook(listener, events=["disk"]))
    before = (await client.bench.services.notifications.all())[0]

    await browser.submit(f"{PAGE}/{made['id']}/edit", **await filled(browser, made["id"]), name="Hook")

    (after,) = await client.bench.services.notifications.all()
    assert (after.address, after.secret, after.events) == (before.address, before.secret, ["disk"])


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "A name is needed."),
        ("address", "nonsense", "without a scheme"),
        ("address", "", "at least 1 character"),
        ("secret", "short", "at least 16 characters"),
        ("interval", "often", "valid integer"),
        ("kind", "pigeon", "webhook"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    browser: Browser, listener: Receiver, field: str, typed: str, sentence: str
) -> None:
    good = FORM | {"address": "https://example.org/kept", "secret": "a secret that is kept"}
    answer = await browser.submit(f"{PAGE}/new", **good | {field: typed})
    page = read(answer.text)

    assert answer.status_code == 422
    assert sentence in page.error(field)
    assert page.value("secret") == (typed if field == "secret" else "a secret that is kept")
    boxes = [box.attributes["value"] for box in page.all("input", name="events[]") if "checked" in box.attributes]
    assert boxes == ["failed", "missed"]


async def test_a_test_without_scripts_is_a_whole_page_and_with_them_a_part(
    browser: Browser, client: Client, listener: Receiver
) -> None:
    listener.behaviour = 500
    made = await client.call("POST", "/api/channels", json=hook(listener))
    path = f"{PAGE}/{made['id']}/test"

    whole = await browser.submit(path)
    part = await browser.post(path, headers={"Origin": browser.origin, "HX-Request": "true"})

    for answer in (whole, part):
        assert "answered with 500." in answer.text
        assert "correct the address and test it." in answer.text
    assert "<html" in whole.text
    assert "<html" not in part.text


async def test_messages_are_listed_with_what_became_of_them(
    browser: Browser, client: Client, listener: Receiver
) -> None:
    listener.behaviour = 503
    desk = Desk(client.bench, listener)
    await desk.turn()
    channel = await desk.channel()
    await desk.ends(error_message="<script>alert(1)</script>")
    await desk.turn()

    shown = (await browser.get(f"{PAGE}/{channel.id}")).text

    assert "Show 0 failed" in shown
    assert "answered with 503." in shown
    assert "It is tried again" in shown
    assert "<script>alert" not in shown


async def test_no_page_and_no_answer_tells_a_secret(browser: Browser, client: Client, listener: Receiver) -> None:
    listener.behaviour = 500
    for name, kind, address in (
        ("W", "webhook", listener.url(f"/{CANARY}?token={CANARY}").replace("127", f"user:{CANARY}@127")),
        ("P", "ping", listener.url(f"/{CANARY}")),
        ("A", "apprise", f"json://user:{CANARY}@127.0.0.1:{listener.port}/{CANARY}"),
    ):
        fields = {"name": name, "kind": kind, "address": address, "secret": f"{CANARY}-{CANARY}"}
        await client.call("POST", "/api/channels", json=fields)
    texts = []
    for number in (1, 2, 3):
        for path in (f"{PAGE}/{number}", f"{PAGE}/{number}/edit", f"{PAGE}/{number}/delete", f"/api/channels/{number}"):
            texts.append((await browser.get(path)).text)
        texts.append(json.dumps(await client.call("POST", f"/api/channels/{number}/test")))
        changed = {"name": f"New {number}"}
        texts.append(json.dumps(await client.call("PATCH", f"/api/channels/{number}", json=changed)))
    texts += [(await browser.get(path)).text for path in (PAGE, "/system", "/api/channels", "/api/system", "/metrics")]

    assert len(texts) == 23
    assert not any(CANARY in text for text in texts)


async def test_a_channel_that_is_not_there_is_told(client: Client) -> None:
    for method, path in (
        ("GET", "/api/channels/7"), ("PATCH", "/api/channels/7"), ("DELETE", "/api/channels/7"),
        ("POST", "/api/channels/7/test"),
    ):  # fmt: skip
        more: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        answer = await client.call(method, path, expect=404, **more)
        assert answer["error"]["message"] == "There is no channel 7."
