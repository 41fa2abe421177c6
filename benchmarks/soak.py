"""Everything at once, for a long time: streams that are known, faults every few seconds, and the books at the end.

    make soak
    .venv/bin/python benchmarks/soak.py [--minutes 30] [--streams 20] [--seed 1] [--plot docs/images/soak.svg]

A service records shows of one to three minutes on every stream, one after the other, and delivers them to a real sshd.
Meanwhile lines are cut, reset and stalled, sources go away, the service is killed, the disk of the recordings is full,
and the sshd is down. In the end every session has to be in a final state, every recording is held against what was on
the air and against its own account, and every file delivered is the one that is here.

An outage lasts from a fault (of the line, the source, the service or the disk) until audio came again. What is missing
is told apart: outside of outages (2 s before them and 1 s behind them counts as inside), where nothing may be missing;
and in them beyond their length less the burst of the server, by what they were. (A source that was away leaves no
burst: there some is.)

Wants root: the disk that fills up is a small file system in a mount namespace of its own.
"""

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.plot import Mark, Panel, draw
from benchmarks.report import conditions, table
from benchmarks.shows import Result, Show, plan, result, wait_for_all
from rolltape.logs import set_up
from tests.known_stream import Count, KnownStream, known_mp3
from tests.servers.icecast import icecast
from tests.servers.known import IcecastSource, icecast_source
from tests.servers.line import Line, lines
from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape, started
from tests.servers.sshd import Sshd, sshd

BURST = 65535  # bytes
SHORTEST_SHOW, LONGEST_SHOW = 60.0, 180.0  # s
START_IN = 4.0  # s
QUIET, BUSY = 2.0, 6.0  # s between two faults
LONGEST_CUT = 8.0  # s
AROUND = 2.0  # s before a fault in which what was received may not have been kept
AFTER = 1.0  # s after the first byte came again
SPACE = 20.0  # s after there is room again in which a session goes on, with the connection it has or a new one
SETTLE = 420.0  # s after the last show, for the last transfer to be tried again
MOST_POINTS = 1000  # of the plot
PATIENCE = 120.0  # s for a start, on a busy machine
DISK = 2_000_000_000  # bytes
WEIGHTS = {"cut": 10, "reset": 5, "stall": 2, "source away": 3, "kill": 2, "disk full": 1, "sshd down": 1}
KINDS = ("source away", "disk full", "kill", "line")  # of outages; those first after which there is least to be had
KILLS_APART = 20.0  # s between two kills, two full disks, two sshds that are down


@dataclass(frozen=True)
class Trouble:
    """`channels` are the numbers of the streams that it hit."""

    kind: str
    channels: frozenset[int]
    began: float
    ended: float


@dataclass(frozen=True)
class Outage:
    """Of one stream. `kinds` are those of the faults that made it."""

    began: float
    ended: float
    kinds: frozenset[str]

    @property
    def kind(self) -> str:
        """That of its faults after which the server has least to send again."""
        return next((kind for kind in KINDS if kind in self.kinds), KINDS[-1])


@dataclass
class Channel:
    """One stream: what is on the air, the line to it, its number in the service, and its shows."""

    source: IcecastSource
    line: Line
    stream: int
    shows: list[Show] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    at: float
    memory: int
    files: int
    threads: int
    lag: float


@dataclass
class Soak:
    """The whole of it. `calm` is held by whoever needs the service to stay up."""

    folder: Path
    recordings: Path
    service: Rolltape
    channels: list[Channel]
    nas: "Nas"
    chance: random.Random
    calm: threading.Lock = field(default_factory=threading.Lock)
    troubles: list[Trouble] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)


class Nas:
    """An sshd that goes down and comes up again, with the same key and port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._up = contextlib.ExitStack()
        self.server: Sshd = self._up.enter_context(sshd(folder))

    def go(self) -> None:
        self._up.close()

    def come_back(self) -> None:
        self.server = self._up.enter_context(sshd(self._folder, port=self.server.port))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path(__file__).parents[1] / "docs" / "images" / "soak.svg")
    asked = parser.parse_args()
    if "ROLLTAPE_SOAK" not in os.environ:
        unshare = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(unshare, env=os.environ | {"ROLLTAPE_SOAK": "1"}, check=False).returncode)
    set_up("error")
    print(conditions("icecast2", "ffmpeg", seed=asked.seed), flush=True)
    with tempfile.TemporaryDirectory(prefix="rolltape-soak-") as folder, mounted(Path(folder, "disk")) as disk:
        soak(Path(folder), disk, asked.minutes * 60, asked.streams, random.Random(asked.seed), asked.plot)


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """A small disk, in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def soak(folder: Path, disk: Path, seconds: float, streams: int, chance: random.Random, picture: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        seeds = [chance.randrange(1 << 30) for _ in range(streams)]
        known = list(pool.map(lambda seed: known_mp3(seed=seed), seeds))
    with contextlib.ExitStack() as stack:
        run = set_out(stack, folder, disk, known, chance)
        until = time.monotonic() + seconds
        troubles = threading.Thread(target=make_trouble, args=(run, until))
        troubles.start()
        while time.monotonic() < until:
            with run.calm:
                look(run)
                keep_busy(run, until)
            time.sleep(1)
        troubles.join(120)
        everything = [show for channel in run.channels for show in channel.shows]
        while time.monotonic() < max(show.end for show in everything):
            look(run)
            time.sleep(1)
        stuck = wait_for_all(run.service, everything, within=SETTLE)
        report(run, stuck)
        draw_plot(run, picture)
        if run.failures:
            raise run.failures[0]


def set_out(
    stack: contextlib.ExitStack, folder: Path, disk: Path, known: Sequence[KnownStream], chance: random.Random
) -> Soak:
    wires = stack.enter_context(lines())
    server = stack.enter_context(icecast(folder / "icecast", burst=BURST))
    nas = Nas(folder / "sshd")
    stack.callback(nas.go)
    sources = [stack.enter_context(icecast_source(one, server, f"known{n}")) for n, one in enumerate(known)]
    mine = [wires.to(server.port) for _ in known]
    ports = [nas.server.port, *(line.port for line in mine)]
    env = {
        "ROLLTAPE_ALLOW_TARGETS": ",".join(f"127.0.0.1:{port}" for port in ports),
        "ROLLTAPE_CONFIG_DIR": str(nas.server.keys),
        "ROLLTAPE_RECORDINGS_DIR": str(disk / "recordings"),
    }
    service = stack.enter_context(started(Rolltape(folder / "rolltape", env, patience=PATIENCE)))
    target = add_destination(service, nas.server)
    channels = [
        Channel(source, line, service.add_stream(f"http://127.0.0.1:{line.port}/known{n}", destination_ids=[target]))
        for n, (source, line) in enumerate(zip(sources, mine, strict=True))
    ]
    return Soak(folder, disk / "recordings", service, channels, nas, chance)


def add_destination(service: Rolltape, server: Sshd) -> int:
    fields = server.destination().model_dump(mode="json")
    number: int = service.call("POST", "/api/destinations", json=fields)["id"]
    shown = service.call("POST", f"/api/destinations/{number}/test")
    fingerprint = shown["host_key"]["fingerprint"]
    service.call("POST", f"/api/destinations/{number}/host-key", json={"fingerprint": fingerprint})
    return number


def keep_busy(run: Soak, until: float) -> None:
    """Plan the next show where there is none."""
    for channel in run.channels:
        now = time.monotonic()
        if now + SHORTEST_SHOW / 2 < until and (not channel.shows or channel.shows[-1].end < now):
            lasts = min(run.chance.uniform(SHORTEST_SHOW, LONGEST_SHOW), max(SHORTEST_SHOW / 2, until - now))
            channel.shows.append(plan(run.service, channel.stream, channel.source.air, after=START_IN, duration=lasts))


def look(run: Soak) -> None:
    """How the process is."""
    process = run.service.process
    assert process is not None
    place = Path(f"/proc/{process.pid}")
    with contextlib.suppress(OSError, httpx2.HTTPError):
        told = run.service.request("GET", "/metrics").text
        lag = re.search(r"^rolltape_event_loop_lag_seconds ([\d.e+-]+)", told, re.MULTILINE)
        rollup = (place / "smaps_rollup").read_text()
        memory = re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)
        assert lag
        assert memory
        files, threads = len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))
        run.samples.append(Sample(time.monotonic(), int(memory[1]) * 1024, files, threads, float(lag[1])))


def make_trouble(run: Soak, until: float) -> None:
    """Faults until the end, one or several at a time."""
    everyone = frozenset(range(len(run.channels)))
    last: dict[str, float] = {}
    kinds = list(WEIGHTS)
    with ThreadPoolExecutor(16) as pool:
        while True:
            time.sleep(run.chance.uniform(QUIET, BUSY))
            now = time.monotonic()
            if now > until:
                return
            (kind,) = run.chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])
            is_large = kind in ("kill", "disk full", "sshd down")
            if is_large and (now - last.get(kind, 0) < KILLS_APART or until - now < KILLS_APART):
                continue
            last[kind] = now
            some = frozenset(run.chance.sample(sorted(everyone), run.chance.randint(1, max(1, len(everyone) // 4))))
            hit = everyone if kind in ("kill", "disk full") else frozenset() if kind == "sshd down" else some
            pool.submit(suffer, run, kind, hit, run.chance.uniform(0.2, LONGEST_CUT))


def suffer(run: Soak, kind: str, channels: frozenset[int], lasts: float) -> None:
    """Make a fault happen, and note from when to when."""
    happen: dict[str, Callable[[Soak, list[Channel], float], None]] = {
        "cut": cut,
        "reset": reset,
        "stall": stall,
        "source away": source_away,
        "kill": kill,
        "disk full": fill_disk,
        "sshd down": sshd_down,
    }
    began = time.monotonic()
    try:
        happen[kind](run, [run.channels[number] for number in sorted(channels)], lasts)
    except BaseException as exc:
        run.failures.append(exc)
    run.troubles.append(Trouble(kind, channels, began, time.monotonic()))


def cut(run: Soak, channels: list[Channel], lasts: float) -> None:
    for channel in channels:
        channel.line.close()
    time.sleep(lasts)
    for channel in channels:
        channel.line.open()


def reset(run: Soak, channels: list[Channel], lasts: float) -> None:
    for channel in channels:
        channel.line.cut(reset=True)


def stall(run: Soak, channels: list[Channel], lasts: float) -> None:
    for channel in channels:
        channel.line.stall()


def source_away(run: Soak, channels: list[Channel], lasts: float) -> None:
    for channel in channels:
        channel.source.leave()
    time.sleep(lasts)
    for channel in channels:
        channel.source.come_back()
    wait_until(lambda: all(channel.source.is_connected for channel in channels), "the sources being back")


def kill(run: Soak, channels: list[Channel], lasts: float) -> None:
    with run.calm:
        run.service.kill()
        run.service.start()


def fill_disk(run: Soak, channels: list[Channel], lasts: float) -> None:
    ballast = run.recordings.parent / "ballast"
    room = shutil.disk_usage(ballast.parent).free
    try:
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room)
        with contextlib.suppress(OSError), ballast.open("ab") as file:
            while file.write(bytes(4096)):
                file.flush()
        time.sleep(lasts)
    finally:
        ballast.unlink()


def sshd_down(run: Soak, channels: list[Channel], lasts: float) -> None:
    run.nas.go()
    time.sleep(lasts * 2)
    run.nas.come_back()


def outages(run: Soak, channel: int, one: Result) -> list[Outage]:
    """When a stream could not be had, within a show: from a fault until audio came again. Those that touch are one."""
    heard, found = run.channels[channel].line.heard, list[Outage]()
    for trouble in sorted(run.troubles, key=lambda trouble: trouble.began):
        if channel not in trouble.channels:
            continue
        at = bisect_left(heard, trouble.began)
        again = heard[at] if at < len(heard) else one.show.end
        if trouble.kind == "disk full":
            again = min(max(again, trouble.ended), trouble.ended + SPACE)
        began, ended = max(trouble.began, one.show.start), min(again, one.show.end)
        if found and began <= found[-1].ended + AROUND:
            last = found.pop()
            found.append(Outage(last.began, max(ended, last.ended), last.kinds | {trouble.kind}))
        elif began < ended:
            found.append(Outage(began, ended, frozenset({trouble.kind})))
    return found


def missing(run: Soak, channel: int, one: Result) -> tuple[float, dict[str, float]]:
    """Seconds that are missing outside of outages, and around them beyond their length less the burst, by kind."""
    spans, frame = outages(run, channel, one), one.show.air.stream.frame
    lost, outside = [0.0] * len(spans), 0.0
    for stretch in one.lost:
        for number in range(stretch.first, stretch.first + stretch.frames):
            moment = one.show.air.moment(number)
            at = [n for n, span in enumerate(spans) if span.began - AROUND <= moment <= span.ended + AFTER]
            if at:
                lost[at[0]] += frame
            else:
                outside += frame
    burst = BURST / one.show.air.stream.bytes_per_second
    beyond = dict.fromkeys(KINDS, 0.0)
    for gone, span in zip(lost, spans, strict=True):
        beyond[span.kind] += max(0.0, gone - max(0.0, span.ended - span.began - burst))
    return outside, beyond


def report(run: Soak, stuck: Sequence[Show]) -> None:
    results = [
        (number, result(run.service, show, run.recordings))
        for number, channel in enumerate(run.channels)
        for show in channel.shows
    ]
    counts = [one.count for _, one in results if one.count is not None]
    lost = sum(sum(stretch.frames for stretch in one.lost) * one.show.air.stream.frame for _, one in results)
    planned = sum(one.show.end - one.show.start for _, one in results)
    apart = [missing(run, number, one) for number, one in results]
    beyond = {kind: sum(each[kind] for _, each in apart) for kind in KINDS}
    transfers = Counter(state for _, one in results for state in one.transfers)
    kinds = Counter(trouble.kind for trouble in run.troubles)
    rows = [
        ["shows, hours of audio", f"{len(results)}, {planned / 3600:.1f}"],
        ["faults", ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())],
        ["in a final state", f"{len(results) - len(stuck)} of {len(results)}"],
        ["states", words(Counter(one.state for _, one in results))],
        ["verdicts", words(Counter(str(one.verdict) for _, one in results))],
        ["missing", f"{lost:.1f} s ({lost / planned:.2%})"],
        ["of it outside of outages", f"{sum(outside for outside, _ in apart):.2f} s"],
        ["of it beyond the outages less the burst", ", ".join(f"{kind} {gone:.1f} s" for kind, gone in beyond.items())],
        ["doubled, broken, silent frames", flaws(counts)],
        ["account off", f"{max((one.off for _, one in results), default=0):.3f} s at worst"],
        ["transfers", words(transfers)],
        ["delivered files that are not the same as here", str(wrongly_delivered(run))],
        ["takes left over", str(sum(path.is_dir() for path in (run.recordings / ".takes").iterdir()))],
        ["memory (PSS)", f"{spread([sample.memory / 1e6 for sample in run.samples])} MB"],
        ["open files", spread([sample.files for sample in run.samples])],
        ["threads", spread([sample.threads for sample in run.samples])],
        ["lag of the event loop", f"{spread([sample.lag * 1000 for sample in run.samples])} ms"],
    ]
    print(table(["", "the last four: median / worst"], rows))
    for (_, one), (outside, _) in zip(results, apart, strict=True):
        if outside or one.off > 0.05 or one.state != "done":
            print(f"{one.words}; missing outside of outages {outside:.2f} s")


def wrongly_delivered(run: Soak) -> int:
    """Files on the server that are not, byte for byte, one of ours, and ours that are not there."""
    here = {hashlib.sha256(file.read_bytes()).hexdigest() for file in run.recordings.rglob("*.mp3")}
    there = Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in run.nas.server.home.rglob("*.mp3"))
    return len(here ^ set(there)) + sum(number - 1 for number in there.values())


def words(found: "Counter[str]") -> str:
    return ", ".join(f"{number} {name}" for name, number in found.most_common()) or "none"


def flaws(counts: Sequence[Count]) -> str:
    doubled = sum(count.doubled_seconds for count in counts)
    return f"{doubled:.2f} s, {sum(count.broken for count in counts)}, {sum(count.silenced for count in counts)}"


def spread(values: Sequence[float]) -> str:
    ordered = sorted(values) or [0.0]
    return f"{ordered[len(ordered) // 2]:.0f} / {ordered[-1]:.0f}"


def draw_plot(run: Soak, picture: Path) -> None:
    began = run.samples[0].at
    samples = run.samples[:: 1 + len(run.samples) // MOST_POINTS]
    at = [(sample.at - began) / 60 for sample in samples]
    marks = [
        Mark((trouble.began - began) / 60, trouble.kind)
        for trouble in run.troubles
        if trouble.kind in ("kill", "disk full", "sshd down")
    ]
    panels = [
        Panel("memory (PSS), MB", at, [sample.memory / 1e6 for sample in samples]),
        Panel("open files", at, [sample.files for sample in samples]),
        Panel("threads", at, [sample.threads for sample in samples]),
        Panel("lag of the event loop, ms", at, [sample.lag * 1000 for sample in samples]),
    ]
    picture.write_text(draw(panels, marks, "minutes"))
    print(f"\n![memory, open files, threads and lag over time](images/{quote(picture.name)})")


if __name__ == "__main__":
    main()
