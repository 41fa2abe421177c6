"""A server process of the tests: started, waited for, and ended by its own pid."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

TONE = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]  # an input of FFmpeg
READY = 20.0  # s until what is waited for has happened
START = 60.0  # s until a server answers: on a machine with much other work a start takes long


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_udp_port() -> int:
    """A UDP port on 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """The path of a program. A missing one is a failure: `make test` installs all of them."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    assert found, f"{name} is not installed: run tests/install-servers"
    return found


def wait_until(ready: Callable[[], bool], what: str, *, within: float = READY, every: float = 0.02) -> None:
    deadline = time.monotonic() + within
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {within} s"
        time.sleep(every)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `command` with its output in `log` until the block ends; the block begins when it is ready."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(env) if env is not None else None,
            cwd=cwd,
        )
    try:
        if ready is not None:
            is_ready = ready

            def ready_or_dead() -> bool:
                assert process.poll() is None, f"{command[0]} ended at once:\n{log.read_text(errors='replace')}"
                return is_ready()

            wait_until(ready_or_dead, f"{command[0]} being ready", within=START)
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a server to end, and kill it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
