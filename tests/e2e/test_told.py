"""Somebody is told what went wrong, by a service that is killed in between."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port, wait_until
from tests.servers.receiver import Receiver, receiver
from tests.servers.rolltape import Rolltape, rolltape

STOP = 8  # s


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, listener: Receiver) -> Iterator[Rolltape]:
    targets = f"127.0.0.1:{listener.port}"
    public = "https://radio.example/tape"
    with rolltape(tmp_path, ROLLTAPE_ALLOW_TARGETS=targets, ROLLTAPE_PUBLIC_URL=public) as running:
        yield running


def test_a_failure_is_told_once_although_the_service_is_killed_while_it_tells(
    service: Rolltape, listener: Receiver
) -> None:
    listener.behaviour = 503
    ping = {"name": "Alive", "kind": "ping", "address": listener.url("/ping")}
    hook = {"name": "Hook", "kind": "webhook", "address": listener.url("/hook"), "events": ["failed"]}
    service.call("POST", "/api/channels", json=hook)
    stream = service.add_stream(f"http://127.0.0.1:{free_port()}/live")
    number = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 1, "name": "Blue Hour"})["id"]
    service.wait_for(number, ("failed",))
    wait_until(lambda: listener.received != [], "the first try")

    service.kill()
    listener.behaviour = 200
    service.start()
    service.call("POST", "/api/channels", json=ping)
    wait_until(lambda: len(told(listener)) == 2, "the second try", within=40)
    wait_until(lambda: any(request.path == "/ping" for request in listener.received), "the sign of life")

    first, second = told(listener)
    assert first["id"] == second["id"]
    assert (second["title"], second["link"]) == ("Blue Hour failed", f"https://radio.example/tape/sessions/{number}")
    assert "rolltape_notifications" in service.request("GET", "/metrics").text
    listed = service.command("notify", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["Alive", "Hook"]
    assert "/hook" not in listed.stdout
    tried = service.command("notify", "test", "Hook")
    assert (tried.returncode, tried.stdout) == (0, "Hook: ok. The message was taken.\n")
    assert told(listener)[-1]["event"] == "test"
    assert service.stop() < STOP


def told(listener: Receiver) -> list[dict[str, str]]:
    return [json.loads(request.body) for request in listener.received if request.path == "/hook"]


def test_a_test_that_fails_ends_with_1(service: Rolltape, listener: Receiver) -> None:
    service.call("POST", "/api/channels", json={"name": "Hook", "kind": "webhook", "address": "http://127.0.0.1:1/x"})

    failed = service.command("notify", "test")

    assert failed.returncode == 1
    assert failed.stdout.startswith("Hook: 127.0.0.1 is not a place to reach")


def test_the_stop_waits_for_no_receiver(service: Rolltape, listener: Receiver) -> None:
    listener.behaviour = "silent"
    for name, kind, address in (
        ("Hook", "webhook", listener.url("/hook")),
        ("Mail", "apprise", f"json://127.0.0.1:{listener.port}/mail"),
    ):
        service.call("POST", "/api/channels", json={"name": name, "kind": kind, "address": address})
    stream = service.add_stream(f"http://127.0.0.1:{free_port()}/live")
    service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 1})
    wait_until(lambda: {request.path for request in listener.received} == {"/hook", "/mail"}, "both", within=40)

    took = service.stop()

    assert took < STOP


def test_a_lost_database_is_told_to_who_was_to_be_told_before(service: Rolltape, listener: Receiver) -> None:
    hook = {"name": "Hook", "kind": "webhook", "address": listener.url("/hook"), "events": ["database"]}
    service.call("POST", "/api/channels", json=hook)
    service.add_stream("http://radio.example/live")
    service.kill()
    for file in (service.folder / "data").glob("rolltape.db*"):
        file.write_bytes(b"no database any more " * 1000)

    service.start()
    wait_until(lambda: told(listener) != [], "the message", within=40)

    (message,) = told(listener)
    assert message["event"] == "database"
    assert message["text"].startswith("The database was damaged")
    assert message["link"].endswith("/system/backups")
