"""A database that cannot be used is moved aside, and never mistaken for a first visit."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolltape.services import lost
from rolltape.services.lost import MARK, MARKER, RUNNING, Loss, Lost
from rolltape.store import DatabaseError
from rolltape.store.database import migrate_now

NOW = datetime(2026, 11, 22, 22, 15, tzinfo=UTC)
ASIDE = "20261122T221500Z"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "recordings").mkdir(parents=True)
    return folder


@pytest.fixture
def url(data: Path) -> str:
    return f"sqlite:///{data / 'rolltape.db'}"


@pytest.fixture
def installed(url: str, data: Path) -> Path:
    """The database of an installation that has been in use."""
    start(url, data)
    return data / "rolltape.db"


def start(url: str, data: Path) -> Lost | None:
    """What a start does about the database."""
    found = lost.secure(url, data, data / "recordings", NOW)
    migrate_now(url)
    lost.keep_marker(url, data, NOW)
    return found


def make_foreign(file: Path) -> None:
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()


def test_a_first_start_is_nothing_to_tell(url: str, data: Path) -> None:
    assert start(url, data) is None
    assert start(url, data) is None
    assert json.loads((data / MARKER).read_text())["database"] == str(data / "rolltape.db")
    assert (data / MARKER).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("fault", "loss"),
    [
        (lambda file: file.write_text("no database" * 500), Loss.CORRUPT),
        (lambda file: os.truncate(file, file.stat().st_size // 2), Loss.CORRUPT),
        (lambda file: file.write_bytes(b""), Loss.EMPTY),
        (make_foreign, Loss.FOREIGN),
    ],
)
def test_what_cannot_be_used_is_moved_aside_and_kept(installed: Path, url: str, data: Path, fault, loss: Loss) -> None:
    fault(installed)
    before = installed.read_bytes()

    found = start(url, data)

    assert found is not None
    assert found.loss is loss
    assert found.moved_to == str(data / f"rolltape.db.{loss}.{ASIDE}")
    assert Path(found.moved_to).read_bytes() == before
    assert lost.read_mark(data) == found
    assert start(url, data) == found  # it is still told after another start
    assert len(list(data.glob("rolltape.db.*"))) == 1


@pytest.mark.parametrize("trace", ["marker", "mark", "takes", "facts"])
def test_a_database_that_is_gone_is_no_first_visit(url: str, data: Path, trace: str) -> None:
    traces = {
        "marker": data / MARKER,
        "mark": data / MARK,
        "takes": data / "recordings" / ".takes" / "7" / "journal.jsonl",
        "facts": data / "recordings" / "Station" / ".Show.mp3.json",
    }
    traces[trace].parent.mkdir(parents=True, exist_ok=True)
    traces[trace].write_text("whatever it says")

    found = start(url, data)

    assert found is not None
    assert (found.loss, found.moved_to) == (Loss.MISSING, None)


def test_the_music_of_somebody_is_no_trace_of_ours(url: str, data: Path) -> None:
    (data / "recordings" / "Music").mkdir()
    (data / "recordings" / "Music" / "Song.mp3").write_bytes(b"x")
    (data / "rolltape.db").touch()

    assert start(url, data) is None


@pytest.mark.parametrize("fault", [make_foreign, lambda file: file.write_text("Dear diary" * 50)])
def test_what_lies_in_another_place_may_be_anybodys_and_is_left_alone(tmp_path: Path, data: Path, fault) -> None:
    other = tmp_path / "elsewhere.db"
    fault(other)
    before = other.read_bytes()

    with pytest.raises(DatabaseError, match="left alone") as caught:
        start(f"sqlite:///{other}", data)

    assert str(other) in caught.value.message
    assert other.read_bytes() == before
    assert list(data.glob("*.json")) == []


def test_in_another_place_it_is_ours_once_it_was_ours(tmp_path: Path, data: Path) -> None:
    other = tmp_path / "elsewhere.db"
    start(f"sqlite:///{other}", data)
    other.write_text("Dear diary" * 500)

    found = start(f"sqlite:///{other}", data)

    assert found is not None
    assert found.moved_to == f"{other}.corrupt.{ASIDE}"


def test_killed_before_it_was_moved_it_is_moved_by_the_next_start(
    installed: Path, url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.write_text("no database" * 500)
    with monkeypatch.context() as patched:
        patched.setattr("rolltape.services.lost.move_aside", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            start(url, data)
    assert installed.exists()

    found = start(url, data)

    assert found is not None
    assert found.moved_to is not None
    assert Path(found.moved_to).exists()


def test_a_file_that_cannot_be_moved_stops_the_start_with_a_sentence(installed: Path, url: str, data: Path) -> None:
    installed.write_text("no database" * 500)
    (data / f"rolltape.db.corrupt.{ASIDE}-wal").mkdir()
    (data / f"rolltape.db.corrupt.{ASIDE}-wal" / "x").touch()
    (data / "rolltape.db-wal").touch()

    with pytest.raises(DatabaseError, match="nor moved aside"):
        start(url, data)


def test_last_changes_that_were_taken_away_after_a_kill_are_told(installed: Path, url: str, data: Path) -> None:
    # F54
    lost.note_running(data)

    found = start(url, data)

    assert found is not None
    assert (found.loss, found.is_all) == (Loss.CHANGES, False)


def test_after_a_proper_end_nothing_is_told(installed: Path, url: str, data: Path) -> None:
    lost.note_running(data)
    lost.note_closed(data)

    assert start(url, data) is None
    assert not (data / RUNNING).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"loss": "eaten"}', "\x00" * 100, '{"a":' * 10_000])
def test_a_mark_that_does_not_read_hinders_no_start(installed: Path, url: str, data: Path, content: str) -> None:
    (data / MARK).write_text(content)
    (data / MARKER).write_text(content)

    assert start(url, data) is None


def test_beside_a_service_a_lost_database_is_not_made_anew(installed: Path, url: str, data: Path) -> None:
    for fault in (Path.unlink, lambda file: file.write_bytes(b""), lambda file: file.write_text("x" * 200)):
        fault(installed)
        with pytest.raises(DatabaseError, match="Start the service"):
            lost.check_usable(url, data, data / "recordings")


def test_on_a_server_nothing_is_moved(postgres_server: str, data: Path) -> None:
    from tests.servers.postgres import create_database

    empty = create_database(postgres_server, "emptied")
    assert lost.secure(empty, data, data / "recordings", NOW) is None
    lost.keep_marker(empty, data, NOW)

    found = lost.secure(empty, data, data / "recordings", NOW)

    assert found is not None
    assert (found.loss, found.moved_to) == (Loss.EMPTY, None)


def test_each_loss_has_its_words() -> None:
    told = {lost.words(Lost(loss=kind, at=NOW, moved_to="/data/x", is_searched=True, found=1)) for kind in Loss}

    assert len(told) == len(Loss)
    assert all("1 recording was found again." in words for words in told)
    assert all("being looked for" in lost.words(Lost(loss=kind, at=NOW)) for kind in Loss)
    strangers = Lost(loss=Loss.CORRUPT, at=NOW, moved_to="/srv/secret/rolltape.db.corrupt.1").for_strangers
    assert "/srv/secret" not in lost.words(strangers)
    assert "rolltape.db.corrupt.1" in lost.words(strangers)
