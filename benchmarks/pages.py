"""How long pages take with a large archive, beside the same pages with an empty one, in the same run.

Asks two services, one at a time and in turn, for every page: one on an empty database, one with 100,000 sessions and
1,000 schedules. Prints the median of each, the slowest answer, and their ratio.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from asyncio import run
from pathlib import Path

import httpx2

from rolltape.store import migrate
from rolltape.web.pages import PAGES

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.archive import fill
from tests.servers.chromium import chromium
from tests.servers.rolltape import Rolltape, rolltape

GOAL = 0.3  # s, the median
NO_PAGES = ("/cover/", "/login", "/setup", "{token_id}", "/cancel")  # asks for what these archives do not have
MORE = (
    "/sessions?state=failed", "/sessions?verdict=silent", "/sessions?state=skipped&stream_id=7", "/sessions?text=jazz",
    "/sessions?schedule_id=17", "/transfers?state=delivered", "/schedules?stream_id=7", "/streams?text=harbour",
    "/api/sessions?limit=200", "/api/system",
)  # fmt: skip


def addresses(session: int) -> list[str]:
    found = [path for method, path, _ in PAGES if method == "GET" and not any(part in path for part in NO_PAGES)]
    number = {"session_id": str(session)}
    return [*(re.sub(r"{(\w+)}", lambda place: number.get(place[1], "1"), path) for path in found), *MORE]


def seconds(service: Rolltape, client: httpx2.Client, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    answer = client.get(f"{service.url}{path}", headers={"Authorization": f"Bearer {service.token}"}, timeout=60)
    return time.perf_counter() - began, answer.status_code


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sessions", type=int, default=100_000)
    asked.add_argument("--schedules", type=int, default=1000)
    asked.add_argument("--streams", type=int, default=300)
    asked.add_argument("--times", type=int, default=9)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("empty", "full"):
            (Path(folder) / name / "data").mkdir(parents=True)
            run(migrate(f"sqlite:///{folder}/{name}/data/rolltape.db"))
        url = f"sqlite:///{folder}/full/data/rolltape.db"
        fill(url, streams=given.streams, schedules=given.schedules, sessions=given.sessions)
        with rolltape(Path(folder) / "empty") as empty, rolltape(Path(folder) / "full") as full:
            measure(empty, full, given.sessions, given.times)


def measure(empty: Rolltape, full: Rolltape, session: int, times: int) -> None:
    print(f"{'page':52} {'empty':>8} {'full':>8} {'slowest':>8} {'ratio':>6}")
    slow = []
    with httpx2.Client() as client:
        for path in addresses(session):
            taken: dict[str, list[float]] = {"empty": [], "full": []}
            for _ in range(times):
                for name, service in (("empty", empty), ("full", full)):
                    took, status = seconds(service, client, path)
                    if name == "full":
                        assert status in (200, 303), f"{path}: {status}"
                    taken[name].append(took)
            without, with_all = (statistics.median(taken[name]) for name in ("empty", "full"))
            slowest, ratio = max(taken["full"]), with_all / without
            print(f"{path:52} {without:7.3f}s {with_all:7.3f}s {slowest:7.3f}s {ratio:6.1f}", flush=True)
            if with_all > GOAL:
                slow.append(path)
    print(f"over {GOAL} s: {', '.join(slow) or 'none'}")
    for name, service in (("empty", empty), ("full", full)):
        first, later = run(interactive(service, times))
        print(f"dashboard interactive, {name}: first visit {first:.3f} s, later ones {later:.3f} s (medians)")


async def interactive(service: Rolltape, times: int) -> tuple[float, float]:
    """Seconds from asking for the dashboard until its scripts have run: with nothing kept, and with the files kept."""
    first: list[float] = []
    later: list[float] = []
    for _ in range(times):
        async with chromium(service.url) as window:
            await window.context.set_extra_http_headers({"Authorization": f"Bearer {service.token}"})
            for taken in (first, later):
                tab = await window.tab("/")
                span = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
                taken.append(await tab.evaluate(span) / 1000)
    return statistics.median(first), statistics.median(later)


if __name__ == "__main__":
    main()
