"""Writes those parts of the documents that the program knows best: settings, the routes of the API, error codes.

    python docs/reference.py            writes them
    python docs/reference.py --check    says which are out of date, and fails

A part lies between the lines `<!-- begin NAME: ... -->` and `<!-- end NAME -->`; the rest is written by hand.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from rolltape.domain.advice import codes
from rolltape.domain.preference import PreferenceFields
from rolltape.settings import SECRETS, Settings, variable
from rolltape.web.application import routes
from rolltape.web.pages.api_docs import Operation, nouns

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- begin (\w+):[^\n]*-->\n).*?(<!-- end \2 -->)", re.DOTALL)


def settings() -> str:
    """The settings that only the environment has."""
    names = [name for name in Settings.model_fields if name not in PreferenceFields.model_fields]
    return _settings(names)


def preferences() -> str:
    """The settings that the page has as well."""
    return _settings(PreferenceFields.model_fields)


def api() -> str:
    """Every route of the API, by noun."""
    return "\n".join(_noun(name, found) for name, found in nouns(routes()).items())


def errors() -> str:
    """Every error code with its advice."""
    return _table(("code", "what it means, and what to do"), ((f"`{code}`", said) for code, said in codes().items()))


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "preferences": preferences,
    "api": api,
    "errors": errors,
}


def renewed(text: str) -> str:
    """A document with its parts as they are now."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def _settings(names: Iterable[str]) -> str:
    rows = ((_variables(name), _default(name), _meaning(Settings.model_fields[name])) for name in names)
    return _table(("variable", "default", "meaning"), rows)


def _variables(name: str) -> str:
    file = f", `{variable(name)}_FILE`" if name in SECRETS else ""
    return f"`{variable(name)}`{file}"


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if name == "data_dir":
        return "`./data`"
    if name.endswith("_dir"):
        return f"`{name.removesuffix('_dir')}` in the data folder"
    unit = _extra(field).get("unit", "")
    value = "" if field.default in ("", None, []) else f"`{field.default}`"
    return f"{value} {unit}".strip() if value else ""


def _meaning(field: FieldInfo) -> str:
    label = f"{field.title}. " if field.title else ""
    return f"{label}{field.description}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _noun(name: str, operations: Sequence[Operation]) -> str:
    """Its routes, and the fields of what most of them answer."""
    rows = ((f"`{one.method} {one.path}`", f"{one.summary} {one.text}".strip(), one.status) for one in operations)
    fields = max((one.fields for one in operations), key=len)
    told = f"\nFields: {', '.join(f'`{field.name}`' for field in fields)}\n" if fields else ""
    return f"### {name.capitalize()}\n{_table(('method and path', 'what it does', 'answer'), rows)}{told}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    stale = []
    for file in sorted(DOCS.rglob("*.md")):
        text = file.read_text()
        if (new := renewed(text)) != text:
            stale.append(file)
            if "--check" not in sys.argv:
                file.write_text(new)
    for file in stale:
        print(f"{file.relative_to(DOCS.parent)}: {'out of date' if '--check' in sys.argv else 'written'}")
    sys.exit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
