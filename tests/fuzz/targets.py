"""What is read, and what has to hold for every input: only the declared errors, and the same result in any pieces.

A target takes bytes and raises AssertionError where something does not hold; any other error that it lets out is a
crash. Time and memory are watched by who calls it.
"""

import atexit
import math
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from rolltape.capture import frames, sniff
from rolltape.capture.http import ChunkedReader, refusal, retry_after, split_head
from rolltape.capture.icy import IcyCutter, clean
from rolltape.capture.journal import NAME, read_journal
from rolltape.capture.playlist import MOST_ENTRIES, entries
from rolltape.domain.address import SCHEMES
from rolltape.domain.errors import InputError
from rolltape.domain.facts import PLAN
from rolltape.domain.recording import Cut, Window, account
from rolltape.domain.take import AudioFormat, Codec, TakeFacts
from rolltape.domain.units import Hertz, Seconds
from rolltape.ffmpeg.probe import last_clusters, read_matroska
from rolltape.process import frames as take_frames
from rolltape.process.frames import NotJoinable
from rolltape.process.join import join
from rolltape.services.facts import read_facts, read_plan

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
WINDOW = Window(AT, AT, AT + timedelta(minutes=1), AT + timedelta(minutes=1))
MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)
MOST_PIECES = 12

Result = TypeVar("Result")


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """A file with this content, alone in a folder; in memory where the system has such a place."""
    folder = _folder()
    (folder / name).write_bytes(data)
    try:
        yield folder / name
    finally:
        for file in folder.iterdir():
            file.unlink()


@cache
def _folder() -> Path:
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="rolltape-fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def pieces(data: bytes) -> list[bytes]:
    """`data` cut at places that depend on nothing but itself."""
    dice = random.Random(data)
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(MOST_PIECES)))
    return [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]


def _frames_of(codec: Codec, parts: Sequence[bytes]) -> list[frames.Frames]:
    reader = frames.FrameReader(codec)
    return [found for part in parts for found in reader.feed(part)] + reader.flush()


def _capture_frames(codec: Codec, data: bytes) -> None:
    found = _frames_of(codec, [data])
    position = 0
    for piece in found:
        position = data.find(piece.data, position)
        assert position >= 0, "frames that were not sent, or not in this order"
        position += len(piece.data)
        assert 0 < piece.seconds < math.inf
    cut = _frames_of(codec, pieces(data))
    assert _sound(cut) == _sound(found), "other frames when the bytes come in pieces"


def _sound(found: Sequence[frames.Frames]) -> list[tuple[bytes, AudioFormat]]:
    """The frames, joined as far as they are of one format."""
    joined: list[tuple[bytes, AudioFormat]] = []
    for piece in found:
        if joined and joined[-1][1] is piece.format:
            joined[-1] = (joined[-1][0] + piece.data, piece.format)
        else:
            joined.append((piece.data, piece.format))
    return joined


def mp3_frames(data: bytes) -> None:
    _capture_frames(Codec.MP3, data)


def adts_frames(data: bytes) -> None:
    _capture_frames(Codec.AAC, data)


def frames_of_a_take(data: bytes) -> None:
    whole = _take_frames(data, len(data) + 1)
    assert whole is None or sum(map(len, whole)) <= len(data)
    cut = _take_frames(data, max(1, len(data) // 3))
    assert cut == whole, "other frames when the file is read in pieces"


def _take_frames(data: bytes, block: int) -> list[bytes] | None:
    before, take_frames.BLOCK = take_frames.BLOCK, block
    try:
        runs = take_frames.FrameReader(BytesIO(data)).runs()
        return [run.frame(number) for run in runs for number in range(run.frames)]
    except NotJoinable:
        return None
    finally:
        take_frames.BLOCK = before


def joining(data: bytes) -> None:
    with _file("take-001.mp3", data) as take:
        facts = TakeFacts(1, take.name, AudioFormat(Codec.MP3, Hertz(44100), 2), AT, Seconds(60), "")
        with suppress(NotJoinable):
            joined = join([Cut(facts, Seconds(0), Seconds(60))], take.parent, take.parent / "out.mp3")
            assert 0 <= joined.duration <= 61


def icy_titles(data: bytes) -> None:
    interval, data = 1 + (data[0] if data else 0), data[1:]
    whole, cut = IcyCutter(interval), IcyCutter(interval)
    audio = whole.cut(data)
    assert len(audio) <= len(data)
    assert b"".join(map(cut.cut, pieces(data))) == audio
    assert cut.title == whole.title
    assert whole.title is None or whole.title.isprintable()
    assert clean(data).isprintable()


def http_heads(data: bytes) -> None:
    try:
        found = split_head(data)
    except ValueError:
        return
    if found is None:
        return
    head, rest = found
    assert data.endswith(rest)
    _ = (head.location, head.is_chunked, [head.number(name) for name in head.headers])
    refusal(head, "http://radio.example/", now=AT)
    wait = retry_after(head.text("retry-after"), now=AT)
    assert wait is None or 0 <= wait <= 60


def http_chunks(data: bytes) -> None:
    assert _chunks([data]) == _chunks(pieces(data))


def _chunks(parts: Sequence[bytes]) -> tuple[bytes, bool] | None:
    reader = ChunkedReader()
    try:
        body = b"".join(reader.feed(part) for part in parts)
    except ValueError:
        return None
    return body, reader.ended


def playlists(data: bytes) -> None:
    found = entries(data, "http://radio.example/dir/list")
    assert len(found) <= MOST_ENTRIES
    assert all(address.partition(":")[0].lower() in SCHEMES for address in found)


def sniffing(data: bytes) -> None:
    assert sniff.sniff(data, complete=True) is not None
    sniff.sniff(data, complete=False)


def journals(data: bytes) -> None:
    with _file(NAME, data) as journal:
        (journal.parent / "take-001.mp3").write_bytes(MP3_FRAME * 40)
        found = read_journal(journal.parent)
        assert [take.number for take in found.takes] == sorted({take.number for take in found.takes})
        assert all(0 < take.duration < math.inf for take in found.takes)
        told = account(found.takes, found.window or WINDOW)
        assert 0 <= told.coverage <= 1


def matroska(data: bytes) -> None:
    with _file("take-001.mka", data) as take:
        assert 0 <= read_matroska(take).seconds < math.inf
        first, last = last_clusters(take, 2)
        assert 0 <= first <= last <= len(data)


def facts(data: bytes) -> None:
    with _file(PLAN, data) as file:
        with suppress(InputError):
            read_facts(file)
        with suppress(InputError):
            read_plan(file.parent)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "MP3 frames, as they arrive": mp3_frames,
    "ADTS frames, as they arrive": adts_frames,
    "MP3 frames of a take": frames_of_a_take,
    "joining": joining,
    "ICY titles": icy_titles,
    "HTTP heads": http_heads,
    "HTTP chunks": http_chunks,
    "playlists": playlists,
    "sniffing": sniffing,
    "journal": journals,
    "Matroska": matroska,
    "facts": facts,
}
