"""How messages get out: signed, tried again, never where they may not go, and no secret told."""

import asyncio
import hashlib
import hmac
import json
import logging
import stat
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from rolltape.domain.address import Egress
from rolltape.domain.errors import ChannelError, ConflictError, NotFoundError
from rolltape.domain.notification import (
    APPRISE_SCHEMES,
    REFUSED_SCHEMES,
    Channel,
    ChannelFields,
    ChannelKind,
    Message,
    MessageState,
    masked,
)
from rolltape.domain.units import Seconds
from rolltape.services import Notifications
from rolltape.services.backups.hiding import keys_in
from rolltape.services.notifications.apprise import Apprise
from rolltape.services.notifications.back_off import retry_at
from rolltape.services.notifications.call import call
from rolltape.services.notifications.keep import FILE
from tests.servers.receiver import Receiver
from tests.services.conftest import START, Bench
from tests.services.notifications.conftest import SECRET, Desk

CANARY = "S3CR3T-7f"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is sent is the same on every database."""
    return sqlite_url


def restricted(bench: Bench, *targets: tuple[str, int]) -> Notifications:
    return Notifications(
        bench.database,
        bench.services.health,
        keys=bench.folder / "keys",
        egress=Egress(frozenset(targets)),
        clock=bench.clock,
    )


def fields(**values: Any) -> ChannelFields:
    return ChannelFields.model_validate({"name": "Hook", "kind": "webhook", "secret": SECRET} | values)


async def message_of(bench: Bench) -> Message:
    async with bench.database.read() as db:
        message: Message | None = await db.scalar(select(Message))
    assert message is not None
    return message


async def test_a_webhook_is_signed_so_that_its_receiver_can_check_it(desk: Desk) -> None:
    channel = await desk.channel()

    trial = await desk.notifications.test(channel.id)

    (request,) = desk.listener.received
    signed = request.headers["rolltape-timestamp"].encode() + b"." + request.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert trial.ok
    assert request.headers["rolltape-signature"] == f"sha256={expected}"
    assert request.headers["rolltape-timestamp"] == str(int(START.timestamp()))
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["event"] == "test"


async def test_a_webhook_without_a_secret_gets_one(desk: Desk) -> None:
    first, second = await desk.channel(secret=""), await desk.channel("Other", secret="")

    assert len(first.secret) >= 40
    assert first.secret != second.secret


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (500, "answered with 500"),
        (404, "there is nothing there"),
        (401, "asks for a name"),
        ("redirect", "leads elsewhere"),
        ("hangs_up", "broke off"),
        ("no_http", "no answer of the web"),
        ("endless_line", "no answer of the web"),
        ("endless_continue", "no answer of the web"),
        ("silent", "did not answer within"),
        ("drip", "did not answer within"),
    ],
)
async def test_what_a_receiver_does_wrong_is_told_in_time(
    listener: Receiver, behaviour: int | str, problem: str
) -> None:
    listener.behaviour = behaviour

    begun = time.monotonic()
    with pytest.raises(ChannelError, match=problem):
        await call(listener.url(f"/{CANARY}"), egress=Egress(unrestricted=True), body=b"{}", patience=Seconds(0.6))

    assert time.monotonic() - begun < 3
    assert len(listener.received) == 1  # nothing is followed


@pytest.mark.parametrize("behaviour", ["endless_body", "continue_first", 200, 202])
async def test_nothing_but_the_status_counts(listener: Receiver, behaviour: int | str) -> None:
    listener.behaviour = behaviour

    await call(listener.url(), egress=Egress(unrestricted=True), body=b"{}")

    assert len(listener.received) == 1


async def test_a_name_and_password_in_the_address_are_sent_as_such(listener: Receiver) -> None:
    address = listener.url("/a?b=c").replace("127.0.0.1", "user:p%40ss@127.0.0.1")

    await call(address, egress=Egress(unrestricted=True))

    (request,) = listener.received
    assert (request.method, request.path) == ("GET", "/a?b=c")
    assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert request.headers["host"] == f"127.0.0.1:{listener.port}"


async def test_an_address_that_is_not_in_ascii_is_sent_as_machines_spell_it(listener: Receiver) -> None:
    await call(listener.url("/föhn/%20?q=ä&r=1"), egress=Egress(unrestricted=True))

    assert [request.path for request in listener.received] == ["/f%C3%B6hn/%20?q=%C3%A4&r=1"]


async def test_nobody_listening_is_told() -> None:
    with pytest.raises(ChannelError, match="refuses the connection"):
        await call("http://127.0.0.1:1/x", egress=Egress(unrestricted=True))


async def test_proxies_of_the_environment_are_not_used(listener: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await call(listener.url(), egress=Egress(unrestricted=True))
    await Apprise(Egress(unrestricted=True)).send(f"json://127.0.0.1:{listener.port}/x", "T", "x")

    assert len(listener.received) == 2


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433",
        "0x7f.1", "127.1", "[fe80::1]", "[::]", "224.0.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["webhook", "ping"])
async def test_this_machine_and_its_neighbours_of_the_link_are_not_reached(
    bench: Bench, listener: Receiver, host: str, kind: str
) -> None:
    notifications = restricted(bench)
    channel = await notifications.create(fields(kind=kind, address=f"http://{host}:{listener.port}/x"))

    trial = await notifications.test(channel.id)

    assert not trial.ok
    assert "ROLLTAPE_ALLOW_TARGETS" in trial.message or "no host of this name" in trial.message
    assert listener.received == []


async def test_what_is_listed_is_reached(bench: Bench, listener: Receiver) -> None:
    notifications = restricted(bench, listener.target)
    hook = await notifications.create(fields(address=listener.url()))
    mail = await notifications.create(
        fields(name="A", kind="apprise", address=f"json://127.0.0.1:{listener.port}/{CANARY}")
    )

    trials = [await notifications.test(channel.id) for channel in (hook, mail)]

    assert [trial.ok for trial in trials] == [True, True], trials
    assert json.loads(listener.received[1].body)["title"] == "A test from Rolltape"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("json://127.0.0.1:1/x", "ROLLTAPE_ALLOW_TARGETS=127.0.0.1:1"),
        ("xml://169.254.169.254/latest", "not a place to reach"),
        ("gotify://localhost:1/AbCdEfGhIjKlMnO", "not a place to reach"),
        ("json://[::1]:1/x", "not a place to reach"),
        ("mailto://user:pass@example.org?smtp=127.0.0.1&to=a@example.org", "not a place to reach"),
        ("workflows://example.org/workflow/signature?template=/etc/passwd", "asks for a file"),
        ("nonsense://x", "begins with the name of a service"),
        ("syslog://localhost", "reaches into this machine"),
    ],
)
async def test_apprise_reaches_nothing_it_may_not_whoever_wrote_the_row(
    bench: Bench, address: str, problem: str
) -> None:
    notifications = restricted(bench)
    channel = await notifications.create(fields(kind="apprise", address="json://example.org/x"))
    async with bench.database.write() as db:
        await db.execute(update(Channel).values(address=address))

    trial = await notifications.test(channel.id)

    assert not trial.ok
    assert problem in trial.message


async def test_apprise_follows_no_redirect_to_where_it_may_not_go(listener: Receiver) -> None:
    listener.behaviour = "redirect"
    listener.elsewhere = "http://127.0.0.1:1/elsewhere"

    with pytest.raises(ChannelError, match=r"ROLLTAPE_ALLOW_TARGETS=127\.0\.0\.1:1"):
        await Apprise(Egress(frozenset({listener.target}))).send(f"json://127.0.0.1:{listener.port}/x", "T", "x")

    assert len(listener.received) == 1


async def test_apprise_that_hangs_is_ended(listener: Receiver) -> None:
    listener.behaviour = "silent"
    begun = time.monotonic()

    with pytest.raises(ChannelError, match="did not take it within"):
        await Apprise(Egress(unrestricted=True), patience=Seconds(3)).send(
            f"json://127.0.0.1:{listener.port}/x?rto=60", "T", "x"
        )

    assert time.monotonic() - begun < 8


async def test_no_secret_of_an_address_is_told_anywhere(
    bench: Bench, listener: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    listener.behaviour = 500
    notifications = restricted(bench, listener.target)
    port = listener.port
    trials = []
    for name, kind, address in (
        ("W", "webhook", f"http://u:{CANARY}@127.0.0.1:{port}/{CANARY}?token={CANARY}"),
        ("P", "ping", f"http://127.0.0.1:{port}/{CANARY}"),
        ("A", "apprise", f"json://u:{CANARY}@127.0.0.1:{port}/{CANARY}"),
        ("N", "apprise", f"json://u:{CANARY}@127.0.0.1:1/{CANARY}"),
    ):
        channel = await notifications.create(fields(name=name, kind=kind, address=address))
        trials.append(await notifications.test(channel.id))
        assert CANARY not in masked(channel.kind, channel.address)

    findings = await bench.services.health.findings()
    told = f"{trials} {caplog.text} {capfd.readouterr()} {findings}"
    assert [found.code for found in findings].count("channel_failing") == 4
    assert not any(trial.ok for trial in trials)
    assert CANARY not in told


def test_every_service_of_apprise_is_taken_or_refused_knowingly() -> None:
    ask = "from apprise.manager_plugins import NotificationManager as M; print(*M().schemas())"
    known = subprocess.run([sys.executable, "-I", "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    assert set(known) == APPRISE_SCHEMES | REFUSED_SCHEMES
    assert not APPRISE_SCHEMES & REFUSED_SCHEMES


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "webhook", "address": "ftp://host/x"}, "begins with https"),
        ({"kind": "webhook", "address": "host/x"}, "without a scheme"),
        ({"kind": "webhook", "address": "http://"}, "no host"),
        ({"kind": "webhook", "address": "http://host/\r\nX: y"}, "control character"),
        ({"kind": "webhook", "address": "http://host/***"}, "whole address"),
        ({"kind": "ping", "address": "http://host/" + "x" * 3000}, "longer than"),
        ({"kind": "ping", "address": "http://host/", "interval": 0}, "greater than or equal to 1"),
        ({"kind": "apprise", "address": "https://discord.com/api/webhooks/1/x"}, "address of the web"),
        ({"kind": "apprise", "address": "exec://x"}, "name of a service"),
        ({"kind": "apprise", "address": "file:///etc/passwd"}, "name of a service"),
        ({"kind": "apprise", "address": "dbus://"}, "name of a service"),
        ({"kind": "apprise", "address": "syslog://localhost"}, "reaches into this machine"),
        ({"kind": "apprise", "address": "windows://x"}, "reaches into this machine"),
        ({"kind": "apprise", "address": "json://a syslog://x"}, "space"),
        ({"kind": "pigeon", "address": "x"}, "webhook"),
        ({"address": "https://host/x", "secret": "short"}, "at least 16"),
        ({"address": "https://host/x", "secret": "geheimnisvölle Worte"}, "keyboard"),
        ({"address": "https://host/x", "events": ["birthday"]}, "failed"),
        ({"address": "https://host/x", "name": ""}, "name is needed"),
        ({"address": "https://host/x", "colour": "red"}, "Extra"),
        ({"address": 5}, "string"),
        ({"address": ""}, "at least 1"),
    ],
)
def test_a_channel_that_cannot_be_used_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        fields(**values)


async def test_what_does_not_arrive_is_tried_ever_more_seldom_for_a_day_and_given_up_visibly(desk: Desk) -> None:
    channel = await desk.channel()
    desk.listener.behaviour = 503
    await desk.ends()
    await desk.turn()

    for _ in range(24 * 6 + 1):
        desk.bench.clock.move(minutes=10)
        await desk.notifications.deliver()

    assert 25 < len(desk.listener.received) < 60
    message = await message_of(desk.bench)
    assert message.state is MessageState.GIVEN_UP
    assert len({request.headers["rolltape-id"] for request in desk.listener.received}) == 1
    assert "503" in ((await desk.notifications.get(channel.id)).last_error or "")
    assert [found.code for found in await desk.bench.services.health.findings()] == ["channel_failing"]


async def test_what_arrives_later_arrives_once(desk: Desk) -> None:
    channel = await desk.channel()
    desk.listener.behaviour = 500
    await desk.ends()
    await desk.turn()
    desk.listener.behaviour = 200
    for _ in range(3):
        desk.bench.clock.move(minutes=3)
        await desk.turn()

    assert len(desk.listener.received) == 2
    channel = await desk.notifications.get(channel.id)
    assert channel.last_error is None
    assert channel.last_ok_at is not None
    assert (await message_of(desk.bench)).state is MessageState.DELIVERED


def test_retries_are_bounded_and_spread() -> None:
    delays = [(retry_at(attempt, created_at=START, now=START, random=1) or START) - START for attempt in range(1, 40)]
    assert delays[:3] == [timedelta(minutes=1 / 6), timedelta(minutes=1 / 3), timedelta(minutes=2 / 3)]
    assert max(delays) == timedelta(minutes=60)
    assert retry_at(1, created_at=START, now=START, random=0) == START + timedelta(minutes=1 / 12)
    assert retry_at(9, created_at=START, now=START + timedelta(minutes=24 * 60), random=0) is None
    assert retry_at(10**6, created_at=START, now=START, random=0) is not None


async def test_a_channel_that_hangs_holds_up_no_other(desk: Desk) -> None:
    slow = await desk.channel("Slow")
    desk.listener.behaviour = "silent"
    await desk.ends()
    await desk.notifications.look()
    await desk.notifications._begin_to_send()
    while not desk.listener.received:
        await asyncio.sleep(0.01)
    desk.listener.behaviour = 200
    fast = await desk.channel("Fast", address=desk.listener.url("/fast"))
    desk.bench.clock.move(minutes=11)
    await desk.ends()
    await desk.notifications.look()

    await desk.notifications._begin_to_send()
    while len(desk.listener.received) < 2:
        await asyncio.sleep(0.01)

    assert [request.path for request in desk.listener.received] == ["/hook", "/fast"]
    assert set(desk.notifications._sending) == {slow.id, fast.id}
    begun = time.monotonic()
    await desk.notifications.stop()
    assert time.monotonic() - begun < 1  # nor the end of the service


async def test_signs_of_life_come_as_often_as_asked_while_the_service_is_ready(desk: Desk) -> None:
    await desk.channel("Alive", kind="ping", address=desk.listener.url("/ping/1"), interval=10)

    for _ in range(30):
        await desk.notifications.deliver()
        desk.bench.clock.move(minutes=1)
    (desk.bench.folder / "recordings").rename(desk.bench.folder / "away")
    for _ in range(30):
        await desk.notifications.deliver()
        desk.bench.clock.move(minutes=1)

    assert [(request.method, request.path) for request in desk.listener.received] == [("GET", "/ping/1")] * 3


async def test_a_sign_of_life_that_did_not_arrive_is_sent_again_soon(desk: Desk) -> None:
    channel = await desk.channel("Alive", kind="ping", address=desk.listener.url("/ping/1"), interval=60)
    desk.listener.behaviour = 500
    await desk.notifications.deliver()
    desk.listener.behaviour = 200
    desk.bench.clock.move(minutes=1)

    await desk.notifications.deliver()
    desk.bench.clock.move(minutes=59)
    await desk.notifications.deliver()

    assert len(desk.listener.received) == 2
    assert (await desk.notifications.get(channel.id)).last_error is None


async def test_a_ping_is_told_of_nothing_that_happens(desk: Desk) -> None:
    await desk.channel("Alive", kind="ping", address=desk.listener.url("/ping/1"), events=["failed"])
    await desk.notifications.deliver()
    await desk.ends(3)

    await desk.turn()

    assert len(desk.listener.received) == 1


async def test_the_channels_of_a_lost_database_are_found_again(bench: Bench, listener: Receiver) -> None:
    folder = bench.folder / "keys"
    before = restricted(bench, listener.target)
    channel = await before.create(fields(address=listener.url(), events=["database"]))
    kept = folder / FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert await bench.services.keys.all() == []  # it lies among them and is none
    assert keys_in(folder) == {}
    async with bench.database.write() as db:  # as a fresh database has it
        await db.delete(await db.get(Channel, channel.id))

    found = restricted(bench, listener.target)
    await found.start()
    await found.stop()

    (again,) = await found.all()
    assert (again.name, again.address, again.secret, again.events) == ("Hook", channel.address, SECRET, ["database"])


async def test_channels_that_were_deleted_stay_so(bench: Bench) -> None:
    notifications = restricted(bench)
    channel = await notifications.create(fields(address="https://example.org/x"))
    await notifications.delete(channel.id)

    await notifications.start()
    await notifications.stop()

    assert await notifications.all() == []


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '[{"name": 1}]', "[" * 100_000, "\0" * 10])
async def test_a_copy_that_cannot_be_read_hinders_nothing(bench: Bench, content: str) -> None:
    (bench.folder / "keys" / FILE).write_text(content)
    notifications = restricted(bench)

    await notifications.start()
    await notifications.stop()

    assert await notifications.all() == []


async def test_a_copy_that_cannot_be_written_hinders_nothing(bench: Bench) -> None:
    (bench.folder / "keys").rmdir()
    (bench.folder / "keys").write_text("no folder")

    await restricted(bench).create(fields(address="https://example.org/x"))

    assert len(await restricted(bench).all()) == 1


async def test_all_channels_that_are_switched_on_are_tested_or_the_one_that_is_named(
    bench: Bench, listener: Receiver
) -> None:
    notifications = restricted(bench, listener.target)
    with pytest.raises(NotFoundError, match="no channel that is switched on"):
        await notifications.test_all()
    for name, enabled in (("On", True), ("Off", False)):
        await notifications.create(fields(name=name, enabled=enabled, address=listener.url(f"/{name}")))

    tested = [name for name, trial in await notifications.test_all() if trial.ok]
    named = [name for name, trial in await notifications.test_all("Off") if trial.ok]

    assert (tested, named) == (["On"], ["Off"])
    with pytest.raises(NotFoundError, match="no channel named Pigeon"):
        await notifications.test_all("Pigeon")


async def test_changes_keep_what_is_given_back_as_it_was_shown(bench: Bench) -> None:
    notifications = restricted(bench)
    channel = await notifications.create(fields(address=f"https://example.org/{CANARY}"))
    shown = masked(ChannelKind.WEBHOOK, channel.address)

    changed = await notifications.update(channel.id, {"name": "New", "address": shown, "secret": "***"})

    assert (changed.name, changed.address, changed.secret) == ("New", f"https://example.org/{CANARY}", SECRET)
    assert shown == "https://example.org/***"
    with pytest.raises(ValidationError, match="whole address"):
        await notifications.update(channel.id, {"address": "https://elsewhere.example/***"})


async def test_names_are_taken_once_and_channels_are_not_without_number(bench: Bench) -> None:
    notifications = restricted(bench)
    for number in range(50):
        await notifications.create(fields(name=f"{number}", address="https://example.org/x"))

    with pytest.raises(ConflictError, match="50 channels"):
        await notifications.create(fields(address="https://example.org/x"))
    await notifications.delete((await notifications.all())[0].id)
    with pytest.raises(ConflictError, match="named 5"):
        await notifications.create(fields(name="5", address="https://example.org/x"))
    with pytest.raises(NotFoundError):
        await notifications.test(4711)
