"""Items become a document that people read: sorted by name, without what is as it comes, without secrets."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from rolltape.domain.address import without_secrets
from rolltape.domain.notification import ChannelKind, masked
from rolltape.services.configuration.document import NUMBER
from rolltape.services.configuration.items import LENGTHS, Item, Kind, defaults
from rolltape.services.configuration.reading import FORMAT, SECTIONS

HEAD = """\
# Configuration of Rolltape: settings, destinations, streams, schedules and channels of notifications.
#
# It can be changed by hand and imported again: on the page System, Configuration, or by `rolltape config import`.
# What is imported twice changes nothing the second time. Nothing is removed unless that is asked for.
#
# - Names refer to names: a schedule has the name of its stream, a stream those of its destinations.
# - What is left out is as it comes. Lengths are like 1h30m, or in seconds.
# - Passwords and keys in addresses are not in it: they stand as ***, and an import keeps those it knows. Of a channel
#   the whole address is hidden.
# - Covers, recordings, private keys, accounts and the accepted keys of servers are not in it either. Covers are in
#   the backups.
"""


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what our reader, or any other one, would not take for a text."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-0123456789"))


def write(items: Mapping[Kind, Iterable[Item]]) -> str:
    """The document of these items, the same for the same items."""
    parts = [f"{HEAD}\n{_yaml({'format': FORMAT})}"]
    for section, kind in SECTIONS.items():
        found = sorted((_shown(item) for item in items[kind]), key=_order)
        if kind is Kind.PREFERENCE:
            values = {one["name"]: one["value"] for one in found}
            parts.append(_yaml({section: values}))
        elif found:
            parts.append(f"{section}:\n" + "\n".join(_yaml([one]) for one in found))
        else:
            parts.append(f"{section}: []\n")
    return "\n".join(parts)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**20)


def _order(shown: dict[str, Any]) -> tuple[str, ...]:
    """By name without case; what has the same name by all the rest."""
    first = str(shown.get("stream", "")), shown.get("name", "")
    return (first[0].casefold(), first[1].casefold(), *first, repr(shown))


def _shown(item: Item) -> dict[str, Any]:
    """The fields that are to be said, as they are written."""
    if item.kind is Kind.PREFERENCE:
        return {"name": item.name, "value": _plain(item.values["value"])}
    usual = defaults(item.kind)
    return {
        name: masked(ChannelKind(item.values["kind"]), value) if name == "address" else _written(name, value)
        for name, value in item.values.items()
        if name not in usual or value != usual[name]
    }


def _written(name: str, value: Any) -> Any:
    if name in LENGTHS:
        return _length(value)
    if name == "url":
        return without_secrets(value)
    if name == "fallback_urls":
        return [without_secrets(address) for address in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    """Whole numbers without a decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _length(seconds: float) -> str | int | float:
    """Like 1h30m; in seconds where it is not whole minutes."""
    if seconds % 60 or seconds <= 0:
        plain: int | float = _plain(seconds)
        return plain
    hours, minutes = divmod(int(seconds) // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
