"""Whether the database of this installation was lost, and what was done about it.

Small files in the data folder tell, for the database itself cannot: `rolltape.json` that this is no first visit,
`database-lost.json` what happened, until somebody has dealt with it, and `running` that the database is open.
"""

import contextlib
import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import uuid4

import structlog
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from rolltape.disk import write_whole
from rolltape.domain.facts import may_be_facts
from rolltape.domain.take import TAKES
from rolltape.store import DatabaseError
from rolltape.store.condition import (
    Condition,
    file_of,
    has_sound_header,
    has_wal,
    look_at,
    move_aside,
    place_aside,
)

MARKER, MARK, RUNNING = "rolltape.json", "database-lost.json", "running"
MOST_LOOKED_AT = 20_000  # entries of a folder of recordings that nobody has marked as ours

log = structlog.get_logger(__name__)

Kind = TypeVar("Kind", bound=BaseModel)


class Loss(StrEnum):
    """What became of the database."""

    CORRUPT = "corrupt"
    FOREIGN = "foreign"
    EMPTY = "empty"
    MISSING = "missing"
    CHANGES = "changes"  # it is there, but its last changes are not


class Lost(BaseModel):
    """What happened to the database. `moved_to` is where the old file lies now; `found` counts what was found again."""

    loss: Loss
    at: AwareDatetime
    reason: Annotated[str, Field(max_length=2000)] = ""
    moved_to: Annotated[str, Field(max_length=5000)] | None = None
    is_searched: bool = False
    found: Annotated[int, Field(ge=0)] = 0
    is_dismissed: bool = False

    @property
    def is_all(self) -> bool:
        """Whether everything is gone that was in it."""
        return self.loss is not Loss.CHANGES

    @property
    def for_strangers(self) -> "Lost":
        """The same without the folder of the old file: who is not signed in need not know it."""
        return self.model_copy(update={"moved_to": Path(self.moved_to).name if self.moved_to else None})

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.is_all:
            return (
                "Restore the latest backup: streams, schedules and settings are in it. "
                "The recordings are where they were and are not touched."
            )
        return "See whether the last things that you changed are as you left them."


_WORDS = {
    Loss.CORRUPT: "The database was damaged, so Rolltape began with an empty one.",
    Loss.FOREIGN: "A file of another program lay in the place of the database, so Rolltape began with an empty one.",
    Loss.EMPTY: "There was nothing left in the database, so Rolltape began with an empty one.",
    Loss.MISSING: "The database was gone, so Rolltape began with an empty one.",
    Loss.CHANGES: "The last changes before Rolltape was ended by force may be lost.",
}


def words(lost: Lost) -> str:
    """What happened, for a person, in a few sentences."""
    told = [_WORDS[lost.loss]]
    if lost.moved_to is not None:
        told.append(f"The old file is kept as {lost.moved_to}.")
    if not lost.is_searched:
        told.append("Recordings are being looked for.")
    elif lost.found:
        told.append(f"{'1 recording was' if lost.found == 1 else f'{lost.found} recordings were'} found again.")
    return " ".join(told)


class Marker(BaseModel):
    """That there is an installation here. `database` is the file that is its own, "" for one on a server."""

    instance: str
    made_at: AwareDatetime
    database: str = ""


def secure(url: str, data_dir: Path, recordings: Path, now: datetime) -> Lost | None:
    """Look at the database before anything opens it, and move one that cannot be used aside.

    Returns what happened, now or earlier; None where there is nothing to tell.

    Raises:
        DatabaseError: it cannot be reached, or is that of another program in a place that is not ours.
    """
    file = file_of(url)
    lacks_wal = (data_dir / RUNNING).exists() and file is not None and file.exists() and not has_wal(file)
    look = look_at(url)
    if look.condition is Condition.SOUND:
        return _lost_changes(data_dir, now) if lacks_wal else read_mark(data_dir)
    if look.condition in (Condition.MISSING, Condition.EMPTY) and not is_installed(data_dir, recordings):
        return None
    if file is None and look.condition is Condition.FOREIGN:
        raise DatabaseError(f"{look.reason} Give Rolltape a database of its own (ROLLTAPE_DATABASE_URL).")
    if file is not None and not _is_own_place(file, data_dir) and look.condition is not Condition.MISSING:
        raise DatabaseError(
            f"{file} cannot be used as the database: {look.reason} It is left alone, for it may belong to another "
            "program. Correct ROLLTAPE_DATABASE_URL, or move the file away."
        )
    return _put_aside(file, look.condition, look.reason, data_dir, now)


def check_usable(url: str, data_dir: Path, recordings: Path) -> None:
    """For who works beside a service: raises DatabaseError where only its start can put the database in order."""
    file = file_of(url)
    if file is None or (file.exists() and file.stat().st_size > 0 and has_sound_header(file)):
        return
    if (file.exists() and file.stat().st_size > 0) or is_installed(data_dir, recordings):
        raise DatabaseError(f"{file} is missing or damaged. Start the service: it puts that in order and says how.")


def is_installed(data_dir: Path, recordings: Path) -> bool:
    """Whether Rolltape has worked here before: it has left its marker, takes, or facts beside recordings."""
    if has_marker(data_dir) or (data_dir / MARK).exists():
        return True
    with contextlib.suppress(OSError):
        if any((recordings / TAKES).iterdir()):
            return True
    return _has_facts(recordings)


def has_marker(data_dir: Path) -> bool:
    return (data_dir / MARKER).exists()


def keep_marker(url: str, data_dir: Path, now: datetime) -> None:
    """Note that there is an installation here now."""
    known = _read(Marker, data_dir / MARKER)
    file = file_of(url)
    database = str(file) if file is not None else ""
    if known is None or known.database != database:
        instance = known.instance if known else uuid4().hex
        made_at = known.made_at if known else now
        _write(data_dir / MARKER, Marker(instance=instance, made_at=made_at, database=database))


def read_mark(data_dir: Path) -> Lost | None:
    """What happened to the database and was not dealt with yet."""
    return _read(Lost, data_dir / MARK)


def write_mark(data_dir: Path, lost: Lost) -> None:
    """Keep what happened over restarts. What cannot be kept is in the log at least."""
    try:
        _write(data_dir / MARK, lost)
    except OSError as exc:
        log.warning(f"{data_dir / MARK} could not be written", action="mark_not_kept", exc_info=exc)


def remove_mark(data_dir: Path) -> None:
    (data_dir / MARK).unlink(missing_ok=True)


def has_changes_beside(url: str) -> bool:
    """Whether the last changes lie beside the database: it is in use, or was killed."""
    file = file_of(url)
    return file is not None and has_wal(file)


def note_running(data_dir: Path) -> None:
    """The database is open from now on: after a kill, its last changes have to lie beside it."""
    with contextlib.suppress(OSError):
        (data_dir / RUNNING).touch(mode=0o600)


def note_closed(data_dir: Path) -> None:
    """The database is about to be closed, which brings all changes into it."""
    with contextlib.suppress(OSError):
        (data_dir / RUNNING).unlink(missing_ok=True)


def _lost_changes(data_dir: Path, now: datetime) -> Lost:
    reason = "Rolltape was ended by force, and the file that its last changes were in is not there any more."
    known = read_mark(data_dir)
    lost = known if known and known.is_all else Lost(loss=Loss.CHANGES, at=now, reason=reason)
    lost = lost.model_copy(update={"is_searched": False})
    write_mark(data_dir, lost)
    log.warning(f"the last changes of the database may be lost: {reason}", action="database_changes_lost")
    return lost


def _put_aside(file: Path | None, condition: Condition, reason: str, data_dir: Path, now: datetime) -> Lost:
    aside = place_aside(file, condition, now) if file is not None and file.exists() else None
    lost = Lost(loss=Loss(condition.value), at=now, reason=reason, moved_to=str(aside) if aside else None)
    write_mark(data_dir, lost)  # first: killed in between, all of it is done again
    if file is not None and aside is not None:
        try:
            move_aside(file, aside)
        except OSError as exc:
            raise DatabaseError(f"{file} cannot be used ({reason}) nor moved aside: {exc.strerror}.") from exc
    where = f" It was moved to {aside}." if aside else ""
    log.error(
        f"the database is lost ({condition}). {reason}{where} A new one is begun; recordings are looked for.",
        action="database_moved", moved_to=lost.moved_to,
    )  # fmt: skip
    return lost


def _is_own_place(file: Path, data_dir: Path) -> bool:
    """Whether a file there is our own, whatever is in it: in the data folder, or where the database was before."""
    known = _read(Marker, data_dir / MARKER)
    return file.parent == data_dir or (known is not None and known.database == str(file))


def _has_facts(recordings: Path) -> bool:
    looked_at = 0
    for _, folders, files in os.walk(recordings):
        if any(may_be_facts(name) for name in files):
            return True
        looked_at += len(folders) + len(files)
        if looked_at > MOST_LOOKED_AT:
            return False
    return False


def _read(kind: type[Kind], file: Path) -> Kind | None:
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as exc:
        log.warning(f"{file} does not read as ours", action="mark_unusable", exc_info=exc)
        return None


def _write(file: Path, content: BaseModel) -> None:
    write_whole(file, content.model_dump_json(indent=1).encode())
