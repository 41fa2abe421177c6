"""A document becomes items. Everything that is wrong with it is told, each with its line, and not only the first."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from rolltape.domain.address import HIDDEN, hides_secret, with_secrets_of
from rolltape.domain.destination import DestinationFields
from rolltape.domain.errors import InputError, said
from rolltape.domain.notification import ChannelFields, ChannelKind, masked
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.stream import MOST_DESTINATIONS
from rolltape.services.configuration import items
from rolltape.services.configuration.document import Node, read
from rolltape.services.configuration.items import FIRST_ID, Item, Kind
from rolltape.services.occurrences import rule_of

FORMAT = 1
SECTIONS = {
    "settings": Kind.PREFERENCE,
    "destinations": Kind.DESTINATION,
    "streams": Kind.STREAM,
    "schedules": Kind.SCHEDULE,
    "channels": Kind.CHANNEL,
}
MOST_PROBLEMS = 50  # are told; whoever has more begins with these


@dataclass(frozen=True)
class Problem:
    """What cannot be taken, and where. `item` is like "stream Radio", `field` the name of the field; both may be ""."""

    line: int
    item: str
    field: str
    message: str

    @property
    def place(self) -> str:
        """Like "Line 12, stream Radio, url"."""
        return ", ".join(filter(None, (f"Line {self.line}" if self.line else "", self.item, self.field)))

    @property
    def sentence(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class BadConfiguration(InputError):
    """A document that cannot be taken; nothing of it was."""

    def __init__(self, problems: list[Problem]) -> None:
        first, rest = problems[0], len(problems) - 1
        more = f" There {'is' if rest == 1 else 'are'} {rest} more like this." if rest else ""
        super().__init__("document", f"{first.sentence}{more} Nothing was changed.")
        self.problems = problems


@dataclass
class Wanted:
    """What a document says. `sections` are the kinds that it speaks of at all."""

    sections: set[Kind] = field(default_factory=set)
    items: dict[Kind, list[Item]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, line: int, item: str, field_name: str, message: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(line, item, field_name, message))

    def check(self) -> None:
        """Raises:
        BadConfiguration: something cannot be taken.
        """
        if self.problems:
            raise BadConfiguration(sorted(self.problems, key=lambda problem: problem.line))


def read_wanted(content: bytes) -> Wanted:
    """What a document says. What depends on the rest of the configuration is checked by `complete`.

    Raises:
        BadConfiguration: it cannot be read, or a value cannot be used.
    """
    try:
        top = read(content)
    except InputError as exc:
        raise BadConfiguration([Problem(0, "", "", exc.message)]) from exc
    wanted = Wanted()
    sections = _checked_top(top, wanted)
    for name, node in sections.items():
        kind = SECTIONS[name]
        wanted.sections.add(kind)
        wanted.items[kind] = _preferences(node, wanted) if kind is Kind.PREFERENCE else _listed(kind, node, wanted)
    wanted.check()
    return wanted


def complete(wanted: Wanted, streams: Iterable[Item], destinations: Collection[str], channels: Iterable[Item]) -> None:
    """Fill in what the document hides, and check its names, with what there is already.

    Raises:
        BadConfiguration: it names what is nowhere, or hides a secret that is not known here.
    """
    known = {item.name: _addresses(item) for item in streams}
    everywhere = [address for addresses in known.values() for address in addresses]
    wanted.items[Kind.STREAM] = [
        _with_secrets(item, known.get(item.name, []), everywhere, wanted) for item in wanted.items[Kind.STREAM]
    ]
    told = {item.name: item.values["address"] for item in channels}
    wanted.items[Kind.CHANNEL] = [
        _with_address(item, told.get(item.name, ""), wanted) for item in wanted.items[Kind.CHANNEL]
    ]
    for kind, field_name, there in (
        (Kind.STREAM, "destinations", {*destinations, *(item.name for item in wanted.items[Kind.DESTINATION])}),
        (Kind.SCHEDULE, "stream", {*known, *(item.name for item in wanted.items[Kind.STREAM])}),
    ):
        for item in wanted.items[kind]:
            value = item.values[field_name]
            for name in value if isinstance(value, list) else [value]:
                if name not in there:
                    thing = field_name.removesuffix("s")
                    wanted.refuse(item.line, f"{kind} {item.title}", field_name, f"There is no {thing} named {name}.")
    wanted.check()


def _checked_top(top: Node, wanted: Wanted) -> dict[str, Node]:
    """The sections of a document, as far as they can be looked at."""
    if not isinstance(top.value, dict):
        wanted.refuse(top.line, "", "", "This is no configuration: it begins with `format: 1`.")
        return {}
    version = top.value.get("format")
    if version is None:
        wanted.refuse(top.line, "", "format", f"This is no configuration of Rolltape: `format: {FORMAT}` is missing.")
    elif isinstance(version.value, int) and not isinstance(version.value, bool) and version.value > FORMAT:
        wanted.refuse(version.line, "", "format", "A newer Rolltape than this one made it. Update this one first.")
    elif version.value != FORMAT or isinstance(version.value, bool):
        wanted.refuse(version.line, "", "format", f"This is always `format: {FORMAT}`.")
    found = {}
    for name, node in top.value.items():
        if name in SECTIONS:
            found[name] = node
        elif name != "format":
            wanted.refuse(node.line, "", name[:60], f"There is no such part; the parts are {', '.join(SECTIONS)}.")
    return {name: found[name] for name in SECTIONS if name in found}


def _preferences(node: Node, wanted: Wanted) -> list[Item]:
    if node.value is None:
        return []
    if not isinstance(node.value, dict):
        wanted.refuse(node.line, "settings", "", "Names with values are expected here, like `log_level: info`.")
        return []
    try:
        checked = PreferenceFields.model_validate(node.plain()).model_dump(mode="json")
    except ValidationError as exc:
        _tell(exc, node, "settings", wanted)
        return []
    return [Item(Kind.PREFERENCE, name, {"value": checked[name]}, part.line) for name, part in node.value.items()]


def _listed(kind: Kind, node: Node, wanted: Wanted) -> list[Item]:
    if node.value is None:
        return []
    if not isinstance(node.value, list):
        wanted.refuse(node.line, f"{kind}s", "", "A list is expected here; each of its parts begins with a dash.")
        return []
    make = _MAKERS[kind]
    found = [item for number, part in enumerate(node.value, 1) if (item := _item(kind, number, part, make, wanted))]
    if kind is not Kind.SCHEDULE:
        _refuse_twins(found, wanted)
    return found


def _item(
    kind: Kind, number: int, node: Node, make: Callable[[dict[str, Any]], dict[str, Any]], wanted: Wanted
) -> Item | None:
    title = f"{kind} {number}"
    if not isinstance(node.value, dict):
        wanted.refuse(node.line, title, "", "Names with values are expected here, like `name: Radio`.")
        return None
    name = node.value.get("name")
    if name is not None and isinstance(name.value, str) and name.value.strip():
        title = f"{kind} {name.value.strip()[:60]}"
    try:
        values = make(node.plain())
    except ValidationError as exc:
        _tell(exc, node, title, wanted)
    except InputError as exc:
        at = node.value.get(exc.field, node)
        wanted.refuse(at.line, title, exc.field, exc.message)
    else:
        return Item(kind, values["name"], values, node.line)
    return None


def _destination(values: dict[str, Any]) -> dict[str, Any]:
    return DestinationFields.model_validate(values).model_dump(mode="json")


def _stream(values: dict[str, Any]) -> dict[str, Any]:
    names = _names(values.get("destinations", []))
    if "destination_ids" in values:
        raise InputError("destination_ids", "Destinations are named here, in `destinations`.")
    return items.stream_values(items.stream_fields(values, []), names)


def _schedule(values: dict[str, Any]) -> dict[str, Any]:
    stream = values.get("stream")
    if not isinstance(stream, str) or not stream.strip():
        raise InputError("stream", "The name of its stream is needed here.")
    if "stream_id" in values:
        raise InputError("stream_id", "The stream is named here, in `stream`.")
    fields = items.schedule_fields(values, FIRST_ID)
    rule_of(fields)
    return items.schedule_values(fields, stream.strip())


def _channel(values: dict[str, Any]) -> dict[str, Any]:
    if "secret" in values:
        raise InputError("secret", "The secret of a webhook is not in this document; it is on the channel's page.")
    address = values.get("address")
    if not isinstance(address, str) or HIDDEN not in address:
        fields = ChannelFields.model_validate(values)
        return items.channel_values(fields, fields.address)
    # What is hidden is filled in later; until then the rest is checked with something in its place.
    return items.channel_values(
        ChannelFields.model_validate(values | {"address": address.replace(HIDDEN, "x")}), address
    )


_MAKERS = {Kind.DESTINATION: _destination, Kind.STREAM: _stream, Kind.SCHEDULE: _schedule, Kind.CHANNEL: _channel}


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError("destinations", "A list of names is expected here, like [NAS, Archive].")
    if len(set(value)) != len(value):
        raise InputError("destinations", "The same destination is listed twice.")
    if len(value) > MOST_DESTINATIONS:
        raise InputError("destinations", f"There can be at most {MOST_DESTINATIONS} destinations.")
    return value


def _refuse_twins(found: Iterable[Item], wanted: Wanted) -> None:
    lines: dict[str, int] = {}
    for item in found:
        first = lines.setdefault(item.name, item.line)
        if first != item.line:
            message = f"The {item.kind} in line {first} has this name already."
            wanted.refuse(item.line, f"{item.kind} {item.name}", "name", message)


def _tell(error: ValidationError, node: Node, title: str, wanted: Wanted) -> None:
    """Say what a model found wrong, at the line of the field."""
    known = node.value if isinstance(node.value, dict) else {}
    for found in error.errors(include_url=False, include_input=False):
        cause = found.get("ctx", {}).get("error")
        path = [str(part) for part in found["loc"]]
        if not path and isinstance(cause, InputError):
            path = [cause.field]
        name = path[0] if path else ""
        wanted.refuse(known.get(name, node).line, title, name, said(found))


def _addresses(item: Item) -> list[str]:
    return [item.values["url"], *item.values["fallback_urls"]]


def _with_secrets(item: Item, own: list[str], others: list[str], wanted: Wanted) -> Item:
    """The stream with its whole addresses: its `own` ones first, then those of `others`."""
    # What is at the same place goes first: two addresses may differ in their password only.
    whole = [
        with_secrets_of(address, [*own[number : number + 1], *own, *others])
        for number, address in enumerate(_addresses(item))
    ]
    known = {*own, *others}
    for number, address in enumerate(whole):
        if hides_secret(address) and address not in known:
            message = (
                f"{address} hides its password or key behind {HIDDEN}, and this is not known here. "
                f"Write it in the place of {HIDDEN}."
            )
            wanted.refuse(item.line, f"stream {item.name}", "fallback_urls" if number else "url", message)
    values = dict(item.values) | {"url": whole[0], "fallback_urls": whole[1:]}
    return Item(item.kind, item.name, values, item.line, item.row)


def _with_address(item: Item, known: str, wanted: Wanted) -> Item:
    """The channel with its whole address, if it has the one that is `known`."""
    address = item.values["address"]
    if HIDDEN not in address:
        return item
    if not known or address != masked(ChannelKind(item.values["kind"]), known):
        message = f"{address} hides the address behind {HIDDEN}, and this is not known here. Write all of it."
        wanted.refuse(item.line, f"channel {item.name}", "address", message)
    return Item(item.kind, item.name, dict(item.values) | {"address": known}, item.line, item.row)
