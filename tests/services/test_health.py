"""What is not well is found, and said with what to do about it."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from rolltape import services
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.errors import FfmpegMissing
from rolltape.domain.notification import ChannelFields, ChannelKind
from rolltape.domain.session import Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.units import Bytes, Seconds
from rolltape.services.findings import MANY_ATTEMPTS, Finding, when
from rolltape.store import Database
from tests.services.conftest import START, Bench, build


def health(bench: Bench, **changed: Any) -> services.Health:
    """A health of this bench that differs in what is `changed`."""
    usual: dict[str, Any] = {
        "folders": {"data": bench.folder, "recordings": bench.folder / "recordings"},
        "find_ffmpeg": lambda: "ffmpeg",
        "beat": lambda: Seconds(0),
        "clock": bench.clock,
        "built": START.date(),
    }
    return services.Health(bench.database, bench.services.sessions, **usual | changed)


async def session(bench: Bench, stream: int | None, ago: timedelta, state: SessionState, **more: Any) -> int:
    """A session of an hour that was planned so long `ago`."""
    start = bench.clock() - ago
    values = {
        "stream_id": stream, "name": "Morning Show", "state": state, "opens": start, "planned_start": start,
        "planned_end": start + timedelta(hours=1), "timezone": "Europe/Berlin",
    }  # fmt: skip
    async with bench.database.write() as db:
        row = Session(**values | more)
        db.add(row)
        await db.flush()
        return row.id


async def codes(found: services.Health) -> list[str]:
    return [finding.code for finding in await found.findings()]


async def of(bench: Bench, code: str) -> list[Finding]:
    return [finding for finding in await bench.services.health.findings() if finding.code == code]


async def test_a_new_installation_is_well(bench: Bench) -> None:
    assert await bench.services.health.findings() == []
    assert await bench.services.health.is_ready()


async def test_what_hinders_recording_makes_it_not_ready(bench: Bench, tmp_path: Path) -> None:
    def no_ffmpeg() -> str:
        raise FfmpegMissing("FFmpeg cannot be started.")

    hindered = {
        "scheduler": health(bench, beat=lambda: Seconds(120)),
        "ffmpeg_missing": health(bench, find_ffmpeg=no_ffmpeg),
        "clock": health(bench, built=date(2026, 7, 1)),
        "folder_not_writable": health(bench, folders={"data": tmp_path, "recordings": tmp_path, "x": tmp_path / "no"}),
    }
    for code, found in hindered.items():
        assert await codes(found) == [code]
        assert not await found.is_ready()


async def test_a_log_that_is_not_kept_is_found_but_does_not_hinder(bench: Bench) -> None:
    found = health(bench, log_problem=lambda: "/var/log/x cannot be written: No space left on device")

    [finding] = await found.findings()

    assert "No space left" in finding.message
    assert finding.advice
    assert await found.is_ready()


async def test_a_database_that_does_not_answer_is_the_only_thing_said(tmp_path: Path, ffmpeg: str) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")  # nobody listens there
    bench = build(database, tmp_path, ffmpeg)

    assert await codes(bench.services.health) == ["database"]
    await database.close()


async def test_a_stream_whose_last_session_failed_is_named_with_the_reason_and_a_way_out(bench: Bench) -> None:
    stream = await bench.stream("Radio Nowhere")
    await session(bench, stream, timedelta(days=3), SessionState.DONE)
    await session(bench, stream, timedelta(days=2), SessionState.FAILED, error_message="404: no such station.")

    [finding] = await of(bench, "stream_failed")

    assert finding.message == (
        "Radio Nowhere: the last recording, of Saturday 30 May at 14:00 (Europe/Berlin), failed. 404: no such station."
    )
    assert finding.link == f"/streams/{stream}"
    assert "address" in finding.advice


async def test_a_stream_that_was_recorded_since_or_is_gone_is_well(bench: Bench) -> None:
    stream, old = await bench.stream("One"), await bench.stream("Two")
    await session(bench, stream, timedelta(days=2), SessionState.FAILED)
    await session(bench, stream, timedelta(days=1), SessionState.DONE)
    await session(bench, old, timedelta(days=8), SessionState.FAILED)
    await session(bench, None, timedelta(days=1), SessionState.FAILED)

    assert await of(bench, "stream_failed") == []


async def test_what_was_recorded_but_not_finished_is_to_be_tried_again(bench: Bench) -> None:
    await session(bench, await bench.stream(), timedelta(days=1), SessionState.FAILED, take_count=2)

    [finding] = await of(bench, "stream_failed")

    assert "try again" in finding.advice


async def test_many_of_a_kind_are_counted_instead_of_listed(bench: Bench) -> None:
    for number in range(14):
        await session(bench, await bench.stream(f"Radio {number}"), timedelta(hours=number), SessionState.FAILED)

    found = await bench.services.health.findings()

    assert [finding.code for finding in found] == ["stream_failed"] * 10 + ["more"]
    assert "4 more streams" in found[-1].message


async def transfers(bench: Bench, state: TransferState, count: int, **more: Any) -> int:
    """So many transfers to a new destination, in this state."""
    fields = DestinationFields(name=f"NAS {state}", kind=DestinationKind.LOCAL, directory=str(bench.folder))
    destination = (await bench.services.destinations.create(fields)).id
    for _ in range(count):
        done = await session(bench, None, timedelta(hours=1), SessionState.DELIVERING)
        async with bench.database.write() as db:
            values = {"size": 5, "created_at": bench.clock(), "destination_name": f"NAS {state}"} | more
            db.add(Transfer(session_id=done, destination_id=destination, state=state, **values))
    return destination


async def test_a_destination_that_refuses_is_named_with_what_waits(bench: Bench) -> None:
    number = await transfers(bench, TransferState.REFUSED, 3, error_message="nas.lan: permission denied for /music.")

    [finding] = await of(bench, "destination_refuses")

    assert (
        finding.message
        == "NAS refused refuses recordings; 3 recordings wait for it. nas.lan: permission denied for /music."
    )
    assert finding.link == f"/destinations/{number}"


async def test_a_destination_that_has_not_answered_for_long_is_named(bench: Bench) -> None:
    await transfers(bench, TransferState.WAITING, 1, fruitless=MANY_ATTEMPTS)

    [finding] = await of(bench, "destination_unreachable")

    assert "1 recording waits" in finding.message


async def test_passing_faults_and_deliveries_are_no_finding(bench: Bench) -> None:
    await transfers(bench, TransferState.WAITING, 2, fruitless=1)
    await transfers(bench, TransferState.DELIVERED, 2)
    await transfers(bench, TransferState.CANCELLED, 2)

    assert await bench.services.health.findings() == []


async def test_what_was_missed_in_the_last_week_is_told_once(bench: Bench) -> None:
    stream = await bench.stream()
    for days in (1, 6, 8):
        await session(bench, stream, timedelta(days=days), SessionState.MISSED, error_message="It was down.")

    [finding] = await bench.services.health.findings()

    assert finding.code == "missed"
    assert finding.message == (
        "2 sessions were missed in the last seven days; the last one was Morning Show on Sunday 31 May at 14:00 "
        "(Europe/Berlin). It was down."
    )
    assert await bench.services.health.is_ready()


def test_a_zone_that_is_gone_hinders_nothing() -> None:
    assert when(datetime(2026, 6, 1, tzinfo=UTC), "Gone/Zone") == "Monday 1 June at 00:00 (UTC)"


# The forecast of space


async def plan(bench: Bench, stream: int, hours: float, **more: Any) -> None:
    """A session of an hour that is planned so many hours ahead."""
    await session(bench, stream, -timedelta(hours=hours), SessionState.SCHEDULED, **more)


async def test_the_forecast_takes_the_bit_rate_of_the_last_recording(bench: Bench) -> None:
    stream = await bench.stream("One")
    await session(bench, stream, timedelta(days=2), SessionState.DONE, size=1, duration=1.0)
    await session(bench, stream, timedelta(days=1), SessionState.DONE, size=144_000_000, duration=3600.0)  # 320 kbit/s
    await plan(bench, stream, 5)
    await plan(bench, stream, 29, end_late=1800.0)
    await plan(bench, stream, 49)  # too far ahead
    await plan(bench, await bench.stream("Two"), 7)  # 128 kbit/s are assumed
    await session(bench, stream, -timedelta(hours=8), SessionState.SKIPPED)

    found = await bench.services.health.forecast()

    assert found.sessions == 3
    # At the end of the longest: all of them, and that one twice more while it is finished.
    assert found.needed == 144_000_000 * 2.5 + 57_600_000 + 2 * 216_000_000
    assert found.full_at is None


async def test_of_what_records_only_the_rest_counts(bench: Bench) -> None:
    await session(bench, await bench.stream(), timedelta(minutes=45), SessionState.RECORDING)

    assert (await bench.services.health.forecast()).needed == 57_600_000 / 4 + 2 * 57_600_000


async def test_planned_sessions_that_do_not_fit_are_told_before_the_disk_is_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await bench.stream()
    for hour in range(1, 40):
        await plan(bench, stream, hour)
    free = Bytes(1024**3 + 1)
    monkeypatch.setattr(bench.services.health, "disk", lambda: services.health.Disk(free, free))

    [finding] = await of(bench, "space_forecast")

    # 57.6 MB each: the 17th does not fit into 1.07 GB while the 16th is finished, with two copies more.
    assert finding.message == (
        "The disk will be full on Tuesday 2 June at 07:00 (Europe/Berlin): the recordings of the next 48 hours need "
        "2.4 GB, and 1.1 GB are free."
    )
    assert await bench.services.health.is_ready()


async def test_what_is_deleted_after_delivery_does_not_add_up(bench: Bench) -> None:
    stream = await bench.stream(delete_after_delivery=True)
    for hour in range(1, 40, 2):
        await plan(bench, stream, hour)

    assert (await bench.services.health.forecast()).needed == 3 * 57_600_000


async def test_all_is_found_quickly_among_many_sessions(sqlite_url: str, tmp_path: Path, ffmpeg: str) -> None:
    database = Database(sqlite_url)
    bench = build(database, tmp_path, ffmpeg)
    await fill(bench, streams=1000, sessions=100_000)

    await health(bench).findings()
    began = time.perf_counter()
    found = await health(bench).findings()
    took = time.perf_counter() - began
    await bench.services.health.findings()
    began = time.perf_counter()
    await bench.services.health.findings()
    again = time.perf_counter() - began
    await database.close()

    assert {finding.code for finding in found} - {"space_forecast"} == {"stream_failed", "missed", "more"}
    assert took < 1.5  # a sixth of it on an idle machine
    assert again < 0.1  # it is remembered for a while


async def fill(bench: Bench, *, streams: int, sessions: int) -> None:
    first = await bench.stream("Radio 0")
    async with bench.database.write() as db:
        pattern = {
            column.key: getattr(await db.get(Stream, first), column.key) for column in Stream.__mapper__.column_attrs
        }
        rows = [pattern | {"id": first + number, "name": f"Radio {number}"} for number in range(1, streams)]
        await db.execute(insert(Stream), rows)
    states = [SessionState.DONE] * 17 + [SessionState.FAILED, SessionState.MISSED, SessionState.SCHEDULED]
    for begin in range(0, sessions, 10_000):
        rows = [
            _row(first + number % streams, number, states[number // streams % 20])
            for number in range(begin, begin + 10_000)
        ]
        async with bench.database.write() as db:
            await db.execute(insert(Session), rows)


def _row(stream: int, number: int, state: SessionState) -> dict[str, Any]:
    is_over = state is not SessionState.SCHEDULED
    start = START - timedelta(seconds=(100_000 - number) * 1.7) if is_over else START + timedelta(seconds=number * 1.7)
    return {
        "stream_id": stream, "name": "Show", "state": state, "opens": start, "planned_start": start,
        "planned_end": start + timedelta(hours=1), "timezone": "UTC", "size": 57_000_000 if is_over else None,
        "duration": 3600.0 if is_over else None,
    }  # fmt: skip


async def test_a_folder_that_was_taken_away_is_told_and_nothing_made_up_about_its_space(bench: Bench) -> None:
    (bench.folder / "recordings").rmdir()

    found = await bench.services.health.findings()

    assert [finding.code for finding in found] == ["folder_not_writable"]
    assert bench.services.health.disk().total == 0
    assert list(bench.services.health.disks()) == ["data"]


async def test_a_channel_that_does_not_work_is_named_without_its_address(bench: Bench) -> None:
    address = "https://127.0.0.1:1/S3CR3T-7f"
    fields = ChannelFields(name="Studio", kind=ChannelKind.WEBHOOK, address=address)
    channel = await bench.services.notifications.create(fields)
    await bench.services.notifications.test(channel.id)

    (found,) = await bench.services.health.findings()

    assert found.code == "channel_failing"
    assert found.message.startswith("Studio: what it is told does not arrive. 127.0.0.1:1 refuses the connection")
    assert "S3CR3T" not in str(found)
    assert found.link == f"/system/notifications/{channel.id}"
