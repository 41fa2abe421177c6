"""What recording costs: N sessions in one process, beside a copier in C, `ffmpeg -c copy` and streamripper.

    .venv/bin/python benchmarks/cost.py [--quick] [--sizes 50 200 1000] [--seconds 60] [--rounds 3]

All record one real Icecast, for the same time, one after the other, after everything has settled. CPU time is that of
the processes that record, without the server. Memory is PSS (what is shared is divided among those who share it): for
Rolltape what came on top of the idle process, for the others all of it. Buffers of the kernel are in nobody's figure.

The copier is the floor: one process that reads N sockets by epoll, writes N files, and looks at nothing. It is run
twice: called whenever there is anything ("plain"), and called only when half a second of audio is there ("gathering").
Rolltape collects every 0.7 s what came, parses every frame, writes its journal and syncs its takes.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.report import conditions, table
from rolltape.capture import CaptureSettings, Recorder
from rolltape.domain.address import Egress
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.ffmpeg.run import find
from tests.servers.icecast import icecast
from tests.servers.process import end, program, wait_until

SETTLE = 8.0  # s after all are connected, until the bursts are written
CONNECTED = 240.0  # s until all are
APART = 0.02  # s between the beginnings of two sessions: Icecast lets few wait at its door
LONGEST = 3600.0  # s that a session may take at most; it is stopped
BIT_RATE = 128_000
GATHERED = BIT_RATE // 8 // 2  # bytes: half a second
PEERS_AT_MOST = 50  # a process each
GOAL = 2.0  # times the floor's CPU
HEAD = (
    "streams", "recorder", "CPU s per stream-hour", "÷ plain copier", "÷ gathering copier", "PSS", "PSS per stream",
    "received",
)  # fmt: skip
OURS, GATHERING, PLAIN, COPY, RIPPER = (
    "Rolltape",
    "copier, gathering",
    "copier, plain",
    "ffmpeg -c copy",
    "streamripper",
)


@dataclass(frozen=True)
class Cost:
    """`cpu` in seconds over `seconds`, `memory` in bytes, both of all sessions; `recorded` bytes in all meanwhile."""

    cpu: float
    seconds: float
    memory: int
    recorded: int

    def per_stream_hour(self, sessions: int) -> float:
        return self.cpu / self.seconds * 3600 / sessions

    def share(self, sessions: int) -> float:
        """How much came of what the station sent."""
        return self.recorded / (self.seconds * BIT_RATE / 8 * sessions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50 and 200 sessions, 10 s, one round")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    raise_limit()
    if asked.worker:
        print(json.dumps(vars(asyncio.run(record(asked.worker, asked.sizes[0], asked.seconds)))))
        return

    sizes, seconds, rounds = ([50, 200], 10.0, 1) if asked.quick else (asked.sizes, asked.seconds, asked.rounds)
    print(conditions("icecast2", "ffmpeg", "streamripper"))
    print(f"128 kbit/s MP3 from one Icecast, {seconds:.0f} s each, medians of {rounds} round(s).\n")
    with (
        tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder,
        icecast(Path(folder, "icecast")) as server,
        server.mp3("bench.mp3", title="A Title"),
    ):
        copier = compiled(Path(folder))
        rows = []
        for sessions in sizes:
            found = [measure(server.port, server.url("bench.mp3"), copier, sessions, seconds) for _ in range(rounds)]
            rows += list(rows_of(found, sessions))
    print(table(HEAD, rows))
    print(f"\nThe goal is at most {GOAL:g} times the CPU of the copier, and 1,000 streams in 100 MB.", end=" ")
    print(
        "What was received is told by the sizes of the files; FFmpeg writes 256 KiB at a time, so there it says little."
    )


def measure(port: int, url: str, copier: Path, sessions: int, seconds: float) -> dict[str, Cost]:
    """The cost of each recorder, one after the other."""
    found = {OURS: in_own_process(url, sessions, seconds)}
    for name, lowat in ((GATHERING, GATHERED), (PLAIN, 1)):
        words = [str(copier), str(port), "/bench.mp3", str(sessions)]
        found[name] = by_others(1, sessions, seconds, partial(copy_into, words, lowat))
    if sessions <= PEERS_AT_MOST:
        ffmpeg = [find(None), "-nostdin", "-v", "error", "-i", url, "-c", "copy", "-f", "mp3"]
        found[COPY] = by_others(sessions, sessions, seconds, lambda number, folder: [*ffmpeg, folder / f"{number}.mp3"])
        ripper = [program("streamripper"), url, "-A", "-s", "-i", "--quiet", "-d"]
        found[RIPPER] = by_others(
            sessions, sessions, seconds, lambda number, folder: [*ripper, folder, "-a", f"{number}.mp3"]
        )
    return found


def copy_into(words: Sequence[str], lowat: int, number: int, folder: Path) -> list[str | Path]:
    return [*words, folder, str(lowat)]


def in_own_process(url: str, sessions: int, seconds: float) -> Cost:
    """The cost of our sessions, in a process where nothing else was before."""
    command = [sys.executable, __file__, "--worker", url, "--sizes", str(sessions), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(done.stdout))


async def record(url: str, sessions: int, seconds: float) -> Cost:
    """Record from `url` that many times at once, as the service does."""
    await asyncio.to_thread(find, None)
    idle = pss("self")
    with tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder:
        start = datetime.now(UTC)
        recorders = [recorder(url, number, start, Path(folder)) for number in range(sessions)]
        tasks = []
        for one in recorders:
            tasks.append(asyncio.create_task(one.run()))
            await asyncio.sleep(APART)
        async with asyncio.timeout(CONNECTED):
            while not all(one.progress.connected for one in recorders):
                await asyncio.sleep(0.5)
        await asyncio.sleep(SETTLE)
        with meter(lambda: [os.getpid()], lambda: sum(one.progress.bytes for one in recorders)) as measured:
            await asyncio.sleep(seconds)
        cost = measured(pss("self") - idle)
        for one in recorders:
            one.stop()
        await asyncio.gather(*tasks)
        return cost


def recorder(url: str, number: int, start: datetime, folder: Path) -> Recorder:
    plan = Plan(
        session_id=number,
        show="Benchmark",
        stream=StreamFields(name="Benchmark", url=url),
        start=start,
        end=start + timedelta(seconds=LONGEST),
        start_early=0,
        end_late=0,
        timezone="UTC",
    )
    settings = CaptureSettings(find(None), Egress(unrestricted=True))
    return Recorder(plan, folder / str(number), settings, on_event=lambda event: None)


def by_others(
    processes: int, sessions: int, seconds: float, command: Callable[[int, Path], Sequence[str | Path]]
) -> Cost:
    """The cost of so many processes, which record `sessions` streams into one folder."""
    with tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as name:
        folder, silent = Path(name), subprocess.DEVNULL
        runs = []
        try:
            for number in range(processes):
                words = [str(word) for word in command(number, folder)]
                runs.append(subprocess.Popen(words, stdout=silent, stderr=silent))
                time.sleep(APART)
            # A stream is connected once there is something of it, and a burst is more than nothing.
            wait_until(lambda: len(files(folder)) == sessions and all(files(folder)), "all", within=CONNECTED)
            time.sleep(SETTLE)
            pids = [run.pid for run in runs]
            with meter(lambda: pids, lambda: sum(files(folder))) as measured:
                time.sleep(seconds)
            return measured(sum(pss(str(pid)) for pid in pids))
        finally:
            for run in runs:
                end(run)


def files(folder: Path) -> list[int]:
    """The sizes of the recordings."""
    return [file.stat().st_size for file in folder.rglob("*.mp3")]


@contextlib.contextmanager
def meter(pids: Callable[[], Sequence[int]], received: Callable[[], int]) -> Iterator[Callable[[int], Cost]]:
    """The cost of what happens in the block; the memory is told to it afterwards."""
    size, before, began = received(), sum(map(cpu_time, pids())), time.monotonic()
    done: list[float] = []
    yield lambda memory: Cost(done[0], done[1], memory, int(done[2]))
    done += [sum(map(cpu_time, pids())) - before, time.monotonic() - began, received() - size]


def cpu_time(pid: int) -> float:
    """Seconds on a processor, of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def pss(pid: str) -> int:
    """Bytes of memory, where what is shared counts in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def compiled(folder: Path) -> Path:
    copier = folder / "copier"
    subprocess.run(["cc", "-O2", "-o", copier, Path(__file__).with_name("copier.c")], check=True)
    return copier


def raise_limit() -> None:
    """Files and sockets of a thousand sessions."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def rows_of(found: Sequence[dict[str, Cost]], sessions: int) -> Iterator[list[str]]:
    def cpu_of(name: str) -> float:
        return statistics.median(costs[name].per_stream_hour(sessions) for costs in found)

    for name in found[0]:
        costs = [each[name] for each in found]
        memory = statistics.median(cost.memory for cost in costs)
        yield [
            f"{sessions:,}",
            name,
            f"{cpu_of(name):.2f}",
            f"{cpu_of(name) / cpu_of(PLAIN):.2f}",
            f"{cpu_of(name) / cpu_of(GATHERING):.2f}",
            f"{memory / 1e6:.1f} MB",
            f"{memory / sessions / 1000:.1f} kB",
            f"{min(cost.share(sessions) for cost in costs):.0%}",
        ]


if __name__ == "__main__":
    main()
