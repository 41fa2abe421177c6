"""Figures on both databases."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.units import Seconds
from tests.services.conftest import START, Bench


async def figures(bench: Bench) -> dict[tuple[str, ...], float]:
    bench.services.figures._until = 0.0  # what is remembered is over
    text = (await bench.services.figures.text()).decode()
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


async def test_what_is_planned_and_recorded_is_figured(bench: Bench) -> None:
    stream = await bench.stream()
    fields = ScheduleFields(stream_id=stream, cron="0 14 * * *", timezone="UTC", duration=3600)
    await bench.services.schedules.create(fields)
    await bench.services.schedules.plan(everything=True)

    found = await figures(bench)

    assert found["rolltape_sessions", "scheduled"] >= 1
    assert found["rolltape_next_start_timestamp_seconds",] == (START + timedelta(hours=2)).timestamp()
    assert found["rolltape_transfer_queue_oldest_age_seconds",] == 0
    assert found["rolltape_sessions_ended_total", "failed", ""] == 0
    assert found["rolltape_ready",] == 1


async def test_what_ended_is_figured_once_it_was_looked_at(bench: Bench) -> None:
    await bench.services.notifications.look()
    session = await bench.services.sessions.record_now(await bench.stream(), Seconds(60))
    await bench.services.sessions.enter_waiting([session.id])
    await bench.services.sessions.cancel(session.id)
    before = await figures(bench)
    await bench.services.notifications.look()

    after = await figures(bench)

    assert before["rolltape_sessions", "cancelled"] == after["rolltape_sessions", "cancelled"] == 1
    assert before["rolltape_sessions_ended_total", "cancelled", ""] == 0
    assert after["rolltape_sessions_ended_total", "cancelled", ""] == 1
    assert after["rolltape_lost_seconds_total",] == 0  # somebody wanted it so


async def test_an_answer_is_remembered_for_some_seconds(bench: Bench) -> None:
    first = await bench.services.figures.text()
    await bench.services.sessions.record_now(await bench.stream(), Seconds(60))

    assert await bench.services.figures.text() is first
    assert (await figures(bench))["rolltape_sessions", "scheduled"] == 1
