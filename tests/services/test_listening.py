"""Listening to a session while it records: takes that grow, on a real disk."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from rolltape.domain.errors import BusyError, ConflictError, NotFoundError
from rolltape.domain.session import Session, SessionState
from rolltape.domain.take import takes_folder
from rolltape.domain.units import Seconds
from rolltape.services.listening import BEHIND, MOST_ENCODED
from tests.servers.process import program
from tests.services.conftest import Bench

KINDS = {
    "mp3": ["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"],
    "aac": ["-c:a", "aac", "-b:a", "96k", "-f", "adts"],
    "mka": ["-c:a", "libvorbis", "-f", "matroska", "-cluster_time_limit", "500"],
}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture(scope="session")
def takes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A minute of audio, as takes of each kind have it."""
    folder = tmp_path_factory.mktemp("takes")
    made: dict[str, bytes] = {}
    for suffix, options in KINDS.items():
        file = folder / f"take.{suffix}"
        source = "sine=frequency=440:sample_rate=44100:duration=60"
        command = [program("ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *options, str(file)]
        subprocess.run(command, check=True, timeout=60)
        made[suffix] = file.read_bytes()
    return made


class Studio:
    """A session that records, as far as the disk and the database show it."""

    def __init__(self, bench: Bench, session_id: int) -> None:
        self.bench = bench
        self.session_id = session_id
        self.folder = takes_folder(bench.folder / "recordings", session_id)
        self.folder.mkdir(parents=True)

    def add(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)

    async def end(self) -> None:
        async with self.bench.database.write() as db:
            await db.execute(update(Session).values(state=SessionState.PROCESSING))

    async def listen(self) -> AsyncIterator[bytes]:
        return await self.bench.services.listening.open(self.session_id)


@pytest.fixture
async def studio(bench: Bench) -> AsyncIterator[Studio]:
    session = await bench.services.sessions.record_now(await bench.stream(), Seconds(600))
    async with bench.database.write() as db:
        await db.execute(update(Session).values(state=SessionState.RECORDING))
    yield Studio(bench, session.id)
    await bench.services.listening.close()


async def gather(stream: AsyncIterator[bytes], enough: int | None = None) -> bytes:
    """What comes until it ends, or until there is `enough` of it."""
    heard = b""
    async with asyncio.timeout(20):
        async for piece in stream:
            heard += piece
            if enough is not None and len(heard) >= enough:
                break
    return heard


def seconds(mp3: bytes, tmp_path: Path) -> float:
    """How much FFmpeg hears in it."""
    (tmp_path / "heard.mp3").write_bytes(mp3)
    command = [
        program("ffmpeg"),
        "-nostdin",
        "-v",
        "error",
        "-i",
        "heard.mp3",
        "-f",
        "s16le",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-",
    ]
    heard = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=30)
    return len(heard.stdout) / 2 / 8000


async def test_an_mp3_take_is_heard_as_it_is_from_a_few_seconds_ago(studio: Studio, takes: dict[str, bytes]) -> None:
    half = len(takes["mp3"]) // 2
    studio.add("take-001.mp3", takes["mp3"][:half])

    stream = await studio.listen()
    heard = await gather(stream, 60_000)
    studio.add("take-001.mp3", takes["mp3"][half:])
    await studio.end()
    heard += await gather(stream)

    assert heard in takes["mp3"]
    assert takes["mp3"].endswith(heard)
    assert len(heard) - half == pytest.approx(BEHIND * 16_000, rel=0.1)
    assert heard[0] == 0xFF


@pytest.mark.parametrize("suffix", ["aac", "mka"])
async def test_other_takes_are_heard_as_mp3(
    studio: Studio, takes: dict[str, bytes], suffix: str, tmp_path: Path
) -> None:
    half = len(takes[suffix]) // 2
    studio.add(f"take-001.{suffix}", takes[suffix][:half])

    stream = await studio.listen()
    heard = await gather(stream, 20_000)
    studio.add(f"take-001.{suffix}", takes[suffix][half:])
    await studio.end()
    heard += await gather(stream)

    assert seconds(heard, tmp_path) == pytest.approx(30 + BEHIND, abs=1.5)


async def test_what_is_heard_goes_on_with_the_next_take(
    studio: Studio, takes: dict[str, bytes], tmp_path: Path
) -> None:
    studio.add("take-009.mp3", takes["mp3"])
    stream = await studio.listen()
    heard = await gather(stream, 60_000)

    studio.add("take-010.aac", takes["aac"])
    studio.add("take-1000.mp3", takes["mp3"])
    await studio.end()
    heard += await gather(stream)

    assert heard.endswith(takes["mp3"])
    assert seconds(heard, tmp_path) == pytest.approx(BEHIND + 60 + 60, abs=2)


async def test_it_starts_with_the_newest_take(studio: Studio, takes: dict[str, bytes]) -> None:
    studio.add("take-001.aac", takes["aac"])
    studio.add("take-002.mp3", takes["mp3"][:50_000])

    stream = await studio.listen()
    await studio.end()

    assert await gather(stream) in takes["mp3"]


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>" * 20_000, b"\xff" * 100_000])
async def test_a_take_that_is_no_audio_does_no_harm(studio: Studio, data: bytes) -> None:
    studio.add("take-001.mp3", data)
    studio.add("journal.jsonl", b"{}")
    ended = asyncio.create_task(studio.end())

    try:
        heard = await gather(await studio.listen())
    except ConflictError:
        heard = b""
    await ended

    assert heard in data


async def test_only_what_records_can_be_heard(studio: Studio, bench: Bench) -> None:
    with pytest.raises(ConflictError, match="Nothing came"):
        await studio.listen()
    await studio.end()
    with pytest.raises(ConflictError, match="does not record"):
        await studio.listen()
    with pytest.raises(NotFoundError):
        await bench.services.listening.open(9999)


async def test_few_at_once_make_ffmpeg_work_and_their_room_is_free_again(
    studio: Studio, takes: dict[str, bytes]
) -> None:
    studio.add("take-001.aac", takes["aac"])
    listeners = [await studio.listen() for _ in range(MOST_ENCODED)]

    with pytest.raises(BusyError, match="Try again"):
        await studio.listen()
    await gather(listeners.pop(), 1)

    async with asyncio.timeout(10):
        while True:
            try:
                listeners.append(await studio.listen())
                break
            except BusyError:
                await asyncio.sleep(0.05)
    assert running_children() == MOST_ENCODED
    await studio.bench.services.listening.close()
    assert running_children() == 0


@pytest.mark.parametrize("suffix", ["mp3", "aac"])
async def test_all_are_let_go_at_once_when_the_service_stops(
    studio: Studio, takes: dict[str, bytes], suffix: str
) -> None:
    studio.add(f"take-001.{suffix}", takes[suffix])
    hearing = [asyncio.create_task(gather(await studio.listen())) for _ in range(3)]
    await asyncio.sleep(0)

    began = time.monotonic()
    await studio.bench.services.listening.close()
    await asyncio.gather(*hearing)

    assert time.monotonic() - began < 3
    assert running_children() == 0


def running_children() -> int:
    """How many processes of FFmpeg this one has started and not ended."""
    pid = Path("/proc/self").resolve().name
    children = (Path("/proc") / pid / "task" / pid / "children").read_text().split()
    names = [(Path("/proc") / child / "comm").read_text() for child in children]
    return sum("ffmpeg" in name for name in names)
