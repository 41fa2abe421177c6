"""A newer image on the volumes of an older Rolltape."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import rolltape.store
from rolltape.store.database import APPLICATION_ID
from tests.container.engine import HARDENED, Contained

MIGRATIONS = Path(rolltape.store.__file__).parent / "migrations"
STREAM = {
    "id": 7, "name": "Harbour FM", "url": "http://radio.example/live", "fallback_urls": "[]", "artist": "Somebody",
    "album": "", "album_artist": "", "genre": "", "title_pattern": "{date} {show}", "filename_pattern": "{date} {show}",
    "engine": "auto", "mp3_quality": "V2", "max_duration": 86400, "start_early": 0, "end_late": 0, "stall_timeout": 15,
    "max_attempts": None, "verify_tls": 1, "destination_ids": "[]", "delete_after_delivery": 0, "artwork": None,
    "created_at": "2026-01-02 03:04:05",
}  # fmt: skip


def first_database(file: Path) -> None:
    """A database as the first version made it, with a stream in it."""
    engine = create_engine(f"sqlite:///{file}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        names = ", ".join(f'"{name}"' for name in STREAM)
        values = ", ".join(f":{name}" for name in STREAM)
        db.execute(f"INSERT INTO streams ({names}) VALUES ({values})", STREAM)
        db.commit()


def test_the_data_folder_of_the_first_version_is_brought_up_to_date(fresh: Contained, tmp_path: Path) -> None:
    first_database(tmp_path / "first.db")
    fresh.create("--version")
    assert fresh.wait_for_end() == 0
    fresh.engine.ask("cp", tmp_path / "first.db", f"{fresh.name}:/data/rolltape.db")
    fresh.remove()
    fresh.in_volumes("chown 10001:10001 /data/rolltape.db")

    fresh.options = HARDENED
    fresh.start()
    fresh.make_token()

    (stream,) = fresh.call("GET", "/api/streams")["items"]
    assert {name: stream[name] for name in ("id", "name", "url", "artist")} == {
        name: STREAM[name] for name in ("id", "name", "url", "artist")
    }
    assert stream["fallback_urls"] == []
