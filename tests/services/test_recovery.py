"""Recordings and takes that the database does not know are found again by the facts beside them."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rolltape.domain.errors import BusyError
from rolltape.domain.facts import PLAN, Facts, facts_file, facts_of, plan_facts_of
from rolltape.domain.session import Plan, Session, SessionState, Wish
from rolltape.domain.stream import StreamFields
from rolltape.domain.units import Seconds
from rolltape.services.facts import read_facts, remove_facts, write_facts, write_plan
from rolltape.services.lost import Loss, Lost, read_mark
from rolltape.services.sessions import Filters
from rolltape.store.database import Database
from tests.services.conftest import START, Bench

AUDIO = b"\xff\xfb\x90\x64" * 100


def plan(show: str = "Show", *, number: int = 5, hours: float = -24, **stream: Any) -> Plan:
    start = START + timedelta(hours=hours)
    fields = {"name": "Harbour", "url": "http://me:S3CR3T-7f@radio.example/live", "destination_ids": [1], **stream}
    return Plan(
        session_id=number, show=show, stream=StreamFields.model_validate(fields), start=start,
        end=start + timedelta(hours=1), start_early=0, end_late=0, timezone="Europe/Berlin",
    )  # fmt: skip


def recording(bench: Bench, name: str = "Harbour/Show.mp3", *, made: Plan | None = None, **changes: Any) -> Path:
    """A finished recording with its facts beside it."""
    made = made or plan()
    file = bench.folder / "recordings" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(AUDIO)
    session = Session(
        file=name, size=len(AUDIO), sha256="0" * 64, duration=3590.0, verdict="gapped", coverage=0.99, take_count=2,
        recorded=3590.0, gaps=[{"start": 5.0, "length": 10.0, "cause": "Cut off.", "position": 5.0}],
        title="2026 Show", tags={"title": "2026 Show", "source_url": made.stream.url}, started_at=made.start,
        account={
            "verdicts": ["gapped"], "planned": 3600.0, "recorded": 3590.0, "late": 0.0, "short": 0.0,
            "longest_stall": 4.5, "silent_share": 0.1, "silences": [{"start": 7.5, "length": 3.25}], "loudness": -23.46,
            "peak": 0.9876, "titles": [{"start": 0.0, "title": "Song"}], "ends": made.end.isoformat(),
        },
    )  # fmt: skip
    for column, value in changes.items():
        setattr(session, column, value)
    write_facts(facts_of(session, made, finished_at=made.end), file)
    return file


async def sessions(bench: Bench) -> list[Session]:
    return list((await bench.services.sessions.page(Filters(), after=None, limit=200)).items)


async def test_a_recording_is_found_again_as_it_was(bench: Bench) -> None:
    recording(bench)

    found = await bench.services.recovery.search(with_streams=True)

    (session,) = await sessions(bench)
    assert (found.recordings, found.takes, found.refused) == (1, 0, 0)
    assert (session.state, session.verdict, session.file) == (SessionState.DONE, "gapped", "Harbour/Show.mp3")
    assert (session.name, session.timezone, session.planned_start) == ("Show", "Europe/Berlin", plan().start)
    assert session.gaps == [{"start": 5.0, "length": 10.0, "cause": "Cut off.", "position": 5.0}]
    assert session.account is not None
    assert session.account["titles"] == [{"start": 0.0, "title": "Song"}]
    assert session.account["silences"] == [{"start": 7.5, "length": 3.25}]
    heard = {name: session.account[name] for name in ("longest_stall", "silent_share", "loudness", "peak")}
    assert heard == {"longest_stall": 4.5, "silent_share": 0.1, "loudness": -23.46, "peak": 0.9876}
    assert [event.kind for event in await bench.services.sessions.events(session.id)] == ["found_again"]
    assert (await bench.services.sessions.audio(session.id)).read_bytes() == AUDIO


async def test_what_it_was_recorded_from_is_made_anew_but_sends_and_deletes_nothing(bench: Bench) -> None:
    recording(bench, made=plan(delete_after_delivery=True, keep_days=1))

    await bench.services.recovery.search(with_streams=True)

    (session,) = await sessions(bench)
    assert session.stream_id is not None
    stream = await bench.services.streams.get(session.stream_id)
    assert (stream.name, stream.url) == ("Harbour", "http://me:***@radio.example/live")
    assert (stream.destination_ids, stream.delete_after_delivery, stream.keep_days) == ([], False, None)


async def test_nothing_beside_a_recording_has_a_secret_in_it(bench: Bench) -> None:
    file = recording(bench)
    write_plan(plan_facts_of(plan()), file.parent)

    texts = facts_file(file).read_text() + (file.parent / PLAN).read_text()

    assert "S3CR3T" not in texts
    assert facts_file(file).stat().st_mode & 0o777 in (0o600, 0o644)


async def test_searched_again_nothing_is_found_again(bench: Bench) -> None:
    for number in range(150):
        recording(bench, f"Harbour/Show {number}.mp3", made=plan(f"Show {number}", hours=-number - 2))

    first = await bench.services.recovery.search(with_streams=True)
    second = await bench.services.recovery.search(with_streams=True)

    assert (first.recordings, second.recordings) == (150, 0)
    assert len(await sessions(bench)) == 150


async def test_without_a_stream_of_its_name_it_has_none_unless_one_is_wanted(bench: Bench) -> None:
    recording(bench)

    await bench.services.recovery.search()

    (session,) = await sessions(bench)
    assert session.stream_id is None


async def test_a_session_that_a_restored_database_calls_missed_gets_its_recording(bench: Bench) -> None:
    stream = await bench.stream("Harbour")
    async with bench.database.write() as db:
        made = plan()
        db.add(
            Session(
                stream_id=stream, name="Show", state=SessionState.MISSED, opens=made.start, planned_start=made.start,
                planned_end=made.end, timezone="UTC", error_code="service_down", error_message="Missed.",
            )
        )  # fmt: skip
    recording(bench)

    await bench.services.recovery.search()

    (session,) = await sessions(bench)
    assert (session.state, session.file, session.stream_id) == (SessionState.DONE, "Harbour/Show.mp3", stream)
    assert session.error_code is None
    assert session.epoch == 1


HOSTILE: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "deep": b'{"a":' * 50_000,
    "huge": b" " * (2 * 1024 * 1024),
    "not UTF-8": b"\xff\xfe\x00",
    "theirs": b'{"name": "package", "version": "1.0.0"}',
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_files_of_others_are_passed_over_one_by_one(bench: Bench, content: bytes) -> None:
    recording(bench)
    (bench.folder / "recordings" / ".theirs.json").write_bytes(content)

    found = await bench.services.recovery.search()

    assert (found.recordings, found.refused) == (1, 1)


HEARD: dict[str, Any] = {
    "verdicts": ["complete"], "planned": 3600, "recorded": 3600, "late": 0, "short": 0, "silent_share": 0, "titles": [],
    "ends": "2026-06-01T12:00:00Z",
}  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    "another version": {"version": 2},
    "a file elsewhere": {"file": "../../../etc/passwd"},
    "a hidden file": {"file": ".hidden"},
    "another file": {"file": "Other.mp3"},
    "a size that is not its own": {"size": 5},
    "no number": {"duration": float("nan")},
    "endless": {"recorded": 1e300},
    "no hash": {"sha256": "x"},
    "no verdict": {"verdict": "splendid"},
    "NUL": {"title": "a\0b"},
    "no account": {"account": {"titles": 5}},
    "a deafening one": {"account": HEARD | {"loudness": 1e300}},
    "louder than full": {"account": HEARD | {"peak": 1.1}},
    "endless silence": {"account": HEARD | {"silences": [{"start": 0, "length": 1e300}]}},
    "too many silences": {"account": HEARD | {"silences": [{"start": 0, "length": 2}] * 501}},
    "no tags": {"tags": {"title": ["list"]}},
    "no plan": {"plan": None},
}
PLAN_CHANGES: dict[str, dict[str, Any]] = {
    "no zone": {"timezone": "Mars/Olympus"},
    "no time": {"start": "0001-01-01T00:00:00Z"},
    "backwards": {"end": "2020-01-01T00:00:00Z"},
    "a year": {"end": "2027-06-01T00:00:00Z"},
    "early": {"start_early": 1e300},
    "cover": {"artwork": "../../keys/id"},
    "long": {"show": "x" * 10_000},
    "control": {"show": "a\nb"},
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", [*CHANGES, *PLAN_CHANGES])
async def test_facts_that_cannot_be_are_refused(bench: Bench, case: str) -> None:
    file = facts_file(recording(bench))
    told = json.loads(file.read_text())
    told |= CHANGES.get(case, {})
    if case in PLAN_CHANGES:
        told["plan"] |= PLAN_CHANGES[case]
    file.write_text(json.dumps(told))

    found = await bench.services.recovery.search(with_streams=True)

    assert (found.recordings, found.refused) == (0, 1)
    assert await sessions(bench) == []


async def test_links_and_pipes_are_not_followed(bench: Bench, tmp_path: Path) -> None:
    file = recording(bench)
    outside = tmp_path / "outside"
    outside.mkdir()
    facts_file(file).rename(outside / "facts.json")
    facts_file(file).symlink_to(outside / "facts.json")
    os.mkfifo(file.with_name(".pipe.mp3.json"))
    file.with_name("loop").symlink_to(file.parent)

    found = await bench.services.recovery.search()

    assert (found.recordings, found.refused) == (0, 2)


async def test_a_recording_that_is_gone_or_was_forgotten_is_not_found(bench: Bench) -> None:
    gone, forgotten = recording(bench, "Gone.mp3"), recording(bench, "Forgotten.mp3", made=plan("Other"))
    gone.unlink()
    remove_facts(forgotten)

    found = await bench.services.recovery.search()

    assert found.recordings == 0


async def test_deleting_a_session_removes_its_facts(bench: Bench) -> None:
    file = recording(bench)
    await bench.services.recovery.search()
    (session,) = await sessions(bench)

    await bench.services.sessions.delete(session.id)

    assert file.exists()
    assert not facts_file(file).exists()
    assert (await bench.services.recovery.search()).recordings == 0


def test_the_longest_name_has_facts_of_its_own(tmp_path: Path) -> None:
    names = [f"{'é' * 125}{end}.mp3" for end in "ab"]

    found = {facts_file(tmp_path / name) for name in names}

    assert len(found) == 2
    assert all(len(file.name.encode()) <= 255 for file in found)


async def test_takes_that_nobody_knows_are_gone_on_with(bench: Bench) -> None:
    takes(bench, 41, plan(number=41, hours=-0.5, url="http://radio.example/live"))
    takes(bench, 42, plan("Secret", number=42, hours=-0.4))
    takes(bench, 43, plan("Over", number=43, hours=-20))

    found = await bench.services.recovery.search(with_streams=True)

    by_name = {session.name: session for session in await sessions(bench)}
    assert (found.takes, found.recordings) == (3, 0)
    assert {session.id for session in by_name.values()} == {41, 42, 43}
    assert {session.state for session in by_name.values()} == {SessionState.RECORDING}
    # Where secrets had to be left out of the address, what there is becomes the recording.
    assert (by_name["Show"].wish, by_name["Secret"].wish) == (None, Wish.STOP)
    assert bench.woken
    assert (await bench.services.sessions.plan(by_name["Show"])).stream.destination_ids == []
    assert (await bench.services.recovery.search()).takes == 0


def takes(bench: Bench, number: int, made: Plan | None) -> Path:
    folder = bench.folder / "recordings" / ".takes" / str(number)
    folder.mkdir(parents=True)
    if made is not None:
        write_plan(plan_facts_of(made), folder)
    (folder / "take-1.mp3").write_bytes((b"\xff\xfb\x90\x64" + b"\0" * 413) * 200)
    at = START.isoformat()
    opened = {"event": "opened", "at": at, "take": 1, "file": "take-1.mp3", "codec": "mp3"}
    closed = {"event": "closed", "at": at, "take": 1, "bytes": 83_400, "media": 5.2, "begins": at, "ended_by": "x"}
    (folder / "journal.jsonl").write_text(f"{json.dumps(opened)}\n{json.dumps(closed)}\n")
    return folder


async def test_takes_without_a_plan_are_left_where_they_are(bench: Bench) -> None:
    folder = takes(bench, 7, None)

    found = await bench.services.recovery.search()

    assert (found.takes, found.refused) == (0, 1)
    assert (folder / "take-1.mp3").exists()


async def test_no_session_is_given_the_number_of_takes_that_lie_there(bench: Bench) -> None:
    for name in ("900", "x", "1e3", "-5", "9" * 200, "0012"):
        (bench.folder / "recordings" / ".takes" / name).mkdir(parents=True)
    await bench.services.recovery.keep_numbers()
    await bench.services.recovery.keep_numbers()

    stream = await bench.stream()
    session = await bench.services.sessions.record_now(stream, Seconds(5))

    assert session.id > 900


async def test_after_a_loss_it_is_searched_once_and_told_until_it_is_dismissed(bench: Bench) -> None:
    recovery = bench.services.recovery
    recording(bench)
    recovery.tell(Lost(loss=Loss.CORRUPT, at=START))

    await recovery.search_if_lost()

    kept = read_mark(bench.folder)
    assert kept is not None
    assert (kept.is_searched, kept.found) == (True, 1)
    assert [finding.code for finding in await findings(bench)] == ["database_moved"]
    recovery.dismiss()
    assert read_mark(bench.folder) is None
    assert await findings(bench) == []


async def findings(bench: Bench) -> Any:
    return [finding for finding in await bench.services.health.findings() if finding.code.startswith("database")]


async def test_dismissed_while_it_is_still_to_be_searched_it_is_searched_all_the_same(bench: Bench) -> None:
    recovery = bench.services.recovery
    recording(bench)
    recovery.tell(Lost(loss=Loss.MISSING, at=START))

    recovery.dismiss()
    assert recovery.told is None
    assert read_mark(bench.folder) is not None
    await recovery.search_if_lost()

    assert len(await sessions(bench)) == 1
    assert read_mark(bench.folder) is None


async def test_after_a_restore_what_was_recorded_since_is_found(bench: Bench) -> None:
    recording(bench)

    bench.services.recovery.restored()
    await bench.services.recovery.search_if_lost()

    assert len(await sessions(bench)) == 1
    assert bench.services.recovery.told is None
    assert read_mark(bench.folder) is None


async def test_a_search_is_under_way_only_once(bench: Bench) -> None:
    bench.services.recovery.begin_search()

    with pytest.raises(BusyError):
        bench.services.recovery.begin_search()

    await bench.services.recovery.close()
    assert not bench.services.recovery.is_searching


async def test_a_database_that_breaks_off_is_tried_at_the_next_start(bench: Bench, tmp_path: Path) -> None:
    recording(bench)
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    recovery = type(bench.services.recovery)(
        away, data_dir=bench.folder, recordings=bench.folder / "recordings", clock=bench.clock, wake=lambda: None
    )
    recovery.tell(Lost(loss=Loss.MISSING, at=START))

    await recovery.search_if_lost()

    assert recovery.lost is not None
    assert not recovery.lost.is_searched


async def test_facts_of_before_there_was_a_loudness_are_read(bench: Bench) -> None:
    file = facts_file(recording(bench))
    kept = json.loads(file.read_text())
    for name in ("longest_stall", "silences", "loudness", "peak"):
        del kept["account"][name]
    file.write_text(json.dumps(kept))

    await bench.services.recovery.search(with_streams=True)

    (session,) = await sessions(bench)
    assert session.account is not None
    assert (session.account["loudness"], session.account["silences"]) == (None, None)


async def test_facts_read_back_as_they_were_written(bench: Bench) -> None:
    file = recording(bench)

    facts = read_facts(facts_file(file))

    assert isinstance(facts, Facts)
    assert facts == Facts.model_validate_json(facts.model_dump_json())
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".part"] == []
