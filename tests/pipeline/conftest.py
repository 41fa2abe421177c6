"""The pipeline with everything real behind it but the person and the clock of the engine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from rolltape.capture import CaptureSettings
from rolltape.domain.address import Egress
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.facts import facts_file
from rolltape.domain.session import Session
from rolltape.domain.units import Seconds
from rolltape.pipeline import Next, Pipeline, Workshop
from rolltape.services.clock import utc_now
from rolltape.store import Database
from rolltape.transfer import TransferSettings
from tests.services.conftest import Bench, build


@dataclass
class Line:
    """A pipeline and what it works on."""

    bench: Bench
    workshop: Workshop
    station: str

    def pipeline(self) -> Pipeline:
        """A new one, as a process that was just started has it."""
        services = self.bench.services
        return Pipeline(services.sessions, services.transfers, self.workshop, clock=self.now)

    def now(self) -> datetime:
        self.bench.clock.moment = utc_now()
        return self.bench.clock.moment

    async def folder_destination(self) -> int:
        folder = self.bench.folder / "delivered"
        folder.mkdir(exist_ok=True)
        fields = DestinationFields(name="Folder", kind=DestinationKind.LOCAL, directory=str(folder))
        return (await self.bench.services.destinations.create(fields)).id

    async def record_now(self, duration: float = 1, **stream: object) -> int:
        """A "record now" that has not begun."""
        self.now()
        number = await self.bench.stream(f"Radio {self.now().timestamp()}", **({"url": self.station} | stream))
        return (await self.bench.services.sessions.record_now(number, Seconds(duration), "Show")).id

    async def run(self, number: int, steps: int = 10, *, pipeline: Pipeline | None = None) -> Next | None:
        """Run a session step by step until it needs nothing more, or has to wait."""
        pipeline = pipeline or self.pipeline()
        coming: Next | None = None
        for _ in range(steps):
            coming = await pipeline.run(number)
            if coming is None or coming.at is not None:
                break
        return coming

    async def session(self, number: int) -> Session:
        return await self.bench.services.sessions.get(number)

    async def kinds(self, number: int) -> list[str]:
        return [event.kind for event in await self.bench.services.sessions.events(number)]

    def files(self) -> list[str]:
        """Every file below the folder of recordings, but for the facts that lie beside a recording."""
        found = [file for file in self.workshop.recordings.rglob("*") if file.is_file()]
        facts = {facts_file(file) for file in found}
        return sorted(str(file.relative_to(self.workshop.recordings)) for file in found if file not in facts)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite, unless a test asks for more."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


def workshop_in(folder: Path, ffmpeg: str) -> Workshop:
    """That of a service with its data in `folder`, which may reach everything."""
    egress = Egress(unrestricted=True)
    return Workshop(
        recordings=folder / "recordings",
        artwork=folder / "artwork",
        capture=CaptureSettings(ffmpeg=ffmpeg, egress=egress),
        transfer=TransferSettings(keys=folder / "keys", egress=egress),
        transfers_per_destination=2,
    )


@pytest.fixture
async def line(database_url: str, tmp_path: Path, ffmpeg: str, mp3_station: str) -> AsyncIterator[Line]:
    database = Database(database_url)
    bench = build(database, tmp_path, ffmpeg)
    yield Line(bench, workshop_in(tmp_path, ffmpeg), mp3_station)
    await database.close()
