"""Killed with -9 in each state and started again: one session, its audio kept, delivered once."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import add_destination, held, plan_show
from tests.servers.process import free_port
from tests.servers.rolltape import Rolltape
from tests.servers.sshd import Sshd


@pytest.fixture
def held_service(tmp_path: Path, server: Sshd, mp3_station: str, held_ffmpeg: Path) -> Iterator[Rolltape]:
    with held(tmp_path, server, mp3_station, held_ffmpeg) as running:
        yield running


def delivered(server: Sshd) -> list[Path]:
    return [file for file in server.home.rglob("*") if file.is_file()]


def assert_delivered_once(service: Rolltape, server: Sshd, done: dict[str, Any]) -> None:
    assert done["state"] == "done", done
    assert service.call("GET", "/api/sessions")["items"] == [done]
    assert [str(file.relative_to(server.home)) for file in delivered(server)] == [done["recording"]["file"]]
    assert not list((service.recordings / ".takes").iterdir())


def test_killed_while_scheduled(held_service: Rolltape, server: Sshd, mp3_station: str) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=12, duration=4)
    assert service.session(number)["state"] == "scheduled"

    service.kill()
    service.start()
    done = service.wait_for(number)

    assert_delivered_once(service, server, done)
    assert done["verdict"] == "complete"


def test_killed_while_recording(held_service: Rolltape, server: Sshd, mp3_station: str) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=1, duration=20)
    service.wait_until_session(number, lambda session: session["recorded"] > 3)

    service.kill()
    service.start()
    done = service.wait_for(number)

    assert_delivered_once(service, server, done)
    assert done["takes"] == 2
    lost = sum(gap["length"] for gap in done["gaps"])
    assert done["recorded"] > 3
    assert abs(done["recorded"] + lost - 20) < 1.3  # a session that began late by up to a second is still complete


def test_killed_while_processing(held_service: Rolltape, server: Sshd, mp3_station: str, hold: Path) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=1, duration=4)
    hold.touch()
    service.wait_for(number, ["processing"])

    service.kill()
    hold.unlink()
    service.start()
    done = service.wait_for(number)

    assert_delivered_once(service, server, done)
    assert abs(done["recording"]["duration"] - 4) < 0.3


def test_killed_while_delivering(held_service: Rolltape, server: Sshd, mp3_station: str) -> None:
    service = held_service
    destination = add_destination(service, server, bandwidth_limit=30_000)
    number = plan_show(service, mp3_station, destination, after=1, duration=4)
    service.wait_until_session(
        number, lambda session: bool(session["transfers"]) and session["transfers"][0]["sent"] > 0
    )
    assert service.session(number)["state"] == "delivering"

    service.kill()
    service.start()
    done = service.wait_for(number)

    assert_delivered_once(service, server, done)
    assert done["transfers"][0]["attempts"] == 2


def test_down_at_the_start_records_what_remains(held_service: Rolltape, server: Sshd, mp3_station: str) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=3, duration=25)
    service.kill()
    start = datetime.fromisoformat(service_session_start(service, number))

    wait_for_moment(start + timedelta(seconds=5))
    service.start()
    done = service.wait_for(number)

    assert_delivered_once(service, server, done)
    assert done["verdict"] == "late"
    assert 0 < done["recorded"] < 23.9


def test_down_for_the_whole_show_is_entered_as_missed(held_service: Rolltape, server: Sshd, mp3_station: str) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=1.5, duration=1)
    service.kill()

    wait_for_moment(datetime.now(UTC) + timedelta(seconds=3))
    service.start()
    missed = service.wait_for(number)

    assert missed["state"] == "missed"
    assert missed["error"]["code"] == "service_down"
    assert [event["kind"] for event in service.call("GET", f"/api/sessions/{number}/events")["items"]] == ["missed"]
    assert not delivered(server)


def test_a_stop_in_mid_recording_is_quick_and_the_session_goes_on(
    held_service: Rolltape, server: Sshd, mp3_station: str
) -> None:
    service = held_service
    number = plan_show(service, mp3_station, add_destination(service, server), after=1, duration=20)
    service.wait_until_session(number, lambda session: session["recorded"] > 2)

    took = service.stop()
    service.start()
    done = service.wait_for(number)

    assert took < 8
    assert_delivered_once(service, server, done)
    kinds = [event["kind"] for event in service.call("GET", f"/api/sessions/{number}/events")["items"]]
    assert "interrupted" in kinds
    assert done["takes"] == 2


def test_a_second_instance_ends_at_once_and_the_first_goes_on(held_service: Rolltape) -> None:
    second = held_service.command("serve", "--port", str(free_port()), timeout=30)

    assert second.returncode == 1
    assert "Another Rolltape is running" in second.stderr
    assert held_service.call("GET", "/api/system")["version"]


def test_a_port_in_use_is_told_before_anything_is_touched(held_service: Rolltape, tmp_path: Path) -> None:
    data = tmp_path / "other"

    second = held_service.command("serve", "--port", str(held_service.port), "--data-dir", str(data), timeout=30)

    assert second.returncode == 1
    assert "cannot be listened on" in second.stderr
    assert not (data / "rolltape.db").exists()


def service_session_start(service: Rolltape, number: int) -> str:
    """The planned start of a session of a service that is not running."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(service.folder / "data" / "rolltape.db")) as db:
        (start,) = db.execute("SELECT planned_start FROM sessions WHERE id = ?", (number,)).fetchone()
    return f"{start}+00:00"


def wait_for_moment(moment: datetime) -> None:
    """Time itself is what these tests wait for."""
    import time

    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(min(left, 0.1))
