"""The configuration as one document: written for people, brought in all or nothing, and twice without a change."""

import contextlib
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import ConflictError, InputError
from rolltape.domain.notification import ChannelFields, ChannelKind
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import SessionState
from rolltape.domain.units import Seconds
from rolltape.services.configuration import LARGEST, Action, BadConfiguration
from rolltape.services.configuration.document import read
from rolltape.services.sessions import Filters
from rolltape.store import Database
from tests.services.conftest import Bench, build

SECRET = "S3CR3T-7f"
BASE = """\
format: 1
destinations:
- name: NAS
  host: nas.lan
  user: radio
  key_file: id
  directory: recordings
streams:
- name: Radio
  url: http://radio.example/live
  destinations: [NAS]
schedules:
- stream: Radio
  name: Morning
  cron: 0 9 * * 1-5
  timezone: Europe/Berlin
  duration: 1h30m
"""


@pytest.fixture
async def new(migrated_sqlite: Path, tmp_path: Path, ffmpeg: str):
    """Another instance, with nothing in it."""
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(migrated_sqlite, folder / "new.db")
    database = Database(f"sqlite:///{folder / 'new.db'}")
    yield build(database, folder, ffmpeg)
    await database.close()


async def bring(bench: Bench, text: str, **more: Any):
    return await bench.services.configuration.bring_in(text.encode(), **more)


async def compare(bench: Bench, text: str, **more: Any):
    return await bench.services.configuration.compare(text.encode(), **more)


async def refusal(bench: Bench, text: str) -> list[str]:
    """The sentences with which a document is refused; the same ones when it is only looked at."""
    with pytest.raises(BadConfiguration) as looked:
        await compare(bench, text)
    with pytest.raises(BadConfiguration) as brought:
        await bring(bench, text)
    sentences = [problem.sentence for problem in brought.value.problems]
    assert [problem.sentence for problem in looked.value.problems] == sentences
    assert all(sentence.endswith(".") for sentence in sentences)
    return sentences


async def everything(bench: Bench) -> None:
    """Something of all there is, with names that are not easy."""
    nas = await bench.services.destinations.create(
        DestinationFields(name="NAS: über", host="nas.lan", user="radio", key_file="id", directory="a/b")
    )
    shelf = await bench.services.destinations.create(
        DestinationFields(name="no", kind=DestinationKind.LOCAL, directory="/srv/shelf", bandwidth_limit=4096)
    )
    one = await bench.stream(
        "12:30", url=f"http://me:{SECRET}@radio.example/live?channel=2&token={SECRET}", artist="1e5", genre="yes",
        fallback_urls=[f"http://me:{SECRET}2@radio.example/live?channel=2&token={SECRET}"],
        destination_ids=[shelf.id, nas.id], max_duration=5400.5, start_early=2.5, keep_days=30,
    )  # fmt: skip
    two = await bench.stream("null", title_pattern="{show}: {date}", verify_tls=False)
    at = datetime(2026, 6, 2, 18, 0, tzinfo=UTC)
    schedules: tuple[dict[str, Any], ...] = (
        {"stream_id": one, "cron": "0 9 * * 1-5", "duration": 5400, "name": "- Show #1"},
        {"stream_id": one, "cron": "0 9 * * 1-5", "duration": 7200, "name": "- Show #1", "enabled": False},
        {"stream_id": one, "cron": "0 22 * * 6", "duration": 7200, "name": "- Show #1"},
        {"stream_id": two, "at": at, "duration": 61, "end_late": 90, "priority": -3},
    )
    for fields in schedules:
        await bench.services.schedules.create(ScheduleFields(timezone="Europe/Berlin", **fields))
    await bench.services.preferences.change({"log_retention": 5, "log_levels": "web=debug"})
    for kind, address in (
        (ChannelKind.WEBHOOK, f"https://hook.example/{SECRET}"), (ChannelKind.APPRISE, f"ntfys://{SECRET}"),
    ):  # fmt: skip
        await bench.services.notifications.create(ChannelFields(name=kind.title(), kind=kind, address=address))


async def test_an_import_sets_up_what_the_document_says(bench: Bench) -> None:
    found = await bring(bench, BASE + "settings: {log_retention: 7}\n")

    assert [(change.action, change.kind, change.name) for change in found.of(Action.ADDED, Action.CHANGED)] == [
        ("changed", "setting", "log_retention"), ("added", "destination", "NAS"), ("added", "stream", "Radio"),
        ("added", "schedule", "Morning (Radio)"),
    ]  # fmt: skip
    ((stream_id, name),) = await bench.services.streams.names()
    stream = await bench.services.streams.get(stream_id)
    ((destination_id, _),) = await bench.services.destinations.names()
    (schedule,) = await bench.services.schedules.of_streams([stream_id])
    assert (name, stream.destination_ids, schedule.duration) == ("Radio", [destination_id], 5400)
    assert bench.services.preferences.values.log_retention == 7
    sessions = (await bench.services.sessions.page(Filters(), after=None, limit=10)).items
    assert {session.planned_start for session in sessions} == {
        datetime(2026, 6, 2, 7, tzinfo=UTC), datetime(2026, 6, 3, 7, tzinfo=UTC),
    }  # fmt: skip
    assert bench.woken


async def test_importing_twice_changes_nothing(bench: Bench) -> None:
    await everything(bench)
    text = await bench.services.configuration.export()
    await bench.database.close()

    first, second = await bring(bench, text), await bring(bench, text)

    assert first.count == second.count == 0
    assert {change.action for change in first.changes} == {Action.UNCHANGED, Action.LEFT}
    assert await bench.services.configuration.export() == text


async def test_what_is_exported_makes_an_equal_instance(bench: Bench, new: Bench) -> None:
    await everything(bench)
    text = await bench.services.configuration.export()

    found = await bring(new, text.replace("***", SECRET))

    assert await new.services.configuration.export() == text
    assert (await bring(new, text)).count == 0
    assert len(found.of(Action.ADDED)) == 10


async def test_an_export_has_no_secrets_and_an_import_keeps_those_it_knows(bench: Bench) -> None:
    await everything(bench)
    text = await bench.services.configuration.export()
    before = [await bench.services.streams.get(number) for number, _ in await bench.services.streams.names()]

    await bring(bench, text.replace("genre: 'yes'", "genre: Jazz"))

    assert SECRET not in text
    assert text.count("http://me:***@radio.example/live?channel=2&token=***") == 2
    after = [await bench.services.streams.get(number) for number, _ in await bench.services.streams.names()]
    assert [stream.url for stream in after] == [stream.url for stream in before]
    assert [stream.fallback_urls for stream in after] == [stream.fallback_urls for stream in before]
    assert after[0].genre == "Jazz"


async def test_a_stream_that_is_renamed_keeps_its_secret_and_shows_as_added(bench: Bench) -> None:
    await everything(bench)
    text = await bench.services.configuration.export()

    found = await bring(
        bench, text.replace("name: '12:30'", "name: Renamed").replace("stream: '12:30'", "stream: Renamed")
    )

    assert [change.name for change in found.of(Action.ADDED) if change.kind == "stream"] == ["Renamed"]
    assert [change.name for change in found.of(Action.LEFT) if change.kind == "stream"] == ["12:30"]
    number = next(number for number, name in await bench.services.streams.names() if name == "Renamed")
    assert SECRET in (await bench.services.streams.get(number)).url


@pytest.mark.parametrize("url", ["http://me:***@radio.example/live", "http://radio.example/live?a=1&token=***"])
async def test_a_secret_that_is_not_known_is_asked_for(new: Bench, url: str) -> None:
    (sentence,) = await refusal(new, f"format: 1\nstreams:\n- name: Radio\n  url: {url}\n")

    assert sentence.startswith(f"Line 3, stream Radio, url: {url} hides its password or key behind ***")


async def test_another_password_is_told_and_not_shown(bench: Bench) -> None:
    await everything(bench)
    text = (await bench.services.configuration.export()).replace("me:***@", "me:other-secret@", 1)
    text = text.replace("token=***", f"token={SECRET}", 1)

    found = await compare(bench, text)

    (change,) = found.of(Action.CHANGED)
    (field,) = change.fields
    assert (field.name, field.after) == ("url", "another password or key")
    assert "other-secret" not in repr(found)
    assert SECRET not in repr(found)


async def test_a_channel_keeps_its_address_and_its_secret(bench: Bench) -> None:
    await everything(bench)
    before = await bench.services.notifications.all()
    text = await bench.services.configuration.export()

    changed = await bring(bench, text.replace("kind: webhook", "kind: webhook\n  enabled: no"))
    after = await bench.services.notifications.all()

    assert [(channel.address, channel.secret) for channel in after] == [
        (channel.address, channel.secret) for channel in before
    ]
    assert [channel.enabled for channel in after] == [True, False]
    assert [(field.name, field.after) for change in changed.of(Action.CHANGED) for field in change.fields] == [
        ("enabled", False)
    ]
    assert "address: https://hook.example/***" in text


async def test_another_address_of_a_channel_is_told_and_not_shown(bench: Bench) -> None:
    await everything(bench)
    text = (await bench.services.configuration.export()).replace("hook.example/***", "hook.example/other-secret")

    found = await bring(bench, text)

    assert [(field.name, field.after) for change in found.of(Action.CHANGED) for field in change.fields] == [
        ("address", "another address")
    ]
    assert "other-secret" not in repr(found)
    assert (await bench.services.notifications.all())[1].address == "https://hook.example/other-secret"
    removed = await bring(bench, "format: 1\nchannels: []\n", prune=True)
    assert {change.name for change in removed.of(Action.REMOVED)} == {"Apprise", "Webhook"}
    assert await bench.services.notifications.all() == []


@pytest.mark.parametrize(
    ("channel", "wrong"),
    [
        ("{name: a, kind: webhook, address: https://hook.example/***}", "not known here. Write all of it."),
        ("{name: a, kind: apprise, address: ntfys://***}", "not known here. Write all of it."),
        ("{name: a, kind: apprise, address: file://***}", "address"),
        ("{name: a, kind: webhook, address: https://h/, secret: x}", "on the channel's page"),
        ("{name: a, kind: nonsense, address: https://h/}", "kind"),
        ("{name: a, kind: webhook, address: [1]}", "address"),
        ("{name: a, kind: webhook, address: https://h/, events: [birthday]}", "events"),
        ("{name: a, kind: webhook}", "address: This is needed."),
    ],
)
async def test_a_channel_that_cannot_be_taken_is_refused(new: Bench, channel: str, wrong: str) -> None:
    sentences = await refusal(new, f"format: 1\nchannels:\n- {channel}\n")

    assert all(sentence.startswith("Line 3, channel a") for sentence in sentences)
    assert wrong in sentences[0]


async def test_a_look_changes_nothing_and_tells_each_field_before_and_after(bench: Bench) -> None:
    await bring(bench, BASE)
    before = await bench.services.configuration.export()
    text = BASE.replace("1h30m", "2h").replace("host: nas.lan", "host: nas2.lan") + "settings: {timezone: Asia/Tokyo}\n"

    found = await compare(bench, text)

    changed = {
        (one.name, field.name, field.before, field.after) for one in found.of(Action.CHANGED) for field in one.fields
    }
    assert changed == {
        ("timezone", "value", "Europe/Berlin", "Asia/Tokyo"),
        ("NAS", "host", "nas.lan", "nas2.lan"),
        ("Morning (Radio)", "duration", 5400.0, 7200.0),
    }  # fmt: skip
    assert [change.name for change in found.of(Action.UNCHANGED)] == ["Radio"]
    assert await bench.services.configuration.export() == before


async def test_another_server_has_its_key_accepted_anew(bench: Bench) -> None:
    await bring(bench, BASE)
    ((number, _),) = await bench.services.destinations.names()
    async with bench.database.write() as db:
        row = await db.get_one(type(await bench.services.destinations.get(number)), number)
        row.host_key, row.host_key_type, row.host_key_fingerprint = "AAAA", "ssh-ed25519", "SHA256:x"

    await bring(bench, BASE.replace("directory: recordings", "directory: other"))
    same = await bench.services.destinations.get(number)
    await bring(bench, BASE.replace("nas.lan", "other.lan"))
    other = await bench.services.destinations.get(number)

    assert (same.host_key, other.host_key) == ("AAAA", None)


async def test_nothing_is_removed_unless_it_is_asked_for(bench: Bench) -> None:
    await bring(bench, BASE)
    text = "format: 1\nstreams: []\nschedules: []\n"

    left = await bring(bench, text)
    looked = await compare(bench, text, prune=True)
    there = await bench.services.streams.names()
    removed = await bring(bench, text, prune=True, agreed=looked.fingerprint)

    assert left.count == 0
    assert len(left.of(Action.LEFT)) > 3
    assert [change.name for change in looked.of(Action.REMOVED)] == ["Radio", "Morning (Radio)"]
    assert [name for _, name in there] == ["Radio"]
    assert removed.of(Action.REMOVED) == looked.of(Action.REMOVED)
    assert await bench.services.streams.names() == []
    assert len(await bench.services.destinations.names()) == 1  # the document does not speak of destinations


async def test_schedules_go_with_their_stream_and_this_is_shown(bench: Bench) -> None:
    await bring(bench, BASE)

    found = await bring(bench, "format: 1\nstreams: []\n", prune=True)

    assert [change.name for change in found.of(Action.REMOVED)] == ["Radio", "Morning (Radio)"]
    assert (await bench.services.schedules.page(after=None, limit=5)).items == []
    assert (await bench.services.sessions.page(Filters(), after=None, limit=5)).items == []


async def test_no_more_is_removed_than_was_seen(bench: Bench) -> None:
    await bring(bench, BASE)
    text = "format: 1\nstreams: []\n"
    seen = await compare(bench, text, prune=True)
    await bench.stream("Meanwhile")

    with pytest.raises(ConflictError, match="changed meanwhile"):
        await bring(bench, text, prune=True, agreed=seen.fingerprint)

    assert [name for _, name in await bench.services.streams.names()] == ["Meanwhile", "Radio"]


async def test_a_destination_that_is_still_used_is_not_removed(bench: Bench) -> None:
    await bring(bench, BASE)

    with pytest.raises(BadConfiguration, match="NAS would be removed, but this stream sends its recordings there"):
        await bring(bench, "format: 1\ndestinations: []\n", prune=True)

    assert len(await bench.services.destinations.names()) == 1


async def test_a_session_that_records_goes_on_when_its_stream_is_removed(bench: Bench) -> None:
    await bring(bench, BASE)
    ((stream_id, _),) = await bench.services.streams.names()
    session = await bench.services.sessions.record_now(stream_id, Seconds(600))
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None
    await bench.services.sessions.advance(claimed, SessionState.RECORDING, "recording", "Records.")

    await bring(bench, "format: 1\nstreams: []\n", prune=True)

    assert (await bench.services.sessions.get(session.id)).state is SessionState.RECORDING


async def test_one_bad_item_of_a_hundred_and_nothing_is_applied(bench: Bench) -> None:
    streams = [f"- name: Radio {number}\n  url: http://radio{number}.example/\n" for number in range(100)]
    streams[56] = "- name: Radio 56\n  artist: me\n  url: gopher://radio56.example/\n"

    (sentence,) = await refusal(bench, "format: 1\nstreams:\n" + "".join(streams))

    assert sentence.startswith("Line 117, stream Radio 56, url: gopher: cannot be recorded")
    assert await bench.services.streams.names() == []


async def test_an_error_in_the_middle_of_the_writing_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the power went out")

    monkeypatch.setattr(bench.services.schedules, "take_over", fail)

    with pytest.raises(RuntimeError):
        await bring(bench, BASE + "settings: {log_retention: 7}\n")

    assert await bench.services.streams.names() == await bench.services.destinations.names() == []
    await bench.services.preferences.load()
    assert bench.services.preferences.values.log_retention == 30


async def test_everything_that_is_wrong_is_told_with_its_line(bench: Bench) -> None:
    text = (
        "format: 1\nsettings:\n  log_retention: 0\n  nonsense: 1\ndestinations:\n- name: A\n  host: ''\n"
        "  directory: x\nstreams:\n- url: http://x/\n- name: B\n  url: http://x/\n  start_early: [1]\n- 5\n"
        "schedules:\n- stream: B\n  cron: 61 * * * *\n  timezone: Mars/Base\n  duration: 1h\nmore: 1\n"
    )

    sentences = await refusal(bench, text)

    assert [sentence.split(": ")[0] for sentence in sentences] == [
        "Line 3, settings, log_retention", "Line 4, settings, nonsense", "Line 7, destination A, host",
        "Line 10, stream 1, name", "Line 13, stream B, start_early", "Line 14, stream 3",
        "Line 18, schedule 1, timezone", "Line 20, more",
    ]  # fmt: skip


async def test_a_setting_that_the_environment_fixes_stays(bench: Bench) -> None:
    bench.services.preferences._locked = {"timezone": "TZ"}

    found = await bring(bench, "format: 1\nsettings: {timezone: Asia/Tokyo, log_retention: 9}\n")

    assert [change.name for change in found.of(Action.FIXED)] == ["timezone"]
    assert bench.services.preferences.values.timezone == "Europe/Berlin"
    assert bench.services.preferences.values.log_retention == 9
    assert "timezone" not in await bench.services.configuration.export()


async def test_of_schedules_with_one_name_the_right_one_is_changed(bench: Bench) -> None:
    await bring(bench, BASE)
    twin = "- {stream: Radio, name: Morning, cron: 0 20 * * *, timezone: UTC, duration: 10m}\n"
    await bring(bench, BASE + twin)

    found = await bring(bench, BASE.replace("1h30m", "2h") + twin)

    (change,) = found.of(Action.CHANGED)
    assert [(field.before, field.after) for field in change.fields] == [(5400.0, 7200.0)]
    assert (await bring(bench, BASE.replace("1h30m", "2h") + twin)).count == 0


async def test_a_changed_time_replans_the_sessions_to_come(bench: Bench) -> None:
    await bring(bench, BASE)

    await bring(bench, BASE.replace("0 9 * * 1-5", "0 15 * * *"))

    sessions = (await bench.services.sessions.page(Filters(), after=None, limit=10)).items
    assert {session.planned_start.hour for session in sessions} == {13}
    await bring(bench, BASE.replace("0 9 * * 1-5", "0 15 * * *") + "  enabled: no\n")
    assert (await bench.services.sessions.page(Filters(), after=None, limit=10)).items == []


async def test_a_date_that_has_passed_is_taken_over_and_records_nothing(bench: Bench) -> None:
    text = BASE.replace("cron: 0 9 * * 1-5", "at: 2024-03-01T20:00")

    await bring(bench, text)

    assert (await bench.services.sessions.page(Filters(), after=None, limit=10)).items == []
    assert "at: '2024-03-01T20:00:00+01:00'" in await bench.services.configuration.export()
    assert (await bring(bench, text)).count == 0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "empty"), ("# only a comment\n", "empty"), ("5", "format: 1"), ("[]", "format: 1"), ("{}", "format: 1"),
        ("streams: []\n", "`format: 1` is missing"), ("format: 2\n", "newer Rolltape"), ("format: true\n", "always"),
        ("format: '1'\n", "always"), ("format: 0\n", "always"), ("format: 1\nformat: 1\n", "format is here twice"),
        ("format: 1\nstreams: {}\n", "A list is expected"), ("format: 1\nstreams: x\n", "A list is expected"),
        ("format: 1\nsettings: []\n", "Names with values"), ("format: 1\nstreams: [[]]\n", "Names with values"),
        ("format: 1\nstreams: [{1: 2}]\n", "a name is expected"), ("format: 1\nstreams: [{[a]: 2}]\n", "a name is"),
        ("format: 1\n---\nformat: 1\n", "second document"), ("format: &a 1\n", "anchors"),
        ("a: &a [x]\nb: [*a, *a]\n", "anchors"), ("format: !!python/object/apply:os.system [ls]\n", "tags"),
        ("format: !!int 1\n", "tags"), ("format: 1\nstreams: [", "cannot be read as YAML"),
        ("\tformat: 1\n", "cannot be read as YAML"), ("format: 1\n<<: {a: 1}\n", "no such part"),
        ("format: 1\nx: " + "[" * 50_000, "nested deeper"), ("format: 1\nx: " + "{a: " * 5000, "nested deeper"),
        ("format: 1\nstreams:\n- {name: [], url: 5}\n", "string"),
        ("format: 1\nstreams:\n- {name: 5, url: http://x/}\n", "string"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, destinations: NAS}\n", "A list of names"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, destinations: [NAS]}\n", "no destination named NAS"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, destinations: [b, b]}\n", "listed twice"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, destination_ids: [1]}\n", "named here"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/}\n- {name: a, url: http://y/}\n", "has this name already"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, keep_days: 0}\n", "greater than or equal to 1"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, keep_days: 1e99}\n", "integer"),
        ("format: 1\nstreams:\n- {name: a, url: http://x/, max_duration: .inf}\n", "valid number"),
        ("format: 1\nschedules:\n- {cron: 0 9 * * *, timezone: UTC, duration: 1h}\n", "name of its stream"),
        ("format: 1\nschedules:\n- {stream: x, cron: 0 9 * * *, timezone: UTC, duration: 1h}\n", "no stream named x"),
        ("format: 1\nschedules:\n- {stream: x, timezone: UTC, duration: 1h}\n", "either a cron expression or a date"),
        ("format: 1\nschedules:\n- {stream: x, at: 2026-02-30, timezone: UTC, duration: 1h}\n", "valid datetime"),
        ("format: 1\nschedules:\n- {stream: x, cron: '* * * * *', timezone: UTC, duration: 12:30}\n", "valid number"),
        ('format: 1\nstreams:\n- {name: "a\\0", url: http://x/}\n', "cannot be shown"),
    ],
)  # fmt: skip
async def test_what_cannot_be_taken_is_refused_with_a_sentence(new: Bench, text: str, wrong: str) -> None:
    begun = time.monotonic()

    sentences = await refusal(new, text)

    assert any(wrong in sentence for sentence in sentences), sentences
    assert time.monotonic() - begun < 5
    assert await new.services.streams.names() == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"format: 1\nname: \xe9",
        b"\x00",
        b"x" * (LARGEST + 1),
        b"format: 1\n" + b"- " * 9000,
        b"%YAML 9.9\n---\n1",
    ],
)
async def test_what_is_no_text_is_refused(new: Bench, content: bytes) -> None:
    with pytest.raises(BadConfiguration) as told:
        await new.services.configuration.bring_in(content)

    assert told.value.message.endswith("Nothing was changed.")


async def test_a_bomb_of_aliases_is_refused_at_its_first_anchor(new: Bench) -> None:
    bomb = "a: &a [lol,lol,lol]\n" + "".join(
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    (sentence,) = await refusal(new, f"format: 1\n{bomb}")

    assert sentence.startswith("Line 2: anchors and aliases")


def test_words_of_older_yaml_stay_the_texts_they_are() -> None:
    node = read(b"a: [yes, no, on, OFF, y, 12:30, 1:20:30, 2026-12-24, 0o17, 0x1F, 1_000, .inf, 'null', '5', 007]")

    assert node.plain()["a"] == [
        "yes", "no", "on", "OFF", "y", "12:30", "1:20:30", "2026-12-24", "0o17", "0x1F", "1_000", ".inf", "null", "5",
        "007",
    ]  # fmt: skip


def test_what_json_has_is_read_as_json_has_it() -> None:
    assert read(b'{"a": [1, -2.5, 1e3, true, false, null, "x", ~]}').plain() == {
        "a": [1, -2.5, 1000.0, True, False, None, "x", None]
    }


async def test_a_large_configuration_is_brought_in_within_seconds(new: Bench) -> None:
    streams = "".join(f"- {{name: Radio {n}, url: http://radio{n}.example/, genre: Jazz}}\n" for n in range(400))
    schedules = "".join(
        f"- {{stream: Radio {n}, cron: 0 {n % 24} * * *, timezone: UTC, duration: 1h}}\n" for n in range(400)
    )
    text = f"format: 1\nstreams:\n{streams}schedules:\n{schedules}"
    begun = time.monotonic()

    added = await bring(new, text)
    again = await bring(new, text)

    assert (added.count, again.count) == (800, 0)
    assert time.monotonic() - begun < 30
    assert len((await new.services.configuration.export()).encode()) < LARGEST


NAMES = (
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)
STREAMS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "artist": NAMES, "genre": NAMES, "verify_tls": st.booleans(), "start_early": st.floats(0, 43200),
        "max_duration": st.integers(1, 604800), "keep_count": st.none() | st.integers(1, 1000),
        "mp3_quality": st.sampled_from(["V0", "128k"]),
    },
)  # fmt: skip
SCHEDULES = st.fixed_dictionaries(
    {"duration": st.integers(1, 604800), "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"])},
    optional={
        "name": NAMES, "enabled": st.booleans(), "priority": st.integers(-9, 9),
        "end_late": st.none() | st.floats(0, 99),
    },
)  # fmt: skip


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    streams=st.lists(STREAMS, max_size=4, unique_by=lambda one: one["name"]),
    schedules=st.lists(SCHEDULES, max_size=4),
    hour=st.integers(0, 23),
)
async def test_any_configuration_comes_out_as_it_went_in(
    migrated_sqlite: Path,
    ffmpeg: str,
    tmp_path_factory: pytest.TempPathFactory,
    streams: Any,
    schedules: Any,
    hour: int,
) -> None:
    benches = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("instance")
        shutil.copy(migrated_sqlite, folder / "new.db")
        benches.append(build(Database(f"sqlite:///{folder / 'new.db'}"), folder, ffmpeg))
    one, other = benches
    for fields in streams:
        number = await one.stream(**fields)
        for more in schedules:
            await one.services.schedules.create(ScheduleFields(stream_id=number, cron=f"5 {hour} * * *", **more))
    text = await one.services.configuration.export()

    await bring(other, text)

    assert await other.services.configuration.export() == text
    assert (await bring(other, text)).count == 0
    assert yaml.safe_load(text)["format"] == 1
    assert [found["name"] for found in yaml.safe_load(text)["streams"]] == sorted(
        (fields["name"] for fields in streams), key=lambda name: (name.casefold(), name)
    )
    for bench in benches:
        await bench.database.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([
        "format", "streams", "schedules", "destinations", "settings", "name", "url", "cron", "at", "stream", "timezone",
        "duration", "host", "fallback_urls", "destinations", "log_levels",
    ]) | st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON, extra=st.binary(max_size=30), place=st.integers(0, 300))
async def test_no_document_brings_it_down(new: Bench, value: Any, extra: bytes, place: int) -> None:
    document = {"format": 1} | value if isinstance(value, dict) else {"format": 1, "streams": value, "schedules": value}
    content = yaml.safe_dump(document).encode()
    for one in (content, content[:place] + extra + content[place:]):
        with contextlib.suppress(InputError):
            await new.services.configuration.compare(one, prune=True)
