"""Who owns a session, what is due, and what people may ask of one."""

import asyncio
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from rolltape import services
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.session import Event, Session, SessionState, Wish
from rolltape.domain.take import Take, takes_folder
from rolltape.domain.units import Seconds
from rolltape.domain.waveform import POINTS, Waveform
from rolltape.services.sessions import Beat, Counts, Filters
from rolltape.store import Database
from tests.services.conftest import Bench

STATE = SessionState


async def record_now(bench: Bench, **values: object) -> Session:
    stream = await bench.stream(f"Radio {bench.clock.moment} {id(values)}")
    session = await bench.services.sessions.record_now(stream, Seconds(600))
    if values:
        async with bench.database.write() as db:
            await db.execute(update(Session).where(Session.id == session.id).values(**values))
    return await bench.services.sessions.get(session.id)


async def test_record_now_is_due_at_once(bench: Bench) -> None:
    session = await record_now(bench)

    (due,) = await bench.services.sessions.due()

    assert (due.session_id, due.state, due.at) == (session.id, STATE.SCHEDULED, bench.clock())
    assert session.timezone == "Europe/Berlin"
    assert bench.woken


async def test_the_last_to_claim_a_session_owns_it(bench: Bench) -> None:
    session = await record_now(bench)
    older = await bench.services.sessions.claim(session.id)
    newer = await bench.services.sessions.claim(session.id)
    assert older is not None
    assert newer is not None

    assert not await bench.services.sessions.advance(older, STATE.PROCESSING, "recorded", "Too late.")
    assert await bench.services.sessions.advance(newer, STATE.PROCESSING, "recorded", "Recorded.")

    assert (await bench.services.sessions.get(session.id)).state is STATE.PROCESSING
    assert [event.message for event in await bench.services.sessions.events(session.id)] == [
        "Record now.", "Recorded."
    ]  # fmt: skip


async def test_many_claims_at_once_give_each_its_own_epoch(bench: Bench) -> None:
    session = await record_now(bench)

    claims = await asyncio.gather(*(bench.services.sessions.claim(session.id) for _ in range(8)))

    assert sorted(claim.epoch for claim in claims if claim) == list(range(1, 9))


@pytest.mark.parametrize("state", [STATE.DONE, STATE.FAILED, STATE.MISSED, STATE.CANCELLED, STATE.SKIPPED])
async def test_what_is_over_is_neither_claimed_nor_due(bench: Bench, state: SessionState) -> None:
    session = await record_now(bench, state=state)

    assert await bench.services.sessions.claim(session.id) is None
    assert await bench.services.sessions.due() == []


async def test_a_scheduled_session_is_due_half_a_minute_before_its_window_opens(bench: Bench) -> None:
    start = bench.clock() + timedelta(minutes=10)
    opens = start - timedelta(minutes=1)
    await record_now(bench, opens=opens, planned_start=start, planned_end=start + timedelta(minutes=5))

    bench.clock.moment = start - timedelta(seconds=91)
    assert await bench.services.sessions.due() == []

    bench.clock.moment = start - timedelta(seconds=90)
    (due,) = await bench.services.sessions.due()
    assert due.at == start - timedelta(seconds=60)


async def test_the_plan_is_a_picture_of_the_stream_when_it_began(bench: Bench) -> None:
    session = await record_now(bench)
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None
    first = await bench.services.sessions.plan(claimed)
    assert session.stream_id is not None
    await bench.services.streams.update(session.stream_id, {"url": "http://elsewhere.example/", "artist": "Other"})

    again = await bench.services.sessions.claim(session.id)
    assert again is not None

    assert await bench.services.sessions.plan(again) == first
    assert first.stream.url == "http://radio.example/live"
    assert first.begins_with_audio


async def test_a_session_whose_stream_is_gone_cannot_begin(bench: Bench) -> None:
    session = await record_now(bench)
    assert session.stream_id is not None
    async with bench.database.write() as db:
        await db.execute(update(Session).values(state=STATE.WAITING))
    await bench.services.streams.delete(session.stream_id)
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None

    with pytest.raises(NotFoundError, match="deleted"):
        await bench.services.sessions.plan(claimed)


async def test_progress_of_another_owner_is_not_entered(bench: Bench) -> None:
    session = await record_now(bench, state=STATE.RECORDING)
    old = await bench.services.sessions.claim(session.id)
    await bench.services.sessions.claim(session.id)
    assert old is not None

    answers = await bench.services.sessions.beat([Beat(session.id, old.epoch, {"recorded": 99.0})])

    assert answers == {session.id: (old.epoch + 1, None)}
    assert (await bench.services.sessions.get(session.id)).recorded == 0


async def test_a_beat_tells_what_was_asked_and_keeps_events_in_order(bench: Bench) -> None:
    session = await record_now(bench, state=STATE.RECORDING)
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None
    await bench.services.sessions.stop(session.id)
    told = [Event(session_id=session.id, at=bench.clock(), kind="title", message=str(count)) for count in range(5)]
    told.append(Event(session_id=9999, at=bench.clock(), kind="title", message="of a session that is gone"))

    await bench.services.sessions.enter_events(told)
    answers = await bench.services.sessions.beat([Beat(session.id, claimed.epoch, {"recorded": 5.0})])

    assert answers == {session.id: (claimed.epoch, Wish.STOP)}
    messages = [event.message for event in await bench.services.sessions.events(session.id)]
    assert messages == ["Record now.", "Stopped on request.", "0", "1", "2", "3", "4"]


async def test_the_progress_of_many_sessions_is_entered_at_once(bench: Bench) -> None:
    sessions = [await record_now(bench, state=STATE.RECORDING) for _ in range(3)]
    beats = [Beat(session.id, 0, {"recorded": float(session.id), "live": {"gaps": 0}}) for session in sessions]
    beats[0] = Beat(sessions[0].id, 0, {"recorded": 99.0})

    answers = await bench.services.sessions.beat(beats)

    assert answers == {session.id: (0, None) for session in sessions}
    found = [(await bench.services.sessions.get(session.id)).recorded for session in sessions]
    assert found == [99.0, float(sessions[1].id), float(sessions[2].id)]


async def test_progress_that_comes_too_late_does_not_take_a_session_back(bench: Bench) -> None:
    session = await record_now(bench, state=STATE.RECORDING)
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None
    await bench.services.sessions.advance(claimed, STATE.PROCESSING, "recorded", "Recorded.")

    await bench.services.sessions.beat([Beat(session.id, claimed.epoch, {"state": STATE.RECORDING})])

    assert (await bench.services.sessions.get(session.id)).state is STATE.PROCESSING


async def test_a_session_that_has_not_begun_is_cancelled_at_once(bench: Bench) -> None:
    session = await record_now(bench, planned_start=bench.clock() + timedelta(hours=1))

    cancelled = await bench.services.sessions.cancel(session.id)

    assert cancelled.state is STATE.CANCELLED
    with pytest.raises(ConflictError, match="cancelled already"):
        await bench.services.sessions.cancel(session.id)


async def test_a_session_that_waits_for_room_is_cancelled_at_once_and_has_nothing_to_stop(bench: Bench) -> None:
    session = await record_now(bench, state=STATE.WAITING)

    with pytest.raises(ConflictError, match="not begun"):
        await bench.services.sessions.stop(session.id)
    await bench.services.sessions.cancel(session.id)

    assert (await bench.services.sessions.get(session.id)).state is STATE.CANCELLED
    assert await bench.services.sessions.claim(session.id) is None


async def test_only_what_records_can_be_stopped(bench: Bench) -> None:
    for state in (STATE.PROCESSING, STATE.DELIVERING, STATE.DONE):
        session = await record_now(bench, state=state)
        with pytest.raises(ConflictError):
            await bench.services.sessions.stop(session.id)


async def test_only_a_failed_session_with_takes_can_be_tried_again(bench: Bench) -> None:
    empty = await record_now(bench, state=STATE.FAILED, take_count=0)
    recorded = await record_now(bench, state=STATE.FAILED, take_count=1, error_code="x", error_message="y")

    with pytest.raises(ConflictError):
        await bench.services.sessions.retry(empty.id)
    again = await bench.services.sessions.retry(recorded.id)

    assert (again.state, again.error_code) == (STATE.PROCESSING, None)


async def test_what_waits_until_its_time_is_over_is_missed(bench: Bench) -> None:
    session = await record_now(bench)
    await bench.services.sessions.enter_waiting([session.id])
    assert (await bench.services.sessions.get(session.id)).state is STATE.WAITING

    await bench.services.sessions.expire_waiting()
    assert (await bench.services.sessions.get(session.id)).state is STATE.WAITING
    bench.clock.move(minutes=11)
    await bench.services.sessions.expire_waiting()

    found = await bench.services.sessions.get(session.id)
    assert (found.state, found.error_code) == (STATE.MISSED, "no_room")


# What remains of a session


async def kept_session(bench: Bench, **values: object) -> tuple[Session, Path, Path]:
    """One with takes, rows of every kind and a recording: the session, the folder of its takes, the file."""
    session = await record_now(bench, **({"state": STATE.DONE, "file": "Radio/show.mp3"} | values))
    takes = takes_folder(bench.folder / "recordings", session.id)
    takes.mkdir(parents=True)
    (takes / "take-001.mp3").write_bytes(b"audio")
    file = bench.folder / "recordings" / "Radio" / "show.mp3"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"audio")
    async with bench.database.write() as db:
        db.add(Waveform(session_id=session.id, peaks=b"\1" * POINTS))
        await db.execute(
            insert(Take).values(
                session_id=session.id, number=1, codec="mp3", begins=bench.clock(), duration=9.0, ended_by="It ended."
            )
        )
    return session, takes, file


async def rows(bench: Bench, session_id: int) -> int:
    """How many rows of other tables belong to a session."""
    count = 0
    async with bench.database.read() as db:
        for table in (Event, Take, Waveform):
            query = select(func.count()).select_from(table).where(table.session_id == session_id)
            count += await db.scalar(query) or 0
    return count


@pytest.mark.parametrize("with_file", [True, False])
async def test_a_deleted_session_leaves_nothing_but_what_is_to_be_kept(bench: Bench, with_file: bool) -> None:
    session, takes, file = await kept_session(bench)
    other, other_takes, _ = await kept_session(bench, file="Radio/other.mp3")
    part = file.with_name(f".{session.id}-show.mp3.part")
    part.write_bytes(b"half")

    await bench.services.sessions.delete(session.id, with_file=with_file)

    with pytest.raises(NotFoundError):
        await bench.services.sessions.get(session.id)
    assert await rows(bench, session.id) == 0
    assert (takes.exists(), part.exists(), file.exists()) == (False, False, not with_file)
    assert other_takes.exists()
    assert await rows(bench, other.id) == 3


@pytest.mark.parametrize("state", [STATE.SCHEDULED, STATE.WAITING, STATE.RECORDING, STATE.PROCESSING, STATE.DELIVERING])
async def test_what_is_under_way_cannot_be_deleted(bench: Bench, state: SessionState) -> None:
    session, takes, file = await kept_session(bench, state=state)

    with pytest.raises(ConflictError, match="under way"):
        await bench.services.sessions.delete(session.id, with_file=True)

    assert (await bench.services.sessions.get(session.id)).state is state
    assert takes.exists()
    assert file.exists()


async def test_an_occurrence_that_was_left_out_is_kept_until_its_time(bench: Bench) -> None:
    stream = await bench.stream()
    fields = ScheduleFields(stream_id=stream, cron="0 15 * * *", timezone="UTC", duration=60)
    schedule = await bench.services.schedules.create(fields)
    ahead = bench.clock() + timedelta(hours=3)
    session = await record_now(
        bench, state=STATE.SKIPPED, schedule_id=schedule.id, planned_start=ahead + timedelta(minutes=1)
    )

    with pytest.raises(ConflictError, match="plan this show again"):
        await bench.services.sessions.delete(session.id)
    bench.clock.move(hours=4)
    await bench.services.sessions.delete(session.id)

    with pytest.raises(NotFoundError):
        await bench.services.sessions.get(session.id)


async def test_a_session_that_was_deleted_halfway_can_be_deleted_again(bench: Bench) -> None:
    session, takes, file = await kept_session(bench)
    shutil.rmtree(takes)
    file.unlink()

    await bench.services.sessions.delete(session.id, with_file=True)

    with pytest.raises(NotFoundError):
        await bench.services.sessions.delete(session.id)


async def test_a_file_that_cannot_be_removed_keeps_the_session(bench: Bench) -> None:
    session, _, file = await kept_session(bench)
    file.unlink()
    file.mkdir()

    with pytest.raises(ConflictError, match="cannot be removed"):
        await bench.services.sessions.delete(session.id, with_file=True)

    assert (await bench.services.sessions.get(session.id)).id == session.id


@pytest.mark.parametrize("kind", ["path", "link", "folder"])
async def test_nothing_outside_of_the_recordings_is_ever_removed_or_served(bench: Bench, kind: str) -> None:
    outside = bench.folder / "secret.mp3"
    outside.write_bytes(b"secret")
    recordings = bench.folder / "recordings"
    name = {"path": "../secret.mp3", "link": "link.mp3", "folder": "linked/secret.mp3"}[kind]
    session, _, _ = await kept_session(bench, file=name)
    (recordings / "link.mp3").symlink_to(outside)
    (recordings / "linked").symlink_to(bench.folder)

    with pytest.raises(NotFoundError):
        await bench.services.sessions.audio(session.id)
    with pytest.raises(ConflictError, match="leads out"):
        await bench.services.sessions.delete(session.id, with_file=True)

    assert outside.read_bytes() == b"secret"


async def test_takes_and_waveform_are_told(bench: Bench) -> None:
    session, _, _ = await kept_session(bench)
    bare = await record_now(bench)

    (take,) = await bench.services.sessions.takes(session.id)

    assert (take.number, take.ended_by) == (1, "It ended.")
    assert await bench.services.sessions.waveform(session.id) == b"\1" * POINTS
    assert await bench.services.sessions.waveform(bare.id) is None
    for ask in (bench.services.sessions.waveform, bench.services.sessions.takes):
        with pytest.raises(NotFoundError):
            await ask(9999)


async def test_a_recording_that_was_made_again_has_the_waveform_of_the_second(bench: Bench) -> None:
    session = await record_now(bench, state=STATE.PROCESSING)
    claimed = await bench.services.sessions.claim(session.id)
    assert claimed is not None

    for peaks in (b"\1" * POINTS, b"\2" * POINTS):
        assert await bench.services.sessions.advance(claimed, STATE.PROCESSING, "made", "Made.", peaks=peaks)

    assert await bench.services.sessions.waveform(session.id) == b"\2" * POINTS


async def test_a_test_recording_goes_nowhere_though_its_stream_has_destinations(bench: Bench) -> None:
    fields = DestinationFields(name="Folder", kind=DestinationKind.LOCAL, directory=str(bench.folder))
    destination = await bench.services.destinations.create(fields)
    stream = await bench.stream(destination_ids=[destination.id])

    test = await bench.services.sessions.record_now(stream, Seconds(30), deliver=False)
    usual = await bench.services.sessions.record_now(stream, Seconds(30))

    assert (await bench.services.sessions.plan(test)).stream.destination_ids == []
    assert (await bench.services.sessions.plan(usual)).stream.destination_ids == [destination.id]
    claimed = await bench.services.sessions.claim(test.id)
    assert claimed is not None
    assert (await bench.services.sessions.plan(claimed)).begins_with_audio


# How it went


async def test_troubles_are_what_failed_was_missed_or_is_not_complete(bench: Bench) -> None:
    since = bench.clock()
    kinds: list[dict[str, object]] = [
        {"state": STATE.DONE, "verdict": "complete"},
        {"state": STATE.DONE, "verdict": "gapped"},
        {"state": STATE.FAILED},
        {"state": STATE.CANCELLED},
        {"state": STATE.MISSED},
        {"state": STATE.FAILED, "verdict": "short"},
        {"state": STATE.FAILED, "verdict": "complete"},
        {"state": STATE.DELIVERING, "verdict": "silent"},
        {"state": STATE.SKIPPED},
    ]
    bench.clock.move(days=-1)
    await record_now(bench, state=STATE.FAILED)  # before
    bench.clock.move(days=1)
    made = []
    for values in kinds:
        made.append((await record_now(bench, **values)).id)
        bench.clock.move(minutes=1)

    found = [session.id for session in await bench.services.sessions.troubles(since, 50)]

    assert found == [made[number] for number in (7, 6, 5, 4, 2, 1)]
    assert [session.id for session in await bench.services.sessions.troubles(since, 2)] == found[:2]
    assert await bench.services.sessions.troubles(bench.clock(), 50) == []
    assert await bench.services.sessions.counts(since) == Counts(finished=6, complete=1, troubled=5)


async def test_troubles_are_found_by_index_among_a_hundred_thousand(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    values = [
        {
            "name": "Show", "state": STATE.DONE, "verdict": "complete", "opens": at, "planned_start": at,
            "planned_end": at, "timezone": "UTC", "recorded": 1.0, "gaps": [], "take_count": 1, "epoch": 1,
            "priority": 0, "start_early": 0.0, "end_late": 0.0, "attempts": 0,
        }
        for at in (start - timedelta(minutes=number) for number in range(100_000))
    ]  # fmt: skip
    for number in range(0, 100_000, 1000):
        values[number] |= {"state": STATE.FAILED, "verdict": None}
    sessions = services.Sessions(database, recordings=Path(), timezone="UTC", clock=lambda: start, wake=lambda: None)
    try:
        async with database.write() as db:
            await db.execute(insert(Session), values)

        began = time.perf_counter()
        found = await sessions.troubles(datetime.min.replace(tzinfo=UTC), 10)
        took = time.perf_counter() - began

        assert [session.id for session in found] == [1 + 1000 * number for number in range(10)]
        assert took < 0.1
    finally:
        await database.close()


async def test_lists_page_through_everything_once_newest_first(bench: Bench) -> None:
    for _ in range(7):
        await record_now(bench)
        bench.clock.move(minutes=1)

    seen: list[int] = []
    after = None
    while True:
        page = await bench.services.sessions.page(Filters(), after=after, limit=3)
        seen += [session.id for session in page.items]
        after = page.next
        if after is None:
            break

    assert len(seen) == 7
    assert seen == sorted(seen, reverse=True)


async def test_filters(bench: Bench) -> None:
    first = await record_now(bench, state=STATE.DONE, verdict="gapped")
    bench.clock.move(minutes=5)
    second = await record_now(bench)

    async def found(filters: Filters) -> list[int]:
        return [row.id for row in (await bench.services.sessions.page(filters, after=None, limit=10)).items]

    assert await found(Filters(state=STATE.DONE)) == [first.id]
    assert await found(Filters(verdict=first.verdict)) == [first.id]
    assert await found(Filters(stream_id=second.stream_id)) == [second.id]
    assert await found(Filters(since=second.planned_start)) == [second.id]
    assert await found(Filters(until=second.planned_start)) == [first.id]
