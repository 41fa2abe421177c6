"""Recordings that have had their time go; all others stay, whatever happens."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.retention import Rule
from rolltape.domain.session import Session, SessionState
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.services import Retention, retention
from rolltape.services.sessions import Filters
from tests.services.conftest import Bench

SIZE = 1000  # bytes of a recording
_ALL = Filters()


class Archive:
    """A stream with a recording of each of the last days."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.retention = bench.services.retention
        self.folder = bench.folder / "recordings"
        self.stream = 0
        self.destination = 0

    async def fill(self, count: int, *, is_sent: bool = False, **rule: Any) -> list[int]:
        """Numbers of the sessions, the newest first."""
        if is_sent:
            shelf = DestinationFields(name="Shelf", kind=DestinationKind.LOCAL, directory="/srv/shelf")
            self.destination = (await self.bench.services.destinations.create(shelf)).id
        ids = [self.destination] if is_sent else []
        self.stream = await self.bench.stream(destination_ids=ids, **rule)
        return [await self.add(age, is_sent=is_sent) for age in range(count)]

    async def add(self, age: float, *, is_sent: bool = False, **values: Any) -> int:
        start = self.bench.clock() - timedelta(days=age)
        name = f"Radio/{start:%Y-%m-%d %H%M%S}.mp3"
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(SIZE))
        row: dict[str, Any] = {
            "stream_id": self.stream, "name": "Show", "state": SessionState.DONE, "opens": start,
            "planned_start": start, "planned_end": start + timedelta(hours=1), "timezone": "UTC", "file": name,
            "size": SIZE, "sha256": "0" * 64, "duration": 3600.0, "ended_at": start + timedelta(hours=1),
        }  # fmt: skip
        async with self.bench.database.write() as db:
            session = Session(**row | values)
            db.add(session)
            await db.flush()
            if is_sent:
                db.add(
                    Transfer(
                        session_id=session.id, destination_id=self.destination, destination_name="Shelf", size=SIZE,
                        state=TransferState.DELIVERED, created_at=start, sha256="0" * 64,
                    )
                )  # fmt: skip
        return session.id

    async def agree(self) -> None:
        found = await self.retention.preview(self.stream)
        await self.retention.agree(self.stream, found.fingerprint)

    async def kept(self) -> list[int]:
        """The sessions whose recordings are here."""
        there = []
        for session in (await self.bench.services.sessions.page(_ALL, after=None, limit=200)).items:
            assert session.file is not None
            is_there = (self.folder / session.file).is_file()
            assert is_there or session.deleted_at is not None or session.missing_since is not None
            if is_there and session.deleted_at is None:
                there.append(session.id)
        return there

    async def gone(self) -> int:
        """How many sessions say that their recording was deleted."""
        sessions = await self.bench.services.sessions.page(_ALL, after=None, limit=200)
        return sum(session.deleted_at is not None for session in sessions.items)

    def file(self, number: int) -> Path:
        return sorted((self.folder / "Radio").glob("*.mp3"), reverse=True)[number]

    async def codes(self) -> list[str]:
        return [finding.code for finding in self.retention.findings()]


@pytest.fixture
def archive(bench: Bench) -> Archive:
    return Archive(bench)


async def test_without_a_rule_everything_stays(archive: Archive) -> None:
    ids = await archive.fill(30)
    archive.bench.clock.move(days=4000)

    assert await archive.retention.run() == 0
    assert await archive.kept() == ids
    assert archive.retention.findings() == []


@pytest.mark.parametrize(
    ("rule", "kept"), [({"keep_days": 25}, 25), ({"keep_count": 26}, 26), ({"keep_gigabytes": 0.001}, 30)]
)
async def test_what_had_its_time_goes_once_the_rule_is_agreed_to(archive: Archive, rule: Any, kept: int) -> None:
    ids = await archive.fill(30, **rule)

    await archive.agree()
    deleted = await archive.retention.run()

    assert deleted == 30 - kept
    assert await archive.kept() == ids[:kept]
    assert await archive.retention.run() == 0
    if kept < 30:
        session = await archive.bench.services.sessions.get(ids[-1])
        assert session.deleted_at == archive.bench.clock()
        assert session.deleted_why
        events = await archive.bench.services.sessions.events(ids[-1])
        assert [event.kind for event in events] == ["deleted"]
        with pytest.raises(NotFoundError):
            await archive.bench.services.sessions.audio(ids[-1])


async def test_a_new_rule_deletes_nothing_until_somebody_has_looked(archive: Archive) -> None:
    ids = await archive.fill(30, keep_days=28)

    assert await archive.retention.run() == 0

    (finding,) = archive.retention.findings()
    assert (finding.code, finding.link) == ("retention_waits", f"/streams/{archive.stream}/retention")
    assert finding.message == (
        "Radio: 2 recordings wait to be deleted, since it keeps 28 days. The rule is new, or keeps less than before."
    )
    assert await archive.kept() == ids
    await archive.agree()
    assert await archive.retention.run() == 2
    assert archive.retention.findings() == []


async def test_a_rule_that_is_agreed_to_works_by_itself(archive: Archive) -> None:
    ids = await archive.fill(30, keep_days=30)
    await archive.retention.run()

    for _ in range(3):
        archive.bench.clock.move(days=1)
        assert await archive.retention.run() == 1

    assert await archive.kept() == ids[:-3]


async def test_a_looser_rule_needs_nobody_and_a_tighter_one_does(archive: Archive) -> None:
    await archive.fill(30, keep_days=28)
    await archive.agree()
    await archive.retention.run()

    async def change(fields: dict[str, Any]) -> None:
        await archive.bench.services.streams.update(archive.stream, fields)

    await change({"keep_days": 40})
    assert (await archive.retention.run(), await archive.codes()) == (0, [])
    await change({"keep_days": 27})
    assert (await archive.retention.run(), await archive.codes()) == (0, ["retention_waits"])
    await change({"keep_days": None, "keep_count": 1})
    assert (await archive.retention.run(), await archive.codes()) == (0, ["retention_waits"])
    await change({"keep_count": None})
    assert (await archive.retention.run(), await archive.codes()) == (0, [])


async def test_what_would_be_a_large_part_of_all_waits(archive: Archive) -> None:
    ids = await archive.fill(40, keep_days=40)
    await archive.retention.run()

    archive.bench.clock.move(days=11)  # the steady clock goes along: it is no step
    assert await archive.retention.run() == 0

    (finding,) = archive.retention.findings()
    assert finding.message.endswith("11 recordings wait to be deleted, since it keeps 40 days. "
                                    "That is a large part of all 40 recordings.")  # fmt: skip
    assert await archive.kept() == ids
    await archive.agree()
    assert await archive.retention.run() == 11


async def test_nothing_goes_when_the_clock_was_set(bench: Bench) -> None:
    archive = Archive(bench)
    passed = [0.0]
    archive.retention = Retention(
        bench.database, bench.services.sessions, recordings=archive.folder, clock=bench.clock, steady=lambda: passed[0]
    )
    ids = await archive.fill(30, keep_days=30)
    await archive.retention.run()

    bench.clock.move(days=5)
    passed[0] += 3600
    set_ahead = await archive.retention.run()
    (finding,) = archive.retention.findings()
    bench.clock.move(days=-5, hours=1)
    passed[0] += 3600
    set_right = await archive.retention.run()
    kept = await archive.kept()
    bench.clock.move(days=2)
    passed[0] += 2 * 86400
    steady = await archive.retention.run()

    assert (set_ahead, set_right, steady) == (0, 0, 2)
    assert "The clock of this machine was set" in finding.message
    assert kept == ids


async def test_after_a_long_absence_the_clock_has_to_prove_itself_for_a_day(archive: Archive) -> None:
    await archive.fill(30, keep_days=30)
    await archive.retention.run()
    archive.bench.clock.move(days=4)
    again = Retention(
        archive.bench.database, archive.bench.services.sessions, recordings=archive.folder, clock=archive.bench.clock,
        steady=lambda: archive.bench.clock().timestamp(),
    )  # fmt: skip

    first = await again.run()
    archive.bench.clock.move(hours=23)
    second = await again.run()
    archive.bench.clock.move(hours=2)

    assert (first, second) == (0, 0)
    assert await again.run() == 5


async def test_nothing_goes_while_many_files_are_missing(archive: Archive) -> None:
    ids = await archive.fill(20, keep_days=20)
    await archive.retention.run()
    away = archive.bench.folder / "away"
    away.mkdir()
    for _ in range(8):
        archive.file(0).rename(away / archive.file(0).name)
    archive.bench.clock.move(days=1)

    assert await archive.retention.run() == 0

    assert await archive.codes() == ["retention_waits", "recordings_missing"]
    assert len(await archive.kept()) == 12
    session = await archive.bench.services.sessions.get(ids[0])
    assert (session.missing_since, session.deleted_at) == (archive.bench.clock(), None)
    for file in away.iterdir():
        file.rename(archive.folder / "Radio" / file.name)
    archive.bench.clock.move(hours=1)
    assert await archive.retention.run() == 1
    assert await archive.codes() == []
    assert (await archive.bench.services.sessions.get(ids[0])).missing_since is None


async def test_the_folder_is_gone_and_comes_back(archive: Archive) -> None:
    ids = await archive.fill(5, keep_count=2)
    await archive.agree()
    archive.folder.rename(archive.bench.folder / "elsewhere")

    assert await archive.retention.run() == 0
    assert await archive.codes() == ["recordings_missing"]
    (archive.bench.folder / "elsewhere").rename(archive.folder)
    archive.bench.clock.move(hours=1)
    await archive.agree()
    assert await archive.retention.run() == 3
    assert await archive.kept() == ids[:2]


async def test_what_was_removed_by_hand_is_told_once_and_can_be_taken_note_of(archive: Archive) -> None:
    ids = await archive.fill(10)
    for _ in range(4):
        archive.file(0).unlink()
    await archive.retention.run()
    count, rows = await archive.retention.missing(2)
    told = await archive.codes()

    with pytest.raises(ConflictError):
        await archive.retention.forget_missing(3)
    await archive.retention.forget_missing(4)

    assert (count, [row.id for row in rows], told) == (4, ids[:2], ["recordings_missing"])
    assert await archive.codes() == []
    session = await archive.bench.services.sessions.get(ids[0])
    assert (session.deleted_why, session.state) == ("It was removed by somebody, not by Rolltape.", SessionState.DONE)
    archive.bench.clock.move(hours=1)
    await archive.retention.run()
    assert [event.kind for event in await archive.bench.services.sessions.events(ids[0])] == ["missing"]


async def test_another_file_of_the_same_name_is_not_taken_for_the_one_that_was_missing(archive: Archive) -> None:
    (number,) = await archive.fill(1)
    file = archive.file(0)
    file.unlink()
    await archive.retention.run()
    file.write_bytes(b"another recording")

    archive.bench.clock.move(hours=1)
    await archive.retention.run()

    assert (await archive.bench.services.sessions.get(number)).missing_since is not None


@pytest.mark.parametrize("state", [state for state in TransferState if state is not TransferState.DELIVERED])
async def test_what_has_not_arrived_everywhere_stays(archive: Archive, state: TransferState) -> None:
    ids = await archive.fill(4, is_sent=True, keep_count=1)
    (transfer,) = (await archive.bench.services.sessions.transfers([ids[2]]))[ids[2]]
    async with archive.bench.database.write() as db:
        (await db.get_one(Transfer, transfer.id)).state = state

    found = await archive.retention.preview(archive.stream)
    await archive.agree()

    assert await archive.retention.run() == 2
    assert await archive.kept() == [ids[0], ids[2]]
    assert [(fate.recording.id, fate.kept_by) for fate in found.staying] == [(ids[2], "It has not arrived at Shelf.")]


@pytest.mark.parametrize(
    "state", [SessionState.RECORDING, SessionState.PROCESSING, SessionState.DELIVERING, SessionState.FAILED]
)
async def test_what_is_not_done_stays(archive: Archive, state: SessionState) -> None:
    await archive.fill(2, keep_count=1)
    number = await archive.add(9, state=state)

    await archive.agree()
    await archive.retention.run()

    assert number in await archive.kept()


async def test_the_only_copy_of_a_stream_that_sends_stays_and_of_one_that_does_not_goes(archive: Archive) -> None:
    await archive.fill(2, is_sent=True, keep_count=1)
    never_sent = await archive.add(9)

    found = await archive.retention.preview(archive.stream)

    assert not found.is_only_copy
    assert [(fate.recording.id, fate.kept_by) for fate in found.staying] == [
        (never_sent, "It was not sent anywhere: this is the only copy.")
    ]
    await archive.bench.services.streams.update(archive.stream, {"destination_ids": []})
    assert (await archive.retention.preview(archive.stream)).is_only_copy


async def test_a_file_that_is_open_stays_until_it_is_closed(archive: Archive) -> None:
    ids = await archive.fill(3, keep_count=1)

    with archive.file(1).open("rb"):
        await archive.agree()
        assert await archive.retention.run() == 1
        assert await archive.kept() == ids[:2]
    await archive.agree()

    assert await archive.retention.run() == 1


async def test_what_somebody_asked_for_in_the_last_hour_stays(archive: Archive) -> None:
    ids = await archive.fill(3, keep_count=1)
    await archive.bench.services.sessions.audio(ids[2])

    await archive.agree()
    await archive.retention.run()
    kept = await archive.kept()
    archive.bench.clock.move(hours=1, seconds=1)
    await archive.agree()
    await archive.retention.run()

    assert kept == [ids[0], ids[2]]
    assert await archive.kept() == [ids[0]]


async def test_a_file_that_somebody_changed_stays(archive: Archive) -> None:
    ids = await archive.fill(3, keep_count=1)
    archive.file(2).write_bytes(b"cut to the best part")

    found = await archive.retention.preview(archive.stream)
    await archive.agree()
    await archive.retention.run()

    assert found.staying[0].kept_by == "Somebody changed its file: it has 20 bytes instead of 1000."
    assert await archive.kept() == [ids[0], ids[2]]


async def test_a_link_that_leads_out_is_not_followed(archive: Archive) -> None:
    await archive.fill(3, keep_count=1)
    outside = archive.bench.folder / "outside.mp3"
    outside.write_bytes(bytes(SIZE))
    archive.file(2).unlink()
    link = archive.folder / "Radio" / "2026-05-30 120000.mp3"
    link.symlink_to(outside)

    await archive.agree()
    await archive.retention.run()

    assert outside.is_file()
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["../outside.mp3", "/etc/passwd", "Radio"])
async def test_a_name_that_is_no_recording_s_is_left_alone(archive: Archive, name: str) -> None:
    await archive.fill(1, keep_count=1)
    (archive.bench.folder / "outside.mp3").write_bytes(bytes(SIZE))
    number = await archive.add(3, file=name)

    found = await archive.retention.preview(archive.stream)
    await archive.agree()
    await archive.retention.run()

    assert [fate.recording.id for fate in found.staying] == [number]
    assert (archive.bench.folder / "outside.mp3").is_file()


async def test_a_file_that_two_sessions_call_theirs_stays(archive: Archive) -> None:
    await archive.fill(2, keep_count=1)
    stray = await archive.bench.stream("Other")
    async with archive.bench.database.write() as db:
        old = (await archive.bench.services.sessions.page(_ALL, after=None, limit=5)).items[-1]
        values = {name: getattr(old, name) for name in ("name", "state", "opens", "planned_start", "planned_end",
                                                        "timezone", "file", "size", "sha256")}  # fmt: skip
        db.add(Session(**values, stream_id=stray))

    await archive.agree()

    assert await archive.retention.run() == 0
    assert archive.file(1).is_file()


async def test_deleting_a_session_leaves_the_file_that_took_its_name(archive: Archive) -> None:
    ids = await archive.fill(2, keep_count=1)
    name = archive.file(1)
    await archive.agree()
    await archive.retention.run()
    name.write_bytes(b"a newer recording")

    await archive.bench.services.sessions.delete(ids[1], with_file=True)

    assert name.read_bytes() == b"a newer recording"


async def test_soon_after_deliveries_what_had_its_time_goes(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SOON", 0.05)
    ids = await archive.fill(30, keep_count=30)
    await archive.agree()
    await archive.retention.run()
    attending = asyncio.create_task(archive.retention.attend())
    for count in (1, 2):
        await archive.add(-count)
        archive.retention.delivered()
        archive.retention.delivered()

        async with asyncio.timeout(20):
            while await archive.gone() < count:
                await asyncio.sleep(0.01)
    attending.cancel()

    assert (await archive.kept())[2:] == ids[:-2]


async def test_what_was_agreed_to_is_what_goes(archive: Archive) -> None:
    await archive.fill(5, keep_count=3)
    seen = await archive.retention.preview(archive.stream)
    await archive.bench.services.streams.update(archive.stream, {"keep_count": 1})

    with pytest.raises(ConflictError):
        await archive.retention.agree(archive.stream, seen.fingerprint)

    assert await archive.retention.run() == 0


async def test_a_preview_of_another_rule_changes_nothing(archive: Archive) -> None:
    ids = await archive.fill(10)

    found = await archive.retention.preview(archive.stream, Rule(count=4))

    assert (found.recordings, found.size, len(found.going), found.room) == (10, 10_000, 6, 6000)
    assert found.is_only_copy
    assert await archive.retention.run() == 0
    assert await archive.kept() == ids


async def test_sessions_of_a_deleted_stream_are_left_alone(archive: Archive) -> None:
    ids = await archive.fill(5, keep_count=1)
    await archive.agree()
    await archive.bench.services.streams.delete(archive.stream)

    assert await archive.retention.run() == 0
    assert await archive.kept() == ids


async def test_a_file_that_cannot_be_removed_is_tried_again(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await archive.fill(2, keep_count=1)
    await archive.agree()

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", refuse)
        assert await archive.retention.run() == 0
    session = await archive.bench.services.sessions.get(ids[1])

    assert session.deleted_at is None
    assert await archive.retention.run() == 1


async def test_the_facts_beside_a_recording_go_with_it(archive: Archive) -> None:
    await archive.fill(2, keep_count=1)
    facts = archive.file(1).with_name(f".{archive.file(1).name}.json")
    facts.write_text("{}")

    await archive.agree()
    await archive.retention.run()

    assert not facts.exists()


async def begin(archive: Archive, *ids: int) -> None:
    """Leave the deletion of these recordings as a kill leaves it: entered, and not done."""
    async with archive.bench.database.write() as db:
        for number in ids:
            await db.execute(update(Session).where(Session.id == number).values(deleted_why="Enough are kept."))


async def test_a_deletion_that_a_kill_broke_off_is_entered_or_forgotten(archive: Archive) -> None:
    newest, *_, gone, kept = await archive.fill(6)
    await begin(archive, gone, kept)
    gone_session = await archive.bench.services.sessions.get(gone)
    assert gone_session.file is not None
    (archive.folder / gone_session.file).unlink()

    await archive.retention.run()

    sessions = archive.bench.services.sessions
    gone_session, kept_session = await sessions.get(gone), await sessions.get(kept)
    assert (gone_session.deleted_why, gone_session.missing_since) == ("Enough are kept.", None)
    assert gone_session.deleted_at is not None
    assert [event.kind for event in await sessions.events(gone)] == ["deleted"]
    assert (kept_session.deleted_at, kept_session.deleted_why) == (None, None)
    assert newest in await archive.kept()


async def test_a_deletion_is_not_taken_for_done_while_the_disk_is_away(archive: Archive) -> None:
    numbers = await archive.fill(6)
    await begin(archive, numbers[-1])
    archive.folder.rename(archive.folder.with_name("elsewhere"))

    await archive.retention.run()

    session = await archive.bench.services.sessions.get(numbers[-1])
    assert (session.deleted_at, session.deleted_why) == (None, "Enough are kept.")
