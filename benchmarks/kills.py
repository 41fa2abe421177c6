"""What `kill -9` costs: a service with several running sessions, killed at random moments, again and again.

    .venv/bin/python benchmarks/kills.py [--quick] [--kills 200] [--sessions 3] [--seed 1]

Each stream is a known one on a real Icecast with a burst of 4 s. Shows follow one another all the time; after each kill
the service is started again at once, and killed again up to 8 s later (so sometimes while it is still starting). In
the end each recording is held against what was on the air.

An outage is the time from a kill (of a session that was recording) until a byte came over its line again that the
service lived to keep: if it is killed once more before it has collected that, the outage goes on. What came and was
not collected before a kill is lost with it, so the burst covers an outage that is by so much shorter. Lost beyond the
outage is what is missing around it beyond its length; where the burst covers it, all that is missing is.
"""

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.report import conditions, table
from benchmarks.shows import Result, Show, plan, result, wait_for_all
from rolltape.logs import set_up
from tests.known_stream import Count, KnownStream, known_mp3
from tests.servers.icecast import icecast
from tests.servers.known import icecast_source
from tests.servers.line import lines
from tests.servers.rolltape import Rolltape, started

BURST = 65535  # bytes
LONGEST_LIFE = 8.0  # s between a start and the next kill
SHORTEST_SHOW, LONGEST_SHOW = 30.0, 90.0  # s
START_IN = 3.0  # s
AROUND = 2.0  # s before a kill, in which what was received may not have been written
PATIENCE = 120.0  # s for a start, on a busy machine
STUCK = 90.0  # s after the last show
COLLECT = 0.9  # s between two rounds in which what came is collected, and a beat


@dataclass(frozen=True)
class Outage:
    """Of a show that lasts until `until`. `lost` is what is missing around it, all in seconds."""

    began: float
    ended: float
    until: float
    lost: float

    @property
    def length(self) -> float:
        """Of what lies in the show."""
        return min(self.ended, self.until) - self.began

    def is_covered(self, burst: float) -> bool:
        return self.ended - self.began < burst - COLLECT

    def beyond(self, burst: float) -> float:
        """What is missing beyond what could not be had."""
        return max(0.0, self.lost - max(0.0, min(self.ended - burst, self.until) - self.began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=3, help="at once")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    kills = 10 if asked.quick else asked.kills
    set_up("error")
    print(conditions("icecast2", "ffmpeg", seed=asked.seed), flush=True)
    with tempfile.TemporaryDirectory(prefix="rolltape-benchmark-") as folder:
        run(Path(folder), kills, asked.sessions, random.Random(asked.seed))


def run(folder: Path, kills: int, sessions: int, chance: random.Random) -> None:
    with contextlib.ExitStack() as stack:
        wires = stack.enter_context(lines())
        server = stack.enter_context(icecast(folder / "icecast", burst=BURST))
        streams = [known_mp3(seed=chance.randrange(1 << 30)) for _ in range(sessions)]
        sources = [
            stack.enter_context(icecast_source(stream, server, f"known{number}"))
            for number, stream in enumerate(streams)
        ]
        mine = [wires.to(server.port) for _ in streams]
        allowed = ",".join(f"127.0.0.1:{line.port}" for line in mine)
        service = stack.enter_context(
            started(Rolltape(folder / "rolltape", {"ROLLTAPE_ALLOW_TARGETS": allowed}, patience=PATIENCE))
        )
        ids = [service.add_stream(f"http://127.0.0.1:{line.port}/known{n}") for n, line in enumerate(mine)]
        shows: list[list[Show]] = [[] for _ in ids]
        moments: list[float] = []
        for number in range(kills):
            lives_until = time.monotonic() + chance.uniform(0, LONGEST_LIFE)
            for stream, source, planned in zip(ids, sources, shows, strict=True):
                if not planned or planned[-1].end < time.monotonic():
                    lasts = chance.uniform(SHORTEST_SHOW, LONGEST_SHOW)
                    planned.append(plan(service, stream, source.air, after=START_IN, duration=lasts))
            time.sleep(max(0.0, lives_until - time.monotonic()))
            service.kill()
            moments.append(time.monotonic())
            service.start()
            if number % 20 == 19:
                print(f"{number + 1} kills", file=sys.stderr, flush=True)
        last = max(planned[-1].end for planned in shows)
        time.sleep(max(0.0, last - time.monotonic()))
        everything = [show for planned in shows for show in planned]
        stuck = wait_for_all(service, everything, within=STUCK)
        results = [[result(service, show, service.recordings) for show in planned] for planned in shows]
        left = [path for path in (service.recordings / ".takes").iterdir() if path.is_dir()]
        show_all(results, moments, [line.heard for line in mine], len(stuck), len(left), burst_of(streams[0]))


def burst_of(stream: KnownStream) -> float:
    return BURST / stream.bytes_per_second


def outages(results: Sequence[Result], kills: Sequence[float], heard: Sequence[float]) -> tuple[list[Outage], float]:
    """The outages of the shows of one stream, and how much is missing where there was none, in seconds."""
    found: list[Outage] = []
    elsewhere = 0.0
    for one in results:
        spans: list[tuple[float, float]] = []
        for kill in kills:
            began, ended = max(kill, one.show.start), kept_again(kill, kills, heard)
            if began < min(ended, one.show.end) and not (spans and began < spans[-1][1]):
                spans.append((began, ended))
        lost = [0.0] * len(spans)
        for stretch in one.lost:
            for number in range(stretch.first, stretch.first + stretch.frames):
                moment = one.show.air.moment(number)
                fitting = [n for n, (began, ended) in enumerate(spans) if began - AROUND <= moment <= ended]
                if fitting:
                    lost[fitting[0]] += one.show.air.stream.frame
                else:
                    elsewhere += one.show.air.stream.frame
        found += [Outage(*span, one.show.end, missing) for span, missing in zip(spans, lost, strict=True)]
    return found, elsewhere


def kept_again(kill: float, kills: Sequence[float], heard: Sequence[float]) -> float:
    """When after a kill the first byte came that the service lived to keep."""
    at = bisect_right(heard, kill)
    while at < len(heard):
        after = bisect_right(kills, heard[at])
        if after == len(kills) or kills[after] > heard[at] + COLLECT:
            return heard[at]
        at = bisect_right(heard, kills[after])
    return inf


def show_all(
    results: Sequence[Sequence[Result]],
    kills: Sequence[float],
    heard: Sequence[Sequence[float]],
    stuck: int,
    left: int,
    burst: float,
) -> None:
    everything = [one for mine in results for one in mine]
    counts = [one.count for one in everything if one.count is not None]
    each = [outages(mine, kills, line) for mine, line in zip(results, heard, strict=True)]
    found = [outage for outages_, _ in each for outage in outages_]
    covered = [outage for outage in found if outage.is_covered(burst)]
    again = [back for line in heard for back in returns(kills, line)]
    rows = [
        ["kills, shows, outages of a show", f"{len(kills)}, {len(everything)}, {len(found)}"],
        ["recordings lost (no file, or not done)", str(sum(not is_kept(one) for one in everything))],
        [
            "states",
            ", ".join(f"{number} {state}" for state, number in Counter(one.state for one in everything).items()),
        ],
        ["sessions stuck, folders of takes left", f"{stuck}, {left}"],
        ["outage, s", spread([outage.length for outage in found])],
        ["lost per outage, s", spread([outage.lost for outage in found])],
        [f"lost per outage that the burst ({burst:.1f} s) covers, s", spread([outage.lost for outage in covered])],
        ["lost beyond the outage, s", spread([max(0.0, outage.lost - outage.length) for outage in found])],
        ["lost beyond the outage less the burst, s", spread([outage.beyond(burst) for outage in found])],
        ["lost where there was no outage, s", f"{sum(elsewhere for _, elsewhere in each):.2f}"],
        ["doubled, s; broken; silent frames", worse(counts)],
        ["account off, s per show", spread([one.off for one in everything if one.count is not None])],
        ["from the start of the process to the first byte, s", spread(again)],
    ]
    print(table(["", "median / 99th percentile / worst"], rows))
    for outage in covered:
        if outage.lost:
            print(f"covered by the burst, {outage.length:.2f} s long: {outage.lost:.2f} s lost")
    for one in everything:
        if one.state != "done" or one.off > 0.05:
            print(one.words)


def returns(kills: Sequence[float], heard: Sequence[float]) -> Iterator[float]:
    """How long it took after each kill, and so after the start that follows, unless another kill came before."""
    for kill, following in zip(kills, [*kills[1:], inf], strict=True):
        at = bisect_right(heard, kill)
        if at < len(heard) and heard[at] < following:
            yield heard[at] - kill


def is_kept(one: Result) -> bool:
    return one.state == "done" and one.count is not None and one.count.found > 0


def worse(counts: Sequence[Count]) -> str:
    doubled = sum(count.doubled_seconds for count in counts)
    return f"{doubled:.2f}; {sum(count.broken for count in counts)}; {sum(count.silenced for count in counts)}"


def spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    return f"{statistics.median(ordered):.2f} / {ordered[int(len(ordered) * 0.99)]:.2f} / {ordered[-1]:.2f}"


if __name__ == "__main__":
    main()
