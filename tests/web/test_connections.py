"""How many connections there may be, and how long one may stay silent."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from rolltape.web.connections import MOST_CONNECTIONS, Connection, most_connections
from tests.servers.process import answers, free_port, wait_until
from tests.servers.rolltape import rolltape

HALF_OPEN = 300
HALVES = (b"", b"G", b"GET / HTTP/1.1\r\nHost: loc", b"POST /login HTTP/1.1\r\nHost: localhost\r\n")


def test_three_quarters_of_the_files_are_left_for_recordings() -> None:
    assert [most_connections(files) for files in (256, 1024, 20_000, 65_536)] == [64, 256, MOST_CONNECTIONS, 4000]


@contextlib.contextmanager
def half_open(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that began a request and say no more."""
    with contextlib.ExitStack() as open_ones:
        made = []
        for number in range(count):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            with contextlib.suppress(OSError):  # there are too many of them by now
                connection.sendall(HALVES[number % len(HALVES)])
            made.append(connection)
        yield made


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_half_open_connections_keep_no_recording_from_its_start(tmp_path: Path, mp3_station: str) -> None:
    with (
        rolltape(tmp_path, ROLLTAPE_ALLOW_TARGETS=urlsplit(mp3_station).netloc) as service,
        half_open(service.port, HALF_OPEN) as silent,
    ):
        stream = service.add_stream(mp3_station)
        begun = time.monotonic()
        session = service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 2})
        recorded = service.wait_until_session(session["id"], lambda found: found["recorded"] > 0.5, within=20)

        assert time.monotonic() - begun < 8
        started = datetime.fromisoformat(recorded["started_at"])
        assert (datetime.now(UTC) - started).total_seconds() < 10
        assert service.wait_for(session["id"])["verdict"] == "complete"
        assert service.request("GET", "/health/live").text == "ok"
        assert not all(is_closed(one) for one in silent)  # they were open all the time


@contextlib.contextmanager
def serving(limit: int) -> Iterator[int]:
    """Port of a server with our connections. Its answers take until the end of the body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("ok")(scope, receive, send)

    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, lifespan="off", http=Connection, limit_concurrency=limit
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: answers(port), "the server listening")
        yield port
    finally:
        server.should_exit = True
        thread.join()


def test_beyond_the_limit_connections_are_dropped_and_earlier_ones_go_on() -> None:
    with serving(limit=10) as port, half_open(port, 9) as first, half_open(port, 5) as more:
        wait_until(lambda: sum(is_closed(one) for one in more) >= 4, "those beyond the limit being dropped")
        assert not any(is_closed(one) for one in first)


def test_who_is_slow_is_waited_for_and_who_is_silent_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolltape.web.connections.PATIENCE", 1.0)
    with serving(limit=100) as port, half_open(port, len(HALVES)) as silent, half_open(port, 1) as (slow,):
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
        with half_open(port, 1) as (later,):
            later.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
            assert b"200 OK" in later.recv(1000)
            wait_until(lambda: all(is_closed(one) for one in silent), "silent ones being dropped", within=5)
        slow.settimeout(5)
        slow.sendall(b"x")
        assert b"200 OK" in slow.recv(1000)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    program = "import resource; from rolltape.web import raise_limits; print(raise_limits(), "
    program += "*resource.getrlimit(resource.RLIMIT_NOFILE))"

    told = subprocess.run(
        ["sh", "-c", f"ulimit -S -n 256; ulimit -H -n 3000; exec {sys.executable} -c '{program}'"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert told.stdout.split() == ["3000", "3000", "3000"]
