"""A real PostgreSQL of the tests' own."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.servers.process import free_port, running

_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a server with an empty database, until the block ends. `{name}` in it is the database's name."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "PostgreSQL is not installed: run tests/install-servers"
    data, port = folder / "data", free_port()
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        for above in list(folder.parents)[:-1]:
            with contextlib.suppress(PermissionError):
                above.chmod(above.stat().st_mode | 0o011)
    _run([*_as_owner(), programs[-1] / "initdb", "-U", "rolltape", "-A", "trust", "-N", "-D", data])
    options = [word for option in _QUICK for word in ("-c", option)]
    command: list[str | Path] = [
        *_as_owner(), programs[-1] / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, *options
    ]  # fmt: skip

    def ready() -> bool:
        check: list[str | Path] = [programs[-1] / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(check, check=False).returncode == 0

    with running(command, log=folder / "postgres.log", ready=ready, cwd=folder):
        yield f"postgresql://rolltape@127.0.0.1:{port}/{{name}}"


def create_database(address: str, name: str, *, template: str = "template1") -> str:
    """A new database on a server, a copy of `template`; returns its address."""
    import psycopg

    with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return address.format(name=name)


def _as_owner() -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
