"""The database locked, damaged, emptied, replaced or taken away: what is recorded is kept, and it is told."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape, rolltape


@pytest.fixture
def recorder(tmp_path: Path, mp3_station: str) -> Iterator[Rolltape]:
    """A service that may reach the station."""
    with rolltape(tmp_path / "rolltape", ROLLTAPE_ALLOW_TARGETS=urlsplit(mp3_station).netloc) as running:
        yield running


def database(service: Rolltape) -> Path:
    return service.folder / "data" / "rolltape.db"


def record(service: Rolltape, station: str, duration: float, *, name: str = "Harbour") -> int:
    stream = service.add_stream(station, name=name)
    number: int = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": duration})["id"]
    return number


def sign_in_anew(service: Rolltape) -> None:
    """The old token went with the old database."""
    made = service.command("token", "create", "after")
    assert made.returncode == 0, made.stderr
    service.token = made.stdout.strip()


def items(service: Rolltape, path: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = service.call("GET", path)["items"]
    return found


def test_a_locked_database_costs_no_audio_and_is_told_within_bounds(recorder: Rolltape, mp3_station: str) -> None:
    # F49
    number = record(recorder, mp3_station, 18)
    recorder.wait_until_session(number, lambda session: session["recorded"] > 1)

    with contextlib.closing(sqlite3.connect(database(recorder), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = time.monotonic()
        read = recorder.request("GET", "/api/streams")
        answers = [recorder.request("POST", "/api/tokens", json={"name": "new"})]
        answered = time.monotonic() - locked
        time.sleep(max(0.0, 10 - answered))  # the fault lasts for ten seconds
        other.execute("ROLLBACK")
    after = recorder.request("POST", "/api/tokens", json={"name": "new"})
    done = recorder.wait_for(number)

    assert read.status_code == 200  # who reads is not kept waiting
    assert [answer.status_code for answer in answers] == [503]
    assert int(answers[0].headers["Retry-After"]) > 0
    assert answers[0].json()["error"]["message"].endswith(".")
    assert answered < 12
    assert after.status_code == 201
    assert (done["state"], done["verdict"], done["gaps"], done["takes"]) == ("done", "complete", [], 1)


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def write_text(file: Path) -> None:
    file.write_text("Dear diary, today I was corrupted. " * 500)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def put_foreign(file: Path) -> None:
    file.unlink()
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (truncate, "corrupt"),
    (write_text, "corrupt"),
    (empty, "empty"),
    (put_foreign, "foreign"),
    (Path.unlink, ""),
]


def test_a_database_that_cannot_be_used_at_the_start(recorder: Rolltape, mp3_station: str) -> None:
    # F50, F51: one after the other, so that each finds what the one before has left.
    number = record(recorder, mp3_station, 2)
    file = recorder.wait_for(number)["recording"]["file"]
    for fault, kind in FAULTS:
        recorder.stop()
        fault(database(recorder))
        began = time.monotonic()
        recorder.process = None
        _start(recorder)
        took = time.monotonic() - began
        sign_in_anew(recorder)

        lost = found_again(recorder)
        (session,) = items(recorder, "/api/sessions")
        codes = {finding["code"]: finding["level"] for finding in recorder.call("GET", "/api/system")["findings"]}
        first_visit = httpx2.get(f"{recorder.url}/setup").text

        assert took < 10
        assert lost["loss"] == (kind or "missing")
        assert session["state"] == "done"
        assert session["recording"]["file"] == file  # type: ignore[index]
        assert recorder.request("GET", f"/api/sessions/{session['id']}/audio").status_code == 200
        assert [stream["name"] for stream in items(recorder, "/api/streams")] == ["Harbour"]
        assert codes["database_moved"] == "error"
        assert recorder.request("GET", "/health/ready").status_code == 200
        assert "The database was lost" in first_visit
        assert "One-time code" in first_visit
        if kind:
            assert Path(lost["moved_to"]).name.startswith(f"rolltape.db.{kind}.")
            assert Path(lost["moved_to"]).exists()
    assert recorder.log.count("database_moved") == len(FAULTS)

    dismissed = recorder.call("POST", "/api/recovery/dismiss")
    recorder.stop()
    recorder.start()

    assert dismissed["lost"] is None
    assert recorder.call("GET", "/api/recovery")["lost"] is None
    assert "The database was lost" not in httpx2.get(f"{recorder.url}/setup").text


def _start(service: Rolltape) -> None:
    """Start without a token: whoever asks for one would open the database first. Until it serves, not just listens."""
    service.token = "none yet"
    service.start()
    assert httpx2.get(f"{service.url}/health/live", timeout=30).status_code == 200


def found_again(service: Rolltape) -> dict[str, str]:
    """What is told of the loss, once the search has come to its end."""
    lost: dict[str, str] = {}

    def is_told() -> bool:
        lost.update(service.call("GET", "/api/recovery")["lost"])
        return "found again" in lost["message"]

    wait_until(is_told, "the search for recordings")
    return lost


def test_every_page_tells_a_loss_until_it_is_dismissed(recorder: Rolltape) -> None:
    recorder.stop()
    write_text(database(recorder))
    recorder.process = None
    _start(recorder)
    recorder.add_account("me", "a long pass phrase")

    origin = {"Origin": recorder.url}
    with httpx2.Client(base_url=recorder.url, headers=origin, follow_redirects=True) as browser:
        browser.post("/login", data={"name": "me", "password": "a long pass phrase"})
        told = [browser.get(page).text for page in ("/", "/streams", "/sessions", "/system", "/nowhere")]
        browser.post("/system/recovery/dismiss")
        after = browser.get("/").text

    assert all("The database was damaged" in page for page in told)
    assert "The database was damaged" not in after


def overwrite_all(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))


def overwrite_header(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(bytes(100))


@pytest.mark.parametrize("fault", [overwrite_all, overwrite_header, Path.unlink])
def test_damaged_while_it_records_the_recording_goes_on(
    recorder: Rolltape, mp3_station: str, fault: Callable[[Path], None]
) -> None:
    # F52
    number = record(recorder, mp3_station, 22)
    recorder.wait_until_session(number, lambda session: session["recorded"] > 2)

    fault(database(recorder))
    wait_until(lambda: recorder.log.count("action=started") == 2, "the service being there again", within=60)
    sign_in_anew(recorder)
    done = recorder.wait_for(number)

    assert recorder.process is not None
    assert recorder.process.poll() is None  # the same process all the time
    assert done["state"] == "done"
    assert done["takes"] == 2
    lost = sum(gap["length"] for gap in done["gaps"])
    assert lost < 6
    assert abs(done["recorded"] + lost - 22) < 1.3
    if fault is not Path.unlink:
        kept = next((recorder.folder / "data").glob("rolltape.db.corrupt.*"))
        assert kept.stat().st_size > 0


def test_damaged_twice_within_minutes_it_ends_with_a_code_of_its_own(recorder: Rolltape) -> None:
    process = recorder.process
    assert process is not None
    for starts in (1, 2):
        wait_until(lambda starts=starts: recorder.log.count("action=started") == starts, "the start", within=60)  # type: ignore[misc]
        overwrite_all(database(recorder))

    assert process.wait(60) == 4
    assert "damaged once more" in recorder.log


def test_changes_that_were_taken_away_after_a_kill_are_told(recorder: Rolltape, mp3_station: str) -> None:
    # F54
    number = record(recorder, mp3_station, 1)
    recorder.wait_for(number)
    recorder.kill()
    for suffix in ("-wal", "-shm"):
        database(recorder).with_name(f"rolltape.db{suffix}").unlink()

    recorder.process = None
    _start(recorder)
    sign_in_anew(recorder)

    findings = {finding["code"] for finding in recorder.call("GET", "/api/system")["findings"]}
    assert findings & {"database_changes_lost", "database_moved"}


def test_what_a_kill_left_is_no_loss_also_if_a_command_was_the_next_to_look(recorder: Rolltape) -> None:
    recorder.kill()
    assert recorder.command("token", "create", "between").returncode == 0  # brings all changes into the database

    recorder.start()

    assert recorder.call("GET", "/api/recovery")["lost"] is None


def test_a_server_that_does_not_answer_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    service = Rolltape(tmp_path, {"ROLLTAPE_DATABASE_URL": "postgresql://me:S3CR3T-7f@127.0.0.1:1/away"})

    done = service.command("serve", timeout=30)

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "S3CR3T" not in done.stderr


def test_the_database_of_another_program_elsewhere_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "theirs.db"
    other.touch()
    put_foreign(other)
    before = other.read_bytes()
    service = Rolltape(tmp_path, {"ROLLTAPE_DATABASE_URL": f"sqlite:///{other}"})

    done = service.command("serve", timeout=30)

    assert done.returncode == 1
    assert "left alone" in done.stderr
    assert other.read_bytes() == before


def test_an_older_rolltape_refuses_a_newer_database_and_leaves_it_alone(recorder: Rolltape) -> None:
    # F59: the way back
    recorder.stop()
    with contextlib.closing(sqlite3.connect(database(recorder))) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    before = database(recorder).read_bytes()

    done = recorder.command("serve", timeout=30)

    assert done.returncode == 1
    assert "newer Rolltape" in done.stderr
    assert database(recorder).read_bytes() == before
    assert not list((recorder.folder / "data").glob("rolltape.db.*"))
