"""A disk that is full, read only or gone while a session records: what there is is kept, and it goes on by itself."""

import asyncio
import contextlib
import errno
import os
import resource
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from rolltape import process
from rolltape.domain.session import Session
from rolltape.domain.session import SessionState as State
from rolltape.pipeline import Next, Pipeline
from rolltape.services.clock import utc_now
from tests.pipeline.conftest import Line
from tests.servers.disks import disk, fill, mount_at, remount, unmount

BURST = 4.1  # seconds that the station sends again to who connects


@pytest.fixture(autouse=True)
def _told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session does is in the database, and on the disk, sooner than usual."""
    monkeypatch.setattr("rolltape.pipeline.live.PROGRESS", 0.3)
    monkeypatch.setattr("rolltape.pipeline.live.TICK", 0.2)
    monkeypatch.setattr("rolltape.capture.watch.SYNC", 0.5)


@pytest.fixture
def small(line: Line, tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB for the recordings."""
    with disk(tmp_path / "small", "size=8m") as folder:
        line.workshop.recordings = folder
        yield folder


@contextlib.asynccontextmanager
async def recording(line: Line, *numbers: int) -> AsyncIterator[tuple[Pipeline, "asyncio.Future[list[Next | None]]"]]:
    """Sessions that record, in a process that tells how they are."""
    pipeline = line.pipeline()
    attending = asyncio.create_task(pipeline.attend())
    running = asyncio.gather(*(line.run(number, pipeline=pipeline) for number in numbers))
    try:
        async with asyncio.timeout(120):
            yield pipeline, running
    finally:
        running.cancel()
        attending.cancel()
        await asyncio.gather(running, attending, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.05)


async def until_told(line: Line, kind: str, *numbers: int) -> None:
    async def told() -> bool:
        return all([kind in await line.kinds(number) for number in numbers])

    await until(told)


async def until_recorded(line: Line, seconds: float, *numbers: int) -> None:
    async def recorded() -> bool:
        return all([(await line.session(number)).recorded > seconds for number in numbers])

    await until(recorded)


async def stop(line: Line, pipeline: Pipeline, *numbers: int) -> None:
    for number in numbers:
        await line.bench.services.sessions.stop(number)
    pipeline.look()


async def told_of_disk(line: Line, number: int) -> list[str]:
    return [event.message for event in await line.bench.services.sessions.events(number) if event.kind == "disk"]


async def test_a_full_disk_is_a_gap_with_its_cause_and_the_sessions_go_on_when_there_is_room(
    line: Line, small: Path
) -> None:
    # F37; one is written by ourselves, the other by FFmpeg.
    numbers = [await line.record_now(120), await line.record_now(120, engine="ffmpeg")]
    with capture_logs() as logs:
        async with recording(line, *numbers) as (pipeline, running):
            await until_recorded(line, 1, *numbers)
            filler = fill(small)
            await until_told(line, "disk", *numbers)
            (finding,) = pipeline.findings()
            await asyncio.sleep(BURST + 2)  # what the station sends again must not be all of what was lost
            filler.unlink()
            await until(lambda: _both_told(line, numbers))
            healed = pipeline.findings()
            before = [(await line.session(number)).recorded for number in numbers]
            await until_recorded(line, max(before) + 2, *numbers)
            await stop(line, pipeline, *numbers)
            await running

    assert finding.code == "halted"
    assert finding.message.startswith("2 sessions wait for the disk: ")
    assert finding.message.endswith(": The disk was full.")
    assert healed == []
    assert len([entry for entry in logs if entry["log_level"] == "error"]) == 2  # once for each
    for number in numbers:
        session = await line.session(number)
        begun, ended = await told_of_disk(line, number)
        assert begun.startswith("The disk was full. What was recorded is kept")
        assert ended.startswith("It can be written again after")
        assert session.state is State.DONE
        assert session.duration == pytest.approx(session.recorded, abs=0.3)  # decoded: no broken frame
        assert [gap["cause"] for gap in session.gaps] == ["The disk was full."]
        assert session.gaps[0]["length"] > 0.5


async def _both_told(line: Line, numbers: list[int]) -> bool:
    return all([len(await told_of_disk(line, number)) == 2 for number in numbers])


async def test_a_session_that_ends_on_a_full_disk_waits_for_room_and_is_made_of_what_there_is(
    line: Line, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # F37, and SPEC 2.8
    begun: list[None] = []
    real = process.assemble

    async def assemble(*args: Any, **options: Any) -> Any:
        begun.append(None)
        return await real(*args, **options)

    monkeypatch.setattr("rolltape.pipeline.finish.process.assemble", assemble)
    number = await line.record_now(10)
    async with recording(line, number) as (pipeline, running):
        await until_recorded(line, 1, number)
        filler = fill(small)
        await running
        waiting = await line.session(number)
        takes = {take.name: take.read_bytes() for take in line.workshop.takes(waiting).glob("take-*")}
        again = [await line.run(number, pipeline=pipeline) for _ in range(6)]  # more often than a failed step is tried
        story, tries = await told_of_disk(line, number), len(begun)
        (finding,) = pipeline.findings()
        kept = {take.name: take.read_bytes() for take in line.workshop.takes(waiting).glob("take-*")}
        filler.unlink()
        await line.run(number, pipeline=pipeline)
        healed = pipeline.findings()

    session = await line.session(number)
    assert (waiting.state, waiting.attempts) == (State.PROCESSING, 0)
    assert all(step is not None and step.at is not None for step in again)
    why = f"{line.workshop.takes(session)}: No space left on device."
    assert story[1:] == [f"{why} What was recorded is kept; it is tried again by itself."]
    assert finding.message.startswith("A session waits for the disk: ")
    assert tries == 0  # what cannot fit takes no room from others
    assert takes
    assert kept == takes
    assert healed == []
    assert (session.state, session.verdict) == (State.DONE, "short")
    assert session.duration == pytest.approx(waiting.recorded, abs=0.3)
    assert line.files() == [session.file]


async def test_without_room_for_a_byte_a_session_says_so(line: Line, small: Path) -> None:
    number = await line.record_now(60)
    fill(small)

    async with recording(line, number) as (pipeline, running):
        await until_told(line, "disk", number)
        await stop(line, pipeline, number)
        await running

    session = await line.session(number)
    assert (session.state, session.error_code) == (State.FAILED, "disk")
    assert (session.error_message or "").endswith(": The disk was full.")


async def test_a_disk_without_inodes_is_told_as_such(line: Line, tmp_path: Path) -> None:
    # F40
    with disk(tmp_path / "small", "size=50m,nr_inodes=20") as folder:
        line.workshop.recordings = folder
        for filler in range(19):
            (folder / f"filler{filler}").touch()
        number = await line.record_now(60)
        async with recording(line, number) as (pipeline, running):
            await until_told(line, "disk", number)
            for filler in range(19):
                (folder / f"filler{filler}").unlink()
            await until_recorded(line, 1, number)
            await stop(line, pipeline, number)
            await running

        assert (await told_of_disk(line, number))[0].startswith("The disk took no more files: it had no inodes left.")
        assert (await line.session(number)).state is State.DONE


async def test_a_disk_that_can_only_be_read_is_waited_for(line: Line, small: Path, tmp_path: Path) -> None:
    # F41
    remount(small, "ro")
    number = await line.record_now(60)
    async with recording(line, number) as (pipeline, running):
        await until_told(line, "disk", number)
        remount(small, "rw")
        await until_recorded(line, 1, number)
        await stop(line, pipeline, number)
        await running

    session = await line.session(number)
    assert (await told_of_disk(line, number))[0].startswith("The disk could only be read. What was recorded is kept")
    assert session.state is State.DONE
    assert [file.name for file in (tmp_path / "recordings").iterdir()] == []  # no other folder was taken instead


async def test_a_disk_that_is_taken_away_and_comes_back_costs_the_time_between(
    line: Line, small: Path, tmp_path: Path
) -> None:
    # F45
    mounted = tmp_path / "mounted"
    mount_at(mounted, small)
    line.workshop.recordings = mounted
    number = await line.record_now(120)
    async with recording(line, number) as (pipeline, running):
        await until_recorded(line, 2, number)
        unmount(mounted)
        await until_told(line, "disk", number)
        (finding,) = pipeline.findings()
        await asyncio.sleep(1.5)  # it is looked for once more
        meanwhile = list(mounted.iterdir())
        mount_at(mounted, small)
        before = (await line.session(number)).recorded
        await until_recorded(line, before + 2, number)
        await stop(line, pipeline, number)
        await running
    unmount(mounted)

    session = await line.session(number)
    assert finding.message.endswith(": The file or its folder was gone.")
    assert meanwhile == []  # nothing is recorded to where nobody would look for it
    assert session.state is State.DONE
    assert session.recorded > 4
    assert session.duration == pytest.approx(session.recorded, abs=0.3)


async def test_a_disk_that_is_away_at_the_end_is_waited_for(line: Line, small: Path, tmp_path: Path) -> None:
    # F45
    mounted = tmp_path / "mounted"
    mount_at(mounted, small)
    line.workshop.recordings = mounted
    number = await line.record_now(3)
    pipeline = line.pipeline()
    await line.run(number, steps=1, pipeline=pipeline)
    unmount(mounted)

    away = [await line.run(number, pipeline=pipeline) for _ in range(6)]
    waiting = (await line.session(number)).state
    mount_at(mounted, small)
    await line.run(number, pipeline=pipeline)
    unmount(mounted)

    assert all(step is not None for step in away)
    assert waiting is State.PROCESSING
    assert (await line.session(number)).state is State.DONE


async def test_takes_that_never_come_back_end_a_session_after_a_day(line: Line) -> None:
    number = await line.record_now(1)
    await line.run(number, steps=1)
    session = await line.session(number)
    shutil.rmtree(line.workshop.takes(session))
    pipeline = line.pipeline()
    await line.run(number, pipeline=pipeline)
    waiting = (await line.session(number)).state

    pipeline._clock = lambda: session.planned_end + timedelta(days=1, seconds=1)
    for _ in range(5):
        await line.run(number, pipeline=pipeline)

    assert waiting is State.PROCESSING
    assert (await line.session(number)).state is State.FAILED


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
async def test_a_take_that_somebody_takes_away_is_told_and_the_next_one_begun(line: Line, how: str) -> None:
    # F45
    number = await line.record_now(120)
    async with recording(line, number) as (pipeline, running):
        await until_recorded(line, 1, number)
        take = line.workshop.takes(await line.session(number)) / "take-001.mp3"
        if how == "removed":
            shutil.rmtree(take.parent)
        else:
            take.rename(take.with_name("theirs.mp3"))
        if how == "replaced":
            take.write_text("something else")
        await until(lambda: _has_audio(take.parent))
        await stop(line, pipeline, number)
        await running

    session = await line.session(number)
    assert (await told_of_disk(line, number))[0].startswith("The file or its folder was gone.")
    assert session.state is State.DONE
    assert session.duration == pytest.approx(session.recorded, abs=0.3)


async def _has_audio(folder: Path) -> bool:
    return any(take.stat().st_size > 60_000 for take in folder.glob("take-*"))


async def test_audio_that_did_not_get_to_the_disk_is_told_and_the_next_take_begun(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    # F42: a sync that failed is not tried again and believed.
    faults = [OSError(errno.EIO, os.strerror(errno.EIO))]
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        if faults:
            raise faults.pop()
        real(descriptor)

    number = await line.record_now(6)
    async with recording(line, number) as (_, running):
        await until_recorded(line, 1, number)
        monkeypatch.setattr("rolltape.capture.tape.os.fdatasync", fdatasync)
        await running

    session = await line.session(number)
    assert (await told_of_disk(line, number))[0].startswith("The disk reported a fault.")
    assert (session.state, session.verdict, session.take_count) == (State.DONE, "complete", 2)
    assert session.recorded == pytest.approx(6, abs=0.3)


async def _is_found(pipeline: Pipeline) -> bool:
    return bool(pipeline.findings())


async def test_without_a_free_file_a_session_waits_for_one(line: Line) -> None:
    # F68
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = await line.record_now(60)
    async with recording(line, number) as (pipeline, running):
        await asyncio.sleep(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() - 3, hard))
        try:
            await until(lambda: _is_found(pipeline))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until_recorded(line, 1, number)
        await stop(line, pipeline, number)
        await running

    assert (await told_of_disk(line, number))[0].startswith("Too many files were open.")
    assert (await line.session(number)).state is State.DONE


async def test_a_file_as_large_as_files_may_be_is_followed_by_the_next(line: Line) -> None:
    # F43
    number = await line.record_now(8, engine="ffmpeg")
    async with recording(line, number) as (_, running):
        await until_recorded(line, 1, number)
        (ffmpeg,) = [child for child in psutil.Process().children() if line.station in child.cmdline()]
        resource.prlimit(ffmpeg.pid, resource.RLIMIT_FSIZE, (80_000, 80_000))
        await running

    session = await line.session(number)
    assert (await told_of_disk(line, number))[0].startswith("The file was as large as a file may be.")
    assert (session.state, session.take_count) == (State.DONE, 2)
    assert session.recorded == pytest.approx(8, abs=0.5)


async def test_a_slow_disk_costs_no_audio(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    # F48
    real_sync, real_write = os.fdatasync, os.write

    def fdatasync(descriptor: int) -> None:
        time.sleep(2)
        real_sync(descriptor)

    def write(descriptor: int, data: bytes) -> int:
        time.sleep(0.1)
        return real_write(descriptor, data)

    with monkeypatch.context() as slow:
        slow.setattr("rolltape.capture.tape.os.fdatasync", fdatasync)
        slow.setattr("rolltape.capture.tape.os.write", write)
        number = await line.record_now(5)
        await line.run(number, steps=1)
    await line.run(number)

    session = await line.session(number)
    assert (session.verdict, session.gaps, session.take_count) == ("complete", [], 1)
    assert session.duration == pytest.approx(5, abs=0.3)


async def test_a_session_that_may_not_fit_says_so_and_begins(line: Line) -> None:
    async def warning(session_id: int) -> str | None:
        return f"Session {session_id} needs much."

    line.workshop.room_warning = warning
    number = await line.record_now(1)

    async with recording(line, number) as (_, running):
        await running

    events = await line.bench.services.sessions.events(number)
    assert [event.message for event in events if event.kind == "room"] == [f"Session {number} needs much."]
    assert (await line.session(number)).state is State.DONE


async def test_whether_a_session_fits_may_be_unknown(line: Line) -> None:
    async def warning(_session_id: int) -> str | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    line.workshop.room_warning = warning
    number = await line.record_now(1)

    await line.run(number)

    assert (await line.session(number)).state is State.DONE


async def test_a_disk_that_is_away_at_the_next_start_is_waited_for(line: Line, small: Path, tmp_path: Path) -> None:
    # F45: only the database knows that something was recorded.
    mounted = tmp_path / "mounted"
    mount_at(mounted, small)
    line.workshop.recordings = mounted
    number = await line.record_now(120)
    async with recording(line, number):
        await until_recorded(line, 1, number)
    unmount(mounted)
    async with line.bench.database.write() as db:
        ends = {"opens": utc_now() - timedelta(hours=2), "planned_start": utc_now() - timedelta(hours=2)}
        plan = (await line.session(number)).plan
        assert plan is not None
        plan = plan | {"start": ends["planned_start"].isoformat(), "end": (utc_now() - timedelta(hours=1)).isoformat()}
        await db.execute(update(Session).where(Session.id == number).values(plan=plan, **ends))

    away = await line.run(number)
    waiting = (await line.session(number)).state
    nothing = list(mounted.iterdir())
    mount_at(mounted, small)
    takes = list(line.workshop.takes(await line.session(number)).glob("take-*"))
    unmount(mounted)

    assert away is not None
    assert waiting is State.PROCESSING
    assert nothing == []
    assert takes
