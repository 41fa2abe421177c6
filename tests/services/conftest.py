"""Services on a real database: each test runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import argon2
import pytest

from rolltape import services
from rolltape.capture import CaptureSettings
from rolltape.domain.address import Egress
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.stream import StreamFields
from rolltape.domain.units import Seconds, gigabytes
from rolltape.services.backups import Places
from rolltape.services.passwords import Passwords
from rolltape.store import Database
from rolltape.transfer import TransferSettings

START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)  # a Monday
MOST_AT_ONCE = 3  # sessions


class CountingHasher(argon2.PasswordHasher):
    """Counts how often it works out a hash to compare with."""

    compared = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.compared += 1
        return super().verify(hash, password)


# As argon2id as the real one, for a hundredth of the work.
HASHER = CountingHasher(time_cost=1, memory_cost=512, parallelism=1)


@dataclass
class Hand:
    """A clock that a test moves."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass
class Bench:
    """The services, with a clock and a bell that tests can look at."""

    database: Database
    clock: Hand
    services: services.Services
    folder: Path
    woken: list[None] = field(default_factory=list)

    async def stream(self, name: str = "Radio", **more: object) -> int:
        fields = StreamFields.model_validate({"name": name, "url": "http://radio.example/live", **more})
        return (await self.services.streams.create(fields)).id


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def bench(database_url: str, tmp_path: Path, ffmpeg: str) -> AsyncIterator[Bench]:
    database = Database(database_url)
    yield build(database, tmp_path, ffmpeg)
    await database.close()


def build(database: Database, folder: Path, ffmpeg: str) -> Bench:
    clock = Hand()
    woken: list[None] = []

    def wake() -> None:
        woken.append(None)

    for name in ("recordings", "artwork", "keys"):
        (folder / name).mkdir(exist_ok=True)
    capture = CaptureSettings(ffmpeg=ffmpeg, egress=Egress(unrestricted=True))
    transfer = TransferSettings(keys=folder / "keys", egress=Egress(unrestricted=True))
    recovery = services.Recovery(database, data_dir=folder, recordings=folder / "recordings", clock=clock, wake=wake)
    sessions = services.Sessions(
        database, recordings=folder / "recordings", timezone="Europe/Berlin", clock=clock, wake=wake
    )
    streams = services.Streams(database, artwork=folder / "artwork", capture_settings=capture, clock=clock)
    schedules = services.Schedules(database, clock=clock, wake=wake, most_at_once=lambda: MOST_AT_ONCE)
    destinations = services.Destinations(database, transfer_settings=transfer, clock=clock, wake=wake)
    preferences = services.Preferences(
        database, given=PreferenceFields(timezone="Europe/Berlin"), locked={}, apply=lambda _: None
    )
    resources = services.Resources(
        {"recordings": folder / "recordings", "data": folder}, floor=lambda: gigabytes(preferences.values.disk_floor)
    )
    health = services.Health(
        database,
        sessions,
        folders={"data": folder, "recordings": folder / "recordings"},
        find_ffmpeg=lambda: ffmpeg,
        beat=lambda: Seconds(0),
        clock=clock,
        lost=lambda: recovery.told,
        built=START.date(),
        more=lambda: [*resources.findings(), *built.retention.findings()],
        last_backup=lambda: built.backups.latest(),
    )
    notifications = services.Notifications(
        database, health, keys=folder / "keys", egress=Egress(unrestricted=True), clock=clock
    )
    backups = services.Backups(
        database,
        Places(folder / "backups", folder / "artwork", folder / "keys", folder / "recordings"),
        clock=clock,
        preferences=lambda: preferences.values,
        restored=preferences.load,
    )
    built = services.Services(
        streams=streams,
        schedules=schedules,
        sessions=sessions,
        listening=services.Listening(sessions, recordings=folder / "recordings", ffmpeg=ffmpeg),
        samples=services.Samples(folder / "samples", capture_settings=capture, clock=clock),
        transfers=services.Transfers(database, clock=clock, wake=wake),
        destinations=destinations,
        tokens=services.Tokens(database, clock=clock),
        recovery=recovery,
        users=services.Users(database, data_dir=folder, setup_code="", clock=clock, passwords=Passwords(HASHER)),
        health=health,
        notifications=notifications,
        figures=services.Figures(database, health, notifications, clock=clock),
        news=services.News(),
        keys=services.Keys(transfer.keys),
        logs=services.Logs(folder / "log"),
        preferences=preferences,
        resources=resources,
        waveforms=services.Waveforms(database, resources, recordings=folder / "recordings", ffmpeg=ffmpeg, clock=clock),
        retention=services.Retention(
            database,
            sessions,
            recordings=folder / "recordings",
            clock=clock,
            steady=lambda: clock.moment.timestamp(),
        ),
        configuration=services.Configuration(
            database,
            destinations=destinations,
            streams=streams,
            schedules=schedules,
            preferences=preferences,
            notifications=notifications,
        ),
        backups=backups,
    )
    return Bench(database, clock, built, folder, woken)
