"""When the machine runs low, recordings go on; what can be done later is done later."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolltape.disk import NO_INODES
from rolltape.domain.session import SessionState as State
from rolltape.domain.waveform import POINTS
from tests.pipeline.conftest import Line


async def test_a_recording_is_finished_without_its_waveform_which_is_made_up_for(line: Line) -> None:
    asked: list[str] = []

    def refuse(work: str) -> bool:
        asked.append(work)
        return False

    line.workshop.may_do = refuse
    number = await line.record_now()

    await line.run(number)

    waveforms = line.bench.services.waveforms
    assert (await line.session(number)).state is State.DONE
    assert asked == ["waveforms"]
    assert await line.bench.services.sessions.waveform(number) is None
    await line.bench.services.preferences.change({"disk_floor": 100_000})
    assert await waveforms.make_up() == 0  # still low
    await line.bench.services.preferences.change({"disk_floor": 0})
    assert await waveforms.make_up() == 1
    assert len(await line.bench.services.sessions.waveform(number) or b"") == POINTS
    assert await waveforms.make_up() == 0


async def test_a_waveform_that_cannot_be_made_is_tried_once(line: Line) -> None:
    line.workshop.may_do = lambda _: False
    number = await line.record_now()
    await line.run(number)
    (line.workshop.recordings / line.files()[0]).write_bytes(b"no audio at all")

    assert await line.bench.services.waveforms.make_up() == 0

    assert line.bench.services.waveforms._tried == {number}
    assert await line.bench.services.waveforms.make_up() == 0


async def test_a_delivered_recording_has_the_rules_looked_at(line: Line) -> None:
    looked: list[None] = []
    line.workshop.on_done = lambda: looked.append(None)
    destination = await line.folder_destination()
    number = await line.record_now(destination_ids=[destination])

    await line.run(number)

    assert (await line.session(number)).state is State.DONE
    assert looked == [None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that takes very few files."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m,nr_inodes=20", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_without_inodes_is_told_as_such_and_the_session_is_tried_again(
    line: Line, small_disk: Path
) -> None:
    line.workshop.recordings = small_disk
    for number in range(18):
        (small_disk / f"filler{number}").touch()
    number = await line.record_now(duration=30)
    pipeline = line.pipeline()
    attending = asyncio.create_task(pipeline.attend())

    coming = await line.run(number, steps=1, pipeline=pipeline)
    while not (story := [event.message for event in await line.bench.services.sessions.events(number)][1:]):
        await asyncio.sleep(0.05)
    attending.cancel()

    assert coming is not None
    assert coming.at is not None
    assert story == [f"{small_disk / '.takes' / str(number)}: {NO_INODES}; tried again."]
