"""What a configuration consists of, from settings to channels, by name and without numbers.

An item is the same whether it comes from the database or from a document, so that the two can be compared. Names refer
to names: a schedule has the name of its stream, a stream those of its destinations.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from rolltape.domain import calendar
from rolltape.domain.destination import Destination, DestinationFields
from rolltape.domain.notification import Channel, ChannelFields, Occasion
from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.domain.stream import Stream, StreamFields

FIRST_ID = 1  # stands for whatever a name refers to while the other fields are checked
LENGTHS = ("duration", "max_duration")  # are written like 1h30m

_LENGTH = re.compile(r"(?:(\d{1,3})h)? ?(?:(\d{1,5})m)? ?(?:(\d{1,6})s)?")


class Kind(StrEnum):
    PREFERENCE = "setting"
    DESTINATION = "destination"
    STREAM = "stream"
    SCHEDULE = "schedule"
    CHANNEL = "channel"


@dataclass(frozen=True)
class Item:
    """One of them. `values` has all fields, those with their default too, as a document says them.

    `line` is where it begins in a document, 0 for one of the database; `row` is its number there, 0 for a new one.
    """

    kind: Kind
    name: str
    values: Mapping[str, Any]
    line: int = 0
    row: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """What it is known by. Several schedules may have the same."""
        return (str(self.values["stream"]), self.name) if self.kind is Kind.SCHEDULE else (self.name,)

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.kind is Kind.SCHEDULE:
            return f"{self.name or 'without a name'} ({self.values['stream']})"
        return self.name


def of_destination(row: Destination) -> Item:
    values = DestinationFields.model_validate(row).model_dump(mode="json")
    return Item(Kind.DESTINATION, row.name, values, row=row.id)


def of_channel(row: Channel) -> Item:
    # Not by its model: the address of one that came out of a backup may lack what is secret, and is refused there.
    values = {name: getattr(row, name) for name in ChannelFields.model_fields if name != "secret"}
    plain = {"kind": row.kind.value, "events": sorted(map(str, row.events))}
    return Item(Kind.CHANNEL, row.name, values | plain, row=row.id)


def channel_values(fields: ChannelFields, address: str) -> dict[str, Any]:
    """A channel as a document says it, with its address as it is written there."""
    values = fields.model_dump(mode="json", exclude={"secret"})
    return values | {"address": address, "events": sorted(map(str, fields.events))}


def of_stream(row: Stream, destinations: Mapping[int, str]) -> Item:
    fields = StreamFields.model_validate(row)
    names = [destinations[number] for number in fields.destination_ids if number in destinations]
    return Item(Kind.STREAM, row.name, stream_values(fields, names), row=row.id)


def of_schedule(row: Schedule, stream: str) -> Item:
    return Item(Kind.SCHEDULE, row.name, schedule_values(ScheduleFields.model_validate(row), stream), row=row.id)


def stream_values(fields: StreamFields, destinations: list[str]) -> dict[str, Any]:
    """A stream as a document says it."""
    return _renamed(fields.model_dump(mode="json"), "destination_ids", "destinations", destinations)


def schedule_values(fields: ScheduleFields, stream: str) -> dict[str, Any]:
    """A schedule as a document says it; its one date as a moment, with the offset of its zone."""
    values = _renamed(fields.model_dump(mode="json"), "stream_id", "stream", stream)
    if fields.at is not None:
        values["at"] = _moment(fields).isoformat()
    return values


def stream_fields(values: Mapping[str, Any], destinations: list[int]) -> StreamFields:
    """The stream that a document says, with the numbers of its destinations.

    Raises:
        ValidationError: a value cannot be used.
    """
    rest = {name: seconds(name, value) for name, value in values.items() if name != "destinations"}
    return StreamFields.model_validate(rest | {"destination_ids": destinations})


def schedule_fields(values: Mapping[str, Any], stream: int) -> ScheduleFields:
    """The schedule that a document says, with the number of its stream.

    Raises:
        ValidationError: a value cannot be used.
    """
    rest = {name: seconds(name, value) for name, value in values.items() if name != "stream"}
    return ScheduleFields.model_validate(rest | {"stream_id": stream})


def seconds(name: str, value: Any) -> Any:
    """The seconds of a length like 1h30m; anything else as it is."""
    if name not in LENGTHS or not isinstance(value, str):
        return value
    found = _LENGTH.fullmatch(value.strip())
    if not value.strip() or found is None:
        return value
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def defaults(kind: Kind) -> dict[str, Any]:
    """What a document need not say of an item of this kind."""
    fields = _MODELS[kind].model_fields
    usual = {name: field.default for name, field in fields.items() if not field.is_required()}
    return usual | {"destinations": [], "events": sorted(map(str, Occasion))}


_MODELS: dict[Kind, type[BaseModel]] = {
    Kind.DESTINATION: DestinationFields,
    Kind.STREAM: StreamFields,
    Kind.SCHEDULE: ScheduleFields,
    Kind.CHANNEL: ChannelFields,
}


def _renamed(values: dict[str, Any], old: str, new: str, value: Any) -> dict[str, Any]:
    """`values` in their order, with another name and value in one place."""
    return {new if name == old else name: value if name == old else known for name, known in values.items()}


def _moment(fields: ScheduleFields) -> datetime:
    assert fields.at is not None
    rule = calendar.date_rule(fields.at, fields.timezone)
    assert rule.date is not None
    try:
        return rule.date.start.astimezone(ZoneInfo(fields.timezone))
    except OverflowError:  # the edge of time
        return rule.date.start.astimezone(UTC)
