"""Notifications: who is told what, and the loop that tells it."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.address import HIDDEN, Egress
from rolltape.domain.errors import ChannelError, ConflictError, NotFoundError
from rolltape.domain.notification import (
    Channel,
    ChannelFields,
    ChannelKind,
    Message,
    MessageState,
    Notice,
    masked,
)
from rolltape.domain.tally import Watermark
from rolltape.domain.units import HOUR, MINUTE, Seconds
from rolltape.services.clock import Clock
from rolltape.services.health import Health
from rolltape.services.names import unique_name
from rolltape.services.notifications import digest, keep, words
from rolltape.services.notifications.outbox import Outbox
from rolltape.services.notifications.send import Sender
from rolltape.services.notifications.watch import Watch
from rolltape.services.operations import operation
from rolltape.store import Database

TICK = Seconds(5)  # between looks at what has ended, and at what is due
FINDINGS_EVERY = Seconds(MINUTE)
FORGET_EVERY = Seconds(HOUR)
MOST_CHANNELS = 50

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Trial:
    """How a test of a channel went."""

    ok: bool
    message: str
    code: str = ""


class Notifications:
    """`keys` is the folder in which a copy of the channels is kept; `public_url` is where people find the pages."""

    def __init__(
        self, database: Database, health: Health, *, keys: Path, egress: Egress, clock: Clock, public_url: str = ""
    ) -> None:
        self._database = database
        self._health = health
        self._keys = keys
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._sender = Sender(egress)
        self._outbox = Outbox(database, self._sender, clock=clock)
        self._watch = Watch(database, findings=health.findings, clock=clock)
        self._task: asyncio.Task[None] | None = None
        self._sending: dict[int, asyncio.Task[None]] = {}  # by channel
        self._next: dict[str, float] = {}  # monotonic; when what is done now and then is due
        self.lag = Seconds(0)  # how much later than planned the loop last came to its turn

    # Channels

    async def all(self) -> list[Channel]:
        """All channels, by name."""
        async with self._database.read() as db:
            return sorted(await db.scalars(select(Channel)), key=lambda channel: channel.name.casefold())

    async def get(self, channel_id: int) -> Channel:
        async with self._database.read() as db:
            return await _find(db, channel_id)

    @operation("channel_added", "a channel was added")
    async def create(self, fields: ChannelFields) -> Channel:
        """Set a channel up. A webhook without a secret gets one.

        Raises:
            ConflictError: the name is taken, or there are too many.
        """
        async with self._database.write() as db:
            channel = await self.enter(db, fields)
        await self.keep_copy()
        return channel

    async def enter(self, db: AsyncSession, fields: ChannelFields) -> Channel:
        """A new channel, as part of a larger change; `keep_copy` has to follow.

        Raises:
            ConflictError: the name is taken, or there are too many.
        """
        if fields.secret == HIDDEN or (not fields.secret and fields.kind is ChannelKind.WEBHOOK):
            fields = fields.model_copy(update={"secret": secrets.token_urlsafe(32)})
        if len((await db.scalars(select(Channel.id))).all()) >= MOST_CHANNELS:
            raise ConflictError(f"There are {MOST_CHANNELS} channels already; delete one that is not used.")
        channel = Channel(**fields.model_dump(), created_at=self._clock())
        db.add(channel)
        with unique_name("channel", fields.name):
            await db.flush()
        return channel

    @operation("channel_changed", "a channel was changed")
    async def update(self, channel_id: int, changes: dict[str, Any]) -> Channel:
        """Change the named fields. An address or a secret that is given as it is shown stays what it is."""
        async with self._database.write() as db:
            channel = await _find(db, channel_id)
            before = {name: getattr(channel, name) for name in ChannelFields.model_fields}
            fields = ChannelFields.model_validate(before | _unmasked(changes, channel))
            await self.replace(db, channel, fields)
        await self.keep_copy()
        return channel

    async def replace(self, db: AsyncSession, channel: Channel, fields: ChannelFields) -> None:
        """Give a channel these fields, as part of a larger change; `keep_copy` has to follow."""
        before = channel.address
        if fields.kind is ChannelKind.WEBHOOK and not fields.secret:
            fields = fields.model_copy(update={"secret": channel.secret or secrets.token_urlsafe(32)})
        for name, value in fields.model_dump().items():
            setattr(channel, name, value)
        if fields.address != before:
            channel.last_at = channel.last_ok_at = channel.last_error = None
        with unique_name("channel", fields.name):
            await db.flush()
        if not fields.enabled or fields.kind is ChannelKind.PING:
            await _drop_waiting(db, channel.id)

    @operation("channel_deleted", "a channel was deleted")
    async def delete(self, channel_id: int) -> None:
        """Forget a channel, and what was to be told there."""
        async with self._database.write() as db:
            await self.remove(db, channel_id)
        await self.keep_copy()

    async def remove(self, db: AsyncSession, channel_id: int) -> None:
        """Forget a channel, as part of a larger change; `keep_copy` has to follow."""
        channel = await _find(db, channel_id)
        await db.execute(delete(Notice).where(Notice.channel_id == channel_id))
        await db.execute(delete(Message).where(Message.channel_id == channel_id))
        await db.delete(channel)

    @operation("channel_tested", "a channel was tested")
    async def test(self, channel_id: int) -> Trial:
        """Send a test message at once, and say how that went."""
        channel = await self.get(channel_id)
        uid, now = str(uuid4()), self._clock()
        try:
            await self._sender.send(channel, words.trial(uid, self._public_url, now), uid=uid, now=now)
        except ChannelError as exc:
            await self._outbox.note(channel_id, exc.message)
            return Trial(ok=False, message=exc.message, code=exc.code)
        await self._outbox.note(channel_id, None)
        told = "The address was fetched." if channel.kind is ChannelKind.PING else "The message was taken."
        return Trial(ok=True, message=told)

    async def test_all(self, name: str | None = None) -> list[tuple[str, Trial]]:
        """Test the channel of this name, or all that are switched on; each with its name.

        Raises:
            NotFoundError: there is none.
        """
        channels = [
            channel for channel in await self.all() if (channel.enabled if name is None else channel.name == name)
        ]
        if not channels:
            raise NotFoundError(
                "There is no channel that is switched on." if name is None else f"There is no channel named {name}."
            )
        return [(channel.name, await self.test(channel.id)) for channel in channels]

    async def messages(self, channel_id: int, limit: int) -> Sequence[Message]:
        """The latest messages to a channel, newest first."""
        return await self._outbox.messages(channel_id, limit)

    async def counts(self) -> dict[MessageState, int]:
        """How many messages are in each state."""
        return await self._outbox.counts()

    # The loop

    async def start(self) -> None:
        """Find the channels of a lost database again, and begin to tell."""
        await self._find_lost()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once: what is under way is sent again by the next start."""
        tasks = [task for task in (self._task, *self._sending.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Notice what has ended, and make messages of what is to be told."""
        await self._watch.look_at_sessions()
        await digest.gather(self._database, public_url=self._public_url, clock=self._clock)

    async def look_at_findings(self) -> None:
        """Notice findings that have come or gone."""
        await self._watch.look_at_findings()

    async def deliver(self) -> None:
        """Send all that is due, and wait for it."""
        await self._begin_to_send()
        await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def _run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self.lag = Seconds(max(0.0, time.monotonic() - before - TICK))
            try:
                await self._turn()
            except Exception:
                log.exception("what happened could not be told", action="notifications_failed")

    async def _turn(self) -> None:
        if self._is_time("findings", FINDINGS_EVERY):
            await self.look_at_findings()
        await self.look()
        await self._begin_to_send()
        if self._is_time("forget", FORGET_EVERY):
            await self._outbox.forget_old()

    async def _begin_to_send(self) -> None:
        """A task for each channel that has something to send: one that hangs holds up no other."""
        self._sending = {number: task for number, task in self._sending.items() if not task.done()}
        for channel_id in await self._outbox.due():
            self._begin(channel_id, partial(self._outbox.send, channel_id))
        pings = await self._outbox.pings_due()
        if pings and await self._health.is_ready():
            for channel in pings:
                self._begin(channel.id, partial(self._outbox.ping, channel))

    def _begin(self, channel_id: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if channel_id not in self._sending:
            self._sending[channel_id] = asyncio.create_task(_logged(work()))

    def _is_time(self, name: str, every: Seconds) -> bool:
        if time.monotonic() < self._next.get(name, 0):
            return False
        self._next[name] = time.monotonic() + every
        return True

    async def _find_lost(self) -> None:
        """Take the channels of the copy into a database that has never been looked through: the old one was lost."""
        async with self._database.read() as db:
            is_new = await db.scalar(select(Watermark.name).limit(1)) is None
            has_channels = await db.scalar(select(Channel.id).limit(1)) is not None
        if has_channels:
            await self.keep_copy()
        if not is_new or has_channels:
            return
        for fields in keep.read(self._keys)[:MOST_CHANNELS]:
            await self.create(fields)
            log.warning(f"the channel {fields.name} was found again", action="channel_found")

    async def keep_copy(self) -> None:
        channels = [ChannelFields.model_validate(channel) for channel in await self.all() if _is_whole(channel)]
        await asyncio.to_thread(keep.write, self._keys, channels)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("a message could not be sent", action="notification_failed")


async def _find(db: AsyncSession, channel_id: int) -> Channel:
    channel = await db.get(Channel, channel_id)
    if channel is None:
        raise NotFoundError(f"There is no channel {channel_id}.")
    return channel


async def _drop_waiting(db: AsyncSession, channel_id: int) -> None:
    """What waits for a channel that is switched off would be old when it is switched on again."""
    waits = (Message.channel_id == channel_id, Message.state == MessageState.WAITING)
    await db.execute(delete(Notice).where(Notice.channel_id == channel_id, Notice.message_id.is_(None)))
    await db.execute(delete(Notice).where(Notice.message_id.in_(select(Message.id).where(*waits))))
    await db.execute(delete(Message).where(*waits))


def _unmasked(changes: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`changes` without what was given back as it had been shown."""
    shown = {"address": (masked(channel.kind, channel.address), HIDDEN), "secret": (HIDDEN,)}
    return {name: value for name, value in changes.items() if value not in shown.get(name, ())}


def _is_whole(channel: Channel) -> bool:
    """Whether the address can be used; one out of a backup may have lost its secrets."""
    return HIDDEN not in channel.address
