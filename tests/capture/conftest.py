"""Recordings of real servers, laid on the clock and decoded."""

import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from rolltape.capture import CaptureEvent, CaptureSettings, Journal, Recorder, read_journal
from rolltape.domain.address import Egress
from rolltape.domain.errors import SourceError
from rolltape.domain.recording import Account, Cut, account
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.domain.units import Seconds
from tests.servers.faulty import FaultyStation, faulty_station
from tests.servers.hls import hls
from tests.servers.process import program

# Several tests run at once beside real encoders: how long an example takes says nothing.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


def plan(url: str, seconds: float, *, now: bool = True, starts_in: float = 0, **fields: Any) -> Plan:
    """A plan for `seconds` of `url`: a "record now", or one that starts in a while."""
    start = datetime.now(UTC) + timedelta(seconds=starts_in)
    return Plan(
        session_id=1,
        show="Show",
        stream=StreamFields(name="Radio", url=url, **fields),
        start=start,
        end=start + timedelta(seconds=seconds),
        start_early=0,
        end_late=0,
        timezone="UTC",
        begins_with_audio=now,
    )


@dataclass
class Recorded:
    """What came of a recording. `error` is what it raised."""

    folder: Path
    events: list[CaptureEvent] = field(default_factory=list)
    error: SourceError | None = None

    @property
    def journal(self) -> Journal:
        return read_journal(self.folder)

    @property
    def account(self) -> Account:
        journal = self.journal
        assert journal.window is not None
        return account(journal.takes, journal.window)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def message(self, kind: str) -> str:
        return next(event.message for event in self.events if event.kind == kind)

    def decoded(self, cut: Cut) -> float:
        """The seconds that FFmpeg decodes of a cut, strictly."""
        command: list[str | Path] = [
            program("ffmpeg"), "-nostdin", "-v", "error", "-xerror", "-ss", f"{cut.skip:.6f}",
            "-i", self.folder / cut.take.file, "-t", f"{cut.length:.6f}", "-f", "s16le", "-ac", "1", "-ar", "8000", "-",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False)
        # The muxer of this very check rounds times to 1/8000 s.
        complaints = [line for line in done.stderr.decode().splitlines() if "increasing dts to muxer" not in line]
        assert (done.returncode, complaints) == (0, [])
        return len(done.stdout) / 16000

    @property
    def decoded_seconds(self) -> float:
        return sum(self.decoded(cut) for cut in self.account.cuts)


Recording = Callable[..., Coroutine[Any, Any, Recorded]]


@pytest.fixture
def settings(ffmpeg: str) -> CaptureSettings:
    return CaptureSettings(ffmpeg, Egress(unrestricted=True), connect_timeout=Seconds(10))


@pytest.fixture
def record(tmp_path: Path, settings: CaptureSettings) -> Recording:
    """Record from an address for some seconds, to the end."""

    async def record(url: str, seconds: float, *, settings: CaptureSettings = settings, **more: Any) -> Recorded:
        recorded = Recorded(tmp_path / "session")
        recorder = Recorder(plan(url, seconds, **more), recorded.folder, settings, on_event=recorded.events.append)
        try:
            async with asyncio.timeout(seconds + 40):
                await recorder.run()
        except SourceError as exc:
            recorded.error = exc
        return recorded

    return record


@pytest.fixture(scope="session")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tone that beeps, as MP3, ADTS AAC, and a chain of Opus as with a new title every 3 s."""
    folder = tmp_path_factory.mktemp("beeps")
    tone = "sine=frequency=440:beep_factor=4:sample_rate=44100:duration=20"
    command: list[str | Path] = [program("ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", tone]
    mp3, aac = folder / "beeps.mp3", folder / "beeps.aac"
    encode_mp3: list[str | Path] = [
        "-c:a",
        "libmp3lame",
        "-b:a",
        "128k",
        "-write_xing",
        "0",
        "-id3v2_version",
        "0",
        mp3,
    ]
    subprocess.run([*command, *encode_mp3, "-c:a", "aac", "-b:a", "96k", aac], check=True)
    chain = b""
    for title in ("One", "Two", "Three", "Four"):
        opus = folder / f"{title}.ogg"
        encode = ["-c:a", "libopus", "-b:a", "128k", "-vbr", "off", "-metadata", f"title={title}", "-t", "3"]
        subprocess.run([*command, *encode, opus], check=True)
        chain += opus.read_bytes()
    return {"mp3": mp3.read_bytes(), "aac": aac.read_bytes(), "ogg": chain}


@pytest.fixture(scope="session")
def station(beeps: dict[str, bytes]) -> Iterator[FaultyStation]:
    with faulty_station(**beeps) as station:
        yield station


@pytest.fixture(scope="session")
def hls_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an HLS playlist of AAC, with segments of a second."""
    with hls(tmp_path_factory.mktemp("hls")) as url:
        yield url
