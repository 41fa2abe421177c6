"""Whether a joined MP3 is sound, by decoding only those parts of it that were not heard yet.

Every byte of it is read: what has the hash of a piece that was heard is that piece, and the rest is decoded now.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.waveform import POINTS
from rolltape.process.heard import LEAD, LEVEL, PIECE, Heard, hash_of, hear_frames
from rolltape.process.hearing import Hearing, together
from rolltape.process.join import Joined
from rolltape.process.verify import Sound, sound, verify

_BLOCK = 1024 * 1024  # bytes read at a time


@dataclass(frozen=True)
class _Part:
    """A part of the file. Its sound begins with `frame`, its bytes are read from `at`, `lead` frames before that.

    `known` is what was heard of it, None: nothing yet.
    """

    frame: int
    end_frame: int
    lead: int
    at: int
    end: int
    known: Hearing | None = None


async def prove(file: Path, joined: Joined, folder: Path, *, ffmpeg: str) -> Sound:
    """Decode what was not heard yet of `file`, which is what was `joined`. `folder` has what was heard ahead.

    Raises:
        ProcessingError: there is a fault in it, or nothing at all.
        FfmpegMissing: FFmpeg cannot be started.
        OSError: the file cannot be read.
    """
    parts = await asyncio.to_thread(_parts, file, joined, Heard(folder))
    if all(part.known is None for part in parts) or joined.frames < POINTS * LEVEL:
        # As fast in one go, and the waveform of what is short is finer.
        return await verify(file, ffmpeg=ffmpeg, length=joined.duration)

    at_once = asyncio.Semaphore(os.cpu_count() or 1)

    async def listened_to(part: _Part) -> Hearing:
        if part.known is not None:
            return part.known
        frames = part.end_frame - max(part.frame, 1)  # the silent frame in front is not played: the header says so
        async with at_once:
            blocks = _blocks(file, part.at, part.end)
            return await hear_frames(blocks, joined.like, frames, lead=part.lead, folder=file.parent, ffmpeg=ffmpeg)

    tasks = [asyncio.create_task(listened_to(part)) for part in parts]
    try:
        return sound(together(await asyncio.gather(*tasks)))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _parts(file: Path, joined: Joined, heard: Heard) -> list[_Part]:
    """The file from its begin to its end, in known and unknown parts."""
    places = {(place.cut, place.number): place for place in joined.places} if len(heard) else {}
    parts: list[_Part] = []
    frame, lead, at = 0, 0, 0  # of the next part
    for begin in [place for place in places.values() if place.number % PIECE == LEAD]:
        before, end = (places.get((begin.cut, begin.number + step)) for step in (-LEAD, PIECE))
        if before is None or end is None or end.frame - before.frame != LEAD + PIECE:
            continue
        known = heard.get(hash_of(_blocks(file, before.at, end.at)))
        if known is None:
            continue
        if frame < begin.frame:
            parts.append(_Part(frame, begin.frame, lead, at, begin.at))
        parts.append(_Part(begin.frame, end.frame, LEAD, before.at, end.at, known))
        frame, lead, at = end.frame, LEAD, places[end.cut, end.number - LEAD].at
    return [*parts, _Part(frame, joined.frames, lead, at, file.stat().st_size)]


def _blocks(file: Path, begin: int, end: int) -> Iterator[bytes]:
    """The bytes from `begin` to `end`."""
    with file.open("rb") as opened:
        opened.seek(begin)
        while block := opened.read(min(_BLOCK, end - begin)):
            yield block
            begin += len(block)
