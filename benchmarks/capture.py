"""What recording costs: N sessions in one process, beside N `ffmpeg -c copy`, from one real Icecast.

    .venv/bin/python benchmarks/capture.py [--sessions 40] [--seconds 20]

Both record for the same time, one after the other, after everything has settled. CPU time is that of the processes
that record, without the server. Memory is PSS (what is shared is divided among those who share it): for Rolltape
what came on top of the idle process, for FFmpeg all of it, as each is there for its session alone.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rolltape.capture import CaptureSettings, Recorder
from rolltape.domain.address import Egress
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.ffmpeg.run import find
from tests.servers.icecast import icecast
from tests.servers.process import end

SETTLE = 8.0  # s, until all are connected and the bursts are written
BIT_RATE = 128_000


@dataclass(frozen=True)
class Cost:
    """`cpu` in seconds over `seconds`, `memory` in bytes, both of all sessions; `recorded` seconds of audio in all."""

    cpu: float
    seconds: float
    memory: int
    recorded: float

    def per_stream_hour(self, sessions: int) -> float:
        return self.cpu / self.seconds * 3600 / sessions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--worker", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(vars(asyncio.run(record(asked.worker, asked.sessions, asked.seconds)))))
        return

    with (
        tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder,
        icecast(Path(folder, "icecast")) as server,
        server.mp3("bench.mp3", title="A Title"),
    ):
        url = server.url("bench.mp3")
        ours = in_own_process(url, asked.sessions, asked.seconds)
        theirs = copy_by_ffmpeg(url, asked.sessions, asked.seconds, Path(folder))
    show(ours, theirs, asked.sessions)


def in_own_process(url: str, sessions: int, seconds: float) -> Cost:
    """The cost of our sessions, in a process where nothing else was before."""
    command = [sys.executable, __file__, "--worker", url, "--sessions", str(sessions), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Cost(**json.loads(done.stdout))


async def record(url: str, sessions: int, seconds: float) -> Cost:
    """Record from `url` that many times at once, as the service does."""
    await asyncio.to_thread(find, None)
    idle = pss("self")
    with tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder:
        start = datetime.now(UTC)
        recorders = [recorder(url, number, start, SETTLE + seconds, Path(folder)) for number in range(sessions)]
        tasks = [asyncio.create_task(recorder.run()) for recorder in recorders]
        await asyncio.sleep(SETTLE)
        before, began = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds - 1)
        cpu, took, memory = time.process_time() - before, time.monotonic() - began, pss("self") - idle
        await asyncio.gather(*tasks)
        return Cost(cpu, took, memory, sum(recorder.progress.recorded for recorder in recorders))


def recorder(url: str, number: int, start: datetime, seconds: float, folder: Path) -> Recorder:
    plan = Plan(
        session_id=number,
        show="Benchmark",
        stream=StreamFields(name="Benchmark", url=url),
        start=start,
        end=start + timedelta(seconds=seconds),
        start_early=0,
        end_late=0,
        timezone="UTC",
    )
    settings = CaptureSettings(find(None), Egress(unrestricted=True))
    return Recorder(plan, folder / str(number), settings, on_event=lambda event: None)


def copy_by_ffmpeg(url: str, sessions: int, seconds: float, folder: Path) -> Cost:
    """Record from `url` with a process of FFmpeg for each."""
    command = [find(None), "-nostdin", "-v", "error", "-i", url, "-c", "copy", "-f", "mp3"]
    runs = [subprocess.Popen([*command, str(folder / f"{number}.mp3")]) for number in range(sessions)]
    try:
        time.sleep(SETTLE)
        before, began = sum(cpu_time(run.pid) for run in runs), time.monotonic()
        time.sleep(seconds - 1)
        cpu, took = sum(cpu_time(run.pid) for run in runs) - before, time.monotonic() - began
        memory = sum(pss(str(run.pid)) for run in runs)
    finally:
        for run in runs:
            end(run)
    size = sum((folder / f"{number}.mp3").stat().st_size for number in range(sessions))
    return Cost(cpu, took, memory, size * 8 / BIT_RATE)


def cpu_time(pid: int) -> float:
    """Seconds on a processor, of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def pss(pid: str) -> int:
    """Bytes of memory, where what is shared counts in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def show(ours: Cost, theirs: Cost, sessions: int) -> None:
    print(f"{sessions} sessions of {BIT_RATE // 1000} kbit/s MP3 from one Icecast, {ours.seconds:.0f} s each way\n")
    print(f"{'':24}{'Rolltape':>12}{'ffmpeg -c copy':>16}{'ratio':>8}")
    rows = (
        ("CPU s per stream-hour", ours.per_stream_hour(sessions), theirs.per_stream_hour(sessions), "{:.2f}"),
        ("KiB (PSS) per session", ours.memory / sessions / 1024, theirs.memory / sessions / 1024, "{:.0f}"),
    )
    for name, us, them, form in rows:
        print(f"{name:24}{form.format(us):>12}{form.format(them):>16}{us / them:>8.3f}")
    print(f"{'s recorded per session':24}{ours.recorded / sessions:>12.2f}{theirs.recorded / sessions:>16.2f}")


if __name__ == "__main__":
    main()
