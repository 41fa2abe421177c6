"""Samples: some seconds of a stream to listen to before it is saved. Kept for a while, as files with random names."""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rolltape import capture, process
from rolltape.capture.measure import measure
from rolltape.capture.probe import SAMPLE
from rolltape.domain.errors import BusyError, NotFoundError, SourceUnreachable
from rolltape.domain.recording import Cut
from rolltape.domain.stream import DEFAULT_QUALITY
from rolltape.domain.take import AudioFormat, TakeFacts
from rolltape.domain.units import Seconds
from rolltape.ffmpeg.probe import read_matroska
from rolltape.services.clock import Clock
from rolltape.services.operations import operation

KEPT_FOR = timedelta(minutes=15)
MOST_KEPT = 20
MOST_AT_ONCE = 3  # are recorded; each takes a connection and, for a moment, a core
DEADLINE = Seconds(45)  # for the connection, the audio and its MP3


@dataclass(frozen=True)
class Sample:
    """`duration` is in seconds; `offer` is what the stream sends."""

    id: str
    duration: Seconds
    offer: capture.Offer


class Samples:
    """`may_record` tells whether there is room for them."""

    def __init__(
        self,
        folder: Path,
        *,
        capture_settings: capture.CaptureSettings,
        clock: Clock,
        may_record: Callable[[], bool] = lambda: True,
    ) -> None:
        self._folder = folder
        self._may_record = may_record
        self._capture_settings = capture_settings
        self._clock = clock
        self._made: dict[str, datetime] = {}  # by id, the oldest first
        self._under_way = 0

    def clear(self) -> None:
        """Remove what an earlier run of the service has left."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @operation("sample_recorded", "a sample of a stream was recorded")
    async def record(self, url: str, *, verify_tls: bool) -> Sample:
        """Five seconds of what `url` sends, as an MP3.

        Raises:
            SourceError: nothing that can be recorded; the message says why.
            ProcessingError: what came does not become an MP3.
            BusyError: too many are recorded already.
        """
        if not self._may_record():
            raise BusyError("This machine is short of room or memory: see System, Health. Recordings go on meanwhile.")
        if self._under_way >= MOST_AT_ONCE:
            raise BusyError("Other stations are being listened to at the moment. Try again in some seconds.")
        self._under_way += 1
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._record(url, verify_tls=verify_tls)
        except TimeoutError as exc:
            raise SourceUnreachable(f"It took longer than {DEADLINE:.0f} s to listen.", code="connect_timeout") from exc
        finally:
            self._under_way -= 1

    def file(self, sample_id: str) -> Path:
        """The MP3 of a sample."""
        self._tidy(most=MOST_KEPT)
        if sample_id not in self._made or not self._file(sample_id).is_file():
            raise NotFoundError("This sample is no longer kept. Listen to the station again.")
        return self._file(sample_id)

    async def _record(self, url: str, *, verify_tls: bool) -> Sample:
        with TemporaryDirectory(prefix="rolltape-sample-") as temporary:
            folder, file = Path(temporary), Path(temporary, "sample.mp3")
            take = folder / "take"
            offer = await capture.probe(url, self._capture_settings, verify_tls=verify_tls, sample=take)
            cut = await asyncio.to_thread(_cut, take, offer, self._clock())
            made = await process.assemble(
                [cut], folder, file, quality=DEFAULT_QUALITY, ffmpeg=self._capture_settings.ffmpeg
            )
            return Sample(await self._keep(file), made.duration, offer)

    async def _keep(self, file: Path) -> str:
        self._tidy(most=MOST_KEPT - 1)
        sample_id = secrets.token_hex(16)
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copyfile, file, self._file(sample_id))
        self._made[sample_id] = self._clock()
        return sample_id

    def _tidy(self, *, most: int) -> None:
        """Remove what is too old, and the oldest of what is too many."""
        oldest = self._clock() - KEPT_FOR
        surplus = len(self._made) - most
        for number, (sample_id, made) in enumerate(list(self._made.items())):
            if made < oldest or number < surplus:
                del self._made[sample_id]
                with contextlib.suppress(OSError):
                    self._file(sample_id).unlink()

    def _file(self, sample_id: str) -> Path:
        return self._folder / f"{sample_id}.mp3"


def _cut(take: Path, offer: capture.Offer, now: datetime) -> Cut:
    """All of the audio in a file, at most as long as a sample is."""
    length = min(SAMPLE, read_matroska(take).seconds or measure(take, offer.codec).seconds)
    facts = TakeFacts(1, take.name, AudioFormat(offer.codec), now, length, "It was long enough.")
    return Cut(facts, Seconds(0), length)
