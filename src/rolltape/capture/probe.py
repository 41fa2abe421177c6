"""What an address offers, told by listening to it for a moment."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rolltape.capture.registry import CaptureSettings, source_for
from rolltape.capture.source import Source, Station
from rolltape.domain.address import mask
from rolltape.domain.errors import SourceError, SourceUnreachable
from rolltape.domain.stream import CaptureEngine
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import BitsPerSecond, Bytes, Hertz, Seconds

ENOUGH = Seconds(1)  # of audio to know its format and bit rate by
SAMPLE = Seconds(5)  # of audio to listen to


@dataclass(frozen=True)
class Offer:
    """What a stream sends. None where it is not known."""

    codec: Codec
    bit_rate: BitsPerSecond | None
    sample_rate: Hertz | None
    channels: int | None
    station: str | None
    title: str | None
    genre: str | None = None


async def probe(
    url: str,
    settings: CaptureSettings,
    *,
    verify_tls: bool = True,
    engine: CaptureEngine = CaptureEngine.AUTO,
    sample: Path | None = None,
) -> Offer:
    """What `url` offers. Five seconds of it are left in `sample`, if that is given, as they came.

    Raises:
        SourceError: there is nothing that can be recorded; the message says why in one sentence.
    """
    source = source_for(url, settings, verify_tls=verify_tls, engine=engine)
    with TemporaryDirectory(prefix="rolltape-probe-") as folder:
        listener = _Listener(Path(folder), SAMPLE if sample else ENOUGH)
        await _listen(source, url, listener, longest=Seconds(settings.connect_timeout + SAMPLE))
        if listener.format is None:
            raise SourceUnreachable(f"{mask(url)}: no audio came.", code="no_audio")
        if sample is not None:
            shutil.copyfile(listener.path, sample)
    return listener.offer(listener.format)


async def _listen(source: Source, url: str, listener: "_Listener", *, longest: Seconds) -> None:
    """Receive until the listener has enough. What it has by then counts, even if the stream breaks off."""
    receiving = asyncio.create_task(source.receive(url, listener))
    enough = asyncio.create_task(listener.enough.wait())
    try:
        await asyncio.wait({receiving, enough}, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
    finally:
        enough.cancel()
        receiving.cancel()
        await asyncio.wait({receiving, enough})
    error = None if receiving.cancelled() else receiving.exception()
    if error is not None and (listener.format is None or not isinstance(error, SourceError)):
        raise error


class _Listener:
    """A sink that keeps the first seconds of a stream."""

    def __init__(self, folder: Path, wanted: Seconds) -> None:
        self.folder = folder
        self._wanted = wanted
        self._seconds = 0.0
        self._size = 0
        self._station = Station()
        self._title: str | None = None
        self.path = folder / "sample"
        self.format: AudioFormat | None = None
        self.enough = asyncio.Event()

    def connected(self, station: Station) -> None:
        self._station = station

    def title(self, title: str) -> None:
        self._title = title or None

    def note(self, kind: str, message: str) -> None:
        pass

    def begin(self, format: AudioFormat, suffix: str, *, ours: bool = True) -> Path:
        self.path = self.folder / f"sample{suffix}"
        self.path.unlink(missing_ok=True)
        self.format = format
        self._seconds, self._size = 0.0, 0
        return self.path

    def append(self, frames: bytes, seconds: Seconds) -> None:
        with self.path.open("ab") as file:
            file.write(frames)
        self.reached(Seconds(self._seconds + seconds), Bytes(self._size + len(frames)))

    def reached(self, seconds: Seconds, size: Bytes) -> None:
        self._seconds, self._size = seconds, size
        if seconds >= self._wanted:
            self.enough.set()

    def offer(self, format: AudioFormat) -> Offer:
        if self._seconds:
            rate = BitsPerSecond(round(self._size * 8 / self._seconds / 1000) * 1000)
            format = replace(format, bit_rate=format.bit_rate or rate)
        station = self._station
        return Offer(
            format.codec, format.bit_rate, format.sample_rate, format.channels, station.name, self._title, station.genre
        )
