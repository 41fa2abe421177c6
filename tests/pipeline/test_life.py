"""A session's life, step by step, interrupted at every place between two of them."""

import asyncio
import hashlib
import os
from datetime import timedelta
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mutagen.id3 import ID3
from PIL import Image
from sqlalchemy import update

from rolltape.domain.session import Session, SessionState, Wish
from rolltape.domain.transfer import TransferState
from rolltape.domain.units import Seconds
from rolltape.domain.waveform import POINTS
from rolltape.pipeline import Queue
from tests.pipeline.conftest import Line
from tests.servers.process import free_port

State = SessionState


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_from_due_to_delivered(line: Line) -> None:
    number = await line.record_now(destination_ids=[await line.folder_destination()])

    assert await line.run(number) is None

    session = await line.session(number)
    assert (session.state, session.verdict) == (State.DONE, "complete")
    assert session.file is not None
    copy = line.bench.folder / "delivered" / session.file
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == session.sha256
    assert line.files() == [session.file]
    (transfer,) = (await line.bench.services.sessions.transfers([number]))[number]
    assert (transfer.state, transfer.verified_by, transfer.sha256) == ("delivered", "readback", session.sha256)


async def test_the_tags_tell_the_account(line: Line) -> None:
    cover = BytesIO()
    Image.new("RGBA", (900, 900), "red").save(cover, "PNG")
    number = await line.record_now(artist="The Host", album="Radio", genre="Talk")
    session = await line.session(number)
    assert session.stream_id is not None
    await line.bench.services.streams.set_artwork(session.stream_id, cover.getvalue())

    await line.run(number)

    session = await line.session(number)
    assert session.file is not None
    tags = ID3(line.workshop.recordings / session.file)
    local = session.planned_start.astimezone(ZoneInfo(session.timezone))
    assert str(tags["TPE1"]) == "The Host"
    assert str(tags["TIT2"]) == session.title
    assert session.title is not None
    assert session.title.endswith(" Show")
    assert tags["TXXX:VERDICT"].text == ["complete"]
    assert tags["TXXX:ROLLTAPE_GAPS"].text == ["0"]
    assert session.account is not None
    loudness = session.account["loudness"]
    assert -40 < loudness < 0
    assert tags["TXXX:ROLLTAPE_LOUDNESS"].text == [f"{loudness:.2f} LUFS"]
    assert session.tags is not None
    assert (session.tags["loudness"], session.tags["gaps"]) == (loudness, 0)
    assert session.account["silences"] == []
    assert 0 < session.account["longest_stall"] < 3
    (made,) = [event for event in await line.bench.services.sessions.events(number) if event.kind == "made"]
    assert "Complete: 100 % of the planned time, no gap, 1 connection" in made.message
    assert f"{loudness:.1f} LUFS." in made.message
    assert str(tags["TRCK"]) == str((local.date() - local.date().replace(2020, 1, 1)).days)
    (picture,) = tags.getall("APIC")
    assert Image.open(BytesIO(picture.data)).size == (600, 600)


async def test_a_finished_recording_has_its_titles_and_its_waveform(line: Line) -> None:
    number = await line.record_now(3)

    await line.run(number)

    session = await line.session(number)
    assert session.account is not None
    (title,) = session.account["titles"]
    assert title["title"] == "A Title"
    assert 0 <= title["start"] < 2
    peaks = await line.bench.services.sessions.waveform(number)
    assert peaks is not None
    assert len(peaks) == POINTS
    assert min(peaks[50:]) > 10  # a tone that never pauses, once it has begun


async def test_a_recording_without_a_waveform_is_a_recording_all_the_same(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.process.verify.peaks", lambda _levels: b"")
    number = await line.record_now()

    await line.run(number)

    assert (await line.session(number)).state is State.DONE
    assert await line.bench.services.sessions.waveform(number) is None


async def test_a_test_recording_stays_here(line: Line) -> None:
    destination = await line.folder_destination()
    line.now()
    stream = await line.bench.stream(url=line.station, destination_ids=[destination], delete_after_delivery=True)
    number = (await line.bench.services.sessions.record_now(stream, Seconds(1), deliver=False)).id

    await line.run(number)

    session = await line.session(number)
    assert session.state is State.DONE
    assert line.files() == [session.file]
    assert (await line.bench.services.sessions.transfers([number]))[number] == []


async def test_a_recording_that_was_made_but_not_named_is_made_once(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await line.record_now()
    await line.run(number, steps=1)
    with monkeypatch.context() as patched:
        patched.setattr("rolltape.pipeline.finish.publish", _die)
        with pytest.raises(Killed):
            await line.run(number, steps=1)

    await line.run(number)

    session = await line.session(number)
    assert session.state is State.DONE
    assert session.file in line.files()
    assert line.files() == [session.file]


async def test_a_recording_that_was_named_but_not_entered_is_kept(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await line.record_now()
    await line.run(number, steps=1)
    with monkeypatch.context() as patched:
        patched.setattr("rolltape.services.transfers.Transfers.prepare", _die_async)
        with pytest.raises(Killed):
            await line.run(number, steps=1)
    session = await line.session(number)
    assert session.file is not None
    before = (line.workshop.recordings / session.file).stat()

    await line.run(number)

    assert (line.workshop.recordings / session.file).stat().st_ino == before.st_ino
    assert (await line.session(number)).state is State.DONE
    assert line.files() == [session.file]


async def test_takes_are_kept_until_the_recording_is_entered(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await line.record_now()
    await line.run(number, steps=1)
    folder = line.workshop.takes(await line.session(number))
    takes = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert "take-001.mp3" in takes

    monkeypatch.setattr("rolltape.services.transfers.Transfers.prepare", _die_async)
    with pytest.raises(Killed):
        await line.run(number, steps=1)

    assert all((folder / name).read_bytes() == content for name, content in takes.items())


async def test_two_sessions_of_one_name_are_two_files(line: Line) -> None:
    first, second = [await line.record_now(filename_pattern="same") for _ in range(2)]
    pipeline = line.pipeline()

    await asyncio.gather(line.run(first, pipeline=pipeline), line.run(second, pipeline=pipeline))

    names = {(await line.session(number)).file for number in (first, second)}
    assert len(names) == 2
    assert sorted(str(name) for name in names) == line.files()


async def test_two_processes_that_choose_one_name_make_two_files(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolltape.pipeline.life.FIRST_DELAY", timedelta(0))
    first, second = [await line.record_now(filename_pattern="same") for _ in range(2)]
    await asyncio.gather(line.run(first, steps=1), line.run(second, steps=1))
    monkeypatch.setattr("rolltape.pipeline.finish.free_name", lambda *_, **__: PurePosixPath("same.mp3"))

    await asyncio.gather(line.run(first, steps=1), line.run(second, steps=1))
    monkeypatch.undo()
    for number in (first, second):
        await line.run(number)

    assert line.files() == ["same (2).mp3", "same.mp3"]
    for number in (first, second):
        session = await line.session(number)
        content = (line.workshop.recordings / str(session.file)).read_bytes()
        assert hashlib.sha256(content).hexdigest() == session.sha256


async def test_a_file_of_that_name_is_not_overwritten(line: Line) -> None:
    theirs = line.workshop.recordings / "same.mp3"
    theirs.write_text("theirs")

    number = await line.record_now(filename_pattern="same")
    await line.run(number)

    assert theirs.read_text() == "theirs"
    assert (await line.session(number)).file == "same (2).mp3"


async def test_without_audio_a_session_fails_and_says_why(line: Line) -> None:
    number = await line.record_now(url=f"http://127.0.0.1:{free_port()}/live")

    await line.run(number)

    session = await line.session(number)
    assert (session.state, session.verdict, session.error_code) == (State.FAILED, None, "connect_refused")
    assert "refuses the connection" in (session.error_message or "")
    assert (await line.kinds(number))[-1] == "failed"


async def test_a_stopped_session_keeps_what_it_has(line: Line) -> None:
    number = await line.record_now(duration=60)
    pipeline = line.pipeline()
    attending = asyncio.create_task(pipeline.attend())
    running = asyncio.create_task(line.run(number, pipeline=pipeline))
    await until_recorded(line, number, 0.5)

    await line.bench.services.sessions.stop(number)
    pipeline.look()
    async with asyncio.timeout(20):
        await running
    attending.cancel()

    session = await line.session(number)
    assert (session.state, session.verdict) == (State.DONE, "short")
    assert session.duration is not None
    assert 0.4 < session.duration < 30


async def test_a_cancelled_session_leaves_nothing(line: Line) -> None:
    number = await line.record_now(duration=60)
    pipeline = line.pipeline()
    attending = asyncio.create_task(pipeline.attend())
    running = asyncio.create_task(line.run(number, pipeline=pipeline))
    await until_recorded(line, number, 0.5)

    await line.bench.services.sessions.cancel(number)
    pipeline.look()
    async with asyncio.timeout(20):
        await running
    attending.cancel()

    assert (await line.session(number)).state is State.CANCELLED
    assert line.files() == []


async def test_a_session_that_another_has_claimed_is_let_go(line: Line) -> None:
    number = await line.record_now(duration=60)
    pipeline = line.pipeline()
    attending = asyncio.create_task(pipeline.attend())
    running = asyncio.create_task(line.run(number, pipeline=pipeline))
    await until_recorded(line, number, 0.5)

    other = await line.bench.services.sessions.claim(number)
    pipeline.look()
    async with asyncio.timeout(20):
        assert await running is None
    attending.cancel()

    session = await line.session(number)
    assert other is not None
    assert (session.state, session.epoch) == (State.RECORDING, other.epoch)


async def test_a_wish_that_came_while_nobody_ran_the_session_is_done(line: Line) -> None:
    number = await line.record_now(duration=60)
    async with line.bench.database.write() as db:
        await db.execute(update(Session).values(wish=Wish.CANCEL))

    await line.run(number)

    assert (await line.session(number)).state is State.CANCELLED


async def test_a_window_that_passed_is_missed(line: Line) -> None:
    number = await line.record_now()
    start = line.now() - timedelta(hours=1)
    async with line.bench.database.write() as db:
        await db.execute(
            update(Session).values(opens=start, planned_start=start, planned_end=start + timedelta(seconds=5))
        )

    await line.run(number)

    session = await line.session(number)
    assert (session.state, session.error_code) == (State.MISSED, "service_down")


async def test_damaged_takes_fail_in_the_end_and_are_kept_for_another_try(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.pipeline.life.MOST_ATTEMPTS", 2)
    number = await line.record_now()
    await line.run(number, steps=1)
    take = line.workshop.takes(await line.session(number)) / "take-001.mp3"
    whole = take.read_bytes()
    take.write_bytes(b"\0" * 100)

    coming = await line.run(number, steps=1)
    assert coming is not None
    assert coming.queue is Queue.PROCESS
    assert coming.at is not None
    assert await line.run(number, steps=1) is None
    assert (await line.session(number)).state is State.FAILED
    take.write_bytes(whole)
    line.now()
    await line.bench.services.sessions.retry(number)
    await line.run(number)

    assert (await line.session(number)).state is State.DONE


async def test_a_destination_that_is_away_is_tried_again_later(line: Line) -> None:
    destination = await line.folder_destination()
    (line.bench.folder / "delivered").rmdir()
    number = await line.record_now(destination_ids=[destination])

    await line.run(number)
    refused = await line.session(number)
    (transfer,) = (await line.bench.services.sessions.transfers([number]))[number]
    assert (refused.state, transfer.state) == (State.FAILED, TransferState.REFUSED)
    assert refused.file in line.files()
    (line.bench.folder / "delivered").mkdir()
    assert (await line.bench.services.destinations.test(destination)).ok

    await line.run(number)

    assert (await line.session(number)).state is State.DONE


async def test_the_local_file_goes_only_by_choice_and_against_receipts(line: Line) -> None:
    destination = await line.folder_destination()
    number = await line.record_now(destination_ids=[destination], delete_after_delivery=True)

    await line.run(number)

    session = await line.session(number)
    assert session.state is State.DONE
    assert line.files() == []
    assert session.file is not None
    assert (line.bench.folder / "delivered" / session.file).is_file()
    assert "deleted" in await line.kinds(number)
    assert session.deleted_why == "It was delivered, and its stream keeps no copy here."


async def test_the_local_file_stays_where_a_destination_does_not_have_it(line: Line) -> None:
    destination = await line.folder_destination()
    number = await line.record_now(destination_ids=[destination], delete_after_delivery=True)
    await line.run(number, steps=2)
    (transfer,) = (await line.bench.services.sessions.transfers([number]))[number]
    await line.bench.services.transfers.cancel(transfer.id)

    await line.run(number)

    session = await line.session(number)
    assert (session.state, line.files()) == (State.DONE, [session.file])


async def test_a_recording_that_vanished_is_not_delivered_and_says_so(line: Line) -> None:
    number = await line.record_now(destination_ids=[await line.folder_destination()])
    await line.run(number, steps=2)
    session = await line.session(number)
    assert session.file is not None
    os.unlink(line.workshop.recordings / session.file)  # noqa: PTH108

    await line.run(number)

    session = await line.session(number)
    assert (session.state, session.error_code) == (State.FAILED, "local_file_missing")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _die(*_: object) -> None:
    raise Killed


async def _die_async(*_: object) -> Any:
    raise Killed


async def until_recorded(line: Line, number: int, seconds: float) -> None:
    async with asyncio.timeout(20):
        while (await line.session(number)).recorded < seconds:
            await asyncio.sleep(0.05)
