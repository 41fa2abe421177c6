"""The libraries that Rolltape is made with, and their licences."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

OURS = "rolltape"
LONGEST_LICENCE = 60  # characters; some packages put the whole text there

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Library:
    name: str
    version: str
    licence: str


@cache
def libraries() -> tuple[Library, ...]:
    """What is installed of all that Rolltape needs, and of what that needs in turn."""
    found: dict[str, Library] = {}
    waiting = [OURS]
    while waiting:
        name = waiting.pop()
        try:
            about = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another system, or an extra
            continue
        if name != OURS:
            found[name] = Library(about.metadata["Name"], about.version, _licence(about.metadata))
        needed = (_needed(line) for line in about.requires or [])
        waiting += [other for other in needed if other and other not in found]

    return tuple(found[name] for name in sorted(found))


def _needed(line: str) -> str | None:
    """The name in a requirement like `fastapi>=1; python_version < "4"`; None for what only an extra needs."""
    requirement, _, marker = line.partition(";")
    name = _NAME.match(requirement.strip())
    if name is None or "extra ==" in marker:
        return None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _licence(about: metadata.PackageMetadata) -> str:
    fields: dict[str, Any] = about.json
    expression = str(fields.get("license_expression") or fields.get("license") or "")
    if expression and len(expression) <= LONGEST_LICENCE:
        return expression
    names = [line.rpartition(" :: ")[2] for line in fields.get("classifier", []) if line.startswith("License")]
    return ", ".join(names) or "see its own files"
