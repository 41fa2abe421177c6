"""Who begins a recording that may not fit is told before; it begins all the same."""

from datetime import timedelta

import pytest

from rolltape.disk import room
from rolltape.domain.session import Session, SessionState
from rolltape.domain.units import Bytes, Seconds
from rolltape.services.space import Space
from tests.services.conftest import START, Bench

HOUR = 57_600_000  # bytes of 128 kbit/s; while it is finished they are needed three times


@pytest.fixture
def space(bench: Bench) -> Space:
    return above(bench, free=3 * HOUR)


def above(bench: Bench, *, free: int) -> Space:
    """With so much room above the floor."""
    recordings = bench.folder / "recordings"
    # Others write to this disk, too: what they take between two looks does not matter beside 10 MB.
    return Space(
        bench.database,
        recordings=recordings,
        floor=lambda: Bytes(room(recordings).free - free - 10_000_000),
        clock=bench.clock,
    )


async def hour(bench: Bench, name: str = "Radio", *, ahead: float = 0) -> int:
    """A session of an hour that begins so many hours from now."""
    stream = await bench.stream(name)
    session = await bench.services.sessions.record_now(stream, Seconds(3600))
    async with bench.database.write() as db:
        row = await db.get_one(Session, session.id)
        row.opens = row.planned_start = START + timedelta(hours=ahead)
        row.planned_end = row.planned_start + timedelta(hours=1)
        row.state = SessionState.SCHEDULED
    return session.id


async def test_what_fits_with_its_copies_above_the_floor_is_not_warned_of(bench: Bench, space: Space) -> None:
    number = await hour(bench)
    await hour(bench, "Later", ahead=1.5)

    assert await space.warning(number) is None


async def test_what_does_not_fit_with_its_copies_is(bench: Bench) -> None:
    number = await hour(bench)

    warning = await above(bench, free=2 * HOUR).warning(number)

    assert warning is not None
    assert warning.startswith("This recording needs up to 173 MB; ")
    assert warning.endswith("of them are to stay so. It is recorded all the same.")


async def test_what_is_recorded_meanwhile_counts(bench: Bench, space: Space) -> None:
    number = await hour(bench)
    other = await hour(bench, "Other", ahead=0.5)

    warning, others = await space.warning(number), await space.warning(other)

    assert warning is not None
    assert warning.startswith("This recording and what is recorded meanwhile need up to ")
    assert others is not None


async def test_the_rate_of_a_stream_that_has_no_recording_yet_is_that_of_now(bench: Bench, space: Space) -> None:
    number = await hour(bench)
    async with bench.database.write() as db:
        row = await db.get_one(Session, number)
        row.state, row.live = SessionState.RECORDING, {"bit_rate": 320_000}

    warning = await space.warning(number)

    assert warning is not None
    assert "432 MB" in warning


async def test_a_session_that_is_over_is_not_warned_of(bench: Bench, space: Space) -> None:
    assert await space.warning(77) is None


async def test_a_session_that_was_asked_for_just_now_is_known(bench: Bench) -> None:
    space = above(bench, free=0)
    await space.warning(await hour(bench))

    assert await space.warning(await hour(bench, "Next")) is not None
