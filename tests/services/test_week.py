"""What comes next, and the week view."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from rolltape.domain.errors import ConflictError, InputError, NotFoundError
from rolltape.domain.schedule import Schedule
from rolltape.domain.session import Session, SessionState
from rolltape.domain.units import HOUR
from rolltape.services.schedules import Filters
from rolltape.services.week import Day, Entry, Week
from tests.services.conftest import MOST_AT_ONCE, START, Bench
from tests.services.test_schedules import add, sessions

MONDAY = date(2026, 6, 1)  # the bench stands at its noon


async def upcoming(bench: Bench, limit: int = 5) -> list[str]:
    return [f"{entry.name} {entry.start:%a %d %H:%M}" for entry in await bench.services.schedules.upcoming(limit)]


async def week(bench: Bench, start: date = MONDAY, zone: str = "UTC", **more: Any) -> Week:
    return await bench.services.schedules.week(start, zone, **{"limit": 100} | more)


def told(days: Week) -> list[list[str]]:
    """The days of a week as times and names."""
    return [[f"{it.local_start:%H:%M} {it.entry.name}" for it in day.showings] for day in days.days]


def entries(day: Day) -> list[Entry]:
    return [showing.entry for showing in day.showings]


async def become(bench: Bench, session: Session, state: SessionState) -> None:
    async with bench.database.write() as db:
        await db.execute(update(Session).where(Session.id == session.id).values(state=state))


async def test_what_comes_next_has_what_is_entered_and_what_is_not_yet(bench: Bench) -> None:
    stream = await bench.stream()
    await add(bench, stream, name="Daily", cron="0 20 * * *")
    await add(bench, stream, name="Sunday", cron="0 20 * * 0")
    await add(bench, stream, name="Off", cron="0 13 * * *", enabled=False)

    assert await upcoming(bench, 2) == ["Daily Mon 01 20:00", "Daily Tue 02 20:00"]
    assert await upcoming(bench, 4) == [
        "Daily Mon 01 20:00", "Daily Tue 02 20:00", "Daily Wed 03 20:00", "Daily Thu 04 20:00",
    ]  # fmt: skip
    found = await bench.services.schedules.upcoming(20)
    assert [entry.session_id is not None for entry in found] == [True, True, *[False] * 18]
    assert [entry.name for entry in found].count("Sunday") == 2


async def test_what_is_skipped_does_not_come_next(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    for day in (1, 4):  # one that is entered, and one that is not
        await bench.services.schedules.skip(schedule.id, datetime(2026, 6, day, 20, tzinfo=UTC))

    assert await upcoming(bench, 3) == ["Show Tue 02 20:00", "Show Wed 03 20:00", "Show Fri 05 20:00"]


async def test_a_record_now_that_waits_comes_next(bench: Bench) -> None:
    stream = await bench.stream()
    await bench.services.sessions.record_now(stream, HOUR, "Now")
    await add(bench, stream, at="2026-12-24T20:00:00")

    assert await upcoming(bench) == ["Now Mon 01 12:00", "Show Thu 24 20:00"]


async def test_nothing_comes_next_where_nothing_is_scheduled(bench: Bench) -> None:
    assert await upcoming(bench) == []


async def test_a_skip_can_be_taken_back(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    start = datetime(2026, 6, 1, 20, tzinfo=UTC)
    skipped = await bench.services.schedules.skip(schedule.id, start)

    await bench.services.schedules.update(schedule.id, {"duration": 7200})
    await bench.services.schedules.unskip(schedule.id, start)

    back = await bench.services.sessions.get(skipped.id)
    assert (back.state, back.ended_at) == (SessionState.SCHEDULED, None)
    assert back.planned_end - back.planned_start == timedelta(hours=2)
    story = [event.kind for event in await bench.services.sessions.events(back.id)]
    assert story == ["skipped", "unskipped"]


async def test_a_far_skip_can_be_taken_back(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * 0")
    start = datetime(2026, 6, 7, 20, tzinfo=UTC)
    await bench.services.schedules.skip(schedule.id, start)

    await bench.services.schedules.unskip(schedule.id, start)

    assert await sessions(bench) == []
    assert await upcoming(bench, 1) == ["Show Sun 07 20:00"]
    bench.clock.move(days=6)
    await bench.services.schedules.plan(everything=True)
    assert [(row.planned_start, row.state) for row in await sessions(bench)] == [(start, SessionState.SCHEDULED)]


async def test_a_skip_of_a_schedule_that_is_off_leaves_nothing_behind(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    start = datetime(2026, 6, 1, 20, tzinfo=UTC)
    await bench.services.schedules.skip(schedule.id, start)
    await bench.services.schedules.update(schedule.id, {"enabled": False})

    await bench.services.schedules.unskip(schedule.id, start)

    assert await sessions(bench) == []


async def test_only_a_skip_to_come_can_be_taken_back(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    start = datetime(2026, 6, 1, 20, tzinfo=UTC)
    unskip = bench.services.schedules.unskip

    with pytest.raises(ConflictError, match="not skipped"):
        await unskip(schedule.id, start)
    with pytest.raises(ConflictError, match="not skipped"):
        await unskip(schedule.id, start + timedelta(minutes=1))
    await bench.services.schedules.skip(schedule.id, start)
    await bench.services.schedules.update(schedule.id, {"cron": "0 21 * * *"})
    with pytest.raises(ConflictError, match="changed"):
        await unskip(schedule.id, start)
    bench.clock.move(hours=9)
    with pytest.raises(ConflictError, match="has come"):
        await unskip(schedule.id, start)
    with pytest.raises(NotFoundError):
        await unskip(99, start)


async def test_a_deletion_tells_what_it_takes_along(bench: Bench) -> None:
    stream = await bench.stream()
    schedule = await add(bench, stream, cron="0 13-16 * * *")
    await add(bench, stream, cron="0 13 * * *")
    for session, state in zip(
        await sessions(bench, schedule.id),
        [SessionState.RECORDING, SessionState.DONE, SessionState.MISSED, SessionState.DELIVERING],
        strict=False,
    ):
        await become(bench, session, state)

    found = await bench.services.schedules.dependents(schedule.id)

    assert (found.coming, found.running, found.past) == (4, 2, 2)
    with pytest.raises(NotFoundError):
        await bench.services.schedules.dependents(99)


async def test_schedules_can_be_filtered(bench: Bench) -> None:
    news, jazz = await bench.stream("News 100%"), await bench.stream("Jazz")
    await add(bench, news, name="Morning", cron="0 6 * * *")
    await add(bench, jazz, name="Night_Owl", cron="0 23 * * *", enabled=False)

    async def names(filters: Filters) -> list[str]:
        return [row.name for row in (await bench.services.schedules.page(filters, after=None, limit=10)).items]

    assert await names(Filters()) == ["Night_Owl", "Morning"]
    assert await names(Filters(stream_id=news)) == ["Morning"]
    assert await names(Filters(enabled=False)) == ["Night_Owl"]
    assert await names(Filters(text="mORN")) == ["Morning"]
    assert await names(Filters(text="jazz")) == ["Night_Owl"]
    assert await names(Filters(text="100%")) == ["Morning"]
    assert await names(Filters(text="t_O")) == ["Night_Owl"]
    for nothing in ("%", "_", "' OR 1=1 --", "\\"):
        assert await names(Filters(text=f"{nothing}{nothing}")) == []


async def test_a_week_has_what_was_and_what_will_be(bench: Bench) -> None:
    stream = await bench.stream()
    await add(bench, stream, name="Daily", cron="0 20 * * *")
    bench.clock.move(days=2)  # Wednesday noon: Monday's and Tuesday's sessions are in the past
    await add(bench, stream, name="New", cron="0 8 * * *")
    await bench.services.sessions.record_now(stream, HOUR, "Now")

    found = await week(bench)

    assert told(found) == [
        ["20:00 Daily"], ["20:00 Daily"], ["12:00 Now", "20:00 Daily"],
        *[["08:00 New", "20:00 Daily"]] * 4,
    ]  # fmt: skip
    assert [day.date for day in found.days] == [MONDAY + timedelta(days=count) for count in range(7)]
    wednesday = entries(found.days[2])
    assert [(entry.schedule_id is None, entry.state) for entry in wednesday] == [
        (True, SessionState.SCHEDULED),
        (False, None),
    ]
    assert told(await week(bench, MONDAY - timedelta(days=7))) == [[]] * 7


async def test_a_week_is_that_of_its_zone(bench: Bench) -> None:
    await add(bench, await bench.stream(), cron="30 22 * * 3", timezone="Europe/Berlin")

    assert told(await week(bench, zone="Europe/Berlin"))[2] == ["22:30 Show"]
    assert told(await week(bench, zone="Asia/Tokyo"))[3] == ["05:30 Show"]
    assert told(await week(bench, MONDAY + timedelta(days=2), zone="Asia/Tokyo"))[1] == ["05:30 Show"]


async def test_what_goes_on_into_a_day_is_carried_into_it(bench: Bench) -> None:
    await add(bench, await bench.stream(), cron="0 23 * * 0,1", duration=3 * HOUR)

    found = await week(bench, date(2026, 6, 8))

    assert [len(day.carried) for day in found.days] == [1, 1, 0, 0, 0, 0, 0]
    assert found.days[0].carried[0].local_end == datetime(2026, 6, 8, 2, tzinfo=UTC)
    assert told(found)[0] == ["23:00 Show"]


async def test_a_skipped_one_stays_in_sight(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="0 20 * * *")
    await bench.services.schedules.skip(schedule.id, datetime(2026, 6, 6, 20, tzinfo=UTC))

    found = await week(bench)

    assert [entry.is_skipped for day in found.days for entry in entries(day)] == [*[False] * 5, True, False]


async def test_overlaps_of_a_stream_name_one_another(bench: Bench) -> None:
    stream, other = await bench.stream("One"), await bench.stream("Two")
    await add(bench, stream, name="Long", cron="0 18 * * 1", duration=3 * HOUR)
    await add(bench, stream, name="Inside", cron="0 19 * * 1", start_early=600)
    await add(bench, stream, name="Behind", cron="0 21 * * 1", start_early=600)
    await add(bench, other, name="Elsewhere", cron="0 19 * * 1")
    skipped = await add(bench, stream, name="Skipped", cron="0 19 * * 1")
    await bench.services.schedules.skip(skipped.id, datetime(2026, 6, 1, 19, tzinfo=UTC))

    for start in (MONDAY, MONDAY + timedelta(days=14)):  # entered, and not entered yet
        found = {
            it.entry.name: [other.name for other in it.overlaps] for it in (await week(bench, start)).days[0].showings
        }
        found.pop("Skipped")
        if start == MONDAY:
            assert found == {"Long": ["Inside"], "Inside": ["Long"], "Behind": [], "Elsewhere": []}
        else:
            assert sorted(found["Long"]) == ["Inside", "Skipped"]


async def test_of_many_overlaps_some_are_named(bench: Bench) -> None:
    stream = await bench.stream()
    for number in range(20):
        await add(bench, stream, name=f"Show {number}", cron="0 20 * * *")

    found = await week(bench)

    assert {len(showing.overlaps) for day in found.days for showing in day.showings} == {5}


async def test_what_finds_no_room_is_marked_and_priority_counts(bench: Bench) -> None:
    for number in range(MOST_AT_ONCE):
        await add(bench, await bench.stream(f"Radio {number}"), name=f"Show {number}", cron="0 20 * * *")
    much = await bench.stream("Much")
    await add(bench, much, name="Important", cron="0 20 * * *", priority=5)
    await add(bench, much, name="Later", cron="0 21 * * *")

    found = await week(bench)

    for day in found.days:
        assert sum(showing.is_over_limit for showing in day.showings) == 1
        assert not any(it.is_over_limit for it in day.showings if it.entry.name in ("Important", "Later"))
    only = await week(bench, stream_id=much)
    assert told(only)[5] == ["20:00 Important", "21:00 Later"]


async def test_a_day_of_moved_clocks_says_so_and_so_does_what_is_moved(bench: Bench) -> None:
    schedule = await add(bench, await bench.stream(), cron="30 2 * * *", timezone="Europe/Berlin")

    spring = await week(bench, date(2027, 3, 22), "Europe/Berlin")

    assert [day.change is not None for day in spring.days] == [*[False] * 6, True]
    sunday = spring.days[6]
    assert (sunday.end - sunday.begin) == timedelta(hours=23)
    assert told(spring)[6] == ["03:00 Show"]
    assert sunday.showings[0].entry.note == "02:30 does not exist on this day; starts at 03:00"

    bench.clock.moment = datetime(2027, 3, 27, 12, tzinfo=UTC)
    await bench.services.schedules.plan(everything=True)
    (moved,) = entries((await week(bench, date(2027, 3, 22), "Europe/Berlin")).days[6])
    assert (moved.schedule_id, moved.session_id is not None) == (schedule.id, True)
    assert moved.note == "02:30 does not exist on this day; starts at 03:00"


async def test_a_full_day_is_cut_and_counts_what_is_hidden(bench: Bench) -> None:
    await add(bench, await bench.stream(), cron="0 * * * *")

    found = await week(bench, MONDAY + timedelta(days=7), limit=10)

    assert [(len(day.showings), day.hidden) for day in found.days] == [(10, 14)] * 7


async def test_a_schedule_whose_zone_is_gone_does_not_spoil_the_week(bench: Bench) -> None:
    stream = await bench.stream()
    broken = await add(bench, stream, name="Broken", cron="0 20 * * *")
    await add(bench, stream, name="Well", cron="0 20 * * 6")
    async with bench.database.write() as db:
        await db.execute(update(Schedule).where(Schedule.id == broken.id).values(timezone="Mars/Olympus"))

    assert told(await week(bench))[5] == ["20:00 Well"]
    assert (await upcoming(bench, 10))[2] == "Well Sat 06 20:00"


@pytest.mark.parametrize(
    ("start", "zone", "field"),
    [
        (date(1969, 1, 1), "UTC", "start"),
        (date.min, "UTC", "start"),
        (date.max, "UTC", "start"),
        (MONDAY, "", "timezone"),
        (MONDAY, "Mars/Olympus", "timezone"),
        (MONDAY, "../../etc/passwd", "timezone"),
    ],
)
async def test_a_week_that_there_is_not(bench: Bench, start: date, zone: str, field: str) -> None:
    with pytest.raises(InputError) as refused:
        await week(bench, start, zone)

    assert refused.value.field == field


async def test_sessions_of_a_deleted_stream_stay_in_their_week(bench: Bench) -> None:
    stream = await bench.stream()
    await add(bench, stream, cron="0 13 * * *")
    first, _ = await sessions(bench)
    await become(bench, first, SessionState.DONE)
    await bench.services.streams.delete(stream)
    async with bench.database.write() as db:  # and two record nows at the same second
        now = {"planned_start": START, "planned_end": START + timedelta(hours=1), "opens": START, "timezone": "UTC"}
        row = now | {"name": "Now", "state": SessionState.DONE}
        await db.execute(insert(Session), [row, row])

    assert told(await week(bench))[0] == ["12:00 Now", "12:00 Now", "13:00 Show"]
