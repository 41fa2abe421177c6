"""The planner and what people do with schedules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from rolltape.domain.errors import ConflictError, InputError, NotFoundError
from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.domain.session import Session, SessionState
from tests.services.conftest import START, Bench


async def add(bench: Bench, stream: int, **more: Any) -> Schedule:
    fields = {"stream_id": stream, "name": "Show", "timezone": "UTC", "duration": 3600} | more
    return await bench.services.schedules.create(ScheduleFields.model_validate(fields))


async def sessions(bench: Bench, schedule: int | None = None) -> list[Session]:
    async with bench.database.read() as db:
        query = select(Session).order_by(Session.planned_start)
        if schedule is not None:
            query = query.where(Session.schedule_id == schedule)
        return list(await db.scalars(query))


async def test_occurrences_of_the_coming_days_are_entered(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")

    found = await sessions(bench, schedule.id)

    assert [(row.state, row.planned_start) for row in found] == [
        (SessionState.SCHEDULED, datetime(2026, 6, 1, 20, tzinfo=UTC)),
        (SessionState.SCHEDULED, datetime(2026, 6, 2, 20, tzinfo=UTC)),
    ]
    assert found[0].planned_end - found[0].planned_start == timedelta(hours=1)
    assert bench.woken


async def test_planning_again_changes_nothing(bench: Bench) -> None:
    await add(bench, await bench.stream(), cron="0 * * * *")
    before = [row.id for row in await sessions(bench)]

    await bench.services.schedules.plan(everything=True)
    await bench.services.schedules.plan(everything=True)

    assert [row.id for row in await sessions(bench)] == before


async def test_what_passed_while_the_service_was_down_is_missed_and_what_is_open_is_scheduled(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    bench.clock.move(days=4, hours=8, minutes=30)  # Friday 20:30: the horizon lay on Wednesday

    await bench.services.schedules.plan(everything=True)

    found = {f"{row.planned_start:%a %H:%M}": row for row in await sessions(bench, schedule.id)}
    assert {name: row.state.value for name, row in found.items()} == {
        "Mon 20:00": "scheduled",  # its runner will find that its time has passed
        "Tue 20:00": "scheduled",
        "Wed 20:00": "missed",
        "Thu 20:00": "missed",
        "Fri 20:00": "scheduled",  # still half an hour to record
        "Sat 20:00": "scheduled",
        "Sun 20:00": "scheduled",
    }
    assert found["Wed 20:00"].error_code == "service_down"
    events = await bench.services.sessions.events(found["Wed 20:00"].id)
    assert [event.kind for event in events] == ["missed"]


async def test_an_edit_moves_what_has_not_begun_and_leaves_what_has(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 13 * * *")
    first, second = await sessions(bench)
    async with bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == first.id).values(state=SessionState.RECORDING))

    await bench.services.schedules.update(schedule.id, {"cron": "0 15 * * *", "duration": 60})

    found = await sessions(bench, schedule.id)
    assert [(row.id == first.id, f"{row.planned_start:%d %H}") for row in found] == [
        (True, "01 13"),
        (False, "01 15"),
        (False, "02 15"),
    ]
    assert (found[0].planned_end - found[0].planned_start).total_seconds() == 3600
    assert (found[1].planned_end - found[1].planned_start).total_seconds() == 60
    assert second.id not in [row.id for row in found]


async def test_a_longer_show_keeps_its_sessions(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 13 * * *")
    before = [row.id for row in await sessions(bench)]

    await bench.services.schedules.update(schedule.id, {"duration": 7200, "name": "Long Show"})

    found = await sessions(bench)
    assert [row.id for row in found] == before
    assert {(row.name, (row.planned_end - row.planned_start).total_seconds()) for row in found} == {
        ("Long Show", 7200.0)
    }


@pytest.mark.parametrize("how", ["disable", "delete"])
async def test_disabling_or_deleting_leaves_a_running_session_alone(bench: Bench, how: str) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 13 * * *")
    first, _ = await sessions(bench)
    async with bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == first.id).values(state=SessionState.RECORDING))

    if how == "disable":
        await bench.services.schedules.update(schedule.id, {"enabled": False})
    else:
        await bench.services.schedules.delete(schedule.id)

    assert [(row.id, row.state) for row in await sessions(bench)] == [(first.id, SessionState.RECORDING)]


async def test_what_was_due_while_it_was_disabled_is_not_missed(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 13 * * *")
    await bench.services.schedules.update(schedule.id, {"enabled": False})
    bench.clock.move(days=3)

    await bench.services.schedules.update(schedule.id, {"enabled": True})

    found = await sessions(bench, schedule.id)
    assert [row.state for row in found] == [SessionState.SCHEDULED] * 2
    assert all(row.planned_start > bench.clock() for row in found)


async def test_one_occurrence_can_be_skipped(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    start = datetime(2026, 6, 1, 20, tzinfo=UTC)

    skipped = await bench.services.schedules.skip(schedule.id, start)
    again = await bench.services.schedules.skip(schedule.id, start)
    await bench.services.schedules.plan(everything=True)

    assert (skipped.state, again.id) == (SessionState.SKIPPED, skipped.id)
    outlook = (await bench.services.schedules.outlooks([schedule]))[schedule.id]
    assert outlook.next_start == datetime(2026, 6, 2, 20, tzinfo=UTC)
    assert [row.state.value for row in await sessions(bench)] == ["skipped", "scheduled"]


async def test_an_occurrence_beyond_the_horizon_can_be_skipped(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * 0")
    start = datetime(2026, 6, 7, 20, tzinfo=UTC)

    await bench.services.schedules.skip(schedule.id, start)
    bench.clock.move(days=6)
    await bench.services.schedules.plan(everything=True)

    assert [(row.planned_start, row.state) for row in await sessions(bench)] == [(start, SessionState.SKIPPED)]


async def test_only_an_occurrence_to_come_can_be_skipped(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")

    for moment in (START + timedelta(hours=1), START - timedelta(hours=16), START + timedelta(hours=8, seconds=1)):
        with pytest.raises(ConflictError):
            await bench.services.schedules.skip(schedule.id, moment)


async def test_one_date_happens_once_and_what_is_left_of_it_counts(bench: Bench) -> None:
    stream = await bench.stream()

    coming = await add(bench, stream, at=(START + timedelta(hours=3)).isoformat())
    open_still = await add(bench, stream, at=(START - timedelta(minutes=30)).isoformat())

    assert [row.planned_start for row in await sessions(bench, coming.id)] == [START + timedelta(hours=3)]
    assert [row.state for row in await sessions(bench, open_still.id)] == [SessionState.SCHEDULED]
    with pytest.raises(InputError, match="passed"):
        await add(bench, stream, at=(START - timedelta(hours=2)).isoformat())


async def test_a_date_without_an_offset_is_local(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), at="2026-06-01T20:00:00", timezone="Europe/Berlin")

    (session,) = await sessions(bench, schedule.id)
    assert session.planned_start == datetime(2026, 6, 1, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": "0 9 * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({}, "cron"),
        ({"cron": "0 9 * * *", "at": "2027-01-01T00:00:00"}, "cron"),
    ],
)
async def test_what_cannot_be_scheduled_is_refused_by_its_field(
    bench: Bench, wrong: dict[str, Any], field: str
) -> None:
    stream = await bench.stream()

    with pytest.raises(InputError) as refused:
        await add(bench, stream, **wrong)

    assert refused.value.field == field
    assert await sessions(bench) == []


async def test_a_schedule_needs_a_stream(bench: Bench) -> None:
    with pytest.raises(InputError) as refused:
        await add(bench, 999, cron="0 9 * * *")

    assert refused.value.field == "stream_id"


async def test_a_schedule_that_is_gone(bench: Bench) -> None:
    for call in (
        bench.services.schedules.get(7),
        bench.services.schedules.delete(7),
        bench.services.schedules.update(7, {"name": "x"}),
        bench.services.schedules.skip(7, START),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_deleting_a_stream_takes_its_plan_and_keeps_its_history(bench: Bench) -> None:
    stream = await bench.stream()
    schedule = await add(bench, stream, cron="0 13 * * *")
    first, _ = await sessions(bench)
    async with bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == first.id).values(state=SessionState.DONE))

    await bench.services.streams.delete(stream)

    (kept,) = await sessions(bench)
    assert (kept.id, kept.stream_id, kept.schedule_id) == (first.id, None, None)
    with pytest.raises(NotFoundError):
        await bench.services.schedules.get(schedule.id)


async def test_the_last_result_is_that_of_the_newest_session_that_is_over(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 13 * * *")
    first, _ = await sessions(bench)
    bench.clock.move(hours=3)
    async with bench.database.write() as db:
        ended = {"state": SessionState.DONE, "ended_at": bench.clock()}
        await db.execute(update(Session).where(Session.id == first.id).values(**ended))

    outlook = (await bench.services.schedules.outlooks([schedule]))[schedule.id]

    assert outlook.last_session is not None
    assert outlook.last_session.id == first.id
    assert outlook.next_start == datetime(2026, 6, 2, 13, tzinfo=UTC)
