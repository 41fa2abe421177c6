"""Who owns a session, what is due, and what people may ask of one."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from rolltape.domain.errors import ConflictError, NotFoundError
from rolltape.domain.session import Event, Session, SessionState, Wish
from rolltape.domain.units import Seconds
from rolltape.services.sessions import Beat, Filters
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
