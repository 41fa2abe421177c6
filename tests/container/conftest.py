"""An image of this checkout, containers of it, and servers outside of them."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.container.engine import Contained, Engine, find_engine
from tests.servers.icecast import Icecast
from tests.servers.proxy import proxy
from tests.servers.sshd import Sshd, sshd

IMAGE = "rolltape-test:first"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return find_engine()


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The image of this checkout."""
    engine.build(IMAGE)
    return IMAGE


@pytest.fixture
def fresh(engine: Engine, image: str, tmp_path: Path) -> Iterator[Contained]:
    """A Rolltape that has not been started, on empty volumes, as docker-compose.yml runs it."""
    made = Contained(tmp_path, {}, engine=engine, image=image)
    yield made
    sys.stderr.write(made.log)  # shown where a test fails
    made.remove_all()


@pytest.fixture
def service(fresh: Contained) -> Contained:
    """A running Rolltape that its tests may ask."""
    fresh.start()
    fresh.make_token()
    return fresh


@pytest.fixture
def station(service: Contained, mp3_station: str) -> Iterator[str]:
    """The address of a station outside, as the container sees it."""
    with seen_from(service, mp3_station) as address:
        yield address


@pytest.fixture
def server(service: Contained, tmp_path: Path) -> Iterator[Sshd]:
    """An SSH server outside, on an address that the container reaches."""
    with sshd(tmp_path / "sshd", host=service.gateway) as running:
        yield running


@dataclass(frozen=True)
class Nas:
    """A destination that works: its number, and the server behind it."""

    id: int
    server: Sshd


@pytest.fixture
def nas(service: Contained, server: Sshd) -> Nas:
    """The way of a user: a key made in the page, its public half on the server, the server's key accepted."""
    key = service.call("POST", "/api/keys", json={"name": "nas"})
    server.authorize(key["public"])
    fields = server.destination(key_file="nas").model_dump(mode="json")
    number: int = service.call("POST", "/api/destinations", json=fields)["id"]
    shown = service.call("POST", f"/api/destinations/{number}/test")["host_key"]
    assert shown["fingerprint"] == server.host_key.fingerprint
    service.call("POST", f"/api/destinations/{number}/host-key", json={"fingerprint": shown["fingerprint"]})
    return Nas(number, server)


@contextlib.contextmanager
def seen_from(service: Contained, address: str) -> Iterator[str]:
    """An address on this machine's loopback, as the container can ask for it."""
    parts = urlsplit(address)
    assert parts.port is not None
    with proxy(parts.port, host=service.gateway) as way:
        yield parts._replace(netloc=f"{service.gateway}:{way.port}").geturl()


@pytest.fixture
def aac_station(icecast_server: Icecast) -> Iterator[str]:
    """The address of a station that sends AAC: its recordings have to be encoded."""
    with icecast_server.source("station.aac", ["-c:a", "aac", "-b:a", "96k", "-f", "adts"], "audio/aac"):
        yield icecast_server.url("station.aac")
