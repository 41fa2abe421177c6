"""Killed while it connects, or while FFmpeg records for it; or put to sleep, as a laptop is."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.servers.faulty import FaultyStation
from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape, rolltape


@pytest.fixture
def service(tmp_path: Path, station: FaultyStation, mp3_station: str) -> Iterator[Rolltape]:
    """A service that may reach the stations."""
    allowed = f"127.0.0.1:{station.port},{urlsplit(mp3_station).netloc}"
    with rolltape(tmp_path / "rolltape", patience=60, ROLLTAPE_ALLOW_TARGETS=allowed) as running:
        yield running


def record(service: Rolltape, url: str, seconds: float, **stream: object) -> int:
    number = service.add_stream(url, **stream)
    session: int = service.call("POST", "/api/sessions", json={"stream_id": number, "duration": seconds})["id"]
    return session


def stopped(service: Rolltape, number: int) -> Any:
    """The session, ended by somebody once it has recorded by its present connection."""
    before = service.session(number)["recorded"]
    service.wait_until_session(number, lambda session: session["recorded"] > before + 2)
    service.call("POST", f"/api/sessions/{number}/stop")
    return service.wait_for(number)


def test_killed_while_it_connects_the_same_session_connects_again(service: Rolltape, station: FaultyStation) -> None:
    # F02
    number = record(service, station.url("shy"), 300)
    wait_until(lambda: station.visits["shy"] > 0, "the station being asked")

    service.kill()
    service.start()
    done = stopped(service, number)

    assert station.visits["shy"] == 2
    assert (done["state"], done["takes"], done["gaps"]) == ("done", 1, [])
    assert service.call("GET", "/api/sessions")["items"] == [done]


def test_killed_while_ffmpeg_records_no_ffmpeg_is_left_and_the_session_goes_on(
    service: Rolltape, mp3_station: str
) -> None:
    # F11, F12: FFmpeg is in a session of its own, so it outlives a kill of its parent's group as of its parent alone.
    number = record(service, mp3_station, 300, engine="ffmpeg")
    service.wait_until_session(number, lambda session: session["recorded"] > 1)
    assert service.process is not None
    children = psutil.Process(service.process.pid).children(recursive=True)
    receiving = [child for child in children if mp3_station in child.cmdline()]

    service.kill()
    gone, alive = psutil.wait_procs(receiving, timeout=3)
    service.start()
    done = stopped(service, number)

    assert (len(gone), alive) == (1, [])
    assert (done["state"], done["takes"]) == ("done", 2)
    assert done["recording"]["duration"] == pytest.approx(done["recorded"], abs=0.3)


def test_a_machine_that_slept_goes_on_where_it_is_by_the_clock(service: Rolltape, mp3_station: str) -> None:
    # F63: in a sleep of the whole machine the connection breaks as well; then it is a lost connection.
    number = record(service, mp3_station, 14)
    service.wait_until_session(number, lambda session: session["recorded"] > 1)
    assert service.process is not None

    service.process.send_signal(signal.SIGSTOP)
    time.sleep(6)  # the sleep is longer than what the station sends again
    service.process.send_signal(signal.SIGCONT)
    done = service.wait_for(number)

    lost = sum(gap["length"] for gap in done["gaps"])
    assert done["state"] == "done"
    assert abs(done["recorded"] + lost - 14) < 1.3
