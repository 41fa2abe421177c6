"""Schemathesis asks the API everything that its document allows, and much that it does not."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from rolltape import web
from rolltape.domain.destination import DestinationFields, DestinationKind
from rolltape.domain.notification import ChannelFields, ChannelKind
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.units import Seconds
from rolltape.services.clock import utc_now
from rolltape.store import Database
from tests.servers.process import answers, free_port, wait_until
from tests.services.conftest import Bench, build

EXAMPLES = "5"  # of each operation; run with more by hand
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# These would connect to whatever address was made up.
REACH_OUT = (
    "streams_record", "streams_probe", "streams_probe_known", "destinations_test", "destinations_accept_key",
    "channels_test",
)  # fmt: skip


@contextlib.contextmanager
def serving(folder: Path, sqlite_url: str, ffmpeg: str) -> Iterator[tuple[str, str]]:
    """Address and token of the API. Nothing is recorded or delivered behind it."""
    port = free_port()
    bench = build(Database(sqlite_url), folder, ffmpeg)
    app = web.create(bench.services, allowed_hosts=[])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    token = ""

    async def serve() -> None:
        nonlocal token
        token = await bench.services.tokens.create("schemathesis")
        await _fill(bench)
        await server.serve()
        await bench.database.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        wait_until(lambda: answers(port), "the API listening")
        yield f"http://127.0.0.1:{port}", token
    finally:
        server.should_exit = True
        thread.join()


async def _fill(bench: Bench) -> None:
    """One of each, so that number 1 (the example in the document) is there."""
    bench.clock.moment = utc_now()
    stream = await bench.stream()
    schedule = ScheduleFields(stream_id=stream, cron="0 9 * * *", timezone="UTC", duration=60)
    await bench.services.schedules.create(schedule)
    folder = DestinationFields(name="Folder", kind=DestinationKind.LOCAL, directory=str(bench.folder))
    await bench.services.destinations.create(folder)
    await bench.services.sessions.record_now(stream, Seconds(60))
    channel = ChannelFields(name="Hook", kind=ChannelKind.WEBHOOK, address="https://example.org/hook")
    await bench.services.notifications.create(channel)


def test_no_answer_is_a_server_error_or_undocumented(tmp_path: Path, sqlite_url: str, ffmpeg: str) -> None:
    with serving(tmp_path, sqlite_url, ffmpeg) as (url, token):
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/api/openapi.json",
            "-H", f"Authorization: Bearer {token}", "--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "1",
            "--generation-database", "none", "--no-color",
        ]  # fmt: skip
        for name in REACH_OUT:
            command += ["--exclude-operation-id", name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=400)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
