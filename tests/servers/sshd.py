"""Real SSH servers with their own configuration, host keys and accepted keys.

They listen on 127.0.0.1 only and let in whoever runs the tests. Some faults need more: a full disk (a small tmpfs in
a mount namespace of the server's own) and another user (`nobody`) can be had only by root.
"""

import contextlib
import getpass
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.address import Egress
from rolltape.domain.destination import DestinationFields, HostKey
from tests.servers.process import free_port, program, running

SFTP_SERVER = "internal-sftp"

_CONFIG = """
ListenAddress {host}
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv HOME={folder}/home
MaxStartups 100
LogLevel VERBOSE
"""


@dataclass(frozen=True)
class Sshd:
    """A running server. `home` is a folder for deliveries, `keys` the folder with the key that it accepts."""

    port: int
    folder: Path
    pid: int
    user: str
    host: str = "127.0.0.1"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def egress(self) -> Egress:
        """Loopback is forbidden ground but for this server."""
        return Egress(frozenset({(self.host, self.port)}))

    @property
    def host_key(self) -> HostKey:
        return read_host_key(self.folder / "host_key.pub")

    def destination(self, **more: object) -> DestinationFields:
        fields: dict[str, object] = {
            "name": "nas",
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "key_file": "id",
            "directory": str(self.home),
        }
        return DestinationFields.model_validate(fields | more)

    def authorize(self, public: str) -> None:
        """Let the owner of one more key in."""
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(f"{public}\n")

    def children(self) -> list[int]:
        """The processes that serve the connections, not the one that listens."""
        return descendants(self.pid)


def read_host_key(path: Path) -> HostKey:
    kind, key = path.read_text().split()[:2]
    shown = subprocess.run([program("ssh-keygen"), "-lf", path], check=True, capture_output=True, text=True).stdout
    return HostKey(type=kind, key=key, fingerprint=shown.split()[1])


def make_key(path: Path, kind: str = "ed25519", *options: str) -> Path:
    """A new key pair at `path` and `path`.pub."""
    command = [program("ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "test", "-f", str(path), *options]
    subprocess.run(command, check=True, capture_output=True)
    return path


@contextlib.contextmanager
def sshd(
    folder: Path,
    *,
    config: Sequence[str] = (),
    sftp: str | None = SFTP_SERVER,
    user: str = "",
    host_key_type: str = "ed25519",
    disk: int | None = None,
    host: str = "127.0.0.1",
    within: Sequence[str] = (),
    port: int | None = None,
) -> Iterator[Sshd]:
    """An OpenSSH server until the block ends. `sftp` is its subsystem, None for a server without.

    `within` is a command that runs it somewhere else, where its address is `host`.
    With `disk`, its home is a disk of so many bytes; from outside, `inside()` leads there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    for name in ("home", "keys"):
        (folder / name).mkdir(exist_ok=True)
    if not (folder / "host_key").exists():
        make_key(folder / "host_key", host_key_type)
    if not (folder / "keys" / "id").exists():
        make_key(folder / "keys" / "id")
    (folder / "authorized_keys").write_bytes((folder / "keys" / "id.pub").read_bytes())
    lines = [_CONFIG.format(port=port, folder=folder, host=host), *config]
    if sftp is not None:
        lines.insert(1, f"Subsystem sftp {sftp}")
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    command: list[str | Path] = [program("sshd"), "-D", "-e", "-f", folder / "sshd_config"]
    if disk is not None:
        mount = f'mount -t tmpfs -o size={disk},mode=0777 tmpfs "$0" && exec "$@"'
        command = [program("unshare"), "--mount", program("sh"), "-c", mount, folder / "home", *command]
    with running([*within, *command], log=folder / "sshd.log", ready=lambda: _answers(host, port)) as process:
        yield Sshd(port, folder, process.pid, user or getpass.getuser(), host)


def inside(server: Sshd, path: Path) -> Path:
    """`path` as the server sees it, where its disk is its own."""
    return Path(f"/proc/{server.pid}/root") / path.relative_to("/")


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def descendants(pid: int) -> list[int]:
    """Every process that `pid` started, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found
