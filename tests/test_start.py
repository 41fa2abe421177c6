"""What a start loads. All of the program takes a second of CPU and more, so each command loads what it needs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.process import free_port, wait_until
from tests.servers.rolltape import PROGRAM, rolltape

WEB = {"fastapi", "starlette", "uvicorn", "jinja2", "rolltape.web"}
RUNNING = {"apscheduler", "rolltape.scheduler", "rolltape.engine", "alembic", "paramiko"}
FINISHING = {"PIL", "mutagen", "pathvalidate"}
PARTS = {"PIL._imaging", "mutagen.id3", "pathvalidate._filename"}  # of what the finish needs
DATABASE = {"sqlalchemy", "rolltape.store"}


def loaded(told: str) -> set[str]:
    """The modules of what `PYTHONPROFILEIMPORTTIME` makes Python tell."""
    lines = [line for line in told.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        ("--help", WEB | RUNNING | FINISHING | DATABASE | {"pydantic", "structlog"}),
        ("health --live", WEB | RUNNING | FINISHING | DATABASE | {"structlog"}),
        ("probe http://127.0.0.1:1/", WEB | RUNNING | FINISHING | {"rolltape.store"}),
        ("record http://127.0.0.1:1/ --for soon", WEB | RUNNING | FINISHING),
        ("token create mine", WEB | RUNNING | FINISHING),
    ],
)
def test_a_command_loads_what_it_needs(command: str, unneeded: set[str], migrated_sqlite: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "rolltape.db")
    env = {"ROLLTAPE_DATA_DIR": str(tmp_path), "ROLLTAPE_PORT": str(free_port()), "PYTHONPROFILEIMPORTTIME": "1"}

    words = [str(PROGRAM), *command.split()]
    done = subprocess.run(words, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)

    found = loaded(done.stderr)
    assert "rolltape.cli" in found
    assert found & unneeded == set()


def test_the_service_loads_what_a_recording_will_need_before_one_needs_it(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_sqlite, tmp_path / "data" / "rolltape.db")

    with rolltape(tmp_path, PYTHONPROFILEIMPORTTIME="1") as service:
        wait_until(lambda: loaded(service.log) >= PARTS, "the rest being loaded")

        assert loaded(service.log) & {"alembic", "paramiko"} == set()
