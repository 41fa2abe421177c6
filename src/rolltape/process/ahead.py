"""What can be done for a recording before its end: its takes encoded, and what they will become decoded.

None of it is needed: what is not done in time is done at the end, and so is what fails here. So a failure is told and
forgotten, and the recording never notices.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from rolltape.domain.errors import ProcessingError, RolltapeError
from rolltape.domain.units import Seconds
from rolltape.process.follow import ENCODED, FORMATS, Encoding, is_encoded, remove_unfinished
from rolltape.process.frames import NotJoinable
from rolltape.process.heard import Heard, Pieces

LOOK = Seconds(5)  # between looks at a take that is being encoded; so much is left to do at its end
LOOK_FOR_WORK = Seconds(20)  # a piece to decode comes every two minutes
ENOUGH = 64 * 1024  # bytes of a take, before it is asked what format its sound has
ENCODERS = 8  # at once; each keeps some 23 MB for as long as its session lasts
EARS = 1  # FFmpegs that decode at once; with a processor to itself one has the pace of some 250 stations
WORK = "encoding and decoding ahead"
NICE = 15  # what is done ahead comes behind what is done at the end

log = structlog.get_logger(__name__)


@dataclass
class Limits:
    """What all sessions together may do at once. `may_do` says whether there is room for work that can wait."""

    encoders: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ENCODERS))
    ears: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EARS))
    may_do: Callable[[str], bool] = lambda _: True


class Ahead:
    """What is done for one session, whose takes grow in `folder`."""

    def __init__(self, folder: Path, limits: Limits, *, quality: str, ffmpeg: str) -> None:
        self._folder = folder
        self._limits = limits
        self._quality = quality
        self._ffmpeg = ffmpeg
        self._over = asyncio.Event()

    def end(self) -> None:
        """Nothing is added to the takes any more."""
        self._over.set()

    async def run(self) -> None:
        """Work until there is nothing more to do ahead; that is soon after `end()`."""
        await self._told(lambda: asyncio.to_thread(remove_unfinished, self._folder))
        hearing = asyncio.create_task(self._told(self._hear))
        try:
            await self._told(self._encode)
            await self._over.wait()
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _told(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; that it failed is told, and no more."""
        try:
            await work()
        except (RolltapeError, OSError) as exc:
            log.warning(f"what can be done ahead is done at the end: {exc}", action="ahead_failed", exc_info=exc)
        except Exception:
            log.exception("what can be done ahead is done at the end", action="ahead_failed")

    async def _encode(self) -> None:
        """Encode the takes that are no MP3, one after the other."""
        take = await self._next_take(0)
        while take is not None and not self._over.is_set() and not self._may_encode():
            await self._pause(LOOK_FOR_WORK)
        if take is None or self._over.is_set():
            return  # all that there is to do would be done here instead of there
        async with self._limits.encoders:
            while take is not None:
                try:
                    await self._encode_take(take)
                except ProcessingError as exc:  # that one may have no sound, and not belong into the recording
                    log.warning(exc.message, action="encode_ahead_failed", take=take.name, exc_info=exc)
                take = await self._next_take(_number(take))

    def _may_encode(self) -> bool:
        return self._limits.may_do(WORK) and not self._limits.encoders.locked()

    async def _next_take(self, behind: int) -> Path | None:
        """The next one behind that number to encode, once there is enough of it; None if there will be none."""
        while True:
            is_over = self._over.is_set()
            takes = self._takes()
            for number, take in enumerate(takes):
                is_closed = is_over or number + 1 < len(takes)
                if _number(take) <= behind or take.suffix not in FORMATS or is_encoded(take):
                    continue
                if is_closed or take.stat().st_size >= ENOUGH:
                    return take
            if is_over:
                return None
            await self._pause(LOOK if behind else LOOK_FOR_WORK)

    async def _encode_take(self, take: Path) -> None:
        encoding = await Encoding.start(take, quality=self._quality, ffmpeg=self._ffmpeg)
        try:
            while True:
                is_closed = self._over.is_set() or self._takes()[-1] != take
                if is_closed:
                    await encoding.finish()
                    return
                if self._limits.may_do(WORK):
                    await encoding.feed()
                await self._pause(LOOK)
        except BaseException:
            await encoding.drop()
            raise

    async def _hear(self) -> None:
        """Decode what the takes will become, piece by piece, until the end."""
        heard = await asyncio.to_thread(Heard, self._folder)
        sources: dict[Path, Pieces] = {}
        while not self._over.is_set():
            for file in (*self._takes(), *sorted(self._folder.glob(ENCODED))):
                if file.suffix == ".mp3":
                    with suppress(NotJoinable, FileNotFoundError):  # it will be encoded, or was dropped
                        await self._hear_all(sources.setdefault(file, Pieces(file)), heard)
            await self._pause(LOOK_FOR_WORK)

    async def _hear_all(self, pieces: Pieces, heard: Heard) -> None:
        """Decode the pieces that are there by now."""
        while not self._over.is_set() and pieces.may_have_grown() and self._limits.may_do(WORK):
            async with self._limits.ears:
                piece = await asyncio.to_thread(pieces.next)
                if piece is None:
                    return
                if heard.get(piece.sha256) is None:
                    with suppress(ProcessingError):  # it is damaged; what is made of it at the end is looked at then
                        sound = await piece.hear(folder=self._folder, ffmpeg=self._ffmpeg, nice=NICE)
                        await asyncio.to_thread(heard.add, piece.sha256, sound)

    def _takes(self) -> list[Path]:
        """In the order of their recording."""
        return sorted(self._folder.glob("take-*"), key=_number)

    async def _pause(self, span: Seconds) -> None:
        """Wait, but not beyond the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(span):
                await self._over.wait()


def _number(take: Path) -> int:
    digits = take.stem.removeprefix("take-")
    return int(digits) if digits.isdecimal() else 0
