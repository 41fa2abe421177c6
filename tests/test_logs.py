"""What is told is readable on the console and kept as lines of JSON, without secrets and without forged lines."""

import io
import json
import logging
import os
import re
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from rolltape import logs
from rolltape.domain.log import COMPONENTS, CURRENT, closed_files, files, name_of_closed
from rolltape.domain.units import Bytes

FRAGMENT = "S3CR3T-7f"
LARGE = Bytes(10_000_000)


@pytest.fixture
def console() -> Iterator[io.StringIO]:
    """The console of a program that has just set up its log; the log is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level, logging.raiseExceptions)
    output = io.StringIO()
    logs.set_up("info", output)
    yield output
    root.handlers, level, logging.raiseExceptions = before
    logs.set_levels(logging.getLevelName(level), {})


@pytest.fixture
def told(console: io.StringIO, tmp_path: Path) -> Callable[[Callable[[Any], None]], list[dict[str, Any]]]:
    """The lines in the files, after something was told."""

    def tell(telling: Callable[[Any], None], logger: str = "rolltape.capture.tape") -> list[dict[str, Any]]:
        with logs.kept(tmp_path / "log", size=LARGE, days=30):
            telling(structlog.stdlib.get_logger(logger))
        return lines(tmp_path / "log")

    return tell


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line of every file. Each has to be JSON."""
    return [json.loads(line) for file in files(folder) for line in file.read_bytes().split(b"\n")[:-1]]


def test_a_line_says_when_where_what_and_for_which_session(told: Any) -> None:
    before = datetime.now(UTC)

    [line] = told(lambda log: log.info("recording ended", action="session_recorded", session_id=12, lost=1.5))

    assert before <= datetime.fromisoformat(line.pop("time")) <= datetime.now(UTC)
    assert line == {
        "level": "info", "component": "capture", "message": "recording ended", "action": "session_recorded",
        "outcome": "ok", "session_id": 12, "logger": "rolltape.capture.tape", "lost": 1.5,
    }  # fmt: skip


def test_a_session_that_is_bound_to_a_task_is_told_of_without_being_named(told: Any) -> None:
    with structlog.contextvars.bound_contextvars(session_id=7):
        [line] = told(lambda log: log.warning("connection lost"))

    assert line["session_id"] == 7


def test_an_error_has_its_stack_trace_in_one_field(told: Any, console: io.StringIO) -> None:
    def fail(log: Any) -> None:
        try:
            raise ValueError("wrong\nhere")
        except ValueError:
            log.exception("it failed", action="failed")

    [line] = told(fail)

    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: wrong\nhere")
    assert "ValueError: wrong" in console.getvalue()


def test_libraries_are_kept_too_under_their_own_name(console: io.StringIO, tmp_path: Path) -> None:
    with logs.kept(tmp_path, size=LARGE, days=30):
        logging.getLogger("uvicorn.error").warning("%s is %s", "something", "odd")

    [line] = lines(tmp_path)
    assert (line["component"], line["message"]) == ("uvicorn", "something is odd")


def test_passwords_and_tokens_are_masked_wherever_they_stand(told: Any, console: io.StringIO) -> None:
    address = f"https://me:{FRAGMENT}@radio.example/live?key={FRAGMENT}"

    def tell(log: Any) -> None:
        log.info(f"connecting to {address}", url=address, many=[address], token=f"rt_{FRAGMENT}{'x' * 30}")
        try:
            raise ConnectionError(f"{address} refused")
        except ConnectionError:
            log.exception("refused")
        logging.getLogger("other").error("cannot open %s", address)

    found = told(tell)

    assert len(found) == 3
    assert FRAGMENT not in json.dumps(found)
    assert FRAGMENT not in console.getvalue()
    assert "https://***@radio.example/live?***" in found[0]["url"]


HOSTILE = (
    'Title\n{"time":"2026-01-01T00:00:00Z","level":"info","component":"web","message":"login ok"}',
    "Title\r\nlogin ok",
    "Title\u2028login ok\u2029\x85login ok\x0b\x0c",
    "\x1b[2J\x1b]0;owned\x07\u202elogin ok",
    "\ud800 half a character \x00",
)


@pytest.mark.parametrize("title", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_station_sends_stays_in_its_line(told: Any, console: io.StringIO, tmp_path: Path, title: str) -> None:
    [line] = told(lambda log: log.info(title, title=title))

    text = (tmp_path / "log" / CURRENT).read_bytes().decode()
    assert line["title"] == line["message"] == title
    assert len(text.splitlines()) == 1  # which also splits at separators that are no line feed
    assert len(console.getvalue().splitlines()) == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800]", text + console.getvalue())


def test_endless_texts_are_cut(told: Any) -> None:
    def fail(log: Any) -> None:
        log.info("x" * 100_000, title="y" * 100_000)
        try:
            raise ValueError("z" * 100_000 + "the end")
        except ValueError:
            log.exception("it failed")

    first, second = told(fail)

    assert first["message"].endswith("... (100000 characters)")
    assert len(first["message"]) < 2_100
    assert len(first["title"]) < 2_100
    assert len(second["exception"]) < 20_100
    assert second["exception"].endswith("the end")


def test_values_that_json_does_not_know_are_told_as_text(told: Any, tmp_path: Path) -> None:
    [line] = told(
        lambda log: log.info("odd", a=float("nan"), b=tmp_path, c={1, 2}, d=object, e=b"\xff", f=None, g=True)
    )

    assert (line["a"], line["b"], line["c"]) == ("nan", str(tmp_path), "{1, 2}")
    assert line["f"] is None
    assert line["g"] is True


def test_a_field_cannot_take_the_place_of_what_every_line_has(told: Any) -> None:
    [line] = told(lambda log: log.info("true", time="never", component="web", message="forged"))

    assert (line["component"], line["message"]) == ("capture", "true")
    assert datetime.fromisoformat(line["time"])


def test_the_level_is_set_for_all_and_for_parts(told: Any) -> None:
    def tell(_: Any) -> None:
        logs.set_levels("warning", {"capture": "debug"})
        structlog.stdlib.get_logger("rolltape.capture.http").debug("how")
        structlog.stdlib.get_logger("rolltape.transfer.sftp").info("what")
        logs.set_levels("info", {})
        structlog.stdlib.get_logger("rolltape.capture.http").debug("how")
        structlog.stdlib.get_logger("rolltape.transfer.sftp").info("what")

    assert [(line["level"], line["component"]) for line in told(tell)] == [("debug", "capture"), ("info", "transfer")]


def test_every_part_of_the_program_can_have_a_level_of_its_own() -> None:
    source = Path(logs.__file__).parents[1]
    parts = {"services" if file.parent != source else file.stem for file in source.glob("*.py")}
    telling = {
        (file.relative_to(source).parts[0]).removesuffix(".py")
        for file in source.rglob("*.py")
        if "structlog.get_logger" in file.read_text()
    }

    assert telling <= set(COMPONENTS), parts


# Files


def line_of(length: int) -> str:
    return "x" * (length - 150)


def test_a_full_file_is_closed_and_a_new_one_begun(console: io.StringIO, tmp_path: Path) -> None:
    log = structlog.stdlib.get_logger("rolltape.app")

    with logs.kept(tmp_path, size=Bytes(10_000), days=30):
        for number in range(50):
            log.info(line_of(1_000), number=number)

    assert [line["number"] for line in lines(tmp_path)] == list(range(50))
    assert len(closed_files(tmp_path)) >= 4
    assert all(file.stat().st_size <= 10_000 for file in files(tmp_path))


def test_nobody_else_may_read_them(console: io.StringIO, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with logs.kept(tmp_path / "log", size=LARGE, days=30):
            structlog.stdlib.get_logger("rolltape.app").info("hello")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "log" / CURRENT).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700


def aged(folder: Path, days: float) -> Path:
    """A closed file of which the last line is `days` old."""
    moment = datetime.now(UTC) - timedelta(days=days)
    file = folder / name_of_closed(moment)
    file.write_text("{}\n")
    os.utime(file, (moment.timestamp(), moment.timestamp()))
    return file


def test_old_files_are_removed_and_others_left_alone(console: io.StringIO, tmp_path: Path) -> None:
    old, young, foreign = aged(tmp_path, 31), aged(tmp_path, 29), tmp_path / "rolltape-notes.log"
    foreign.write_text("mine")
    os.utime(foreign, (0, 0))

    with logs.kept(tmp_path, size=LARGE, days=30):
        structlog.stdlib.get_logger("rolltape.app").info("hello")

    assert not old.exists()
    assert young.exists()
    assert foreign.exists()


def test_a_flood_does_not_fill_the_disk(console: io.StringIO, tmp_path: Path) -> None:
    for days in range(150):
        aged(tmp_path, days / 10)

    with logs.kept(tmp_path, size=LARGE, days=30):
        structlog.stdlib.get_logger("rolltape.app").info("hello")

    assert len(closed_files(tmp_path)) == 100


def test_each_day_has_a_file_of_its_own(console: io.StringIO, tmp_path: Path) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    (tmp_path / CURRENT).write_text('{"message":"yesterday"}\n')
    os.utime(tmp_path / CURRENT, (yesterday, yesterday))

    with logs.kept(tmp_path, size=LARGE, days=30):
        structlog.stdlib.get_logger("rolltape.app").info("today")

    assert [line["message"] for line in lines(tmp_path)] == ["yesterday", "today"]
    assert len(closed_files(tmp_path)) == 1


def test_a_torn_line_does_not_spoil_the_next_one(console: io.StringIO, tmp_path: Path) -> None:
    (tmp_path / CURRENT).write_text('{"message":"tor')

    with logs.kept(tmp_path, size=LARGE, days=30):
        structlog.stdlib.get_logger("rolltape.app").info("whole")

    torn, whole, _ = (tmp_path / CURRENT).read_text().split("\n")
    assert torn == '{"message":"tor'
    assert json.loads(whole)["message"] == "whole"


def test_a_file_that_somebody_removed_is_begun_anew(console: io.StringIO, tmp_path: Path) -> None:
    log = structlog.stdlib.get_logger("rolltape.app")

    with logs.kept(tmp_path, size=LARGE, days=30):
        log.info("one")
        until(lambda: (tmp_path / CURRENT).exists() and (tmp_path / CURRENT).stat().st_size > 0)
        (tmp_path / CURRENT).unlink()
        log.info("two")

    assert [line["message"] for line in lines(tmp_path)] == ["two"]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def test_a_folder_that_cannot_be_written_stops_nothing_and_is_told(console: io.StringIO, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file, not a folder")

    with logs.kept(tmp_path / "log", size=LARGE, days=30):
        structlog.stdlib.get_logger("rolltape.app").info("hello")
        until(lambda: logs.problem() is not None)
        problem = logs.problem()

    assert problem is not None
    assert str(tmp_path / "log") in problem
    assert "hello" in console.getvalue()
    assert logs.problem() is None


def test_a_full_disk_is_told_and_what_was_lost_is_counted_afterwards(
    console: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rolltape.logs.keep.RETRY", 0.0)
    (tmp_path / CURRENT).symlink_to("/dev/full")  # takes nothing: no space left on device
    log = structlog.stdlib.get_logger("rolltape.app")

    with logs.kept(tmp_path, size=LARGE, days=30) as file:
        for _ in range(3):
            log.info("into the void")
        until(lambda: file._lost == 3)
        assert "No space left" in (logs.problem() or "")
        (tmp_path / CURRENT).unlink()
        log.info("there is room again")
        until(lambda: logs.problem() is None)

    found = lines(tmp_path)
    assert [line["message"] for line in found] == ["3 lines could not be kept", "there is room again"]


def test_a_disk_that_hangs_keeps_nobody_waiting(console: io.StringIO, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CURRENT)  # opening it to write waits until somebody reads
    log = structlog.stdlib.get_logger("rolltape.app")

    with logs.kept(tmp_path, size=LARGE, days=30):
        began = time.monotonic()
        for _ in range(12_000):
            log.info("hello")
        took = time.monotonic() - began
        reader = threading.Thread(target=lambda: (tmp_path / CURRENT).read_bytes())
        reader.start()
    reader.join(10)

    assert took < 10
    assert not reader.is_alive()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_log_disk_that_fills_up_stops_nothing_floods_nothing_and_is_counted(
    console: io.StringIO, disk: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # F39
    monkeypatch.setattr("rolltape.logs.keep.RETRY", 0.05)
    log = structlog.stdlib.get_logger("rolltape.app")

    with logs.kept(disk, size=LARGE, days=30) as file:
        for number in range(2_000):
            log.info(line_of(500), number=number)
        until(lambda: file._lines.empty() and logs.problem() is not None)
        problem = logs.problem() or ""
        kept = len((disk / CURRENT).read_bytes().split(b"\n")) - 1
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        until(lambda: _is_kept_again(log))

    found = [json.loads(line) for line in _whole_lines(disk)]
    lost = sum(int(line["message"].split()[0]) for line in found if "could not be kept" in line["message"])
    assert "No space left" in problem
    assert re.search(r"\d+ lines are lost so far", problem)
    assert 0 < kept < 2_000
    told = sum(line["message"] != "again" and "number" in line for line in found)
    again = console.getvalue().count("again")
    assert told + lost + sum(line["message"] == "again" for line in found) == 2_000 + again
    assert len(console.getvalue().splitlines()) == 2_000 + again  # the console has every line, and no stack traces
    assert capfd.readouterr().err == ""


def _is_kept_again(log: Any) -> bool:
    log.info("again")
    time.sleep(0.01)
    return logs.problem() is None


def _whole_lines(folder: Path) -> Iterator[bytes]:
    """All lines, but for one that the full disk has torn."""
    for file in files(folder):
        for line in file.read_bytes().split(b"\n"):
            if line.endswith(b"}"):
                yield line


@pytest.mark.parametrize("way", ["moved", "copied and truncated", "folder removed"])
def test_files_that_somebody_else_rotates_are_begun_anew(console: io.StringIO, tmp_path: Path, way: str) -> None:
    # F70
    log, folder = structlog.stdlib.get_logger("rolltape.app"), tmp_path / "log"

    with logs.kept(folder, size=LARGE, days=30):
        log.info("one")
        until(lambda: (folder / CURRENT).exists() and (folder / CURRENT).stat().st_size > 0)
        if way == "moved":
            (folder / CURRENT).rename(folder / "rolltape.log.1")
        elif way == "copied and truncated":
            os.truncate(folder / CURRENT, 0)
        else:
            shutil.rmtree(folder)
        log.info("two")

    assert [line["message"] for line in lines(folder)] == ["two"]
    assert (folder / CURRENT).stat().st_mode & 0o077 == 0


def test_the_outcome_stands_in_every_line(told: Any) -> None:
    def tell(log: Any) -> None:
        log.info("it went well")
        log.warning("it healed itself")
        log.error("it failed")
        log.info("it was not allowed", outcome="refused")

    assert [line["outcome"] for line in told(tell)] == ["ok", "trouble", "failed", "refused"]


NOTHING_TO_TELL = {  # methods of services that change nothing of their own, or are told of by who calls them
    "sessions": {"claim", "plan", "enter_events", "beat", "tell", "enter_waiting", "expire_waiting", "advance"},
    "schedules": {"plan"},
    "transfers": {"prepare", "write", "look_again"},
    "tokens": {"create"},
    "users": {"set_up", "log_in", "check_code", "change_password", "setup_code"},
}


@pytest.mark.parametrize(
    "module",
    ["streams", "schedules", "destinations", "tokens", "transfers", "sessions", "users", "preferences"],
)
def test_whatever_writes_to_the_database_for_somebody_tells_the_log(module: str) -> None:
    source = (Path(logs.__file__).parents[1] / "services" / f"{module}.py").read_text()
    silent = []
    for found in re.finditer(
        r"((?:    @.*\n)*)    async def ([a-z]\w*)\((.*?)(?=\n    (?:@|async def|def)|\nclass |\Z)", source, re.S
    ):
        decorators, name, body = found.groups()
        changes = "_database.write()" in body
        if changes and "@operation" not in decorators and "log." not in body:
            silent.append(name)

    assert set(silent) <= NOTHING_TO_TELL.get(module, set())
