"""Every point of every step: where it is struck, what happened, and what of the contract did not hold."""

import asyncio
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash import shim
from tests.crash.contract import State, breaches, differences, disorder, look, unreadable
from tests.crash.shim import CHANGES, Call, Kind, Strike
from tests.crash.steps import STEPS, Step, Tools, make_audio
from tests.servers.sshd import sshd

PATIENCE = 180  # s for one run, or to load everything; on a quiet machine it takes a fraction of one, or two
SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@dataclass(frozen=True)
class Mode:
    """How a call is struck. `for_good`: all later ones as well, until the service goes on."""

    name: str
    number: int
    kinds: Kind
    for_good: bool = False

    @property
    def is_kill(self) -> bool:
        return self.number < 0


MODES = (
    Mode("kill", shim.KILL, CHANGES),
    Mode("torn", shim.TORN, Kind.WRITE),  # half of what is written, then a kill
    *(Mode(name, number, CHANGES | Kind.OPEN) for name, number in shim.ERRORS.items()),
    *(Mode(f"{name} on", shim.ERRORS[name], CHANGES | Kind.OPEN, for_good=True) for name in ("ENOSPC", "EROFS")),
)


@dataclass(frozen=True)
class Point:
    """One run. `call` is what was struck, "" where the step makes no call of this number."""

    step: str
    mode: str
    nth: int
    call: str
    problems: tuple[str, ...]

    @property
    def is_kill(self) -> bool:
        return self.mode in ("kill", "torn")


@dataclass(frozen=True)
class _Prepared:
    """A step with the data folder that it begins with, how that looks, and how it ends when nothing goes wrong."""

    name: str
    step: Step
    kept: Path
    before: State
    goal: State
    calls: tuple[Call, ...]


class Worker:
    """A folder to run steps in, and the process that runs them. `plan` tells the shim of an SSH server what to do."""

    def __init__(self, folder: Path, tools: Tools, library: Path, plan: Path) -> None:
        self._tools = tools
        self._data = folder / "data"
        self._folder = folder
        self._steps: dict[str, _Prepared] = {}
        self._log = folder / "calls"
        self._plan = plan
        environment = os.environ | {"LD_PRELOAD": str(library)}
        words = [sys.executable, "-m", "tests.crash.child", str(self._data), tools.ffmpeg]
        with (folder / "errors").open("wb") as errors:
            self._child = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0, env=environment,
                cwd=_top(),
            )  # fmt: skip
        self._unread = b""
        self.meanwhile: Callable[[Path], object] = lambda _data: None  # done between the fault and the way on

    def wait(self) -> None:
        """Return once it has loaded everything."""
        assert self._hear() == {"ready": True}

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(PATIENCE)
        self._child.stdout.close()

    def take_up(self, step: str) -> list[Call]:
        """Prepare a step, and run it once without a fault; the calls that it made."""
        if step not in self._steps:
            self._steps[step] = self._prepared(step)
        self._now = self._steps[step]
        return list(self._now.calls)

    def _prepared(self, name: str) -> "_Prepared":
        step, kept = STEPS[name], self._folder / f"kept-{len(self._steps)}"
        shutil.rmtree(self._data, ignore_errors=True)
        asyncio.run(step.prepare(self._data, self._tools))
        shutil.copytree(self._data, kept)
        before = look(self._data)
        self._now = _Prepared(name, step, kept, before, before, ())
        problems, calls = self._run(Mode("none", shim.KILL, Kind.NONE), 0)
        assert not problems, problems
        return _Prepared(name, step, kept, before, look(self._data), tuple(calls))

    def strike(self, mode: Mode, nth: int) -> Point:
        """Run the step once, struck at its `nth` call."""
        shutil.rmtree(self._data)
        shutil.copytree(self._now.kept, self._data)
        kinds = mode.kinds | Kind.SEND if self._now.step.has_sends and mode.is_kill else mode.kinds
        mode = Mode(mode.name, mode.number, kinds, mode.for_good)
        problems, calls = self._run(mode, nth)
        struck = next((self._shown(call) for call in calls if call.what != "call"), "")
        return Point(self._now.name, mode.name, nth, struck, tuple(problems))

    def number_of(self, calls: Sequence[Call], mode: Mode, shown: str) -> int:
        """Which of these calls is the first that is shown so, counted as this mode counts them."""
        counted = [self._shown(call) for call in calls if call.kind & mode.kinds]
        return next(number for number, call in enumerate(counted, 1) if call.startswith(shown))

    def _shown(self, call: Call) -> str:
        return str(call).replace(f"{self._data}/", "")

    def _run(self, mode: Mode, nth: int) -> tuple[list[str], list[Call]]:
        self._log.unlink(missing_ok=True)
        strike = Strike(self._data, self._log, nth, mode.number, mode.for_good, mode.kinds)
        ours = strike
        if self._now.step.by_server:
            self._plan.write_text("\n".join(strike.words()))
            ours = Strike(self._data, self._log)
        problems = list(self._struck(ours, nth))
        return problems, shim.calls(self._log)

    def _struck(self, strike: Strike, nth: int) -> Iterator[str]:
        self._say(json.dumps({"step": self._now.name, "strike": strike.words(), "log": str(self._log)}))
        answer = self._hear()
        self._plan.unlink(missing_ok=True)
        self.meanwhile(self._data)
        if nth:
            yield from (f"at once: {breach}" for breach in breaches(look(self._data), self._now.before, self._now.goal))
        if "stopped" in answer:
            yield from _untold(answer["stopped"])
            self._say("")
        elif answer.get("exit") == -9:
            self._say(json.dumps({"step": self._now.name, "strike": None, "log": str(self._log)}))
        else:
            yield f"it ended in a strange way: {answer}"
        answer = self._hear() if "exit" not in answer or answer["exit"] == -9 else answer
        if answer.get("went_on", answer) is not None:
            yield f"it could not go on: {answer}"
        if "exit" not in answer:
            answer = self._hear()
        if answer != {"exit": 0}:
            yield f"it ended in a strange way: {answer}"
        end = look(self._data)
        if nth:
            yield from differences(end, self._now.before, self._now.goal)
        yield from unreadable(self._data)
        yield from (f"unexpected: {row['message']}" for row in end.rows["events"] if "unexpected" in row["message"])
        if not self._now.step.by_server:
            yield from disorder(shim.calls(self._log), self._data)

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(line.encode() + b"\n")

    def _hear(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._child.stdout], [], [], PATIENCE)
            assert ready, "it hangs"
            piece = os.read(self._child.stdout.fileno(), 65536)
            assert piece, "the child has ended"
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _untold(problem: dict[str, str] | None) -> Iterator[str]:
    """A fault that nobody has foreseen: neither a sentence of ours nor one of the system or the database."""
    if problem is not None and (problem["sort"] == "other" or not problem["says"]):
        yield f"it failed without a sentence: {problem}"


@contextlib.contextmanager
def worker(folder: Path, ffmpeg: str) -> Iterator[Worker]:
    """A worker with all that it needs, among it an SSH server."""
    library = shim.build(folder)
    plan = folder / "plan"
    sftp = f"/usr/bin/env LD_PRELOAD={library} {shim.PLAN}={plan} {SFTP_SERVER}"
    with sshd(folder / "sshd", sftp=sftp) as server:
        made = Worker(folder, Tools(ffmpeg, make_audio(folder / "audio", ffmpeg), server), library, plan)
        try:
            made.wait()
            yield made
        finally:
            made.close()


def every_point(
    worker: Worker, step: str, modes: Sequence[Mode] = MODES, *, first: int = 1, by: int = 1
) -> Iterator[Point]:
    """Strike a step at its calls, `by` apart from the `first` on, until there are no more."""
    worker.take_up(step)
    for mode in modes:
        nth = first
        while (point := worker.strike(mode, nth)).call:
            yield point
            nth += by


def _top() -> Path:
    return Path(__file__).parents[2]
