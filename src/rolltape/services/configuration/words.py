"""A difference in words, for the page and the command line."""

from typing import Any

from rolltape.services.configuration.difference import DONE, Action, Change, Difference, FieldChange
from rolltape.services.configuration.items import LENGTHS, Kind

_LONGEST = 200  # characters of a value
_NAMES = {
    "url": "address",
    "fallback_urls": "further addresses",
    "keep_days": "keep for days",
    "keep_count": "keep so many",
    "keep_gigabytes": "keep up to GB",
    "verify_tls": "check the certificate",
    "at": "date",
}


def said(value: Any, name: str = "") -> str:
    """A value as a person says it."""
    if value is None or value == "" or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return _cut(", ".join(map(str, value)))
    if isinstance(value, int | float):
        return f"{value:g} s" if name in LENGTHS else f"{value:.12g}"
    return _cut(str(value))


def field_words(change: Change, field: FieldChange) -> str:
    """What becomes of one field, like "address: http://a/ → http://b/"."""
    name = "" if change.kind is Kind.PREFERENCE else _NAMES.get(field.name, field.name.replace("_", " ")) + ": "
    return f"{name}{said(field.before, field.name)} → {said(field.after, field.name)}"


def lines(found: Difference) -> list[str]:
    """A line for each thing that is done, and one that counts the rest."""
    told = []
    for change in found.changes:
        if change.action in DONE:
            fields = "; ".join(field_words(change, field) for field in change.fields)
            told.append(f"{change.action}: {change.kind} {change.name}{': ' if fields else ''}{fields}")
        elif change.action is Action.FIXED:
            told.append(f"stays as it is: setting {change.name}, which the environment fixes")
    same = len(found.of(Action.UNCHANGED))
    return [*told, f"unchanged: {same}"]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
