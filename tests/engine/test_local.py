"""Sessions run when they are due, as many at once as there is room for, and are never lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from rolltape.domain.session import Session, SessionState
from rolltape.domain.units import Seconds
from rolltape.engine import LocalEngine
from rolltape.pipeline import Next, Queue
from rolltape.services.clock import utc_now
from tests.services.conftest import Bench


class FakePipeline:
    """Notes what is run; what a run does is up to the test."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.do: Callable[[int], Any] | None = None
        self.ran = asyncio.Event()

    async def run(self, session_id: int) -> Next | None:
        self.runs.append(session_id)
        self.ran.set()
        return await self.do(session_id) if self.do else None

    async def attend(self) -> None:
        await asyncio.Event().wait()

    async def tidy(self) -> None: ...

    def look(self) -> None: ...


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
async def engine(bench: Bench, pipeline: FakePipeline) -> AsyncIterator[LocalEngine]:
    bench.clock.moment = utc_now()
    limits = {Queue.CAPTURE: 1, Queue.PROCESS: 1, Queue.TRANSFER: 1}
    engine = LocalEngine(pipeline, bench.services.sessions, limits=limits, clock=utc_now)  # type: ignore[arg-type]
    yield engine
    await engine.stop()


async def record_now(bench: Bench, **values: Any) -> int:
    bench.clock.moment = utc_now()
    number = await bench.stream(f"Radio {bench.clock.moment.timestamp()}")
    session = await bench.services.sessions.record_now(number, Seconds(600))
    if values:
        async with bench.database.write() as db:
            await db.execute(update(Session).where(Session.id == session.id).values(**values))
    return session.id


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_it_begins_with_what_was_left_unfinished(
    bench: Bench, engine: LocalEngine, pipeline: FakePipeline
) -> None:
    left = [
        await record_now(bench, state=state)
        for state in (SessionState.RECORDING, SessionState.PROCESSING, SessionState.DELIVERING)
    ]
    await record_now(bench, state=SessionState.DONE)

    await engine.start()
    await until(lambda: len(pipeline.runs) >= 3)

    assert sorted(pipeline.runs[:3]) == left


async def test_a_session_runs_at_its_moment_and_not_before(engine: LocalEngine, pipeline: FakePipeline) -> None:
    at = utc_now() + timedelta(seconds=0.4)

    engine.submit(7, Queue.TRANSFER, at, (0, 0.0))
    await pipeline.ran.wait()

    assert at <= utc_now() < at + timedelta(seconds=5)


async def test_a_sleeping_session_can_be_called_earlier(engine: LocalEngine, pipeline: FakePipeline) -> None:
    engine.submit(7, Queue.TRANSFER, utc_now() + timedelta(hours=1), (0, 0.0))
    await asyncio.sleep(0)

    engine.submit(7, Queue.TRANSFER, None, (0, 0.0))

    async with asyncio.timeout(5):
        await pipeline.ran.wait()
    assert pipeline.runs == [7]


async def test_a_session_goes_from_queue_to_queue(engine: LocalEngine, pipeline: FakePipeline) -> None:
    coming = [Next(Queue.PROCESS), Next(Queue.TRANSFER, utc_now() + timedelta(seconds=0.1)), None]

    async def step(_number: int) -> Next | None:
        return coming.pop(0)

    pipeline.do = step
    engine.submit(7, Queue.CAPTURE, None, (0, 0.0))

    await until(lambda: not coming)
    assert pipeline.runs == [7, 7, 7]


async def test_without_room_a_session_waits_and_is_shown_as_waiting(
    bench: Bench, engine: LocalEngine, pipeline: FakePipeline
) -> None:
    first, second = await record_now(bench), await record_now(bench)
    go = asyncio.Event()

    async def hold(_number: int) -> None:
        await go.wait()

    pipeline.do = hold
    await engine.start()
    await until(lambda: bool(pipeline.runs))
    async with asyncio.timeout(10):
        while (await bench.services.sessions.get(second)).state is not SessionState.WAITING:
            await asyncio.sleep(0.01)
    assert pipeline.runs == [first]

    go.set()
    await until(lambda: pipeline.runs == [first, second])


async def test_the_higher_priority_goes_first(bench: Bench, engine: LocalEngine, pipeline: FakePipeline) -> None:
    go = asyncio.Event()

    async def hold(_number: int) -> None:
        await go.wait()

    pipeline.do = hold
    first = await record_now(bench)
    await engine.lost()
    await until(lambda: pipeline.runs == [first])
    usual, urgent = await record_now(bench), await record_now(bench, priority=5)
    await engine.lost()

    go.set()
    await until(lambda: len(pipeline.runs) == 3)

    assert pipeline.runs == [first, urgent, usual]


async def test_a_run_that_fails_unexpectedly_is_found_again(
    bench: Bench, engine: LocalEngine, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.engine.local.SWEEP", 0.05)
    number = await record_now(bench)

    async def fail_once(_number: int) -> None:
        if len(pipeline.runs) == 1:
            raise RuntimeError("the database is gone")

    pipeline.do = fail_once
    await engine.start()

    await until(lambda: pipeline.runs[:2] == [number, number])


async def test_a_step_of_the_wall_clock_brings_forward_what_has_become_due(
    bench: Bench, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.engine.local.SWEEP", 0.05)
    start: datetime = bench.clock() + timedelta(hours=1)
    session = await bench.services.sessions.record_now(await bench.stream(), Seconds(600))
    async with bench.database.write() as db:
        await db.execute(
            update(Session).where(Session.id == session.id).values(opens=start, planned_start=start, planned_end=start)
        )
    limits = dict.fromkeys(Queue, 1)
    engine = LocalEngine(pipeline, bench.services.sessions, limits=limits, clock=bench.clock)  # type: ignore[arg-type]
    await engine.start()
    await asyncio.sleep(0.2)
    assert pipeline.runs == []

    bench.clock.move(hours=1)

    await until(lambda: session.id in pipeline.runs)
    await engine.stop()
