"""Backups: what is in them, what is not, and that only a sound one ever takes the place of what is there."""

import asyncio
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import insert, select, update

from rolltape.domain.base import Base
from rolltape.domain.destination import DestinationFields
from rolltape.domain.errors import BackupError, ConflictError, InputError, NotFoundError
from rolltape.domain.notification import ChannelFields, ChannelKind
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import Session, SessionState
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.services.backups import Backup, Reason, daily
from rolltape.services.backups.hiding import KEPT, LEFT_OUT, SEALED
from rolltape.services.backups.seal import seal, unseal
from rolltape.store import Database, revisions
from rolltape.store.database import migrate_now, sync_engine
from rolltape.store.snapshot import snapshot
from tests import forged
from tests.services.conftest import START, Bench, build

CANARY = "s3cr3t-canary"
PASSPHRASE = "a long passphrase"
ADDRESS = f"http://listener:{CANARY}@radio.example/live?channel=2&token={CANARY}"
HOST_KEY = {"host_key_type": "ssh-ed25519", "host_key": "AAAAkey", "host_key_fingerprint": f"SHA256:{'x' * 43}"}
MOST_MEMORY = 300  # MB, of a process that looks at hostile archives
LONGEST_REFUSAL = 30  # s
COVER = "1-0123456789abcdef.png"


async def fill(bench: Bench) -> dict[str, int]:
    """One of everything, with secrets wherever there can be some; ids by name."""
    services, clock = bench.services, bench.clock
    nas = DestinationFields(name="NAS", host="nas.lan", user="radio", key_file="id", directory="music")
    destination = (await services.destinations.create(nas)).id
    stream = await bench.stream(url=ADDRESS, fallback_urls=[ADDRESS], destination_ids=[destination])
    await services.keys.create("id")
    schedule = ScheduleFields(stream_id=stream, cron="0 9 * * *", timezone="UTC", duration=3600)
    number = (await services.schedules.create(schedule)).id
    channel = ChannelFields(
        name="Phone", kind=ChannelKind.WEBHOOK, address=f"https://x.example/{CANARY}", secret=CANARY * 2
    )
    plan = {
        "session_id": 1, "show": "Show", "start": clock().isoformat(), "end": clock().isoformat(), "start_early": 0,
        "end_late": 0, "timezone": "UTC", "stream": {"name": "Radio", "url": ADDRESS, "fallback_urls": [ADDRESS]},
    }  # fmt: skip
    ended = clock() - timedelta(hours=1)
    told = f"{ADDRESS}: no answer"
    past = {
        "name": "Past",
        "opens": ended,
        "planned_start": ended,
        "planned_end": ended,
        "timezone": "UTC",
        "stream_id": stream,
    }
    async with bench.database.write() as db:
        db.add(
            Session(
                **past, state=SessionState.FAILED, ended_at=ended, plan=plan, error_message=told, file="Radio/a.mp3"
            )
        )
        await db.execute(update(Base.metadata.tables["destinations"]).values(**HOST_KEY))
        await db.execute(update(Base.metadata.tables["streams"]).values(artwork=COVER))
        await db.execute(
            insert(Base.metadata.tables["channels"]).values(**channel.model_dump(mode="json"), created_at=clock())
        )
    Image.new("RGB", (40, 40), "red").save(bench.folder / "artwork" / COVER)
    await services.preferences.change({"end_late": 30})
    await services.users.create("owner", "correct horse")
    await services.tokens.create("script")
    return {"stream": stream, "destination": destination, "schedule": number}


def dump(url: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a database."""
    with snapshot(url) as found:
        return {table: list(found.rows(table)) for table in found.tables}


def without(rows: list[dict[str, Any]], *columns: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


@pytest.fixture
async def other(tmp_path: Path, migrated_sqlite: Path, ffmpeg: str) -> AsyncIterator[Bench]:
    """An empty instance, on SQLite whatever the other one is on."""
    folder = tmp_path / "other"
    folder.mkdir()
    file = folder / "other.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    database = Database(f"sqlite:///{file}")
    bench = build(database, folder, ffmpeg)
    yield bench
    await database.close()


async def pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(100_000):
            yield piece


async def carry(bench: Bench, name: str, other: Bench) -> Backup:
    """Bring a backup to another instance."""
    return await other.services.backups.receive(pieces(bench.services.backups.path(name)))


async def session(bench: Bench, state: SessionState, *, starts: timedelta, **more: Any) -> int:
    """A session of an hour that begins in `starts`."""
    start = bench.clock() + starts
    values = {
        "name": f"{state} show",
        "opens": start,
        "planned_start": start,
        "planned_end": start + timedelta(hours=1),
    }
    row = Session(state=state, timezone="UTC", **{**values, **more})
    async with bench.database.write() as db:
        db.add(row)
    return row.id


async def states(bench: Bench) -> dict[int, tuple[str, str | None]]:
    async with bench.database.read() as db:
        rows = await db.execute(select(Session.id, Session.state, Session.error_code))
        return {number: (str(state), code) for number, state, code in rows}


# What is in it


def test_every_table_is_kept_sealed_or_left_out_on_purpose() -> None:
    assert sorted([*KEPT, *SEALED, *LEFT_OUT]) == sorted(Base.metadata.tables)


async def test_a_backup_without_a_passphrase_holds_no_secret(bench: Bench) -> None:
    await fill(bench)

    made = await bench.services.backups.create()

    file = bench.services.backups.path(made.name)
    members = forged.members_of(file)
    private = (bench.folder / "keys" / "id").read_bytes()
    for name, content in members.items():
        assert CANARY.encode() not in content, name
        assert b"PRIVATE" not in content, name
        assert b"argon2" not in content, name
        assert private not in content, name
    assert not made.has_secrets
    assert "secrets.bin" not in members
    assert not {f"tables/{table}.jsonl" for table in (*SEALED, *LEFT_OUT)} & set(members)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(bench.folder.glob("backups/.*")) == []


async def test_a_backup_with_a_passphrase_shows_no_secret_either(bench: Bench) -> None:
    await fill(bench)

    made = await bench.services.backups.create(passphrase=PASSPHRASE)

    assert made.has_secrets
    assert all(
        CANARY.encode() not in content for content in forged.members_of(bench.services.backups.path(made.name)).values()
    )


async def test_the_manifest_says_what_is_in_it(bench: Bench) -> None:
    await fill(bench)

    made = await bench.services.backups.create(Reason.MANUAL)

    manifest = forged.manifest_of(bench.services.backups.path(made.name))
    assert made.name == "rolltape-20260601-120000-manual.zip"
    assert (manifest["application"], manifest["revision"], manifest["reason"]) == ("rolltape", revisions()[0], "manual")
    assert manifest["created"] == "2026-06-01T12:00:00Z"
    assert f"artwork/{COVER}" in {member["name"] for member in manifest["members"]}


async def test_two_backups_in_one_second_have_two_names(bench: Bench) -> None:
    names = {(await bench.services.backups.create()).name for _ in range(3)}

    assert len(names) == 3
    assert {backup.name for backup in await bench.services.backups.all()} == names


@pytest.mark.parametrize("passphrase", ["short", "x" * 2000])
async def test_a_passphrase_that_protects_nothing_is_refused(bench: Bench, passphrase: str) -> None:
    with pytest.raises(InputError) as refused:
        await bench.services.backups.create(passphrase=passphrase)

    assert refused.value.field == "passphrase"
    assert await bench.services.backups.all() == []


async def test_a_backup_that_cannot_be_written_says_where(bench: Bench) -> None:
    (bench.folder / "backups").write_text("in the way")

    with pytest.raises(BackupError, match="backups"):
        await bench.services.backups.create()


def test_what_is_sealed_opens_with_its_passphrase_and_beside_what_it_was_sealed_with_only() -> None:
    sealed = seal(b"content", PASSPHRASE, about=b"archive")

    assert unseal(sealed, PASSPHRASE, about=b"archive") == b"content"
    for passphrase, about in (("another phrase", b"archive"), (PASSPHRASE, b"another archive")):
        with pytest.raises(InputError) as refused:
            unseal(sealed, passphrase, about=about)
        assert refused.value.code == "backup_passphrase"


# There and back


async def test_restored_at_once_nothing_is_different(bench: Bench) -> None:
    await fill(bench)
    before = dump(bench.database.url)
    made = await bench.services.backups.create()

    planned = await bench.services.backups.plan(made.name)
    done = await bench.services.backups.restore(made.name)

    after = dump(bench.database.url)
    assert all(change.is_none for change in planned.changes)
    assert done.safety is not None
    assert (done.safety.reason, list(planned.notes)) == (Reason.RESTORE, [])
    for table in before:
        changing = {"sessions": ["epoch", "plan", "error_message"], "channels": ["last_at"], "events": ["message"]}
        assert without(after[table], *changing.get(table, [])) == without(before[table], *changing.get(table, [])), (
            table
        )


async def test_what_was_changed_since_comes_back_and_the_rest_goes(bench: Bench) -> None:
    ids = await fill(bench)
    made = await bench.services.backups.create()
    bench.clock.move(minutes=1)
    await bench.services.streams.update(ids["stream"], {"genre": "Jazz"})
    await bench.stream("Later")
    await bench.services.destinations.delete(ids["destination"])
    await bench.services.preferences.change({"end_late": 99})

    planned = {change.kind: change for change in (await bench.services.backups.plan(made.name)).changes}
    assert planned["streams"].changed.names == ["Radio"]
    assert planned["streams"].removed.names == ["Later"]
    assert planned["destinations"].added.names == ["NAS"]
    assert planned["preferences"].changed.names == ["End late"]
    assert (await bench.services.streams.get(ids["stream"])).genre == "Jazz"  # so far

    await bench.services.backups.restore(made.name)

    assert [name for _, name in await bench.services.streams.names()] == ["Radio"]
    assert (await bench.services.streams.get(ids["stream"])).genre == ""
    assert bench.services.preferences.values.end_late == 30
    assert (await bench.services.destinations.get(ids["destination"])).name == "NAS"


async def test_passwords_are_put_back_from_what_is_there(bench: Bench) -> None:
    ids = await fill(bench)
    made = await bench.services.backups.create()

    done = await bench.services.backups.restore(made.name)

    stream = await bench.services.streams.get(ids["stream"])
    destination = await bench.services.destinations.get(ids["destination"])
    assert (stream.url, stream.fallback_urls) == (ADDRESS, [ADDRESS])
    assert destination.host_key == HOST_KEY["host_key"]
    assert dump(bench.database.url)["channels"][0]["address"].endswith(CANARY)
    assert list(done.notes) == []


async def test_on_another_machine_it_is_said_what_is_lacking(bench: Bench, other: Bench) -> None:
    await fill(bench)
    made = await bench.services.backups.create()
    brought = await carry(bench, made.name, other)

    done = await other.services.backups.restore(brought.name)

    told = " ".join(done.notes)
    ((number, _),) = await other.services.streams.names()
    assert brought.reason is Reason.UPLOAD
    assert "password in the address of Radio" in told
    assert "server of NAS is not known" in told
    assert "key id of NAS is not here" in told
    assert "address of Phone is not known" in told
    assert (
        await other.services.streams.get(number)
    ).url == "http://listener:***@radio.example/live?channel=2&token=***"
    assert dump(other.database.url)["channels"][0]["enabled"] is False
    assert (await other.services.streams.cover(number))[:2] == b"\xff\xd8"
    assert not await other.services.users.exist()  # without the passphrase


async def test_with_the_passphrase_everything_moves_to_another_machine(bench: Bench, other: Bench) -> None:
    await fill(bench)
    made = await bench.services.backups.create(passphrase=PASSPHRASE)
    brought = await carry(bench, made.name, other)

    done = await other.services.backups.restore(brought.name, PASSPHRASE, with_accounts=True, with_host_keys=True)

    mine, theirs = dump(bench.database.url), dump(other.database.url)
    assert list(done.notes) == []
    for table in ("streams", "destinations", "schedules", "preferences", "users", "tokens"):
        assert theirs[table] == mine[table], table
    assert (other.folder / "keys" / "id").read_bytes() == (bench.folder / "keys" / "id").read_bytes()
    assert (other.folder / "keys" / "id").stat().st_mode & 0o777 == 0o600
    cookie = await other.services.users.log_in("owner", "correct horse", peer="x", agent="x", remember=False)
    assert await other.services.users.who(cookie) is not None


@pytest.mark.parametrize("ticked", ["with_accounts", "with_host_keys"])
async def test_accounts_and_servers_come_only_with_the_passphrase(bench: Bench, other: Bench, ticked: str) -> None:
    await fill(bench)
    made = await bench.services.backups.create(passphrase=PASSPHRASE)
    brought = await carry(bench, made.name, other)

    with pytest.raises(InputError) as refused:
        await other.services.backups.restore(
            brought.name, with_accounts=ticked == "with_accounts", with_host_keys=ticked == "with_host_keys"
        )
    assert refused.value.field == "passphrase"
    await other.services.backups.restore(brought.name, PASSPHRASE)

    assert not await other.services.users.exist()
    assert dump(other.database.url)["destinations"][0]["host_key"] is None


async def test_a_wrong_passphrase_changes_nothing(bench: Bench) -> None:
    await fill(bench)
    made = await bench.services.backups.create(passphrase=PASSPHRASE)
    before = dump(bench.database.url)

    for ask in (bench.services.backups.verify, bench.services.backups.plan, bench.services.backups.restore):
        with pytest.raises(InputError) as refused:
            await ask(made.name, "another phrase")
        assert (refused.value.field, refused.value.code) == ("passphrase", "backup_passphrase")

    assert dump(bench.database.url) == before
    assert len(await bench.services.backups.all()) == 1


async def test_accounts_stay_and_everybody_has_to_sign_in_again(bench: Bench) -> None:
    made = await bench.services.backups.create()  # before there was an account
    users, tokens = bench.services.users, bench.services.tokens
    await users.create("owner", "correct horse")
    token = await tokens.create("script")
    cookie = await users.log_in("owner", "correct horse", peer="x", agent="x", remember=True)

    await bench.services.backups.restore(made.name)

    assert await users.who(cookie) is None
    assert await users.exist()
    assert await users.setup_code() is None
    with pytest.raises(ConflictError):
        await users.set_up("intruder", "correct horse", "code", "x")
    assert await tokens.is_known(token)
    assert await users.log_in("owner", "correct horse", peer="x", agent="x", remember=False)


async def test_another_server_at_a_destination_has_to_be_accepted_again(bench: Bench) -> None:
    ids = await fill(bench)
    made = await bench.services.backups.create()
    await bench.services.destinations.update(ids["destination"], {"host": "elsewhere.lan"})

    done = await bench.services.backups.restore(made.name)

    destination = await bench.services.destinations.get(ids["destination"])
    assert (destination.host, destination.host_key) == ("nas.lan", None)
    assert "The server of NAS is not known" in " ".join(done.notes)


async def test_a_key_that_is_there_is_not_written_over(bench: Bench, other: Bench) -> None:
    await fill(bench)
    await other.services.keys.create("id")
    kept = (other.folder / "keys" / "id").read_bytes()
    made = await bench.services.backups.create(passphrase=PASSPHRASE)
    brought = await carry(bench, made.name, other)

    await other.services.backups.restore(brought.name, PASSPHRASE)

    assert (other.folder / "keys" / "id").read_bytes() == kept


# Sessions


@pytest.mark.parametrize(
    ("state", "starts", "wanted"),
    [
        (SessionState.SCHEDULED, timedelta(hours=5), ("scheduled", None)),
        (SessionState.SCHEDULED, timedelta(minutes=-30), ("scheduled", None)),
        (SessionState.SCHEDULED, timedelta(hours=-5), ("missed", "restored")),
        (SessionState.WAITING, timedelta(minutes=-30), ("scheduled", None)),
        (SessionState.WAITING, timedelta(hours=-5), ("missed", "restored")),
        (SessionState.RECORDING, timedelta(minutes=-30), ("failed", "restored")),
        (SessionState.PROCESSING, timedelta(hours=-2), ("failed", "restored")),
        (SessionState.DELIVERING, timedelta(hours=-2), ("done", None)),
        (SessionState.CANCELLED, timedelta(hours=-2), ("cancelled", None)),
    ],
)
async def test_what_was_under_way_is_not_resurrected(
    bench: Bench, other: Bench, state: SessionState, starts: timedelta, wanted: tuple[str, str | None]
) -> None:
    number = await session(bench, state, starts=starts)
    made = await bench.services.backups.create()
    brought = await carry(bench, made.name, other)

    done = await other.services.backups.restore(brought.name)

    assert await states(other) == {number: wanted}
    if wanted[1]:
        assert "whose end is not known: 1" in " ".join(done.notes)
        assert (await other.services.sessions.events(number))[-1].kind == wanted[0]


@pytest.mark.parametrize("state", [SessionState.SCHEDULED, SessionState.RECORDING, SessionState.DELIVERING])
async def test_what_has_ended_since_keeps_its_end(bench: Bench, state: SessionState) -> None:
    number = await session(bench, state, starts=timedelta(minutes=5))
    made = await bench.services.backups.create()
    bench.clock.move(minutes=30)
    async with bench.database.write() as db:
        values = {"state": SessionState.DONE, "file": "a.mp3", "ended_at": bench.clock()}
        await db.execute(update(Session).where(Session.id == number).values(values))
    await bench.services.sessions.tell(number, "recorded", "All of it.")

    await bench.services.backups.restore(made.name)

    assert await states(bench) == {number: ("done", None)}
    assert (await bench.services.sessions.get(number)).file == "a.mp3"
    assert [event.message for event in await bench.services.sessions.events(number)] == ["All of it."]


async def test_an_occurrence_that_was_recorded_under_another_number_is_not_recorded_twice(bench: Bench) -> None:
    ids = await fill(bench)
    start = datetime(2026, 6, 2, 9, tzinfo=UTC)
    await bench.services.schedules.plan(everything=True)
    made = await bench.services.backups.create()
    # The schedule was changed and changed back: its sessions were entered anew.
    await bench.services.schedules.update(ids["schedule"], {"enabled": False})
    await bench.services.schedules.update(ids["schedule"], {"enabled": True})
    async with bench.database.write() as db:
        done = {"state": SessionState.DONE, "file": "a.mp3", "ended_at": start + timedelta(hours=1)}
        await db.execute(update(Session).where(Session.planned_start == start).values(done))
    bench.clock.moment = start + timedelta(minutes=30)

    await bench.services.backups.restore(made.name)

    async with bench.database.read() as db:
        found = (await db.scalars(select(Session).where(Session.planned_start == start))).all()
    assert [(one.state, one.file) for one in found] == [(SessionState.DONE, "a.mp3")]


async def test_who_ran_a_session_does_not_own_the_restored_one(bench: Bench) -> None:
    number = await session(bench, SessionState.SCHEDULED, starts=timedelta(seconds=5))
    made = await bench.services.backups.create()
    runner = await bench.services.sessions.claim(number)
    assert runner is not None

    await bench.services.backups.restore(made.name)

    assert not await bench.services.sessions.advance(runner, SessionState.RECORDING, "opened", "Too late.")
    assert (await states(bench))[number] == ("scheduled", None)


async def test_no_new_session_gets_the_number_of_one_whose_takes_lie_there(bench: Bench, other: Bench) -> None:
    await bench.stream()
    made = await bench.services.backups.create()
    (other.folder / "recordings" / ".takes" / "41").mkdir(parents=True)
    brought = await carry(bench, made.name, other)
    await other.services.backups.restore(brought.name)
    ((stream, _),) = await other.services.streams.names()

    new = await other.services.sessions.record_now(stream, 60)  # type: ignore[arg-type]

    assert new.id == 42


async def test_numbers_are_not_given_twice_after_a_restoration(bench: Bench) -> None:
    stream = await bench.stream()
    made = await bench.services.backups.create()
    later = await bench.services.sessions.record_now(stream, 60)  # type: ignore[arg-type]
    await bench.services.sessions.cancel(later.id)

    await bench.services.backups.restore(made.name)

    again = await bench.services.sessions.record_now(stream, 60)  # type: ignore[arg-type]
    assert again.id > later.id
    assert await bench.stream("Another") > stream


@pytest.mark.parametrize("state", [SessionState.RECORDING, SessionState.PROCESSING])
async def test_nothing_is_restored_while_something_is_recorded(bench: Bench, state: SessionState) -> None:
    made = await bench.services.backups.create()
    await session(bench, state, starts=timedelta(0), name="Night Concert")

    await bench.services.backups.plan(made.name)
    with pytest.raises(ConflictError, match=r"Night Concert.*[Ww]ait"):
        await bench.services.backups.restore(made.name)

    assert [backup.name for backup in await bench.services.backups.all()] == [made.name]


async def test_deliveries_that_waited_are_cancelled_and_counted(bench: Bench, other: Bench) -> None:
    number = await session(bench, SessionState.DELIVERING, starts=timedelta(hours=-2))
    async with bench.database.write() as db:
        db.add(
            Transfer(
                session_id=number, destination_name="NAS", state=TransferState.WAITING, size=1, created_at=START,
            )
        )  # fmt: skip
    made = await bench.services.backups.create()
    brought = await carry(bench, made.name, other)

    done = await other.services.backups.restore(brought.name)

    (transfer,) = dump(other.database.url)["transfers"]
    assert (transfer["state"], transfer["error_code"]) == ("cancelled", "restored")
    assert "Deliveries that had not ended" in " ".join(done.notes)


async def test_a_restored_schedule_does_not_tell_of_the_time_between_as_missed(bench: Bench) -> None:
    await fill(bench)
    await bench.services.schedules.plan(everything=True)
    made = await bench.services.backups.create()
    bench.clock.move(days=10)

    await bench.services.backups.restore(made.name)
    await bench.services.schedules.plan(everything=True)

    codes = [code for _, code in (await states(bench)).values()]
    assert "service_down" not in codes


# What is refused


async def test_a_backup_of_a_newer_rolltape_says_so(bench: Bench, tmp_path: Path) -> None:
    made = await bench.services.backups.create()
    file = bench.services.backups.path(made.name)
    newer = forged.changed(file, tmp_path / "newer.zip", lambda _: None, revision="9999", version="2.4.0")

    with pytest.raises(InputError, match=r"made by Rolltape 2\.4\.0; this is 0\.") as refused:
        await bench.services.backups.verify(newer)

    assert refused.value.code == "backup_newer"


@pytest.mark.parametrize(
    ("table", "values", "told"),
    [
        ("streams", {"url": "file:///etc/passwd"}, "The stream Radio, url:"),
        ("streams", {"fallback_urls": ["concat:a|b"]}, "The stream Radio, fallback_urls.0:"),
        ("streams", {"title_pattern": "{show.__class__}"}, "The stream Radio, title_pattern:"),
        ("streams", {"filename_pattern": ""}, "The stream Radio, filename_pattern:"),
        ("streams", {"engine": "vlc"}, "streams"),
        ("streams", {"max_duration": -1}, "The stream Radio, max_duration:"),
        ("streams", {"artwork": "../../etc/passwd"}, "The stream Radio, artwork:"),
        ("streams", {"name": "a\u202eb"}, "name:"),
        ("streams", {"id": "1"}, "streams: '1' is no value for id."),
        ("streams", {"created_at": "yesterday"}, "created_at"),
        ("streams", {"extra": 1}, "other columns"),
        ("streams", {"verify_tls": 1}, "verify_tls"),
        ("streams", {"id": 2**40}, "is no value for id"),
        ("schedules", {"cron": "61 * * * *"}, "cron:"),
        ("schedules", {"timezone": "Moon/Base"}, "timezone:"),
        ("schedules", {"stream_id": 77}, "do not fit together"),
        ("destinations", {"host": "-oProxyCommand=x"}, "The destination NAS, host:"),
        ("destinations", {"user": "a b"}, "The destination NAS, user:"),
        ("destinations", {"directory": "../.."}, "The destination NAS, directory:"),
        ("preferences", {"name": "max_concurrent_sessions", "value": -5}, "max_concurrent_sessions"),
        ("channels", {"address": "file:///etc/passwd"}, "The notification channel Phone, address:"),
        ("sessions", {"file": "/etc/passwd"}, "file: This leads out of its folder."),
        ("sessions", {"file": "../../x"}, "file: This leads out of its folder."),
        ("sessions", {"plan": {"stream": {"url": "file:///etc/passwd"}}}, "plan.stream.url:"),
        ("sessions", {"plan": 5}, "plan:"),
        ("sessions", {"state": "flying"}, "sessions"),
        ("sessions", {"name": "a\u0000b"}, "is no value for name"),
    ],
)  # fmt: skip
async def test_rows_that_no_form_would_take_are_refused_by_name(
    other: Bench, tmp_path: Path, table: str, values: dict[str, Any], told: str
) -> None:
    await fill(other)
    made = await other.services.backups.create()
    before = dump(other.database.url)
    bad = forged.with_row(other.services.backups.path(made.name), tmp_path / "bad.zip", table, **values)

    with pytest.raises(InputError) as refused:
        await other.services.backups.restore(bad)

    assert told in refused.value.message
    assert refused.value.code in ("backup_invalid", "backup_damaged")
    assert dump(other.database.url) == before
    assert len(await other.services.backups.all()) == 1


async def test_a_cover_that_is_none_is_refused(bench: Bench, tmp_path: Path) -> None:
    await fill(bench)
    made = await bench.services.backups.create()
    (bench.folder / "artwork" / COVER).unlink()
    before = dump(bench.database.url)

    def change(members: forged.Members) -> None:
        members[f"artwork/{COVER}"] = b"<svg onload='x'/>"

    bad = forged.changed(bench.services.backups.path(made.name), tmp_path / "bad.zip", change)
    with pytest.raises(InputError, match="cover"):
        await bench.services.backups.restore(bad)

    assert not (bench.folder / "artwork" / COVER).exists()
    assert dump(bench.database.url) == before


@pytest.mark.parametrize(
    "name", ["../rolltape.db", "nothing.zip", "", "/etc/passwd", "rolltape-20260601-120000-manual.zip"]
)
async def test_there_is_no_backup_of_another_name(bench: Bench, name: str) -> None:
    backups = bench.services.backups
    for ask in (backups.get, backups.delete, backups.plan, backups.restore):
        with pytest.raises(NotFoundError):
            await ask(name)
    with pytest.raises(NotFoundError):
        backups.path(name)


async def test_a_damaged_backup_is_listed_with_what_is_wrong(bench: Bench) -> None:
    good = await bench.services.backups.create()
    bench.clock.move(hours=1)
    bad = await bench.services.backups.create()
    file = bench.services.backups.path(bad.name)
    file.write_bytes(file.read_bytes()[:-100])

    listed = {backup.name: backup.problem for backup in await bench.services.backups.all()}

    assert listed[good.name] is None
    assert "damaged" in str(listed[bad.name])
    latest = await bench.services.backups.latest()
    assert latest is not None
    assert latest.name == good.name


async def test_without_a_safety_backup_nothing_is_restored(bench: Bench, tmp_path: Path) -> None:
    ids = await fill(bench)
    made = await bench.services.backups.create()
    await bench.services.streams.update(ids["stream"], {"genre": "Jazz"})
    copy = tmp_path / "copy.zip"
    copy.write_bytes(bench.services.backups.path(made.name).read_bytes())
    # What it is made from cannot be read: a folder where the cover should be, and one that is no file.
    (bench.folder / "keys" / "id").unlink()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(BackupError):
            await bench.services.backups.restore(copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert (await bench.services.streams.get(ids["stream"])).genre == "Jazz"


# Older schemas


@pytest.mark.parametrize("revision", revisions()[1:])
async def test_a_database_of_an_older_schema_is_backed_up_before_it_is_migrated(
    tmp_path: Path, ffmpeg: str, other: Bench, revision: str
) -> None:
    bench = old_bench(tmp_path, ffmpeg, revision)
    await bench.services.backups.before_migration()
    await asyncio.to_thread(migrate_now, bench.database.url)

    (made,) = await bench.services.backups.all()
    brought = await carry(bench, made.name, other)
    await other.services.backups.restore(brought.name)

    assert made.reason is Reason.MIGRATION
    assert forged.manifest_of(bench.services.backups.path(made.name))["revision"] == revision
    mine, theirs = dump(bench.database.url), dump(other.database.url)
    assert theirs["streams"] == mine["streams"]
    assert [row["name"] for row in theirs["sessions"]] == ["Old show"]
    await bench.database.close()


async def test_a_present_or_new_database_needs_no_backup_before(bench: Bench, tmp_path: Path, ffmpeg: str) -> None:
    await bench.services.backups.before_migration()
    fresh = build(Database(f"sqlite:///{tmp_path / 'none.db'}"), tmp_path, ffmpeg)
    await fresh.services.backups.before_migration()

    assert await bench.services.backups.all() == []
    assert not (tmp_path / "none.db").exists()
    await fresh.database.close()


async def test_without_a_backup_an_older_database_is_not_migrated(tmp_path: Path, ffmpeg: str) -> None:
    bench = old_bench(tmp_path, ffmpeg, "0002")
    (bench.folder / "backups").write_text("in the way")

    with pytest.raises(BackupError, match="not changed without a backup"):
        await bench.services.backups.before_migration()
    await bench.database.close()


def old_bench(folder: Path, ffmpeg: str, revision: str) -> Bench:
    """An instance with a stream and a session, on the schema of `revision`."""
    url = f"sqlite:///{folder / 'old.db'}"
    migrate_now(url, revision)
    moment = "2026-01-01 12:00:00.000000"
    common = {"name": "Old", "url": "http://radio.example/", "created_at": moment, "fallback_urls": "[]"}
    texts = dict.fromkeys(("artist", "album", "album_artist", "genre"), "")
    patterns = {"title_pattern": "{date} {show}", "filename_pattern": "{show}", "engine": "auto", "mp3_quality": "V2"}
    numbers = {"max_duration": 60, "start_early": 0, "end_late": 0, "stall_timeout": 20, "verify_tls": 1}
    stream = common | texts | patterns | numbers | {"destination_ids": "[]", "delete_after_delivery": 0}
    past = {
        "name": "Old show", "state": "done", "epoch": 1, "priority": 0, "opens": moment, "planned_start": moment,
        "planned_end": moment, "start_early": 0, "end_late": 0, "timezone": "UTC", "recorded": 0, "gaps": "[]",
        "take_count": 0, "attempts": 0,
    }  # fmt: skip
    engine = sync_engine(url)
    with engine.begin() as db:
        for table, row in (("streams", stream), ("sessions", past)):
            names = ", ".join(row)
            db.exec_driver_sql(
                f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )
    engine.dispose()
    return build(Database(url), folder, ffmpeg)


# Daily


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-06-02T01:59:59Z", "2026-06-01T02:00:00Z"),
        ("2026-06-02T02:00:00Z", "2026-06-02T02:00:00Z"),
        ("2026-06-02T23:00:00Z", "2026-06-02T02:00:00Z"),
        ("2026-03-29T12:00:00Z", "2026-03-29T02:00:00Z"),  # the clock was put forward that night
        ("2026-10-25T12:00:00Z", "2026-10-25T03:00:00Z"),  # and back
    ],
)
def test_a_daily_backup_is_due_at_its_hour_of_the_zone(now: str, due: str) -> None:
    moment = datetime.fromisoformat(now)

    assert daily.last_due(moment, hour=4, zone="Europe/Berlin") == datetime.fromisoformat(due)


async def test_one_backup_is_made_a_day_and_the_last_ones_are_kept(bench: Bench) -> None:
    backups, clock = bench.services.backups, bench.clock
    clock.moment = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    await bench.stream()
    await bench.services.preferences.change({"backups_kept": 3})
    by_hand = await backups.create()

    made = []
    for _ in range(24 * 6):
        made += [await backups.make_daily()]
        clock.move(hours=1)

    days = [backup for backup in made if backup is not None]
    kept = [backup.name for backup in await backups.all()]
    assert len(days) == 7  # one at once, for that of the night before was slept through
    assert kept == [*(day.name for day in reversed(days[-3:])), by_hand.name]
    assert all(day.created.hour == 3 for day in days[1:])  # 4 o'clock in Berlin


async def test_an_empty_rolltape_and_a_wrong_clock_make_no_daily_backup(bench: Bench) -> None:
    bench.clock.moment = datetime(2026, 12, 1, tzinfo=UTC)
    assert await bench.services.backups.make_daily() is None
    await bench.stream()
    bench.clock.moment = datetime(2020, 1, 1, tzinfo=UTC)
    assert await bench.services.backups.make_daily() is None


async def test_that_there_is_no_recent_backup_is_told(bench: Bench) -> None:
    async def told() -> list[str]:
        fresh = build(bench.database, bench.folder, "ffmpeg")
        fresh.clock.moment = bench.clock.moment
        return [one.message for one in await fresh.services.health.findings() if one.code == "no_recent_backup"]

    assert await told() == []
    await bench.stream()
    assert await told() == []  # it is new
    bench.clock.move(days=3)
    assert await told() == ["There is no backup."]
    await bench.services.backups.create()
    assert await told() == []
    bench.clock.move(days=5)
    assert await told() == ["The last backup was made 5 days ago."]


# While much goes on


async def test_a_backup_is_one_state_of_a_database_that_is_written_to(bench: Bench, other: Bench) -> None:
    """Pairs of rows that are written together are both in it or both not, and writers hardly wait."""
    await bench.stream("Start")
    waits: list[float] = []
    over = asyncio.Event()

    async def write() -> None:
        number = 0
        while not over.is_set():
            begun = time.monotonic()
            async with bench.database.write() as db:
                for side in ("left", "right"):
                    start = bench.clock() + timedelta(minutes=number)
                    times = {"opens": start, "planned_start": start, "planned_end": start}
                    db.add(Session(name=f"{side} {number}", state=SessionState.SCHEDULED, timezone="UTC", **times))
                    await db.flush()
            waits.append(time.monotonic() - begun)
            number += 1
            await asyncio.sleep(0.01)

    writer = asyncio.create_task(write())
    made = [await bench.services.backups.create() for _ in range(4)]
    over.set()
    await writer

    for backup in made:
        rows = forged.members_of(bench.services.backups.path(backup.name))["tables/sessions.jsonl"].splitlines()
        names = [json.loads(row)["name"].split() for row in rows]
        left, right = ({number for side, number in names if side == which} for which in ("left", "right"))
        assert left == right
    assert len(rows) > 0
    assert max(waits) < 2
    brought = await carry(bench, made[-1].name, other)
    assert brought.problem is None


# In a process of its own, to be killed, and measured

CHILD = """
import asyncio, resource, signal, sys, time
from pathlib import Path
from rolltape.domain.errors import RolltapeError
from rolltape.domain.preference import PreferenceFields
from rolltape.services.backups import Backups, Places
from rolltape.services.clock import utc_now
from rolltape.store import Database
from sqlalchemy import event
import structlog

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def none(): pass

async def main(task, limit, pages, url, folder, *files):
    places = Places(Path(folder, "backups"), Path(folder, "artwork"), Path(folder, "keys"), Path(folder, "recordings"))
    database = Database(url)
    if pages != "0":
        def narrow(connection, _):
            connection.execute(f"PRAGMA max_page_count = {pages}")
        event.listen(database._engine.sync_engine, "connect", narrow)
    backups = Backups(database, places, clock=utc_now, preferences=PreferenceFields, restored=none)
    if limit != "0":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    print("go", flush=True)
    for file in files:
        begun = time.monotonic()
        try:
            await getattr(backups, task)(Path(file))
            print("done", flush=True)
        except RolltapeError as exc:
            print(exc.code, time.monotonic() - begun, exc.message, flush=True)
    # Not that of getrusage: a child inherits the figure of who started it.
    told = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(int(told) // 1024)

asyncio.run(main(*sys.argv[1:]))
"""


def child(task: str, bench: Bench, *files: Path, limit: int = 0, pages: int = 0) -> subprocess.Popen[str]:
    """Does `task` with each of `files`, and says how that went. No file may have more than `limit` bytes, the database
    no more than `pages` pages.
    """
    arguments = [task, str(limit), str(pages), bench.database.url, str(bench.folder), *map(str, files)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


async def test_hostile_archives_are_refused_in_little_time_and_memory(other: Bench, tmp_path: Path) -> None:
    await fill(other)
    made = await other.services.backups.create()
    canary = tmp_path / "canary"
    (tmp_path / "forged").mkdir()
    found = forged.hostile(other.services.backups.path(made.name), tmp_path / "forged", canary)
    before = dump(other.database.url)

    running = child("restore", other, *found.values())
    output, _ = await asyncio.to_thread(running.communicate, timeout=120)

    *answers, peak = output.splitlines()[1:]
    assert int(peak) < MOST_MEMORY, f"{peak} MB"
    for name, answer in zip(found, answers, strict=True):
        code, seconds, message = answer.split(" ", 2)
        assert code in ("backup_damaged", "backup_foreign", "backup_newer"), f"{name}: {answer}"
        assert message.endswith(".")
        assert float(seconds) < LONGEST_REFUSAL, f"{name}: {answer}"
    assert dump(other.database.url) == before
    assert [path.name for path in (other.folder / "backups").iterdir()] == [made.name]
    assert not canary.exists()
    assert not (tmp_path / "slipped").exists()


async def big(bench: Bench, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A backup whose restoration takes a while, of a database that has changed since."""
    await fill(bench)
    common = {"state": SessionState.DONE, "timezone": "UTC", "planned_end": START, "gaps": []}
    starts = [START - timedelta(hours=number) for number in range(1, 801)]
    rows = [{**common, "name": "Show", "opens": start, "planned_start": start} for start in starts]
    async with bench.database.write() as db:
        await db.execute(insert(Session), rows)
    made = await bench.services.backups.create()
    file = tmp_path / "big.zip"
    file.write_bytes(bench.services.backups.path(made.name).read_bytes())
    await bench.stream("Later")
    return file, dump(bench.database.url)


async def test_killed_at_any_moment_a_restoration_has_happened_or_has_not(other: Bench, tmp_path: Path) -> None:
    file, before = await big(other, tmp_path)
    await other.database.close()
    outcomes = set()
    for number in range(4):
        running = child("restore", other, file)
        assert running.stdout is not None
        await asyncio.to_thread(running.stdout.readline)
        await asyncio.sleep(0.5 * number)  # a moment somewhere in it, whichever
        running.kill()
        running.communicate()
        names = {row["name"] for row in dump(other.database.url)["streams"]}
        outcomes.add(frozenset(names))
        now = dump(other.database.url)
        assert names in ({"Radio"}, {"Radio", "Later"})
        assert len(now["sessions"]) == len(before["sessions"])
        if names == {"Radio"}:
            break
    assert frozenset({"Radio", "Later"}) in outcomes


async def test_on_a_full_disk_everything_stays_as_it_was(other: Bench, tmp_path: Path, migrated_sqlite: Path) -> None:
    file, _ = await big(other, tmp_path)
    await other.database.close()
    (other.folder / "other.db").write_bytes(migrated_sqlite.read_bytes())
    for more in other.folder.glob("other.db-*"):
        more.unlink()
    before = dump(other.database.url)
    pages = migrated_sqlite.stat().st_size // 4096

    # The disk is full when the backup is looked at, at once or late; or when half of its rows are in the database.
    for limit, most_pages in ((100_000, 0), (300_000, 0), (0, pages + 60)):
        running = child("restore", other, file, limit=limit, pages=most_pages)
        output, _ = await asyncio.to_thread(running.communicate, timeout=60)
        assert output.splitlines()[1].startswith("backup_failed"), output

    assert "did not take the backup; everything is as it was" in output
    assert dump(other.database.url) == before
    assert not [path for path in (other.folder / "backups").iterdir() if path.name.startswith(".")]
