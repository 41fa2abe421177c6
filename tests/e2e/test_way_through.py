"""A schedule becomes a file on a server, by itself."""

import hashlib
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from mutagen.id3 import ID3

from tests.servers.process import program, wait_until
from tests.servers.rolltape import Rolltape
from tests.servers.sshd import Sshd


class Watcher(threading.Thread):
    """Looks ten times a second at what has a final name in a folder, and remembers every hash that it saw."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._end = threading.Event()
        self.looks = 0
        self.seen: dict[str, set[str]] = {}

    def run(self) -> None:
        while not self._end.wait(0.1):
            self.looks += 1
            for file in self._folder.rglob("*"):
                if file.is_file() and not file.name.startswith("."):
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    self.seen.setdefault(file.name, set()).add(digest)

    def end(self) -> None:
        self._end.set()
        self.join()


def test_a_scheduled_show_arrives_on_the_server(service: Rolltape, server: Sshd, nas: int, mp3_station: str) -> None:
    start = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    stream = service.add_stream(mp3_station, name="Test Radio", artist="Somebody", destination_ids=[nas])
    watcher = Watcher(server.home)
    watcher.start()

    schedule = service.call(
        "POST",
        "/api/schedules",
        json={
            "stream_id": stream, "name": "Show", "at": start.isoformat(), "timezone": "Europe/Berlin", "duration": 6
        },
    )  # fmt: skip
    (session,) = service.call("GET", f"/api/sessions?schedule_id={schedule['id']}")["items"]
    done = service.wait_for(session["id"])
    wait_until(lambda: bool(watcher.seen), "the watcher seeing the file")
    watcher.end()

    assert done["state"] == "done", done
    assert done["verdict"] == "complete"
    local_date = start.astimezone(ZoneInfo("Europe/Berlin")).date()
    assert done["title"] == f"{local_date} Show"
    (transfer,) = done["transfers"]
    assert transfer["state"] == "delivered"
    assert transfer["verified_by"] == "sha256"
    file = server.home / done["recording"]["file"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest == done["recording"]["sha256"] == transfer["sha256"]
    assert watcher.seen == {file.name: {digest}}
    assert watcher.looks > 20
    assert abs(done["recording"]["duration"] - 6) < 0.3
    decoded = subprocess.run(
        [program("ffmpeg"), "-v", "error", "-xerror", "-i", file, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (decoded.returncode, decoded.stderr) == (0, "")
    assert "WARNING" not in subprocess.run([program("mp3val"), file], capture_output=True, text=True, check=True).stdout
    assert str(ID3(file)["TIT2"]) == f"{local_date} Show"
