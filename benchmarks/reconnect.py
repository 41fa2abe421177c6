"""What is lost, doubled and broken when a connection breaks off: Rolltape beside other recorders, in the same run.

    .venv/bin/python benchmarks/reconnect.py [--quick] [--rounds 3] [--burst 65535 131070] [--case cut-5 ...] [--aac]

A source sends 128 kbit/s MP3 whose every frame is known to a real Icecast. Each recorder has a line of its own to it,
and all lines meet the same fault at the same moment; all cases run at once. Then each frame of each file is looked up.
What counts is the audio from 2 s after the planned start to 2 s before the planned end; what the source did not send
while it was away is missed by nobody. A bit reservoir is in use, as everywhere.

`account` is how far Rolltape's own account is from the truth: the sum of its gaps, and the place of the worst one.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.report import conditions, table
from rolltape.capture import CaptureSettings, Recorder, read_journal
from rolltape.domain.address import Egress
from rolltape.domain.recording import Account, account
from rolltape.domain.session import Plan
from rolltape.domain.stream import StreamFields
from rolltape.domain.take import Codec
from rolltape.ffmpeg.run import find
from rolltape.process.join import join
from tests.known_stream import AAC_128, MP3_128, Count, KnownStream, Stretch, known_aac, known_mp3
from tests.servers.icecast import Icecast, icecast
from tests.servers.known import IcecastSource, icecast_source
from tests.servers.line import Line, lines
from tests.servers.process import program

LEAD = 12.0  # s until the planned start: Rolltape connects up to 8 s ahead, and the others are started then
FAULT = 8.0  # s after the start
AFTER = 14.0  # s after the fault is over, until the end
EDGE = 2.0  # s at start and end that are not counted: the others know no plan
PATIENCE = 20  # s without audio until a recorder may give a connection up: the default of Rolltape, given to all
FLAPS, EVERY = 6, 5.0
AWAY = 1.0  # s that a source is away
GRACE = 25.0  # s for the last recorder to come to its end

OURS = "Rolltape"
COPY = "ffmpeg -c copy"
RECONNECT = "ffmpeg -reconnect"
RIPPER = "streamripper"
RECORDERS = (OURS, COPY, RECONNECT, RIPPER)


@dataclass(frozen=True)
class Case:
    """A fault, and how many seconds it lasts. `own_server`: the server itself is a part of it."""

    name: str
    words: str
    lasts: float
    happen: "Callable[[Scene], None]"
    own_server: bool = False


@dataclass
class Scene:
    """Where a case is played. `restart` ends the server and starts it again."""

    case: Case
    source: IcecastSource
    lines: dict[str, Line]
    restart: Callable[[], None]
    began: float = 0.0  # when the fault did, by the monotonic clock


@dataclass(frozen=True)
class Outcome:
    """`off` is how far the account is from the truth: the sum of its gaps, and the worst place, in seconds.

    `back` is how many seconds after the fault began the audio came again.
    """

    case: Case
    recorder: str
    count: Count
    back: float | None
    off: tuple[float, float] | None = None


@dataclass
class Plays:
    """The plan of a run: from when to when everything records, and what is recorded where."""

    start: float  # by the monotonic clock
    folder: Path
    scenes: list[Scene] = field(default_factory=list)

    def end(self, case: Case) -> float:
        return self.start + FAULT + case.lasts + AFTER

    def place(self, case: Case, recorder: str) -> Path:
        return self.folder / f"{case.name} {recorder}"


def cut(scene: Scene) -> None:
    """The line is closed for so many seconds."""
    for line in scene.lines.values():
        line.close()
    time.sleep(scene.case.lasts)
    for line in scene.lines.values():
        line.open()


def break_off(scene: Scene) -> None:
    for line in scene.lines.values():
        line.cut()


def reset(scene: Scene) -> None:
    for line in scene.lines.values():
        line.cut(reset=True)


def stall(scene: Scene) -> None:
    for line in scene.lines.values():
        line.stall()


def flap(scene: Scene) -> None:
    for number in range(FLAPS):
        time.sleep(max(0.0, scene.began + number * EVERY - time.monotonic()))
        break_off(scene)


def restart_server(scene: Scene) -> None:
    scene.restart()


def restart_source(scene: Scene) -> None:
    scene.source.leave()
    time.sleep(AWAY)
    scene.source.come_back()


CASES = (
    Case("cut-0", "cut, back at once", 0, break_off),
    *(Case(f"cut-{seconds}", f"cut for {seconds} s", seconds, cut) for seconds in (1, 2, 3, 5, 10, 20)),
    Case("reset", "reset (RST)", 0, reset),
    Case("server", "server restarted", 2, restart_server, own_server=True),
    Case("source", f"source away for {AWAY:.0f} s", 2, restart_source, own_server=True),
    Case("stall", "stalled for good", PATIENCE + 2, stall),
    Case("flapping", f"cut every {EVERY:.0f} s, {FLAPS} times", FLAPS * EVERY, flap),
)
QUICK = ("cut-0", "cut-2", "cut-5", "reset", "server", "source")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"one round with the usual burst of {', '.join(QUICK)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--burst", type=int, nargs="+", default=[65535, 131070], help="bytes")
    parser.add_argument("--case", nargs="+", choices=[case.name for case in CASES])
    parser.add_argument("--aac", action="store_true", help="AAC, which is recorded by Rolltape alone")
    parser.add_argument("--seed", type=int, default=1, help="of the noise, and of when faults happen within a frame")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        asyncio.run(record_all())
        return

    rounds, bursts = (1, asked.burst[:1]) if asked.quick else (asked.rounds, asked.burst)
    names = asked.case or (QUICK if asked.quick else [case.name for case in CASES])
    cases = [case for case in CASES if case.name in names]
    make, recorders = (known_aac, (OURS,)) if asked.aac else (known_mp3, RECORDERS)
    stream = make(options=AAC_128 if asked.aac else MP3_128, seed=asked.seed)
    chance = random.Random(asked.seed)
    print(conditions("icecast2", "ffmpeg", "streamripper", seed=asked.seed))
    for burst in bursts:
        outcomes = [
            outcome
            for _ in range(rounds)
            for outcome in play(cases, recorders, stream, burst, late=chance.uniform(0, 0.5))
        ]
        print(f"\nBurst of {burst:,} bytes ({burst / stream.bytes_per_second:.1f} s), {rounds} round(s):\n")
        show(outcomes, cases, recorders)


def play(
    cases: Sequence[Case], recorders: Sequence[str], stream: KnownStream, burst: int, *, late: float
) -> list[Outcome]:
    """All cases at once. `late` is how much later than usual the faults happen, in seconds."""
    with tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder, contextlib.ExitStack() as stack:
        plays = Plays(0, Path(folder))
        wires = stack.enter_context(lines())
        shared = stack.enter_context(served(plays.folder / "icecast", stream, burst))
        for case in cases:
            server, source, restart = (
                stack.enter_context(served(plays.folder / f"icecast {case.name}", stream, burst))
                if case.own_server
                else shared
            )
            mine = {recorder: wires.to(server.port) for recorder in recorders}
            plays.scenes.append(Scene(case, source, mine, restart))
        with worker() as ours, ThreadPoolExecutor(len(cases)) as pool:
            time.sleep(burst / stream.bytes_per_second + 1)  # until there is all of a burst
            plays.start = time.monotonic() + LEAD
            assert ours.stdin
            ours.stdin.write(jobs(plays))
            ours.stdin.flush()
            for running in [pool.submit(play_one, plays, scene, late) for scene in plays.scenes]:
                running.result()
        return [outcome(plays, scene, recorder) for scene in plays.scenes for recorder in recorders]


Served = tuple[Icecast, IcecastSource, Callable[[], None]]


@contextlib.contextmanager
def served(folder: Path, stream: KnownStream, burst: int) -> Iterator[Served]:
    """An Icecast with the stream on it, and how to restart it."""
    with contextlib.ExitStack() as stack:
        up = contextlib.ExitStack()
        stack.callback(lambda: up.close())
        server = up.enter_context(icecast(folder, burst=burst))

        def restart() -> None:
            up.close()
            up.enter_context(icecast(folder, port=server.port, burst=burst))

        yield server, stack.enter_context(icecast_source(stream, server, "known")), restart


def play_one(plays: Plays, scene: Scene, late: float) -> None:
    """Record, make it happen, and end the recorders that know no plan."""
    time.sleep(max(0.0, plays.start - 3 - time.monotonic()))
    runs = {}
    for recorder in scene.lines:
        if recorder != OURS:
            place = plays.place(scene.case, recorder)
            command = others(recorder, f"http://127.0.0.1:{scene.lines[recorder].port}/known", place)
            runs[recorder] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(max(0.0, plays.start + FAULT + late - time.monotonic()))
        scene.began = time.monotonic()
        scene.case.happen(scene)
        time.sleep(max(0.0, plays.end(scene.case) + 1 - time.monotonic()))
    finally:
        for run in runs.values():
            run.send_signal(signal.SIGINT)
        for run in runs.values():
            try:
                run.wait(5)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()


def others(recorder: str, url: str, place: Path) -> list[str]:
    ffmpeg = [find(None), "-nostdin", "-v", "error"]
    again = [
        "-reconnect", "1", "-reconnect_at_eof", "1", "-reconnect_streamed", "1", "-reconnect_on_network_error", "1",
        "-reconnect_on_http_error", "4xx,5xx", "-reconnect_delay_max", "10", "-rw_timeout", str(PATIENCE * 1_000_000),
    ]  # fmt: skip
    match recorder:
        case "ffmpeg -c copy":
            return [*ffmpeg, "-i", url, "-c", "copy", "-f", "mp3", str(place)]
        case "ffmpeg -reconnect":
            return [*ffmpeg, *again, "-i", url, "-c", "copy", "-f", "mp3", str(place)]
        case _:
            place.mkdir()
            quiet = ["-A", "-s", "-i", "--quiet", "-m", str(PATIENCE)]
            return [program("streamripper"), url, "-d", str(place), "-a", "all.mp3", *quiet]


@contextlib.contextmanager
def worker() -> Iterator["subprocess.Popen[str]"]:
    """A process of its own for all sessions of Rolltape, as the service is one. It is there once it says so."""
    command = [sys.executable, __file__, "--worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
        assert process.wait(GRACE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()


def jobs(plays: Plays) -> str:
    """What the worker is to record, as a line."""
    found = [
        {
            "url": f"http://127.0.0.1:{scene.lines[OURS].port}/known",
            "at": plays.start,
            "lasts": plays.end(scene.case) - plays.start,
            "folder": str(plays.place(scene.case, OURS)),
        }
        for scene in plays.scenes
    ]
    return json.dumps(found) + "\n"


async def record_all() -> None:
    """Record what the next line says."""
    print("ready", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    recorders = [recorder(number, job) for number, job in enumerate(json.loads(line))]
    await asyncio.gather(*(recorder.run() for recorder in recorders))


def recorder(number: int, job: dict[str, Any]) -> Recorder:
    start = datetime.now(UTC) + timedelta(seconds=job["at"] - time.monotonic())
    plan = Plan(
        session_id=number,
        show="Benchmark",
        stream=StreamFields(name="Benchmark", url=job["url"], stall_timeout=PATIENCE),
        start=start,
        end=start + timedelta(seconds=job["lasts"]),
        start_early=0,
        end_late=0,
        timezone="UTC",
    )
    settings = CaptureSettings(find(None), Egress(unrestricted=True))
    return Recorder(plan, Path(job["folder"]), settings, on_event=lambda event: None)


def outcome(plays: Plays, scene: Scene, recorder: str) -> Outcome:
    """What a recorder has of what was on the air."""
    air, place = scene.source.air, plays.place(scene.case, recorder)
    expected = air.between(plays.start + EDGE, plays.end(scene.case) - EDGE)
    back = next((moment - scene.began for moment in scene.lines[recorder].heard if moment > scene.began), None)
    if recorder != OURS:
        files = [file for file in (place.iterdir() if place.is_dir() else [place]) if file.suffix != ".cue"]
        return Outcome(scene.case, recorder, air.stream.count(*files, expected=expected, unsent=air.unsent), back)

    journal = read_journal(place)
    assert journal.window is not None
    found = account(journal.takes, journal.window)
    if all(take.format.codec is Codec.MP3 for take in journal.takes):
        join(found.cuts, place, place / "joined.mp3")
        parts: list[Path | bytes] = [place / "joined.mp3"]
    else:
        parts = list(adts_parts(found, place, air.stream.frame))
    count = air.stream.count(*parts, expected=expected, unsent=air.unsent)
    return Outcome(scene.case, recorder, count, back, off(found, air.stream.count(*parts)))


def adts_parts(found: Account, folder: Path, frame: float) -> Iterator[bytes]:
    """The frames of AAC takes that belong into the recording."""
    for cut in found.cuts:
        data = (folder / cut.take.file).read_bytes()
        edges = [0]
        while edges[-1] + 6 < len(data):
            at = edges[-1]
            edges.append(at + ((data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5))
        first, last = round(cut.skip / frame), round((cut.skip + cut.length) / frame)
        yield data[edges[first] : edges[min(last, len(edges) - 1)]]


def off(found: Account, truth: Count) -> tuple[float, float]:
    """How far the account is from the truth: the sum of its gaps less the doubled, and the place of the worst gap.

    What is missing in truth is everything between first and last frame, also what was never sent.
    """
    lengths = sum(gap.length for gap in found.gaps) - truth.lost_seconds
    places = list(places_of(truth.lost, truth))
    worst = [min((abs(gap.position - place) for place in places), default=gap.length) for gap in found.gaps]
    return abs(lengths), max(worst, default=0.0)


def places_of(lost: Sequence[Stretch], truth: Count) -> Iterator[float]:
    """Where in the recording the lost stretches are missing, in seconds from its start."""
    before = 0
    for stretch in lost:
        yield (stretch.first - truth.first - before) * truth.frame
        before += stretch.frames


def show(outcomes: Sequence[Outcome], cases: Sequence[Case], recorders: Sequence[str]) -> None:
    head = [
        "fault",
        *(f"{recorder}: lost / doubled / broken" for recorder in recorders),
        "Rolltape back after",
        "account off by (sum, place)",
    ]
    rows = []
    for case in cases:
        mine = [outcome for outcome in outcomes if outcome.case is case]
        cells = [cell([outcome.count for outcome in mine if outcome.recorder == recorder]) for recorder in recorders]
        offs = [outcome.off for outcome in mine if outcome.off is not None]
        worst = f"{max(sum_ for sum_, _ in offs) * 1000:.0f} ms, {max(place for _, place in offs) * 1000:.0f} ms"
        back = [outcome.back for outcome in mine if outcome.recorder == OURS and outcome.back is not None]
        rows.append([case.words, *cells, f"{_spread(back)} s" if back else "never", worst])
    print(table(head, rows))
    print(
        "\nLost and doubled are in seconds, median (and worst) of the rounds; broken in places, the worst round.",
        end=" ",
    )
    print("`+n silent`: so many frames are there without their sound, because what they need of others was lost.")
    print("The other recorders leave such frames as they are; they decode to noise, and are not counted here.")


def cell(counts: Sequence[Count]) -> str:
    lost, doubled = ([getattr(count, name) for count in counts] for name in ("lost_seconds", "doubled_seconds"))
    silenced = max(count.silenced for count in counts)
    words = f"{_spread(lost)} / {_spread(doubled)} / {max(count.broken for count in counts)}"
    return f"{words} +{silenced} silent" if silenced else words


def _spread(values: Sequence[float]) -> str:
    median, worst = statistics.median(values), max(values)
    return f"{median:.2f}" if worst - median < 0.005 else f"{median:.2f} ({worst:.2f})"


if __name__ == "__main__":
    main()
