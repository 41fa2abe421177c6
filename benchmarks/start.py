"""What a start costs: CPU of the commands until they are done, and of the service until it answers; medians.

Each command is a process of its own on a data folder of its own, whose database is there already.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.servers.process import end, free_port

COMMANDS = (
    "--help",
    "health --live",
    "token create benchmark",
    "probe http://127.0.0.1:1/",  # where nobody listens
    "record http://127.0.0.1:1/ --for soon",  # no length
)
IDLE = 3  # s after which nothing of the start goes on
ROLLTAPE = [sys.executable, "-m", "rolltape"]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--times", type=int, default=5)
    times = asked.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "ROLLTAPE_DATA_DIR": folder, "ROLLTAPE_HOST": "127.0.0.1", "ROLLTAPE_PORT": str(free_port())
        }  # fmt: skip
        subprocess.run([*ROLLTAPE, "token", "create", "first"], env=env, check=True, stdout=subprocess.DEVNULL)
        for command in COMMANDS:
            print(f"{command:40} {median(partial(cpu_of, command.split(), env), times):6.2f} s")
        ready, later, memory = zip(*(service(env) for _ in range(times)), strict=True)
        print(f"{'serve, until it answers':40} {statistics.median(ready):6.2f} s")
        print(f"{f'serve, {IDLE} s later':40} {statistics.median(later):6.2f} s")
        print(f"{'memory of it then (PSS)':40} {statistics.median(memory):6.1f} MiB")


def median(measure: Callable[[], float], times: int) -> float:
    return statistics.median(measure() for _ in range(times))


def cpu_of(words: list[str], env: dict[str, str]) -> float:
    """Seconds of CPU that a command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*ROLLTAPE, *words], env=env, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def service(env: dict[str, str]) -> tuple[float, float, float]:
    """Seconds of CPU until the service answers and until it is idle, and its memory then, in MiB."""
    process = subprocess.Popen([*ROLLTAPE, "serve"], env=env, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{env['ROLLTAPE_PORT']}/health/live"
        while not answers(address):
            assert process.poll() is None
            time.sleep(0.01)
        ready = cpu_so_far(process.pid)
        time.sleep(IDLE)
        return ready, cpu_so_far(process.pid), pss(process.pid)
    finally:
        end(process)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=60):
            return True
    except OSError:
        return False


def cpu_so_far(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
