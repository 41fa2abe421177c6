"""What state a database is in before anything uses it, and how one that cannot be used is moved aside."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolltape.store import DatabaseError
from rolltape.store.condition import Condition, file_of, has_sound_header, look_at, move_aside, place_aside
from rolltape.store.database import APPLICATION_ID
from tests.archive import fill

NOW = datetime(2026, 11, 22, 22, 15, tzinfo=UTC)


@pytest.fixture(scope="session")
def filled(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with so many rows that each kind of damage hits something."""
    file = tmp_path_factory.mktemp("filled") / "rolltape.db"
    shutil.copy(migrated_sqlite, file)
    fill(f"sqlite:///{file}", streams=5, schedules=10, sessions=2000)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.fixture
def file(filled: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "rolltape.db"
    shutil.copy(filled, copy)
    return copy


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def wipe_header(file: Path) -> None:
    overwrite(file, 0, bytes(16))


def wipe_first_page(file: Path) -> None:
    overwrite(file, 100, os.urandom(3900))


def put_garbage(file: Path) -> None:
    overwrite(file, 4096 * 100, os.urandom(4096 * 8))


def overwrite(file: Path, place: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(content)


def write_text(file: Path) -> None:
    file.write_text("not a database at all" * 100)


def write_one_byte(file: Path) -> None:
    file.write_bytes(b"S")


def drop_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("DROP TABLE sessions")
        db.commit()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def make_bare(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.commit()


def make_foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()


def change_application_id(file: Path) -> None:
    overwrite(file, 68, b"\x0f\x05\x51\x20")


def clear_application_id(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA application_id = 0")
        db.commit()


FAULTS: list[tuple[Callable[[Path], None], Condition]] = [
    (lambda _: None, Condition.SOUND),
    (Path.unlink, Condition.MISSING),
    (truncate, Condition.CORRUPT),
    (wipe_header, Condition.CORRUPT),
    (wipe_first_page, Condition.CORRUPT),
    (put_garbage, Condition.CORRUPT),
    (write_text, Condition.CORRUPT),
    (write_one_byte, Condition.CORRUPT),
    (drop_table, Condition.CORRUPT),
    (empty, Condition.EMPTY),
    (make_bare, Condition.EMPTY),
    (make_foreign, Condition.FOREIGN),
    (change_application_id, Condition.FOREIGN),
    (clear_application_id, Condition.FOREIGN),
]


@pytest.mark.parametrize(
    ("fault", "expected"), FAULTS, ids=[getattr(fault, "__name__", "").strip("<>") for fault, _ in FAULTS]
)
def test_each_state_of_a_file_is_told_apart(file: Path, fault: Callable[[Path], None], expected: Condition) -> None:
    fault(file)
    before = file.read_bytes() if file.exists() else None

    look = look_at(f"sqlite:///{file}")

    assert look.condition is expected
    assert bool(look.reason) == (expected not in (Condition.SOUND, Condition.MISSING))
    assert (file.read_bytes() if file.exists() else None) == before


def test_one_flipped_bit_in_a_text_cannot_be_seen(file: Path) -> None:
    # F53: SQLite has no checksums. docs/reliability.md says so, and backups have them.
    place = file.read_bytes().rindex(b"complete")
    overwrite(file, place, b"complEte")

    assert look_at(f"sqlite:///{file}").condition is Condition.SOUND


def test_what_cannot_be_read_says_nothing_about_its_state(tmp_path: Path) -> None:
    (tmp_path / "rolltape.db").mkdir()

    with pytest.raises(DatabaseError, match="cannot be read"):
        look_at(f"sqlite:///{tmp_path / 'rolltape.db'}")


def test_a_file_that_somebody_else_may_not_read_is_no_damage(file: Path) -> None:
    file.chmod(0)
    file.parent.chmod(0o755)
    program = (
        "import os, sys\nfrom rolltape.store import DatabaseError\nfrom rolltape.store.condition import look_at\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "try:\n    look_at(sys.argv[1])\nexcept DatabaseError as exc:\n    print(exc.message)\n"
    )
    folder = file
    while folder.parent != folder and folder.parent != Path("/tmp"):
        folder = folder.parent
        folder.chmod(folder.stat().st_mode | 0o055)

    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{file}"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "cannot be read: Permission denied" in done.stdout


def test_a_file_that_another_program_holds_is_no_damage(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(DatabaseError, match="locked"):
            look_at(f"sqlite:///{file}")


def test_what_a_kill_left_beside_it_belongs_to_it(file: Path, tmp_path: Path) -> None:
    kill_while_open(file)
    assert file.with_name("rolltape.db-wal").stat().st_size > 0

    look = look_at(f"sqlite:///{file}")

    assert look.condition is Condition.SOUND
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM tokens").fetchone() == (1,)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_without_what_lay_beside_it_or_with_another_ones_it_can_still_be_used(file: Path, suffix: str) -> None:
    # F54: removed after a kill, or stale.
    kill_while_open(file)
    beside = file.with_name(f"rolltape.db{suffix}")

    beside.unlink()
    assert look_at(f"sqlite:///{file}").condition is Condition.SOUND
    beside.write_bytes(os.urandom(32_768))
    assert look_at(f"sqlite:///{file}").condition is Condition.SOUND


def kill_while_open(file: Path) -> None:
    """Write a row, and die before the database is closed."""
    program = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1])\n"
        "db.execute(\"INSERT INTO tokens (name, sha256, created_at) VALUES ('x', 'y', '2026-01-01')\")\n"
        "db.commit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=False)


def test_it_is_moved_with_all_that_lies_beside_it_and_overwrites_nothing(file: Path) -> None:
    kill_while_open(file)
    first = place_aside(file, Condition.CORRUPT, NOW)
    move_aside(file, first)
    shutil.copy(first, file)
    second = place_aside(file, Condition.CORRUPT, NOW)
    move_aside(file, second)

    assert (first.name, second.name) == (
        "rolltape.db.corrupt.20261122T221500Z", "rolltape.db.corrupt.20261122T221500Z.2",
    )  # fmt: skip
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(
        [first.name, f"{first.name}-wal", f"{first.name}-shm", second.name]
    )


def test_the_quick_look_while_it_is_in_use(file: Path) -> None:
    assert has_sound_header(file)
    for fault in (wipe_header, change_application_id, write_text, empty):
        fault(file)
        assert not has_sound_header(file)


def test_a_look_while_it_is_in_use_takes_no_lock_away(file: Path) -> None:
    close_it_too = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT 1 FROM streams'); db.close()"
    )
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE streams SET name = name || '!' WHERE id = 1")
        db.commit()

        assert has_sound_header(file)
        subprocess.run([sys.executable, "-c", close_it_too, str(file)], check=True)

        assert file.with_name(f"{file.name}-wal").exists()
        assert db.execute("SELECT name FROM streams WHERE id = 1").fetchone()[0].endswith("!")


def test_a_server_is_told_apart(postgres_server: str, postgresql_url: str) -> None:
    assert look_at(postgresql_url).condition is Condition.SOUND
    assert file_of(postgresql_url) is None
    assert look_at(f"{postgres_server.rpartition('/')[0]}/template1").condition is Condition.EMPTY


def test_a_server_with_tables_of_others_is_foreign_and_one_that_is_away_is_neither(postgres_server: str) -> None:
    from sqlalchemy import create_engine, text

    from tests.servers.postgres import create_database

    url = create_database(postgres_server, "theirs")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (x integer)"))
    engine.dispose()

    assert look_at(url).condition is Condition.FOREIGN
    with pytest.raises(DatabaseError, match="cannot be reached") as caught:
        look_at("postgresql://me:S3CR3T-7f@127.0.0.1:1/away")
    assert "S3CR3T" not in caught.value.message
    assert "\n" not in caught.value.message
