"""The container engine of this machine, and Rolltape in a container of it.

What only this machine needs to build or run comes from the environment, as words of its engine's command line:
CONTAINER_ENGINE (docker or podman; else the first that works), CONTAINER_BUILD_OPTIONS, CONTAINER_RUN_OPTIONS,
CONTAINER_COMPOSE (the command that reads compose files) and CONTAINER_COMPOSE_OPTIONS.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("data", "recordings", "config", "log", "artwork")
BUILD = 1200.0  # s that a build may take on a slow line
START = 60.0  # s until the service answers
PATIENCE = 10.0  # s that a stop may take: what `docker stop` waits for by default

# What docker-compose.yml asks for, as far as a machine may refuse it to its own users.
HARDENED = (
    "--read-only", "--tmpfs", "/tmp:size=256m,mode=1777", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges", "--pids-limit", "1024", "--memory", "2g",
)  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """The command line of docker or podman."""

    program: str

    def run(self, *words: str | Path, typed: str = "", timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        command = [self.program, *(str(word) for word in words)]
        return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=timeout, check=False)

    def ask(self, *words: str | Path, timeout: float = 120) -> str:
        """What the engine prints; it must be content with what it was asked."""
        done = self.run(*words, timeout=timeout)
        assert done.returncode == 0, f"{self.program} {shlex.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr}"
        return done.stdout.strip()

    def build(self, tag: str, *options: str) -> str:
        """Build the image of this checkout as `tag`; returns its id."""
        more = shlex.split(os.environ.get("CONTAINER_BUILD_OPTIONS", ""))
        self.ask("build", *more, *options, "-t", tag, ROOT, timeout=BUILD)
        return self.ask("image", "inspect", "--format", "{{.Id}}", tag)

    def run_options(self) -> list[str]:
        return shlex.split(os.environ.get("CONTAINER_RUN_OPTIONS", ""))


def find_engine() -> Engine:
    """The engine that was chosen, else the first that works. None is a failure: this is what the tests are about."""
    for name in [os.environ["CONTAINER_ENGINE"]] if os.environ.get("CONTAINER_ENGINE") else ["docker", "podman"]:
        if shutil.which(name) and Engine(name).run("info").returncode == 0:
            return Engine(name)
    raise AssertionError("neither docker nor podman works here; CONTAINER_ENGINE names another")


def find_compose(engine: Engine) -> list[str]:
    """The command that reads compose files, with the options that this machine needs."""
    options = shlex.split(os.environ.get("CONTAINER_COMPOSE_OPTIONS", ""))
    chosen = shlex.split(os.environ.get("CONTAINER_COMPOSE", ""))
    if chosen:
        return [*chosen, *options]
    if engine.program.endswith("docker") and engine.run("compose", "version").returncode == 0:
        return [engine.program, "compose", *options]
    found = shutil.which("podman-compose") or shutil.which("docker-compose")
    assert found, (
        "no command for compose files: install docker compose or podman-compose, or name it in CONTAINER_COMPOSE"
    )
    return [found, *options]


@dataclass
class Contained(Rolltape):
    """Rolltape in a container, on five volumes of its own. Its port is one of this machine's."""

    engine: Engine = field(kw_only=True)
    image: str = field(kw_only=True)
    options: Sequence[str] = field(default=HARDENED, kw_only=True)
    name: str = field(default_factory=lambda: f"rolltape-test-{uuid4().hex[:12]}", kw_only=True)

    @property
    def log(self) -> str:
        done = self.engine.run("logs", self.name)
        return done.stdout + done.stderr

    @property
    def status(self) -> str:
        return self.engine.ask("inspect", "--format", "{{.State.Status}}", self.name)

    @property
    def exit_code(self) -> int:
        return int(self.engine.ask("inspect", "--format", "{{.State.ExitCode}}", self.name))

    @property
    def gateway(self) -> str:
        """The address of this machine, as the container sees it."""
        for line in self.shell("cat /proc/net/route").splitlines():
            _, to, by, *_ = line.split()
            if to == "00000000":
                return ".".join(str(byte) for byte in reversed(bytes.fromhex(by)))
        raise AssertionError("the container has no way out")

    def volumes(self) -> list[str]:
        return [word for folder in FOLDERS for word in ("--volume", f"{self.volume(folder)}:/{folder}")]

    def volume(self, folder: str) -> str:
        return f"{self.name}-{folder}"

    def create(self, *words: str) -> str:
        """Start a container with these words of Rolltape (none: the service); returns its id."""
        variables = [word for name, value in self.env.items() for word in ("--env", f"{name}={value}")]
        options = [*self.engine.run_options(), *self.options, *self.volumes(), *variables]
        publish = ["--publish", f"127.0.0.1:{self.port}:8666"]
        return self.engine.ask("run", "--detach", "--name", self.name, *options, *publish, self.image, *words)

    def start(self) -> None:
        """Make the container and wait for the service; or start the one that was stopped."""
        if self.name in self.engine.ask("ps", "--all", "--format", "{{.Names}}").split():
            self.engine.ask("start", self.name)
        else:
            self.create()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.status in ("running", "created", "configured"), self.log
            return self.engine.run("exec", self.name, "rolltape-alive").returncode == 0

        wait_until(ready, "the service answering", within=START)

    def stop(self) -> float:
        began = time.monotonic()
        self.engine.ask("stop", "-t", f"{PATIENCE:.0f}", self.name)
        return time.monotonic() - began

    def wait_for_end(self) -> int:
        """The exit code of a container that ends by itself."""
        return int(self.engine.ask("wait", self.name))

    def remove(self) -> None:
        """Take the container away; its volumes stay."""
        self.engine.ask("rm", "--force", self.name)

    def remove_all(self) -> None:
        self.remove()
        for folder in FOLDERS:
            self.engine.run("volume", "rm", self.volume(folder))

    def command(self, *words: str, typed: str = "", timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run `rolltape` with these words in the container."""
        return self.engine.run("exec", "--interactive", self.name, "rolltape", *words, typed=typed, timeout=timeout)

    def shell(self, script: str) -> str:
        """What a script prints that runs in the container, as its user."""
        return self.engine.ask("exec", self.name, "sh", "-c", script)

    def in_volumes(self, script: str) -> str:
        """What a script prints that runs as root on the volumes, beside the service or without it."""
        return self.engine.ask(
            "run", "--rm", *self.engine.run_options(), *self.volumes(), "--user", "0:0", "--entrypoint", "sh",
            self.image, "-c", script,
        )  # fmt: skip

    def make_token(self) -> None:
        made = self.command("token", "create", "tests")
        assert made.returncode == 0, made.stderr
        self.token = made.stdout.strip()
