"""What tests of every package share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rolltape.ffmpeg.run import find
from tests.servers.icecast import Icecast, icecast


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The FFmpeg that comes with the package."""
    return find(None)


@pytest.fixture(scope="session")
def icecast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Icecast]:
    """An Icecast without sources."""
    with icecast(tmp_path_factory.mktemp("icecast")) as server:
        yield server


@pytest.fixture(scope="session")
def mp3_station(icecast_server: Icecast) -> Iterator[str]:
    """The address of a station that sends 128 kbit/s MP3."""
    with icecast_server.mp3("station.mp3", title="A Title"):
        yield icecast_server.url("station.mp3")
