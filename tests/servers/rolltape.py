"""Rolltape itself, run as its users run it: a process, spoken to by its API."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from rolltape.domain.session import OVER
from rolltape.services import Tokens, Users
from rolltape.services.clock import utc_now
from rolltape.store import Database
from tests.servers.process import START, answers, end, free_port, wait_until

PROGRAM = Path(sys.executable).with_name("rolltape")
POLL = 0.1  # s between two looks at a session, each of which is work for the service that is looked at

T = TypeVar("T")


@dataclass
class Rolltape:
    """A Rolltape on a data folder of its own. It can be started, killed and started again.

    `patience` is how many seconds a start may take.
    """

    folder: Path
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    token: str = ""
    patience: float = START

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def recordings(self) -> Path:
        return self.folder / "data" / "recordings"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def command(self, *words: str, typed: str = "", timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run `rolltape` with these words, in the same environment. `typed` is its standard input."""
        return subprocess.run(
            [str(PROGRAM), *words],
            env=self._environment(),
            input=typed,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([str(PROGRAM), "serve"], env=self._environment(), stdout=log, stderr=log)
        process = self.process

        def ready() -> bool:
            assert process.poll() is None, self.log
            return answers(self.port)

        wait_until(ready, "the service listening", within=self.patience)
        if not self.token:
            self.token = self._made_token()

    def kill(self) -> None:
        """Like a power cut, as far as a process can have one."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> float:
        """Ask it to end; returns how many seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(20)
        return time.monotonic() - began

    def call(self, method: str, path: str, *, expect: int | None = None, **more: Any) -> Any:
        """Ask the API; returns the JSON of its answer."""
        answer = self.request(method, path, **more)
        wanted = {expect} if expect else {200, 201, 204}
        assert answer.status_code in wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        # Nothing is encrypted here: without certificates a call takes 2 ms of CPU instead of 46.
        return httpx2.request(method, f"{self.url}{path}", headers=headers, timeout=30, verify=False, **more)

    def session(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/api/sessions/{number}")
        return found

    def wait_for(self, number: int, states: Sequence[str] | frozenset[str] = OVER, *, within: float = 60) -> Any:
        """The session once it is in one of `states`."""
        return self.wait_until_session(number, lambda session: session["state"] in states, within=within)

    def wait_until_session(self, number: int, holds: Callable[[dict[str, Any]], bool], *, within: float = 60) -> Any:
        found: dict[str, Any] = {}

        def ready() -> bool:
            found.update(self.session(number))
            return holds(found)

        wait_until(ready, f"session {number} (now {found.get('state')}) getting there", within=within, every=POLL)
        return found

    def add_stream(self, url: str, **more: Any) -> int:
        name = more.pop("name", f"Stream {time.monotonic_ns()}")
        number: int = self.call("POST", "/api/streams", json={"name": name, "url": url, **more})["id"]
        return number

    def plan_show(self, stream: int, start: datetime, duration: float) -> dict[str, Any]:
        """The session of a schedule for one show."""
        fields = {"stream_id": stream, "name": "Show", "at": start.isoformat(), "timezone": "UTC", "duration": duration}
        schedule = self.call("POST", "/api/schedules", json=fields)
        (session,) = self.call("GET", f"/api/sessions?schedule_id={schedule['id']}")["items"]
        return dict(session)

    def add_account(self, name: str, password: str) -> None:
        """An account, as `rolltape user create` makes it; without a program of its own, whose start takes a second."""

        async def add(database: Database) -> None:
            await Users(database, data_dir=self.folder / "data", setup_code="", clock=utc_now).create(name, password)

        self._beside(add)

    def _made_token(self) -> str:
        """A token, as `rolltape token create` makes it."""
        return self._beside(lambda database: Tokens(database, clock=utc_now).create("tests"))

    def _beside(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        """What a command does beside the service, done in this process."""
        httpx2.get(f"{self.url}/health/live", timeout=60, verify=False)  # it listens before its database is there

        async def run() -> T:
            database = Database(f"sqlite:///{self.folder / 'data' / 'rolltape.db'}")
            try:
                return await work(database)
            finally:
                await database.close()

        with ThreadPoolExecutor(1) as beside:  # the test may have a loop of its own
            return beside.submit(asyncio.run, run()).result()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLTAPE_")}
        return kept | {
            "ROLLTAPE_DATA_DIR": str(self.folder / "data"),
            "ROLLTAPE_HOST": "127.0.0.1",
            "ROLLTAPE_PORT": str(self.port),
            **self.env,
        }


@contextlib.contextmanager
def started(service: Rolltape) -> Iterator[Rolltape]:
    """The service, running until the block ends."""
    service.folder.mkdir(parents=True, exist_ok=True)
    try:
        service.start()
        yield service
    finally:
        if service.process is not None:
            end(service.process)


@contextlib.contextmanager
def rolltape(folder: Path, **env: str) -> Iterator[Rolltape]:
    """A running Rolltape until the block ends. `env` are its settings, by the names of the environment."""
    with started(Rolltape(folder, env)) as service:
        yield service
