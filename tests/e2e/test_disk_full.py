"""The disk of the database full while the one of the recordings is not: no audio is lost, and all is entered later."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.servers.disks import disk, fill
from tests.servers.process import wait_until
from tests.servers.rolltape import PROGRAM, Rolltape, rolltape


@pytest.fixture
def service(tmp_path: Path, mp3_station: str) -> Iterator[Rolltape]:
    """A service whose database has a small disk of its own."""
    folder = tmp_path / "rolltape"
    (folder / "data").mkdir(parents=True)
    with (
        disk(folder / "data", "size=6m"),
        rolltape(
            folder,
            patience=60,
            ROLLTAPE_ALLOW_TARGETS=urlsplit(mp3_station).netloc,
            ROLLTAPE_RECORDINGS_DIR=str(tmp_path / "recordings"),
            ROLLTAPE_LOG_DIR=str(tmp_path / "logs"),
        ) as running,
    ):
        yield running


def test_a_full_disk_of_the_database_costs_no_audio_and_is_made_up_for(
    service: Rolltape, tmp_path: Path, mp3_station: str
) -> None:
    # F38
    stream = service.add_stream(mp3_station)
    number = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 14})["id"]
    service.wait_until_session(number, lambda session: session["recorded"] > 1)
    take = tmp_path / "recordings" / ".takes" / str(number) / "take-001.mp3"

    filler = fill(service.folder / "data")
    refused = _until_refused(service)
    live = httpx2.get(f"{service.url}/health/live", timeout=30)
    shown = service.session(number)
    before = take.stat().st_size
    wait_until(lambda: take.stat().st_size > 14 * 16_000, "the recording going on to its end")
    told = [service.log.count(f"action={action}") for action in ("beat_failed", "sweep_failed", "run_failed")]
    filler.unlink()
    done = service.wait_for(number)
    story = [event["kind"] for event in service.call("GET", f"/api/sessions/{number}/events")["items"]]
    after = service.request("POST", "/api/tokens", json={"name": "after"})

    assert refused.json()["error"]["code"] == "database_full"
    assert refused.json()["error"]["message"].startswith("The disk of the database is full; nothing was changed.")
    assert (live.status_code, shown["state"]) == (200, "recording")
    assert before < 14 * 16_000
    assert (done["state"], done["verdict"], done["gaps"], done["takes"]) == ("done", "complete", [], 1)
    assert abs(done["recording"]["duration"] - 14) < 0.3
    assert story.count("recorded") == story.count("finished") == 1
    assert after.status_code == 201
    assert sum(told) > 0
    assert max(told) <= 2  # each of what fails says so once, however often it is tried


def _until_refused(service: Rolltape) -> httpx2.Response:
    """Change things until there is no room for it: the journal of the database has some left."""
    for number in range(400):
        answer = service.request("POST", "/api/tokens", json={"name": f"token {number}"})
        if answer.status_code != 201:
            break
    assert answer.status_code == 507, answer.text
    return answer


def test_a_full_disk_ends_a_recording_by_command_and_what_there_is_is_kept(tmp_path: Path, mp3_station: str) -> None:
    with disk(tmp_path / "small", "size=200k") as folder:
        command = [str(PROGRAM), "record", mp3_station, "--for", "60", "--out", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        (take,) = folder.rglob("take-001.mp3")

        assert done.returncode == 1
        assert f"The disk was full. What was recorded is kept in {take.parent}." in done.stderr
        assert take.stat().st_size > 100_000
