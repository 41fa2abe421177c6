"""A take that is no MP3 is encoded while it grows, so that at its end only the rest of it is left to do.

It is encoded as a whole, from its first sample on, into an MP3 beside it; what belongs into the recording is cut out of
that at the end, on the borders of frames, like out of a take that came as MP3. So it does not matter that a take's
place on the clock moves while it is recorded: where the clocks of station and machine differ, it moves for hours.
"""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

from rolltape.domain.errors import ProcessingError
from rolltape.domain.recording import Cut
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz, Seconds
from rolltape.ffmpeg import encoding
from rolltape.ffmpeg.run import Run
from rolltape.process.encode import NICE, Pcm, common_format

FORMATS = {".aac": "aac", ".mka": "matroska"}  # of takes, by their suffix
ENCODED = "ahead-*.mp3"  # what they are encoded to, beside them

_DELAY = 1105  # samples by which a sound comes later in the MP3: 576 by LAME, 529 by every decoder of layer III
_NOTE = {"take_size": int, "sha256": str, "quality": str, "sample_rate": int, "size": int}
_BLOCK = 256 * 1024  # bytes handed over at a time


class Encoding:
    """The encoding of one take. `out` grows a little behind it."""

    def __init__(self, take: Path, quality: str, pcm: Pcm, run: Run, source: FileIO) -> None:
        self.take = take
        self.out = encoded_file(take)
        self._quality = quality
        self._pcm = pcm
        self._run = run
        self._source = source
        self._fed = hashlib.sha256()
        self._size = 0  # bytes of it

    @classmethod
    async def start(cls, take: Path, *, quality: str, ffmpeg: str) -> "Encoding":
        """Begin with a take that has some seconds of audio already.

        Raises:
            ProcessingError: there is no sound in it.
            FfmpegMissing: FFmpeg cannot be started.
            OSError: it cannot be read.
        """
        take = take.absolute()
        out = encoded_file(take)
        _note_of(out).unlink(missing_ok=True)
        pcm = await common_format([take], quality=quality, ffmpeg=ffmpeg)
        arguments = encoding.follow_to_mp3(
            out,
            format=FORMATS[take.suffix],
            quality=quality,
            sample_rate=pcm.sample_rate,
            channels=pcm.channels,
        )
        source = FileIO(take)
        try:
            run = await Run.start(
                ffmpeg,
                arguments,
                folder=take.parent,
                nice=NICE,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            source.close()
            raise
        return cls(take, quality, pcm, run, source)

    async def feed(self) -> None:
        """Hand over what the take has grown by.

        Raises:
            ProcessingError: FFmpeg ended.
            OSError: the take cannot be read.
        """
        stdin = self._run.stdin
        while block := await asyncio.to_thread(self._read):
            try:
                stdin.write(block)
                await stdin.drain()
            except ConnectionError:
                await self._ended(await self._run.wait())

    async def finish(self) -> None:
        """The take grows no more: hand over the rest, and wait for the MP3.

        Raises: what feed() raises.
        """
        await self.feed()
        self._run.stdin.close()
        code = await self._run.wait()
        self._source.close()
        if code != 0:
            await self._ended(code)
        note = {
            "take_size": self._size,
            "sha256": self._fed.hexdigest(),
            "quality": self._quality,
            "sample_rate": self._pcm.sample_rate,
            "size": self.out.stat().st_size,
        }
        _note_of(self.out).write_text(json.dumps(note))

    async def drop(self) -> None:
        """End it, and leave nothing of it."""
        self._source.close()
        with suppress(ConnectionError):
            self._run.stdin.close()
        await self._run.stop()
        self.out.unlink(missing_ok=True)

    def _read(self) -> bytes:
        block = self._source.read(_BLOCK)
        self._fed.update(block)
        self._size += len(block)
        return block

    async def _ended(self, code: int) -> None:
        reason = self._run.last_words.splitlines()[-1] if self._run.last_words else f"FFmpeg ended with {code}"
        raise ProcessingError(f"{self.take.name} could not be encoded while it grew: {reason}")


def encoded_file(take: Path) -> Path:
    """The MP3 beside a take that it is encoded to."""
    return take.with_name(f"ahead-{take.stem.removeprefix('take-')}.mp3")


def encoded_cut(cut: Cut, folder: Path, *, quality: str) -> Cut | None:
    """The same cut of the MP3 that a take was encoded to; None unless all of the take was. Reads all of the take."""
    take = folder / cut.take.file
    out = encoded_file(take)
    note = _note(take)
    rate = Hertz(note.get("sample_rate", 0))
    if rate <= 0 or note.get("quality") != quality or note.get("size") != _size(out) or note["sha256"] != _hash(take):
        return None
    return replace(
        cut,
        take=replace(cut.take, file=str(out.relative_to(folder)), format=AudioFormat(Codec.MP3, rate), continues=False),
        skip=Seconds(cut.skip + _DELAY / rate),
    )


def remove_unfinished(folder: Path) -> None:
    """Remove what was left by encodings that were interrupted, or whose takes went on after all: they begin anew."""
    finished = {encoded_file(take) for take in folder.glob("take-*") if is_encoded(take)}
    for out in folder.glob(ENCODED):
        if out not in finished:
            _note_of(out).unlink(missing_ok=True)
            out.unlink(missing_ok=True)


def is_encoded(take: Path) -> bool:
    """Whether it was encoded to its end, as it seems; what is in the files is looked at when it counts."""
    return bool(note := _note(take)) and note["take_size"] == _size(take)


def _note_of(out: Path) -> Path:
    return out.with_suffix(".json")


def _note(take: Path) -> dict[str, Any]:
    """What was noted when a take was encoded to its end; {} if that does not read as such a note, or there is none."""
    try:
        note = json.loads(_note_of(encoded_file(take)).read_text("utf-8", "replace"))
        types = {name: type(value) for name, value in note.items()}
    except (FileNotFoundError, ValueError, AttributeError, RecursionError):
        return {}
    return note if types == _NOTE else {}


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
