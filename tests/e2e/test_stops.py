"""Asked to end in whatever state, the service is gone within eight seconds, and goes on at the next start."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import add_destination, held, plan_show
from tests.servers.faulty import FaultyStation
from tests.servers.process import wait_until
from tests.servers.rolltape import PROGRAM, Rolltape
from tests.servers.sshd import Sshd

LONGEST_STOP = 8.0  # s; containers and systemd kill after ten


@pytest.fixture
def busy(tmp_path: Path, server: Sshd, station: FaultyStation, held_ffmpeg: Path) -> Iterator[Rolltape]:
    """A service whose FFmpeg waits while `hold` exists."""
    with held(tmp_path, server, station.url("ok"), held_ffmpeg) as running:
        yield running


def end(service: Rolltape, *asks: signal.Signals) -> float:
    """Send each of these signals, half a second apart; returns how long it took from the first on."""
    assert service.process is not None
    began = time.monotonic()
    for ask in asks:
        service.process.send_signal(ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(0.5)
    service.process.wait(20)
    took = time.monotonic() - began
    assert service.process.returncode == 0
    assert service.log.rstrip().splitlines()[-1].count("action=stopped") == 1
    return took


@pytest.mark.parametrize("asks", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)])
def test_while_it_records_by_itself_and_by_ffmpeg(
    busy: Rolltape, station: FaultyStation, asks: tuple[signal.Signals, ...]
) -> None:
    # F76, with a station that has fallen silent on FFmpeg, which ignores the first request to end then.
    own = busy.add_stream(station.url("ok"))
    stalled = busy.add_stream(station.url("stall"), engine="ffmpeg")
    numbers = [
        busy.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 600})["id"]
        for stream in (own, stalled)
    ]
    busy.wait_until_session(numbers[0], lambda session: session["recorded"] > 1)
    busy.wait_until_session(numbers[1], lambda session: session["state"] == "recording")
    takes = busy.recordings / ".takes" / str(numbers[1])
    wait_until(lambda: any(file.stat().st_size > 5000 for file in takes.glob("take-*")), "audio by FFmpeg")

    took = end(busy, *asks)

    assert took < LONGEST_STOP
    assert not ffmpegs_of(busy)
    busy.start()
    again = busy.wait_until_session(numbers[0], lambda session: session["takes"] == 2)
    assert again["state"] == "recording"


def ffmpegs_of(service: Rolltape) -> list[str]:
    """The command lines of processes that still work in its folder of recordings."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(service.recordings) in line:
                found.append(line)
    return found


def test_while_a_recording_is_finished(busy: Rolltape, station: FaultyStation, hold: Path) -> None:
    stream = busy.add_stream(station.url("ok"))
    hold.touch()  # what sends MP3 is recorded without FFmpeg
    number = busy.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 3})["id"]
    busy.wait_for(number, ["processing"])

    took = end(busy, signal.SIGTERM)

    assert took < LONGEST_STOP
    hold.unlink()
    busy.start()
    assert busy.wait_for(number)["state"] == "done"


def test_while_a_recording_is_delivered(busy: Rolltape, station: FaultyStation, server: Sshd) -> None:
    destination = add_destination(busy, server, bandwidth_limit=20_000)
    number = plan_show(busy, station.url("ok"), destination, after=1, duration=3)
    busy.wait_until_session(number, lambda session: bool(session["transfers"]) and session["transfers"][0]["sent"] > 0)

    took = end(busy, signal.SIGTERM)
    names = [file.name for file in server.home.rglob("*") if file.is_file()]
    busy.start()
    done = busy.wait_for(number)

    assert took < LONGEST_STOP
    assert not any(name.endswith(".mp3") for name in names)  # nothing half under its final name
    assert done["state"] == "done"
    assert len(list(server.home.rglob("*.mp3"))) == 1


def test_with_open_tabs_and_a_listener(busy: Rolltape, station: FaultyStation) -> None:
    stream = busy.add_stream(station.url("ok"))
    number = busy.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 600})["id"]
    busy.wait_until_session(number, lambda session: session["recorded"] > 1)
    heard: list[str] = []
    listeners = [
        threading.Thread(target=_follow, args=(busy, path, heard))
        for path in ("/api/events", "/api/events", f"/api/sessions/{number}/listen")
    ]
    for listener in listeners:
        listener.start()
    wait_until(lambda: len(heard) == 3, "all of them hearing something")

    took = end(busy, signal.SIGTERM)

    assert took < LONGEST_STOP
    for listener in listeners:
        listener.join(10)
        assert not listener.is_alive()


def _follow(service: Rolltape, path: str, heard: list[str]) -> None:
    headers = {"Authorization": f"Bearer {service.token}"}
    with (
        contextlib.suppress(httpx2.HTTPError),
        httpx2.stream("GET", f"{service.url}{path}", headers=headers, timeout=30) as answer,
    ):
        heard.append(path)
        for _ in answer.iter_bytes():
            pass


def test_while_it_starts(tmp_path: Path) -> None:
    service = Rolltape(tmp_path, {})
    log = tmp_path / "log"
    with log.open("wb") as output:
        service.process = subprocess.Popen(
            [str(PROGRAM), "serve"], env=service._environment(), stdout=output, stderr=output
        )
    wait_until((tmp_path / "data" / "lock").exists, "the start")

    service.process.send_signal(signal.SIGTERM)
    service.process.wait(LONGEST_STOP)

    assert service.process.returncode == 0, service.log
    assert "asked to end while it starts" in service.log
    assert "action=stopped" in service.log


def test_a_second_instance_is_gone_in_three_seconds_and_the_first_goes_on(
    busy: Rolltape, station: FaultyStation
) -> None:
    # F71
    stream = busy.add_stream(station.url("ok"))
    number = busy.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 600})["id"]
    before = busy.wait_until_session(number, lambda session: session["recorded"] > 1)
    usual = _usual_start()
    began = time.monotonic()

    second = busy.command("serve", timeout=30)

    took = time.monotonic() - began
    assert second.returncode == 1
    assert "Another Rolltape is running" in second.stderr
    assert took < 3 + usual  # what a busy machine takes to load the program at all is not counted
    after = busy.wait_until_session(number, lambda session: session["recorded"] > before["recorded"] + 1)
    assert (after["takes"], after["gaps"]) == (1, [])


def test_a_lock_that_a_kill_has_left_hinders_nobody(busy: Rolltape) -> None:
    busy.kill()
    assert (busy.folder / "data" / "lock").exists()

    busy.start()

    assert busy.request("GET", "/health/ready").status_code == 200


def test_a_port_that_is_taken_ends_the_start_before_anything_is_touched(tmp_path: Path) -> None:
    service = Rolltape(tmp_path, {})
    with socket.create_server(("127.0.0.1", service.port)):
        usual = _usual_start()
        began = time.monotonic()
        done = service.command("serve", timeout=30)
        took = time.monotonic() - began

    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr
    assert took < 3 + usual
    assert not (tmp_path / "data" / "rolltape.db").exists()


def _usual_start() -> float:
    """How long this machine takes at the moment to load what every start of the service loads."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import rolltape.app"], check=True)
    return time.monotonic() - began
