"""Whether the rows of a backup are such as Rolltape itself would have written: the checks of the API, once more.

A backup may have been made by hand. What its rows say is done later, in files, on other machines and with addresses.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, ValidationError

from rolltape.domain.address import HIDDEN, check_url
from rolltape.domain.base import Base
from rolltape.domain.calendar import check_zone
from rolltape.domain.destination import DestinationFields
from rolltape.domain.errors import InputError
from rolltape.domain.notification import ChannelFields
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.stream import StreamFields
from rolltape.services.backups.archive import COVER
from rolltape.services.occurrences import rule_of
from rolltape.store.snapshot import Fresh

Row = dict[str, Any]


def check(fresh: Fresh) -> None:
    """Look at every row of a backup that has been brought to the present schema.

    Raises:
        InputError: something in it cannot be used; the sentence names the thing and the field.
    """
    checks: dict[str, Callable[[Row], None]] = {
        "streams": _check_stream,
        "schedules": _check_schedule,
        "destinations": lambda row: _check_fields(DestinationFields, row, f"The destination {row['name'][:60]}"),
        "preferences": _check_preference,
        "channels": _check_channel,
        "sessions": _check_session,
        "transfers": lambda row: _check_file(row["remote_path"], f"Transfer {row['id']}", "remote_path", is_own=False),
    }
    for table, check_row in checks.items():
        for row in fresh.rows(Base.metadata.tables[table]):
            check_row(row)


def _check_stream(row: Row) -> None:
    thing = f"The stream {row['name'][:60]}"
    _check_fields(StreamFields, row, thing)
    if row["artwork"] is not None and not _is_cover(row["artwork"]):
        raise _bad(thing, "artwork", "This is not the name of a cover.")


def _check_schedule(row: Row) -> None:
    thing = f"The schedule {row['name'][:60] or row['id']}"
    _check_fields(ScheduleFields, row, thing)
    try:
        rule_of(SimpleNamespace(**row))  # type: ignore[arg-type]
    except InputError as exc:
        raise _bad(thing, exc.field, exc.message) from exc


def _check_preference(row: Row) -> None:
    if row["name"] in PreferenceFields.model_fields:  # one that there is no more is left out
        _check_fields(PreferenceFields, {row["name"]: row["value"]}, f"The setting {row['name']}", is_whole=False)


def _check_channel(row: Row) -> None:
    if HIDDEN not in row["address"]:
        _check_fields(ChannelFields, row, f"The notification channel {row['name'][:60]}")


def _check_session(row: Row) -> None:
    thing = f"Session {row['id']}"
    try:
        check_zone(row["timezone"])
    except InputError as exc:
        raise _bad(thing, "timezone", exc.message) from exc
    _check_file(row["file"], thing, "file")
    plan = row["plan"]
    if plan is None:
        return
    # The rest of a plan is read with care when it is needed; by then it may be years old.
    stream = plan.get("stream") if isinstance(plan, dict) else None
    if not isinstance(stream, dict):
        raise _bad(thing, "plan", "There is no stream in it.")
    fallbacks = stream.get("fallback_urls", [])
    for url in (stream.get("url"), *(fallbacks if isinstance(fallbacks, list) else [None])):
        try:
            check_url(url if isinstance(url, str) else "")
        except InputError as exc:
            raise _bad(thing, "plan.stream.url", exc.message) from exc
    if plan.get("artwork") is not None and not _is_cover(plan["artwork"]):
        raise _bad(thing, "plan.artwork", "This is not the name of a cover.")


def _check_file(name: str | None, thing: str, field: str, *, is_own: bool = True) -> None:
    """`is_own`: it lies in the folder of recordings."""
    if name is None:
        return
    path = PurePosixPath(name)
    if ".." in path.parts or (is_own and path.is_absolute()):
        raise _bad(thing, field, "This leads out of its folder.")


def _is_cover(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(COVER, name) is not None


def _check_fields(model: type[BaseModel], row: Row, thing: str, *, is_whole: bool = True) -> None:
    try:
        model.model_validate(SimpleNamespace(**row) if is_whole else row)
    except ValidationError as exc:
        error = exc.errors()[0]
        cause = error.get("ctx", {}).get("error")
        field = ".".join(str(part) for part in error["loc"]) or getattr(cause, "field", "")
        message = cause.message if isinstance(cause, InputError) else f"{error['msg']}."
        raise _bad(thing, field, message) from exc


def _bad(thing: str, field: str, message: str) -> InputError:
    shown = "".join(char for char in thing if char.isprintable())
    return InputError("backup", f"{shown}, {field}: {message}", code="backup_invalid")
