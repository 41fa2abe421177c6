"""What an import would change: the items of a document held against those there are."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rolltape.domain.address import HIDDEN, without_secrets
from rolltape.services.configuration.items import Item, Kind
from rolltape.services.configuration.reading import Wanted

ORDER = (Kind.PREFERENCE, Kind.DESTINATION, Kind.STREAM, Kind.SCHEDULE, Kind.CHANNEL)
_ADDRESSES = ("url", "fallback_urls")


class Action(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    LEFT = "left"  # there, but not in the document; stays
    REMOVED = "removed"  # the same, and goes, as was asked for
    FIXED = "fixed"  # a setting that the environment fixes; stays as it is


DONE = (Action.ADDED, Action.CHANGED, Action.REMOVED)  # the others leave things as they are


@dataclass(frozen=True)
class FieldChange:
    """One field, before and after, fit to be shown. A secret that changes is told, but not shown."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """What becomes of one item. `wanted` is what the document says of it, `present` what there is; None for nothing."""

    action: Action
    kind: Kind
    name: str
    fields: tuple[FieldChange, ...] = ()
    wanted: Item | None = field(default=None, repr=False)
    present: Item | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Difference:
    changes: tuple[Change, ...]

    def of(self, *actions: Action) -> list[Change]:
        return [change for change in self.changes if change.action in actions]

    @property
    def count(self) -> int:
        """How many things an import would do."""
        return len(self.of(*DONE))

    @property
    def fingerprint(self) -> str:
        """Changes with whatever the import would do: who agreed to one difference has not agreed to another."""
        done = [
            [change.action, change.kind, change.name, dict(change.wanted.values) if change.wanted else None]
            for change in self.of(*DONE)
        ]
        return hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()[:32]


def compare(wanted: Wanted, present: Mapping[Kind, list[Item]], locked: Iterable[str], *, prune: bool) -> Difference:
    """What becomes of each item. `locked` are the settings that cannot be changed.

    What the document does not have stays, or, to `prune`, goes; but only in the parts that the document has.
    """
    found: list[Change] = []
    fixed = set(locked)
    gone: set[str] = set()  # streams that are removed, with their schedules
    for kind in ORDER:
        pairs, left = _pairs(wanted.items[kind], present[kind])
        found += [_change(item, other, fixed) for item, other in pairs]
        for item in left:
            goes = prune and kind is not Kind.PREFERENCE and kind in wanted.sections
            goes = goes or (kind is Kind.SCHEDULE and item.values["stream"] in gone)
            if goes and kind is Kind.STREAM:
                gone.add(item.name)
            found.append(Change(Action.REMOVED if goes else Action.LEFT, kind, item.title, present=item))
    return Difference(tuple(found))


def _pairs(wanted: list[Item], present: list[Item]) -> tuple[list[tuple[Item, Item | None]], list[Item]]:
    """Each wanted item with the one there is, and those there are that nobody wants.

    Schedules may have the same name. Of those the equal ones belong together, then those that occur at the same times,
    then the rest in their order: so the same document always finds the same ones.
    """
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in present:
        groups.setdefault(item.key, []).append(item)
    partners: dict[int, Item] = {}
    for alike in (_is_equal, _is_then, lambda *_: True):
        for number, item in enumerate(wanted):
            group = groups.get(item.key, [])
            partner = None if number in partners else next((one for one in group if alike(item, one)), None)
            if partner is not None:
                partners[number] = partner
                group.remove(partner)
    return [(item, partners.get(number)) for number, item in enumerate(wanted)], [
        item for group in groups.values() for item in group
    ]


def _is_equal(item: Item, other: Item) -> bool:
    return dict(item.values) == dict(other.values)


def _is_then(item: Item, other: Item) -> bool:
    return all(item.values.get(name) == other.values.get(name) for name in ("cron", "at", "timezone"))


def _change(item: Item, other: Item | None, fixed: set[str]) -> Change:
    if other is None:
        return Change(Action.ADDED, item.kind, item.title, wanted=item)
    if _is_equal(item, other):
        return Change(Action.UNCHANGED, item.kind, item.title, wanted=item, present=other)
    action = Action.FIXED if item.kind is Kind.PREFERENCE and item.name in fixed else Action.CHANGED
    changed = tuple(
        _field_change(name, other.values.get(name), value)
        for name, value in item.values.items()
        if value != other.values.get(name)
    )
    return Change(action, item.kind, item.title, changed, item, other)


def _field_change(name: str, before: Any, after: Any) -> FieldChange:
    if name == "address":  # of a channel: all of it may be secret
        return FieldChange(name, HIDDEN, "another address")
    if name not in _ADDRESSES:
        return FieldChange(name, before, after)
    shown, then = _hidden(before), _hidden(after)
    return FieldChange(name, shown, "another password or key" if shown == then else then)


def _hidden(value: Any) -> Any:
    return [without_secrets(address) for address in value] if isinstance(value, list) else without_secrets(value)
