"""The log of a real service: complete, without secrets, and kept over its end."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import wait_until
from tests.servers.rolltape import rolltape

CANARY = "S3CR3T-7f"
FORGED = '\\n{"time":"2026-01-01T00:00:00Z","level":"info","component":"web","message":"login ok"}'


@pytest.fixture
def refusing() -> Iterator[int]:
    """The port of a station that answers 404 to everything, with a hostile sentence."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_refuse, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _refuse(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.0 404 Gone\x1b[2J login ok\r\nicy-name: x\x85login ok\r\n\r\n")


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line of every file. Each has to be JSON."""
    return [json.loads(line) for file in sorted(folder.glob("*.log")) for line in file.read_text().splitlines()]


def test_the_log_tells_everything_but_secrets(tmp_path: Path, refusing: int) -> None:
    with rolltape(tmp_path / "rolltape", ROLLTAPE_ALLOW_TARGETS=f"127.0.0.1:{refusing}") as service:
        service.call("PATCH", "/api/preferences", json={"log_level": "debug"})
        address = f"http://me:{CANARY}@127.0.0.1:{refusing}/{FORGED.replace(' ', '')}?key={CANARY}"
        stream = service.add_stream(address.replace("\\n", "%0A"), name="Refusing", max_attempts=2)
        number = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 5})["id"]
        service.wait_for(number)
        told = service.call("GET", f"/api/logs?session_id={number}&limit=200")["items"]
        dump = service.request("GET", "/api/logs/download").text
        service.stop()

        kept = lines(tmp_path / "rolltape" / "data" / "log")

    assert told
    assert all(line["action"] for line in told)
    assert {line["component"] for line in told} >= {"pipeline"}
    assert kept[-1]["message"] == "stopped"
    assert any(line.get("action") == "request" for line in kept)  # the level was changed at once
    assert not any(line["message"] == "login ok" for line in kept)
    for everything in (json.dumps(kept), dump, service.log, json.dumps(told)):
        assert CANARY not in everything


def test_preferences_outlive_the_service(tmp_path: Path) -> None:
    with rolltape(tmp_path / "rolltape", ROLLTAPE_LOG_SIZE="5") as service:
        service.call("PATCH", "/api/preferences", json={"log_level": "error", "timezone": "Asia/Tokyo"})
        refusal = service.call("PATCH", "/api/preferences", json={"log_size": 7}, expect=422)
        service.stop()
        service.start()
        values = {item["name"]: item for item in service.call("GET", "/api/preferences")["items"]}
        service.stop()

        kept = lines(tmp_path / "rolltape" / "data" / "log")

    assert "ROLLTAPE_LOG_SIZE" in refusal["error"]["fields"]["log_size"]
    assert (values["timezone"]["value"], values["log_size"]["value"]) == ("Asia/Tokyo", 5)
    assert [line["message"] for line in kept].count("stopping") == 0  # both ends came under the level of errors


def test_a_folder_that_cannot_be_written_is_found_and_hinders_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with rolltape(tmp_path / "rolltape", ROLLTAPE_LOG_DIR=str(tmp_path / "file")) as service:
        findings: list[str] = []

        def found() -> bool:
            findings[:] = [finding["code"] for finding in service.call("GET", "/api/system")["findings"]]
            return "log_not_writable" in findings

        wait_until(found, "the finding")
        ready = service.request("GET", "/health/ready").status_code

    assert ready == 200
    assert "Rolltape" in service.log


def test_the_files_are_of_nobody_elses_business(tmp_path: Path) -> None:
    with rolltape(tmp_path / "rolltape") as service:
        service.call("GET", "/api/logs")
        service.stop()

    (file,) = (tmp_path / "rolltape" / "data" / "log").iterdir()
    assert file.stat().st_mode & 0o077 == 0
