"""Backups of a Rolltape that is at work, and restored where there is nothing yet."""

import threading
import time
from pathlib import Path

import httpx2

from tests import forged
from tests.servers.rolltape import rolltape

WRITES_EVERY = 0.05  # s: twenty a second
WRITES = 20  # while backups are made
RECORDINGS = 3
SLOWEST_WRITE = 3.0  # s, on a machine that is loaded by other tests


class Writer(threading.Thread):
    """Changes things by the API, twenty times a second, until told to stop."""

    def __init__(self, url: str, token: str, stream: int) -> None:
        super().__init__()
        self._url, self._headers, self._stream = url, {"Authorization": f"Bearer {token}"}, stream
        self._over = threading.Event()
        self.took: list[float] = []
        self.refused: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._url, headers=self._headers) as client:
            while not self._over.wait(WRITES_EVERY):
                begun = time.monotonic()
                answer = client.patch(f"/api/streams/{self._stream}", json={"genre": f"Genre {len(self.took)}"})
                self.took.append(time.monotonic() - begun)
                if answer.status_code != 200:
                    self.refused.append(answer.text)

    def stop(self) -> None:
        self._over.set()
        self.join()


def test_a_backup_at_work_is_whole_and_restored_elsewhere_all_is_equal(tmp_path: Path, mp3_station: str) -> None:
    """Three sessions record, the API writes, a backup is made; an empty Rolltape restores it and exports the same."""
    allowed = {"ROLLTAPE_ALLOW_TARGETS": mp3_station.split("/")[2]}
    with rolltape(tmp_path / "one", **allowed) as one, rolltape(tmp_path / "two", **allowed) as two:
        streams = [one.add_stream(mp3_station, name=f"Station {number}") for number in range(RECORDINGS)]
        rule = {"cron": "0 4 * * 1", "timezone": "Europe/Berlin", "duration": 3600}
        one.call("POST", "/api/schedules", json={"stream_id": streams[0], "name": "Early", **rule})
        one.call("POST", "/api/destinations", json={"name": "Folder", "kind": "local", "directory": str(tmp_path)})
        recording = [
            one.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 600})["id"] for stream in streams
        ]
        for session in recording:
            one.wait_for(session, ("recording",))
        writer = Writer(one.url, one.token, one.add_stream(mp3_station, name="Written to"))
        writer.start()

        made = [one.call("POST", "/api/backups")]
        while len(writer.took) < WRITES:
            made.append(one.call("POST", "/api/backups"))
        writer.stop()
        refused = one.call("POST", f"/api/backups/{made[-1]['name']}/restore", expect=409)
        still = [one.call("GET", f"/api/sessions/{session}")["state"] for session in recording]
        last = one.call("POST", "/api/backups")
        expected = _export(one.url, one.token)

        content = httpx2.get(f"{one.url}/api/backups/{last['name']}", headers=_bearer(one.token)).content
        brought = httpx2.post(f"{two.url}/api/backups/upload", headers=_bearer(two.token), content=content).json()
        two.call("POST", f"/api/backups/{brought['name']}/restore")
        restored = _export(two.url, two.token)
        states = [two.call("GET", f"/api/sessions/{session}")["state"] for session in recording]

    assert "is being recorded" in refused["error"]["message"]
    assert still == ["recording"] * RECORDINGS
    assert writer.refused == []
    assert max(writer.took) < SLOWEST_WRITE
    assert restored == expected
    assert "Station 2" in restored
    assert states == ["failed"] * RECORDINGS  # they go on there, not here


def test_by_command_a_backup_moves_to_another_folder_when_no_service_runs(tmp_path: Path) -> None:
    with rolltape(tmp_path / "one") as one:
        one.call("POST", "/api/streams", json={"name": "Radio", "url": "http://me:S3CR3T@radio.example/live"})
        made = one.command("backup", "create", "--passphrase", typed="a long passphrase\n")
        listed = one.command("backup", "list")
    file = made.stdout.strip()
    with rolltape(tmp_path / "two") as two:
        beside = two.command("backup", "restore", file, "--yes")
        two.stop()
        looked = two.command("backup", "restore", file, "--dry-run")
        wrong = two.command("backup", "restore", file, "--yes", "--passphrase", typed="another phrase\n")
        unasked = two.command("backup", "restore", file, typed="n\n")
        done = two.command("backup", "restore", file, "--yes", "--passphrase", typed="a long passphrase\n")
        bad = two.command("backup", "verify", str(forged.write(tmp_path / "bad.zip", {"x": b"y"})))
        two.start()
        (stream,) = two.call("GET", "/api/streams")["items"]

    assert made.returncode == 0, made.stderr
    assert listed.stdout.split()[0] == Path(file).name
    assert (beside.returncode, "Rolltape is running" in beside.stderr) == (1, True)
    assert "streams, comes back: 1: Radio" in looked.stdout
    assert "To do: The password in the address of Radio" in looked.stdout
    assert (wrong.returncode, "not the passphrase" in wrong.stderr) == (1, True)
    assert unasked.returncode == 1
    assert done.returncode == 0, done.stderr
    assert "Restored. How it was before is in rolltape-" in done.stdout
    assert (bad.returncode, "no place in a backup" in bad.stderr) == (1, True)
    assert stream["url"] == "http://me:S3CR3T@radio.example/live"


def _export(url: str, token: str) -> str:
    answer = httpx2.get(f"{url}/api/config/export", headers=_bearer(token))
    assert answer.status_code == 200
    return answer.text


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
