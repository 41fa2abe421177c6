"""Everything real: the service as a process, a station, a server that recordings go to."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.chromium import Window, chromium
from tests.servers.faulty import FaultyStation, faulty_station
from tests.servers.process import program
from tests.servers.rolltape import Rolltape, rolltape
from tests.servers.sshd import Sshd, sshd


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Twenty seconds of MP3."""
    file = tmp_path_factory.mktemp("tone") / "tone.mp3"
    encode = ["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"]
    source = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=20"]
    subprocess.run([program("ffmpeg"), "-nostdin", "-v", "error", *source, *encode, file], check=True)
    return file.read_bytes()


@pytest.fixture
def station(tone: bytes) -> Iterator[FaultyStation]:
    with faulty_station(tone) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, server: Sshd, mp3_station: str) -> Iterator[Rolltape]:
    """A service that may reach the station and the server."""
    keys = tmp_path / "rolltape" / "keys"
    keys.mkdir(parents=True)
    (keys / "id").write_bytes((server.keys / "id").read_bytes())
    (keys / "id").chmod(0o600)
    station = urlsplit(mp3_station).netloc
    with rolltape(
        tmp_path / "rolltape",
        ROLLTAPE_ALLOW_TARGETS=f"{station},127.0.0.1:{server.port}",
        ROLLTAPE_CONFIG_DIR=str(keys),
    ) as running:
        yield running


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While this file exists, `held_ffmpeg` (and with it processing) does not come to an end."""
    return tmp_path / "hold"


@pytest.fixture
def held_ffmpeg(tmp_path: Path, ffmpeg: str, hold: Path) -> Path:
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(f'#!/bin/sh\nwhile [ -e "{hold}" ]; do sleep 0.05; done\nexec "{ffmpeg}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def held(folder: Path, server: Sshd, station: str, held_ffmpeg: Path) -> AbstractContextManager[Rolltape]:
    """A service with such an FFmpeg. It may reach the station of that address and the server."""
    return rolltape(
        folder / "rolltape",
        ROLLTAPE_ALLOW_TARGETS=f"{urlsplit(station).netloc},127.0.0.1:{server.port}",
        ROLLTAPE_CONFIG_DIR=str(server.keys),
        ROLLTAPE_FFMPEG=str(held_ffmpeg),
    )


def plan_show(service: Rolltape, url: str, destination: int, *, after: float, duration: float) -> int:
    """A schedule for one show that begins in `after` seconds; returns the number of its session."""
    stream = service.add_stream(url, destination_ids=[destination])
    return int(service.plan_show(stream, datetime.now(UTC) + timedelta(seconds=after), duration)["id"])


@pytest.fixture
def nas(service: Rolltape, server: Sshd) -> int:
    """A destination on the server, its host key accepted."""
    return add_destination(service, server)


def add_destination(service: Rolltape, server: Sshd, **more: object) -> int:
    fields = server.destination(**more).model_dump(mode="json")
    number: int = service.call("POST", "/api/destinations", json=fields)["id"]
    shown = service.call("POST", f"/api/destinations/{number}/test")
    fingerprint = shown["host_key"]["fingerprint"]
    service.call("POST", f"/api/destinations/{number}/host-key", json={"fingerprint": fingerprint})
    return number


NAME, PASSWORD = "listener", "a long pass phrase"


@pytest.fixture
def account(service: Rolltape) -> tuple[str, str]:
    """Name and password of somebody who may sign in."""
    service.add_account(NAME, PASSWORD)
    return NAME, PASSWORD


@pytest.fixture
async def window(service: Rolltape, account: tuple[str, str]) -> AsyncIterator[Window]:
    """A browser that is signed in; at the end, nothing may have gone wrong in it."""
    async with chromium(service.url) as opened:
        await (await opened.sign_in(*account)).close()
        yield opened
        opened.notices.assert_none()
