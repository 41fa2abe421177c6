"""The compose file as it is, with its example of an environment."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import yaml

from tests.container.engine import BUILD, ROOT, START, Engine, find_compose
from tests.servers.process import free_port, wait_until


class Project:
    """The shipped files in a folder of their own, under a name of its own."""

    def __init__(self, engine: Engine, image: str, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.name = f"rolltape-test-{uuid4().hex[:8]}"
        self.port = free_port()
        shutil.copy(ROOT / "docker-compose.yml", folder)
        self._env = os.environ | {"ROLLTAPE_IMAGE": image, "ROLLTAPE_PUBLISH": f"127.0.0.1:{self.port}"}

    def compose(self, *words: str) -> str:
        command = [*find_compose(self.engine), "-p", self.name, *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=BUILD, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def container(self) -> str:
        """The name of its only container; docker and podman join the words by different signs."""
        names = self.engine.ask("ps", "--format", "{{.Names}}").split()
        (found,) = [name for name in names if name.startswith(self.name)]
        return found

    def is_up(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=10).status_code == 200
        except httpx2.HTTPError:
            return False

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.engine.ask("inspect", self.container))[0]
        return found


@pytest.fixture
def project(engine: Engine, image: str, tmp_path: Path) -> Iterator[Project]:
    made = Project(engine, image, tmp_path)
    yield made
    made.compose("down", "--volumes")


@pytest.mark.parametrize("with_example", [False, True])
def test_up_starts_a_service_that_is_well_and_may_do_nothing_else(project: Project, with_example: bool) -> None:
    if with_example:
        shutil.copy(ROOT / ".env.example", project.folder / ".env")

    project.compose("up", "--detach", "--no-build")
    wait_until(project.is_up, "the service being ready", within=START)

    shown = project.inspect()
    limits = shown["HostConfig"]
    assert limits["ReadonlyRootfs"] is True
    assert limits["Memory"] == 2 * 1024**3
    assert limits["PidsLimit"] == 1024
    assert any(option.startswith("no-new-privileges") for option in limits["SecurityOpt"])
    assert {one["Name"].removeprefix("RLIMIT_").lower(): one["Hard"] for one in limits["Ulimits"]}["nofile"] == 16384
    assert {mount["Destination"] for mount in shown["Mounts"] if mount["Type"] == "volume"} == {
        "/data", "/recordings", "/config", "/log", "/artwork",
    }  # fmt: skip
    status = project.engine.ask("exec", project.container, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t10001\t10001" in status


def test_up_builds_an_image_that_is_not_there(engine: Engine, image: str, tmp_path: Path) -> None:
    for name in (ROOT / ".dockerignore").read_text().splitlines():
        if name.startswith("!"):
            source, place = ROOT / name[1:], tmp_path / name[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    shutil.copy(ROOT / "Dockerfile", tmp_path)
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    built = f"rolltape-test:{uuid4().hex[:8]}"
    project = Project(engine, built, tmp_path)

    try:
        project.compose("up", "--detach")
        wait_until(project.is_up, "the service being ready", within=START)
    finally:
        project.compose("down", "--volumes")
        engine.run("rmi", built)


def test_what_the_environment_file_says_reaches_the_service(project: Project) -> None:
    (project.folder / ".env").write_text("ROLLTAPE_SETUP_CODE=HARBOUR-2026\nTZ=Asia/Tokyo\n")

    project.compose("up", "--detach", "--no-build")
    wait_until(project.is_up, "the service being ready", within=START)

    variables = project.inspect()["Config"]["Env"]
    assert "ROLLTAPE_SETUP_CODE=HARBOUR-2026" in variables
    assert "TZ=Asia/Tokyo" in variables


def test_down_and_up_again_keeps_the_volumes(project: Project) -> None:
    project.compose("up", "--detach", "--no-build")
    wait_until(project.is_up, "the service being ready", within=START)
    token = project.engine.ask("exec", project.container, "rolltape", "token", "create", "tests")

    project.compose("down")
    project.compose("up", "--detach", "--no-build")
    wait_until(project.is_up, "the service being ready", within=START)

    answer = httpx2.get(
        f"http://127.0.0.1:{project.port}/api/streams", headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    assert answer.status_code == 200


def test_the_file_names_no_variable_that_is_not_explained() -> None:
    example = (ROOT / ".env.example").read_text()
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["rolltape"]

    assert "ROLLTAPE_PUBLISH=8666" in example
    assert service["ports"] == ["${ROLLTAPE_PUBLISH:-8666}:8666"]
    assert service["env_file"] == [{"path": ".env", "required": False}]
