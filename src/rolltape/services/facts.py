"""Writes the facts of sessions beside their recordings and takes, and reads them back."""

import contextlib
import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rolltape.disk import write_whole
from rolltape.domain.errors import InputError
from rolltape.domain.facts import LARGEST, PLAN, Facts, PlanFacts, facts_file

Kind = TypeVar("Kind", Facts, PlanFacts)


def write_facts(facts: Facts, recording: Path) -> None:
    """Put the facts beside a finished recording, whole or not at all. Raises OSError."""
    write_whole(facts_file(recording), _said(facts))


def write_plan(plan: PlanFacts, folder: Path) -> None:
    """Put the plan of a session beside its takes, where it is not there yet. Raises OSError.

    It is not synced: a thousand shows may begin at once, and the database has it, too.
    """
    if not (folder / PLAN).exists():
        write_whole(folder / PLAN, _said(plan), is_synced=False)


def remove_facts(recording: Path) -> None:
    """The recording goes, or is nobody's business any more; so do its facts."""
    with contextlib.suppress(OSError):
        facts_file(recording).unlink()


def read_facts(file: Path) -> Facts:
    """Raises InputError: they are not ours, or cannot be read."""
    return _read(Facts, file)


def read_plan(folder: Path) -> PlanFacts:
    """Raises InputError: it is not there, not ours, or cannot be read."""
    return _read(PlanFacts, folder / PLAN)


def _said(facts: BaseModel) -> bytes:
    return facts.model_dump_json().encode("utf-8", "replace")


def _read(kind: type[Kind], file: Path) -> Kind:
    try:
        # Neither a link nor a pipe: somebody else may have put it there.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as content:
            text = content.read(LARGEST + 1)
    except OSError as exc:
        raise InputError("", f"It cannot be read: {exc.strerror}.") from exc
    if len(text) > LARGEST:
        raise InputError("", "It is too large.")
    try:
        return kind.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError("", f"It does not read as ours{f' ({place})' if place else ''}: {first['msg']}.") from exc
