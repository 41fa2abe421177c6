"""The configuration as one document: written for people, brought in all or nothing, and twice without a change."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.destination import Destination, DestinationFields
from rolltape.domain.errors import ConflictError
from rolltape.domain.notification import Channel, ChannelFields
from rolltape.domain.schedule import Schedule
from rolltape.domain.stream import Stream
from rolltape.services.configuration import items
from rolltape.services.configuration.difference import Action as Action
from rolltape.services.configuration.difference import Change as Change
from rolltape.services.configuration.difference import Difference as Difference
from rolltape.services.configuration.difference import compare
from rolltape.services.configuration.document import LARGEST as LARGEST
from rolltape.services.configuration.items import Item, Kind
from rolltape.services.configuration.reading import BadConfiguration as BadConfiguration
from rolltape.services.configuration.reading import Problem as Problem
from rolltape.services.configuration.reading import Wanted, complete, read_wanted
from rolltape.services.configuration.writing import write
from rolltape.services.destinations import Destinations
from rolltape.services.notifications import Notifications
from rolltape.services.preferences import Preferences
from rolltape.services.schedules import Schedules
from rolltape.services.streams import Streams
from rolltape.store import Database

MEANWHILE = "Something was changed meanwhile. Look at the difference again, then import."

log = structlog.get_logger(__name__)

Present = Mapping[Kind, list[Item]]


class Configuration:
    def __init__(
        self,
        database: Database,
        *,
        destinations: Destinations,
        streams: Streams,
        schedules: Schedules,
        preferences: Preferences,
        notifications: Notifications,
    ) -> None:
        self._database = database
        self._destinations = destinations
        self._streams = streams
        self._schedules = schedules
        self._preferences = preferences
        self._notifications = notifications

    async def export(self) -> str:
        """The document of all that is set up, without its secrets."""
        async with self._database.read() as db:
            present = await self._present(db)
        changed = {row.name for row in self._preferences.read() if row.value != row.default and not row.locked_by}
        told = dict(present) | {
            Kind.PREFERENCE: [item for item in present[Kind.PREFERENCE] if item.name in changed],
        }
        return await asyncio.to_thread(write, told)

    async def compare(self, document: bytes, *, prune: bool = False) -> Difference:
        """What an import of the document would change.

        Raises:
            BadConfiguration: something in it cannot be taken.
        """
        wanted = await asyncio.to_thread(read_wanted, document)
        async with self._database.read() as db:
            present = await self._present(db)
        return self._difference(wanted, present, prune=prune)

    async def bring_in(self, document: bytes, *, prune: bool = False, agreed: str | None = None) -> Difference:
        """Make things as the document says; to `prune`, remove what its parts do not have. All of it, or nothing.

        `agreed` is the fingerprint of the difference that somebody has seen; with it, nothing else is done.

        Raises:
            BadConfiguration: something in the document cannot be taken.
            ConflictError: it would do something else than what was agreed to.
        """
        wanted = await asyncio.to_thread(read_wanted, document)
        try:
            async with self._database.write() as db:
                found = self._difference(wanted, await self._present(db), prune=prune)
                if agreed is not None and agreed != found.fingerprint:
                    raise ConflictError(MEANWHILE)
                await self._apply(db, found)
        except IntegrityError as exc:
            raise ConflictError(MEANWHILE) from exc
        if found.count:
            await self._preferences.load()
            await self._schedules.plan(everything=True)
            self._schedules.wake()
            await self._notifications.keep_copy()
            _tell(found)
        return found

    async def _present(self, db: AsyncSession) -> Present:
        """All that there is."""
        destinations = (await db.scalars(select(Destination))).all()
        streams = (await db.scalars(select(Stream))).all()
        schedules = (await db.scalars(select(Schedule).order_by(Schedule.id))).all()
        channels = (await db.scalars(select(Channel))).all()
        preferences = self._preferences.values.model_dump(mode="json")
        places = {row.id: row.name for row in destinations}
        stations = {row.id: row.name for row in streams}
        return {
            Kind.PREFERENCE: [Item(Kind.PREFERENCE, name, {"value": value}) for name, value in preferences.items()],
            Kind.DESTINATION: [items.of_destination(row) for row in destinations],
            Kind.STREAM: [items.of_stream(row, places) for row in streams],
            Kind.SCHEDULE: [items.of_schedule(row, stations[row.stream_id]) for row in schedules],
            Kind.CHANNEL: [items.of_channel(row) for row in channels],
        }

    def _difference(self, wanted: Wanted, present: Present, *, prune: bool) -> Difference:
        places = {item.name for item in present[Kind.DESTINATION]}
        complete(wanted, present[Kind.STREAM], places, present[Kind.CHANNEL])
        locked = [row.name for row in self._preferences.read() if row.locked_by]
        found = compare(wanted, present, locked, prune=prune)
        _check_removed(found)
        return found

    async def _apply(self, db: AsyncSession, found: Difference) -> None:
        """Write what is different: first what others refer to, and last what goes."""
        done = found.of(Action.ADDED, Action.CHANGED)
        wanted = {
            kind: [(item, one.present) for one in done if one.kind is kind and (item := one.wanted)] for kind in Kind
        }
        values = {item.name: item.values["value"] for item, _ in wanted[Kind.PREFERENCE]}
        await self._preferences.enter(db, values)
        for item, present in wanted[Kind.DESTINATION]:
            await self._put_destination(db, item, present)
        places = dict((await db.execute(select(Destination.name, Destination.id))).all())
        await self._put_streams(db, wanted[Kind.STREAM], places)
        stations = dict((await db.execute(select(Stream.name, Stream.id))).all())
        for item, present in wanted[Kind.SCHEDULE]:
            fields = items.schedule_fields(item.values, stations[item.values["stream"]])
            await self._schedules.take_over(db, fields, present.row if present else None)
        for item, present in wanted[Kind.CHANNEL]:
            await self._put_channel(db, item, present)
        await self._remove(db, found.of(Action.REMOVED))

    async def _put_destination(self, db: AsyncSession, item: Item, present: Item | None) -> None:
        fields = DestinationFields.model_validate(item.values)
        if present is None:
            await self._destinations.enter(db, fields)
        else:
            await self._destinations.replace(db, await db.get_one(Destination, present.row), fields)

    async def _put_streams(
        self, db: AsyncSession, wanted: Iterable[tuple[Item, Item | None]], places: Mapping[str, int]
    ) -> None:
        new = []
        for item, present in wanted:
            fields = items.stream_fields(item.values, [places[name] for name in item.values["destinations"]])
            if present is None:
                new.append(fields)
            else:
                await self._streams.replace(db, await db.get_one(Stream, present.row), fields)
        await self._streams.enter(db, new)

    async def _put_channel(self, db: AsyncSession, item: Item, present: Item | None) -> None:
        if present is None:
            await self._notifications.enter(db, ChannelFields.model_validate(item.values))
            return
        channel = await db.get_one(Channel, present.row)
        fields = ChannelFields.model_validate(dict(item.values) | {"secret": channel.secret})
        await self._notifications.replace(db, channel, fields)

    async def _remove(self, db: AsyncSession, removed: Iterable[Change]) -> None:
        rows = [(one.kind, one.present.row) for one in removed if one.present is not None]
        for remove, kind in (
            (self._schedules.remove, Kind.SCHEDULE),
            (self._streams.remove, Kind.STREAM),
            (self._destinations.remove, Kind.DESTINATION),
            (self._notifications.remove, Kind.CHANNEL),
        ):
            for row in (number for its_kind, number in rows if its_kind is kind):
                await remove(db, row)
            await db.flush()


def _check_removed(found: Difference) -> None:
    """Raises:
    BadConfiguration: a destination would be removed that a stream which stays sends to.
    """
    gone = {change.name for change in found.of(Action.REMOVED) if change.kind is Kind.DESTINATION}
    problems = []
    for change in found.changes:
        item = change.wanted or change.present
        if change.kind is not Kind.STREAM or change.action is Action.REMOVED or item is None:
            continue
        for name in gone.intersection(item.values["destinations"]):
            message = f"The destination {name} would be removed, but this stream sends its recordings there."
            problems.append(Problem(item.line, f"stream {item.name}", "destinations", message))
    if problems:
        raise BadConfiguration(problems)


def _tell(found: Difference) -> None:
    counts = {action: len(found.of(action)) for action in (Action.ADDED, Action.CHANGED, Action.REMOVED)}
    told = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
    log.info(f"a configuration was imported: {told}", action="configuration_imported")
