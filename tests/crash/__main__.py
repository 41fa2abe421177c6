"""Every crash point of every step, as a table: `make crash-test`, or `python -m tests.crash [--every N] [STEP...]`.

The points are shared out among workers, each with a data folder, a server and a process of its own. With `--every 5`
only each fifth point is tried.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import structlog

from rolltape.ffmpeg.run import find
from tests.crash.points import Point, every_point, worker
from tests.crash.steps import STEPS

WORKERS = 2


def main(steps: list[str], every: int) -> int:
    began = time.monotonic()
    points: list[Point] = []
    print(f"| {'step':26} |   points |  kills | errors | violations | s |\n|---|---:|---:|---:|---:|---:|")
    for step in steps:
        points += _all_of(step, every)
    wrong = sum(bool(point.problems) for point in points)
    print(f"\n{len(points)} points, {wrong} violations, {time.monotonic() - began:.0f} s")
    return 1 if wrong or not points else 0


def _all_of(step: str, every: int) -> list[Point]:
    began = time.monotonic()
    with ProcessPoolExecutor(WORKERS) as pool:
        shares = [pool.submit(share, step, 1 + number * every, WORKERS * every) for number in range(WORKERS)]
        points = [point for done in as_completed(shares) for point in done.result()]
    kills = sum(point.is_kill for point in points)
    wrong = sum(bool(point.problems) for point in points)
    took = time.monotonic() - began
    row = f"| {step:26} | {len(points):8} | {kills:6} | {len(points) - kills:6} | {wrong:10} | {took:.0f} |"
    print(row, flush=True)
    return points


def share(step: str, first: int, by: int) -> list[Point]:
    """The points of a step that are this worker's."""
    structlog.configure(processors=[lambda *_: ""], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder, worker(Path(folder), find(None)) as hands:
        return [_told(point) for point in every_point(hands, step, first=first, by=by)]


def _told(point: Point) -> Point:
    if point.problems:
        lines = (f"{point.step}, {point.mode} at call {point.nth} ({point.call}):", *point.problems)
        print("\n  ".join(lines), file=sys.stderr, flush=True)
    return point


if __name__ == "__main__":
    words = argparse.ArgumentParser(prog="python -m tests.crash")
    words.add_argument("steps", nargs="*", choices=[[], *STEPS], metavar="STEP", help=f"of {', '.join(STEPS)}")
    words.add_argument("--every", type=int, default=1, metavar="N", help="try only each Nth point")
    given = words.parse_args()
    sys.exit(main(given.steps or list(STEPS), given.every))
