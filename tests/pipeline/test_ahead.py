"""What is done ahead belongs to a session, and never costs it anything."""

import asyncio
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rolltape.domain.session import SessionState
from rolltape.domain.units import Seconds
from rolltape.process import ahead
from rolltape.process.follow import Encoding, encoded_file
from tests.pipeline.conftest import Line
from tests.servers.faulty import faulty_station
from tests.servers.process import program

State = SessionState
PATIENCE = 30.0  # s


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LOOK", Seconds(0.05))
    monkeypatch.setattr(ahead, "LOOK_FOR_WORK", Seconds(0.05))
    monkeypatch.setattr(ahead, "ENOUGH", 5000)


@pytest.fixture(scope="module")
def aac_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a station that sends AAC."""
    file = tmp_path_factory.mktemp("aac") / "station.aac"
    source = ["-f", "lavfi", "-i", "anoisesrc=d=30:c=pink:a=0.4:r=44100", "-ac", "2", "-c:a", "aac", "-b:a", "128k"]
    subprocess.run([program("ffmpeg"), "-nostdin", "-v", "error", *source, "-f", "adts", file], check=True, timeout=60)
    with faulty_station(file.read_bytes()) as station:
        yield station.url("ok")


@pytest.fixture
def encoded_at_the_end(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has an entry for each recording that was encoded when it was over."""
    assemble = import_module("rolltape.process.assemble")  # the package has a function of this name
    seen: list[int] = []
    encode = assemble.encode

    async def noted(*arguments: Any, **options: Any) -> Any:
        seen.append(1)
        return await encode(*arguments, **options)

    monkeypatch.setattr(assemble, "encode", noted)
    return seen


async def test_a_recording_is_finished_from_what_was_encoded_ahead(
    line: Line, aac_station: str, encoded_at_the_end: list[int]
) -> None:
    number = await line.record_now(4, url=aac_station)

    await line.run(number)

    session = await line.session(number)
    assert (session.state, session.verdict) == (State.DONE, "complete")
    assert session.duration == pytest.approx(4, abs=0.06)
    assert encoded_at_the_end == []
    assert line.files() == [session.file]


async def test_a_fault_ahead_is_none_of_the_recording(
    line: Line, aac_station: str, encoded_at_the_end: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Encoding:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Encoding, "start", fail)
    number = await line.record_now(1, url=aac_station)

    await line.run(number)

    assert (await line.session(number)).state is State.DONE
    assert encoded_at_the_end == [1]


async def test_a_cancelled_session_leaves_no_work(line: Line, aac_station: str) -> None:
    number = await line.record_now(60, url=aac_station)
    pipeline = line.pipeline()
    recording = asyncio.create_task(pipeline.run(number))
    attending = asyncio.create_task(pipeline.attend())
    folder = line.workshop.takes(await line.session(number))
    await _until_there(encoded_file(folder / "take-001.aac"))

    await line.bench.services.sessions.cancel(number)
    pipeline.look()
    assert await recording is None

    attending.cancel()
    assert (await line.session(number)).state is State.CANCELLED
    assert line.files() == []
    await asyncio.wait_for(line.workshop.ahead.finished(folder), 0.1)


async def test_an_interrupted_session_goes_on_and_is_encoded_ahead_again(
    line: Line, aac_station: str, encoded_at_the_end: list[int]
) -> None:
    number = await line.record_now(5, url=aac_station)
    recording = asyncio.create_task(line.pipeline().run(number))
    folder = line.workshop.takes(await line.session(number))
    await _until_there(encoded_file(folder / "take-001.aac"))
    recording.cancel()
    await asyncio.wait([recording])

    await line.run(number)

    session = await line.session(number)
    assert session.state is State.DONE
    assert encoded_at_the_end == []
    assert session.duration is not None
    assert session.duration > 3


async def _until_there(file: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while not file.exists():
            await asyncio.sleep(0.02)
