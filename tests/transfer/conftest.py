"""Servers to deliver to, and recordings to deliver."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from rolltape.domain.address import Egress
from rolltape.domain.destination import DestinationFields, HostKey
from rolltape.domain.transfer import Proof, Receipt
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import Delivery, TransferSettings, Trial, deliver, test
from tests.servers.sshd import Sshd, sshd

STALL = Seconds(5)


@dataclass(frozen=True)
class Site:
    """A destination with all that is needed to reach it, and the folder behind it."""

    destination: DestinationFields
    host_key: HostKey | None
    settings: TransferSettings
    folder: Path
    proof: Proof

    async def send(self, delivery: Delivery, on_progress: Callable[[Bytes], None] = lambda sent: None) -> Receipt:
        return await deliver(delivery, self.destination, self.host_key, self.settings, on_progress=on_progress)

    async def test(self) -> Trial:
        return await test(self.destination, self.host_key, self.settings)

    def files(self) -> list[str]:
        """Whatever lies below the folder, hidden or not."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir())


def ssh_site(server: Sshd, folder: Path, proof: Proof = Proof.SHA256, **more: object) -> Site:
    folder.mkdir(exist_ok=True)
    settings = TransferSettings(server.keys, server.egress, STALL)
    return Site(server.destination(directory=str(folder), **more), server.host_key, settings, folder, proof)


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def sftp_only_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sftp-only"), config=["ForceCommand internal-sftp"]) as server:
        yield server


@pytest.fixture(scope="session")
def shell_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One without SFTP."""
    with sshd(tmp_path_factory.mktemp("shell"), sftp=None) as server:
        yield server


@pytest.fixture(params=["local", "sftp", "sftp-only", "no-sftp"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """Every kind of place that recordings are delivered to."""
    folder = tmp_path / "there"
    match request.param:
        case "local":
            folder.mkdir()
            fields = DestinationFields.model_validate({"name": "disk", "kind": "local", "directory": str(folder)})
            return Site(fields, None, TransferSettings(tmp_path, Egress()), folder, Proof.READBACK)
        case "sftp":
            return ssh_site(request.getfixturevalue("ssh_server"), folder)
        case "sftp-only":
            return ssh_site(request.getfixturevalue("sftp_only_server"), folder, Proof.READBACK)
        case _:
            return ssh_site(request.getfixturevalue("shell_server"), folder)


@pytest.fixture
def ssh(ssh_server: Sshd, tmp_path: Path) -> Site:
    """The usual destination."""
    return ssh_site(ssh_server, tmp_path / "there")


@pytest.fixture
def recording(tmp_path: Path) -> Delivery:
    """A recording of 5 MB: more than goes at once."""
    return make_recording(tmp_path / "recording.mp3", 5_000_000)


def make_recording(file: Path, size: int, *, name: str = "Radio/2026-03-01 Show.mp3", seed: int = 1) -> Delivery:
    content = random.Random(seed).randbytes(size)
    file.write_bytes(content)
    return Delivery(file, PurePosixPath(name), Bytes(size), hashlib.sha256(content).hexdigest())
