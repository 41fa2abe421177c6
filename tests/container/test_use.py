"""What a user does with the container: the first visit, a schedule, a stop, an upgrade."""

import hashlib
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.container.conftest import Nas, seen_from
from tests.container.engine import PATIENCE, Contained
from tests.servers.hls import hls
from tests.servers.process import program, wait_until

CODE = re.compile(r"\b([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})\b")
COVER = BytesIO()
Image.new("RGB", (600, 600), "navy").save(COVER, "PNG")


def test_the_first_visit_is_let_in_by_the_code_in_the_log(fresh: Contained) -> None:
    fresh.start()
    wait_until(lambda: CODE.search(fresh.log) is not None, "the code in the log")
    found = CODE.search(fresh.log)
    assert found is not None
    account = {"name": "listener", "password": "correct horse", "again": "correct horse", "timezone": "Asia/Tokyo"}

    with httpx2.Client(base_url=fresh.url, headers={"Origin": fresh.url}) as browser:
        led = browser.get("/")
        refused = browser.post("/setup", data=account | {"code": "WRONG-CODE-HERE"})
        made = browser.post("/setup", data=account | {"code": found[1]})
        token = browser.post("/api/tokens", json={"name": "made in the browser"})

    assert (led.status_code, led.headers["location"]) == (303, "/setup")
    assert refused.status_code == 403
    assert (made.status_code, made.headers["location"]) == (303, "/setup/stream")
    fresh.token = token.json()["token"]
    assert fresh.call("GET", "/api/streams")["items"] == []


def test_a_scheduled_show_is_recorded_from_outside_and_delivered_outside(
    service: Contained, station: str, nas: Nas
) -> None:
    stream = service.add_stream(station, name="Harbour FM", destination_ids=[nas.id])

    session = schedule_show(service, stream)
    done = service.wait_for(session)

    assert (done["state"], done["verdict"]) == ("done", "complete"), done
    (transfer,) = done["transfers"]
    assert (transfer["state"], transfer["verified_by"]) == ("delivered", "sha256")
    file = nas.server.home / done["recording"]["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == done["recording"]["sha256"]
    assert heard(file) == ""


@pytest.mark.parametrize("kind", ["aac", "hls"])
def test_what_needs_ffmpeg_is_recorded_and_encoded_by_that_of_the_image(
    service: Contained, aac_station: str, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "hls").mkdir()
    with hls(tmp_path / "hls") as playlist, seen_from(service, playlist if kind == "hls" else aac_station) as address:
        stream = service.add_stream(address)
        session = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 5})["id"]
        done = service.wait_for(session)

    assert done["state"] == "done", done
    (tmp_path / "heard.mp3").write_bytes(service.request("GET", f"/api/sessions/{session}/audio").content)
    assert done["recording"]["duration"] > 4
    assert heard(tmp_path / "heard.mp3") == ""


def test_a_stop_in_mid_recording_takes_seconds_and_the_next_start_goes_on_with_it(
    service: Contained, station: str
) -> None:
    stream = service.add_stream(station)
    session = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 25})["id"]
    service.wait_until_session(session, lambda found: found["recorded"] > 4)

    took = service.stop()
    code = service.exit_code
    service.start()
    done = service.wait_for(session)

    assert took < PATIENCE
    assert code == 0
    assert done["state"] == "done", done
    assert done["takes"] == 2
    missing = sum(gap["length"] for gap in done["gaps"])  # nothing, if the station sends again all that was missed
    assert missing < 18
    assert abs(done["recorded"] + missing - 25) < 1


def test_an_open_page_does_not_delay_the_stop(service: Contained) -> None:
    headers = {"Authorization": f"Bearer {service.token}"}
    with httpx2.stream("GET", f"{service.url}/api/events", headers=headers, timeout=30) as events:
        assert events.status_code == 200
        next(events.iter_raw())
        took = service.stop()

    assert took < PATIENCE
    assert service.exit_code == 0


def test_a_rebuilt_image_goes_on_with_everything_that_was_there(service: Contained, station: str, nas: Nas) -> None:
    stream = service.add_stream(station, name="Harbour FM", destination_ids=[nas.id])
    service.request("PUT", f"/api/streams/{stream}/artwork", files={"file": ("a.png", COVER.getvalue())})
    schedule_show(service, stream, daily=True)
    service.wait_for(schedule_show(service, stream))
    before = everything(service)
    first = service.engine.ask("image", "inspect", "--format", "{{.Id}}", service.image)

    service.stop()
    service.remove()
    service.image = "rolltape-test:second"
    second = service.engine.build(service.image, "--build-arg", "REVISION=second")
    service.start()

    assert second != first
    assert everything(service) == before
    assert before["cover"] == COVER.getvalue()
    assert len(before["audio"]) > 10_000
    assert service.call("POST", f"/api/destinations/{nas.id}/test")["ok"]


def schedule_show(service: Contained, stream: int, *, daily: bool = False) -> int:
    """A show that begins in four seconds (or a daily one in the night to come); the number of its first session."""
    start = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    when = {"cron": f"0 {(start.hour + 12) % 24} * * *"} if daily else {"at": start.isoformat()}
    fields = {"stream_id": stream, "name": f"Show {time.monotonic_ns()}", "timezone": "UTC", "duration": 6, **when}
    schedule = service.call("POST", "/api/schedules", json=fields)
    found = service.call("GET", f"/api/sessions?schedule_id={schedule['id']}")["items"]
    number: int = found[-1]["id"]
    return number


def everything(service: Contained) -> dict[str, Any]:
    """What a user would miss."""
    nouns = ("streams", "schedules", "sessions", "destinations", "transfers", "keys")
    found: dict[str, Any] = {noun: service.call("GET", f"/api/{noun}")["items"] for noun in nouns}
    done = next(session["id"] for session in found["sessions"] if session["state"] == "done")
    stream = found["streams"][0]["id"]
    found["cover"] = service.request("GET", f"/api/streams/{stream}/artwork").content
    found["audio"] = service.request("GET", f"/api/sessions/{done}/audio").content
    return found


def heard(file: Path) -> str:
    """What a decoder finds wrong with a file."""
    command = [program("ffmpeg"), "-v", "error", "-xerror", "-i", str(file), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr
