"""The steps that are broken off, each on a data folder that was prepared for it.

A step is three things: what lies in the folder before, what is run, and how the service goes on after a fault. The
clock is moved instead of waiting, so a delay costs nothing.
"""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update

from rolltape.capture import read_journal
from rolltape.capture.journal import JournalWriter, format_fields, window_fields
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.facts import plan_facts_of
from rolltape.domain.recording import account
from rolltape.domain.session import Plan, Session, SessionState
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.units import Hertz, Seconds
from rolltape.pipeline import Pipeline, Workshop, deliver
from rolltape.services.facts import write_plan
from rolltape.store import Database, migrate
from tests.pipeline.conftest import workshop_in
from tests.servers.sshd import Sshd
from tests.services.conftest import Bench, build
from tests.store.test_upgrade import fill

DATABASE = "rolltape.db"
THERE = "there"  # the destination, in the data folder: what is delivered is looked at as well
TAKES = {"take-001": 3, "take-002": 2}  # and how many seconds they have
GAP = 1  # s between them
LENGTH = Seconds(6)  # of the show: both takes and the gap
SHOWS = 4  # of which the rule of retention keeps
KEPT = 2
LONG = timedelta(hours=7)  # after which everything is tried again, also what was refused
MOST_ROUNDS = 12


@dataclass(frozen=True)
class Tools:
    """What is there outside of the data folder: `audio` is a folder with the takes."""

    ffmpeg: str
    audio: Path
    server: Sshd | None = None


@dataclass
class Scene:
    """The services on a data folder, as a process that was just started has them."""

    folder: Path
    bench: Bench
    workshop: Workshop
    pipeline: Pipeline

    @property
    def session_id(self) -> int:
        return 1  # there is one


@dataclass(frozen=True)
class Step:
    """`goes_on` is the way on after a fault. `by_server`: it is the SSH server that is struck, not Rolltape."""

    prepare: Callable[[Path, Tools], Coroutine[Any, Any, None]]
    run: Callable[[Scene], Awaitable[object]]
    goes_on: Callable[[Scene], Awaitable[object]]
    has_sends: bool = False
    by_server: bool = False


@contextlib.asynccontextmanager
async def scene(folder: Path, ffmpeg: str) -> AsyncIterator[Scene]:
    database = Database(f"sqlite:///{folder / DATABASE}")
    bench = build(database, folder, ffmpeg)
    workshop = workshop_in(folder, ffmpeg)
    services = bench.services
    deliver.PROGRESS = Seconds(60)  # else a slow moment adds calls to the database
    pipeline = Pipeline(services.sessions, services.transfers, workshop, clock=bench.clock)
    try:
        yield Scene(folder, bench, workshop, pipeline)
    finally:
        await database.close()


async def run_due(made: Scene) -> None:
    """As the engine does: whatever is due, until nothing is, also not later."""
    quiet = 0
    for _ in range(MOST_ROUNDS):
        await made.pipeline.tidy()
        due = await made.bench.services.sessions.due()
        for one in due:
            await made.pipeline.run(one.session_id)
        quiet = 0 if due else quiet + 1
        if quiet == 2:
            return
        if not due or await _waits(made):
            made.bench.clock.moment += LONG
    raise AssertionError("something is due for ever")


async def _waits(made: Scene) -> bool:
    due = await made.bench.services.sessions.due()
    return any(one.at is not None and one.at > made.bench.clock() for one in due)


# Finalise


def _finalise(codec: Codec) -> Step:
    async def prepare(folder: Path, tools: Tools) -> None:
        await _new(folder)
        async with scene(folder, tools.ffmpeg) as made:
            await _recorded(made, tools, codec, destination_ids=[await _there(made)])

    return Step(prepare, _one_step, run_due)


async def _one_step(made: Scene) -> None:
    await made.pipeline.run(made.session_id)


async def _new(folder: Path) -> None:
    folder.mkdir()
    await migrate(f"sqlite:///{folder / DATABASE}")


async def _there(made: Scene) -> int:
    folder = made.folder / THERE
    folder.mkdir()
    fields = DestinationFields(name="Folder", kind=DestinationKind.LOCAL, directory=str(folder))
    return (await made.bench.services.destinations.create(fields)).id


async def _recorded(made: Scene, tools: Tools, codec: Codec, **stream: object) -> None:
    """A session whose takes lie there, ready to be finished."""
    services = made.bench.services
    pattern = "{stream}/{year}/{date} {time} {show}"
    number = await made.bench.stream("Harbour", filename_pattern=pattern, **stream)
    asked = await services.sessions.record_now(number, LENGTH, "Show")
    session = await services.sessions.claim(asked.id)
    assert session is not None
    plan = await services.sessions.plan(session)
    folder = made.workshop.takes(session)
    folder.mkdir(parents=True)
    write_plan(plan_facts_of(plan), folder)
    _write_takes(folder, plan, tools.audio, codec)
    journal = read_journal(folder)
    found = account(journal.takes, plan.window)
    assert found.takes == len(TAKES)
    values: dict[str, Any] = {"started_at": plan.start, "recorded": found.recorded, "take_count": found.takes}
    await services.sessions.advance(
        session, SessionState.PROCESSING, "recorded", "Recorded.", takes=journal.takes, **values
    )


def _write_takes(folder: Path, plan: Plan, audio: Path, codec: Codec) -> None:
    journal = JournalWriter(folder)
    journal.write("window", plan.start, **window_fields(plan.window))
    begins = plan.start
    for number, (name, seconds) in enumerate(TAKES.items(), 1):
        file = f"{name}.{codec}"
        shutil.copy(audio / file, folder / file)
        ends = begins + timedelta(seconds=seconds)
        sound = {"begins": begins.isoformat(), "media": seconds, "bytes": (folder / file).stat().st_size}
        journal.write("opened", begins, take=number, file=file, **format_fields(AudioFormat(codec, Hertz(44100), 2)))
        journal.write("closed", ends, take=number, **sound, ended_by="The connection broke.")
        begins = ends + timedelta(seconds=GAP)
    journal.close()


def make_audio(folder: Path, ffmpeg: str) -> Path:
    """The takes of each codec, once for all runs."""
    folder.mkdir()
    for name, seconds in TAKES.items():
        sine = ["-f", "lavfi", "-i", f"sine=frequency={220 * seconds}:sample_rate=44100:duration={seconds}", "-ac", "2"]
        for codec, words in (
            (Codec.MP3, ["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"]),
            (Codec.AAC, ["-c:a", "aac", "-f", "adts"]),
        ):
            subprocess.run([ffmpeg, "-v", "error", *sine, *words, folder / f"{name}.{codec}"], check=True)
    return folder


# Deliver and clean up


async def _prepare_delivery(folder: Path, tools: Tools) -> None:
    await _new(folder)
    async with scene(folder, tools.ffmpeg) as made:
        await _recorded(made, tools, Codec.MP3, destination_ids=[await _there(made)])
        await _one_step(made)


async def _prepare_delivery_by_ssh(folder: Path, tools: Tools) -> None:
    assert tools.server is not None
    await _new(folder)
    async with scene(folder, tools.ffmpeg) as made:
        (folder / THERE).mkdir()
        shutil.copy(tools.server.keys / "id", folder / "keys" / "id")
        destinations = made.bench.services.destinations
        number = (await destinations.create(tools.server.destination(directory=str(folder / THERE)))).id
        await destinations.accept_host_key(number, tools.server.host_key.fingerprint)
        await _recorded(made, tools, Codec.MP3, destination_ids=[number])
        await _one_step(made)


async def _prepare_clean_up(folder: Path, tools: Tools) -> None:
    """All is delivered; the takes lie there still, and the recording, of which no copy is to stay here."""
    await _new(folder)
    async with scene(folder, tools.ffmpeg) as made:
        destination = await _there(made)
        await _recorded(made, tools, Codec.MP3, destination_ids=[destination], delete_after_delivery=True)
        await _one_step(made)
        before = folder / "before"
        shutil.copytree(made.workshop.recordings, before)
        await _one_step(made)
        shutil.rmtree(made.workshop.recordings)
        before.rename(made.workshop.recordings)
        values = {"state": SessionState.DELIVERING, "deleted_at": None, "deleted_why": None, "ended_at": None}
        async with made.bench.database.write() as db:
            await db.execute(update(Session).values(values))


# Retention


async def _prepare_retention(folder: Path, tools: Tools) -> None:
    """Delivered recordings, of which the rule gives up the oldest."""
    await _new(folder)
    async with scene(folder, tools.ffmpeg) as made:
        destination = await _there(made)
        number = await made.bench.stream("Harbour", destination_ids=[destination], keep_count=KEPT)
        for age in range(SHOWS):
            await _done(made, number, destination, age, (tools.audio / "take-001.mp3").read_bytes())
        retention = made.bench.services.retention
        found = await retention.preview(number)
        assert len(found.going) == SHOWS - KEPT
        await retention.agree(number, found.fingerprint)


async def _done(made: Scene, stream_id: int, destination: int, age: int, content: bytes) -> None:
    start = made.bench.clock() - timedelta(days=age + 1)
    name, size, digest = f"{start:%Y-%m-%d} Show.mp3", len(content), hashlib.sha256(content).hexdigest()
    for place in (made.workshop.recordings, made.folder / THERE):
        (place / name).write_bytes(content)
    async with made.bench.database.write() as db:
        session = Session(
            stream_id=stream_id, name="Show", state=SessionState.DONE, opens=start, planned_start=start,
            planned_end=start + timedelta(seconds=3), timezone="UTC", file=name, size=size, sha256=digest,
            duration=3.0, ended_at=start,
        )  # fmt: skip
        db.add(session)
        await db.flush()
        db.add(
            Transfer(
                session_id=session.id, destination_id=destination, destination_name="Folder", size=size,
                state=TransferState.DELIVERED, created_at=start, sha256=digest,
                remote_path=str(made.folder / THERE / name),
            )
        )  # fmt: skip


async def _retention(made: Scene) -> None:
    await made.bench.services.retention.run()


async def _retention_later(made: Scene) -> None:
    """The next runs, an hour later each."""
    for _ in range(2):
        made.bench.clock.move(hours=1)
        await made.bench.services.retention.run()


# Migrate


def _migrate(revision: str) -> Step:
    async def prepare(folder: Path, tools: Tools) -> None:
        folder.mkdir()
        fill(folder / DATABASE, revision)

    return Step(prepare, _bring_up_to_date, _bring_up_to_date)


async def _bring_up_to_date(made: Scene) -> None:
    """As the service at its start: a backup, and then the change."""
    await made.bench.services.backups.before_migration()
    await migrate(made.bench.database.url)


STEPS: dict[str, Step] = {
    "finalise": _finalise(Codec.MP3),
    "finalise, encoded": _finalise(Codec.AAC),
    "deliver to a folder": Step(_prepare_delivery, _one_step, run_due),
    "deliver by SSH": Step(_prepare_delivery_by_ssh, _one_step, run_due, has_sends=True),
    "deliver by SSH, the server": Step(_prepare_delivery_by_ssh, _one_step, run_due, by_server=True),
    "clean up": Step(_prepare_clean_up, _one_step, run_due),
    "retention": Step(_prepare_retention, _retention, _retention_later),
    "migrate from 0001": _migrate("0001"),
}
