"""When the machine runs low, recordings go on; what can be done later is done later."""

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
