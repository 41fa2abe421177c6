"""What is done ahead of the end of a recording changes nothing of it, but when it is ready."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rolltape.domain.recording import Cut
from rolltape.domain.take import Codec
from rolltape.domain.units import Seconds
from rolltape.process import ahead as module
from rolltape.process import heard as heard_module
from rolltape.process import prove as prove_module
from rolltape.process.ahead import Ahead, Limits
from rolltape.process.assemble import Assembled, assemble
from rolltape.process.follow import Encoding, encoded_file, is_encoded
from rolltape.process.heard import Heard, Piece, Pieces
from tests.process import judges
from tests.process.conftest import LENGTH, cut

Maker = Callable[..., Path]

ADTS = ["-ac", "2", "-c:a", "aac", "-b:a", "96k", "-f", "adts"]
PATIENCE = 20.0  # s


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", Seconds(0.02))
    monkeypatch.setattr(module, "LOOK_FOR_WORK", Seconds(0.02))
    monkeypatch.setattr(module, "ENOUGH", 10_000)
    for where in (heard_module, prove_module):
        monkeypatch.setattr(where, "PIECE", 64)
        monkeypatch.setattr(where, "LEVEL", 1)
    monkeypatch.setattr(prove_module, "POINTS", 100)


@pytest.fixture
def aac(make: Maker) -> bytes:
    return make("ahead.aac", ADTS).read_bytes()


@asynccontextmanager
async def ahead_of(folder: Path, ffmpeg: str, limits: Limits | None = None) -> AsyncIterator[Ahead]:
    """Work ahead until the end of the block, and then what is left of it."""
    work = Ahead(folder, limits or Limits(), quality="V4", ffmpeg=ffmpeg)
    task = asyncio.create_task(work.run())
    try:
        yield work
        work.end()
        await asyncio.wait_for(task, PATIENCE)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def add(content: bytes, take: Path) -> None:
    with take.open("ab") as file:
        file.write(content)


def heard(folder: Path) -> int:
    return len(Heard(folder))


async def made(folder: Path, ffmpeg: str, *cuts: Cut) -> tuple[Assembled, Path]:
    out = folder / "out.mp3"
    return await assemble(cuts, folder, out, quality="V4", ffmpeg=ffmpeg), out


def take_cut(take: Path, skip: float, length: float, codec: Codec = Codec.AAC) -> Cut:
    return cut(Path(take.name), skip, length, codec=codec)


async def test_an_aac_take_is_encoded_while_it_grows_and_heard_too(aac: bytes, tmp_path: Path, ffmpeg: str) -> None:
    take = tmp_path / "take-001.aac"
    async with ahead_of(tmp_path, ffmpeg):
        for part in range(4):
            add(aac[len(aac) * part // 4 : len(aac) * (part + 1) // 4], take)
            await until(lambda: encoded_file(take).exists())
        # LAME keeps some frames back, and the file some kilobytes.
        await until(lambda: heard(tmp_path) >= 1)

    assert is_encoded(take)
    assembled, out = await made(tmp_path, ffmpeg, take_cut(take, 0.5, 5))
    assert assembled.duration == pytest.approx(5, abs=0.027)
    judges.assert_sound(out)


async def test_an_mp3_take_is_heard_while_it_grows(mp3: Maker, tmp_path: Path, ffmpeg: str) -> None:
    content = mp3("cbr").read_bytes()
    take = tmp_path / "take-001.mp3"
    async with ahead_of(tmp_path, ffmpeg):
        add(content[:50_000], take)
        await until(lambda: heard(tmp_path) == 1)
        add(content[50_000:], take)
        await until(lambda: heard(tmp_path) == 3)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["heard.jsonl", "take-001.mp3"]
    assembled, out = await made(tmp_path, ffmpeg, take_cut(take, 0.5, 5, Codec.MP3))
    assert assembled.duration == pytest.approx(5, abs=0.027)
    judges.assert_sound(out)


async def test_two_takes_with_a_gap_are_joined(aac: bytes, tmp_path: Path, ffmpeg: str) -> None:
    one, other = tmp_path / "take-001.aac", tmp_path / "take-002.aac"
    async with ahead_of(tmp_path, ffmpeg):
        add(aac, one)
        await until(lambda: encoded_file(one).exists())
        add(aac, other)
        await until(lambda: is_encoded(one))
        await until(lambda: encoded_file(other).exists())

    assembled, out = await made(tmp_path, ffmpeg, take_cut(one, 1, 3), take_cut(other, 2, 3))
    assert assembled.duration == pytest.approx(6, abs=2 * 0.027)
    judges.assert_sound(out)


async def test_a_seam_does_not_click(make: Maker, tmp_path: Path, ffmpeg: str) -> None:
    tone = make("ahead-tone.aac", ADTS, source="sine=f=200:d=6:r=44100,volume=4").read_bytes()
    takes = [tmp_path / f"take-00{number}.aac" for number in (1, 2)]
    async with ahead_of(tmp_path, ffmpeg):
        for take in takes:
            add(tone, take)
            await until(lambda take=take: encoded_file(take).exists())  # type: ignore[misc]

    period = 1 / 200
    _, out = await made(tmp_path, ffmpeg, *(take_cut(take, 1, 2 + period / 3) for take in takes))

    samples = judges.pcm(out)[4000:-4000]
    steps = [abs(one - other) for one, other in pairwise(samples)]
    assert max(steps) < 2 * max(steps[:60_000])  # the seam lies behind those


@pytest.mark.parametrize("moment", ["encoding", "encoded"])
async def test_after_an_interruption_it_begins_anew(aac: bytes, tmp_path: Path, ffmpeg: str, moment: str) -> None:
    take = tmp_path / "take-001.aac"
    add(aac[:40_000], take)
    task = asyncio.create_task(Ahead(tmp_path, Limits(), quality="V4", ffmpeg=ffmpeg).run())
    await until(lambda: encoded_file(take).exists())
    if moment == "encoded":
        add(aac[:20_000], tmp_path / "take-002.aac")
        await until(lambda: is_encoded(take))
    task.cancel()
    await asyncio.wait([task])
    (tmp_path / "take-002.aac").unlink(missing_ok=True)

    async with ahead_of(tmp_path, ffmpeg):
        add(aac[40_000:], take)

    assert not is_encoded(take)  # it was over at once, so that is left to the end
    async with ahead_of(tmp_path, ffmpeg):
        await until(lambda: encoded_file(take).exists())
    assert json.loads(encoded_file(take).with_suffix(".json").read_text())["take_size"] == len(aac)
    assembled, _ = await made(tmp_path, ffmpeg, take_cut(take, 0, LENGTH))
    assert assembled.duration == pytest.approx(LENGTH, abs=0.06)


async def test_what_was_heard_before_a_restart_is_not_heard_again(
    mp3: Maker, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(mp3("cbr").read_bytes(), tmp_path / "take-001.mp3")
    async with ahead_of(tmp_path, ffmpeg):
        await until(lambda: heard(tmp_path) == 3)
    before = (tmp_path / "heard.jsonl").read_bytes()
    looked: list[int] = []
    find = Pieces.next

    def noted(pieces: Pieces) -> Piece | None:
        looked.append(1)
        return find(pieces)

    monkeypatch.setattr(Pieces, "next", noted)

    async with ahead_of(tmp_path, ffmpeg):
        await until(lambda: len(looked) > 3)

    assert (tmp_path / "heard.jsonl").read_bytes() == before


async def test_beyond_the_limit_a_session_is_encoded_at_its_end(aac: bytes, tmp_path: Path, ffmpeg: str) -> None:
    asked: list[str] = []
    limits = Limits(encoders=asyncio.Semaphore(1), may_do=lambda work: not asked.append(work))  # type: ignore[func-returns-value]
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        add(aac, folder / "take-001.aac")
    takes = [folder / "take-001.aac" for folder in folders]

    async with ahead_of(folders[0], ffmpeg, limits):
        await until(lambda: encoded_file(takes[0]).exists())
        async with ahead_of(folders[1], ffmpeg, limits):
            before = len(asked)
            await until(lambda: len(asked) > before + 20)

    assert is_encoded(takes[0])
    assert not encoded_file(takes[1]).exists()
    assembled, _ = await made(folders[1], ffmpeg, take_cut(takes[1], 0, 5))
    assert assembled.duration == pytest.approx(5, abs=0.01)


async def test_room_that_becomes_free_is_used(aac: bytes, tmp_path: Path, ffmpeg: str) -> None:
    asked: list[str] = []
    limits = Limits(encoders=asyncio.Semaphore(0), may_do=lambda work: not asked.append(work))  # type: ignore[func-returns-value]
    take = tmp_path / "take-001.aac"
    add(aac, take)

    async with ahead_of(tmp_path, ffmpeg, limits):
        await until(lambda: len(asked) > 3)
        assert not encoded_file(take).exists()
        limits.encoders.release()
        await until(lambda: encoded_file(take).exists())

    assert is_encoded(take)
    assert not limits.encoders.locked()


async def test_where_resources_are_low_it_waits(aac: bytes, mp3: Maker, tmp_path: Path, ffmpeg: str) -> None:
    room = [False]
    asked: list[str] = []
    limits = Limits(may_do=lambda work: asked.append(work) or room[0])  # type: ignore[func-returns-value]
    take = tmp_path / "take-002.aac"
    add(mp3("cbr").read_bytes(), tmp_path / "take-001.mp3")
    add(aac, take)

    async with ahead_of(tmp_path, ffmpeg, limits):
        await until(lambda: len(asked) > 6)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["take-001.mp3", "take-002.aac"]
        room[0] = True
        await until(lambda: encoded_file(take).exists() and heard(tmp_path) >= 3)

    assert is_encoded(take)


async def test_a_take_without_sound_does_not_keep_the_others_from_it(aac: bytes, tmp_path: Path, ffmpeg: str) -> None:
    bad, good = tmp_path / "take-001.aac", tmp_path / "take-002.aac"
    with capture_logs() as logs:
        async with ahead_of(tmp_path, ffmpeg):
            add(b"no audio " * 2000, bad)
            await until(lambda: "encode_ahead_failed" in [line.get("action") for line in logs])
            add(aac, good)
            await until(lambda: encoded_file(good).exists())

    assert not encoded_file(bad).exists()
    assert is_encoded(good)


async def test_an_ffmpeg_that_dies_is_told_and_nothing_is_left_of_it(
    aac: bytes, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Encoding] = []
    start = Encoding.start

    async def seen(take: Path, **options: str) -> Encoding:
        begun.append(await start(take, **options))
        return begun[-1]

    monkeypatch.setattr(Encoding, "start", seen)
    take = tmp_path / "take-001.aac"
    add(aac[:40_000], take)
    with capture_logs() as logs:
        async with ahead_of(tmp_path, ffmpeg):
            await until(lambda: bool(begun))
            begun[0]._run._process.kill()
            add(aac[40_000:], take)

    assert "encode_ahead_failed" in [line.get("action") for line in logs]
    assert not encoded_file(take).exists()
    assembled, _ = await made(tmp_path, ffmpeg, take_cut(take, 0, 5))
    assert assembled.duration == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize("program", ["/nowhere/ffmpeg", "/bin/false"])
async def test_without_ffmpeg_it_ends_like_with_it(aac: bytes, mp3: Maker, tmp_path: Path, program: str) -> None:
    add(mp3("cbr").read_bytes(), tmp_path / "take-001.mp3")
    add(aac, tmp_path / "take-002.aac")

    with capture_logs() as logs:
        async with ahead_of(tmp_path, program):
            await until(lambda: any(line.get("log_level") == "warning" for line in logs))

    assert sorted(file.name for file in tmp_path.iterdir()) == ["take-001.mp3", "take-002.aac"]


async def test_takes_that_are_gone_end_nothing_but_the_work(tmp_path: Path, aac: bytes, ffmpeg: str) -> None:
    folder = tmp_path / "takes"
    folder.mkdir()
    take = folder / "take-001.aac"
    async with ahead_of(folder, ffmpeg):
        add(aac, take)
        await until(lambda: encoded_file(take).exists())
        take.unlink()

    assert not is_encoded(take)


async def test_a_frame_that_cannot_be_decoded_is_found_at_the_end(mp3: Maker, tmp_path: Path, ffmpeg: str) -> None:
    content = bytearray(mp3("no-reservoir").read_bytes())
    for number in range(50, 60):
        at = content.index(b"\xff\xfb", number * 417)
        content[at + 4 : at + 36] = b"\xff" * 32  # side information that is impossible
    take = tmp_path / "take-001.mp3"
    add(bytes(content), take)
    async with ahead_of(tmp_path, ffmpeg):
        await until(lambda: heard(tmp_path) == 2)

    with capture_logs() as logs:
        assembled, out = await made(tmp_path, ffmpeg, take_cut(take, 0, LENGTH, Codec.MP3))

    assert "join_failed" in [line.get("action") for line in logs]
    assert 5.5 < assembled.duration < 6.1
    judges.assert_sound(out)
