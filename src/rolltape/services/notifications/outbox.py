"""Messages on their way: each is tried until it arrived, or is a day old.

A message is marked as delivered after the receiver took it. Ended in between, it is sent once more, under the same id.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Select, delete, func, select, update

from rolltape.domain.errors import ChannelError
from rolltape.domain.notification import Channel, ChannelKind, Message, MessageState, Notice
from rolltape.domain.units import MINUTE
from rolltape.services.clock import Clock
from rolltape.services.notifications.back_off import retry_at
from rolltape.services.notifications.send import Sender
from rolltape.store import Database

MOST_IN_A_ROW = 20  # messages to one channel before the others are looked at again
KEPT = timedelta(days=30)  # messages that are over
PING_AGAIN = timedelta(seconds=MINUTE)  # after one that failed; the receiver waits for it

log = structlog.get_logger(__name__)


class Outbox:
    def __init__(self, database: Database, sender: Sender, *, clock: Clock) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock

    async def due(self) -> list[int]:
        """The channels that have something to send now."""
        now = self._clock()
        query = (
            select(Message.channel_id)
            .join(Channel, Channel.id == Message.channel_id)
            .where(Message.state == MessageState.WAITING, Message.next_attempt_at <= now, Channel.enabled)
            .distinct()
        )
        async with self._database.read() as db:
            return list(await db.scalars(query))

    async def send(self, channel_id: int) -> None:
        """Send what is due to a channel, the oldest first, until one does not arrive."""
        for _ in range(MOST_IN_A_ROW):
            async with self._database.read() as db:
                channel = await db.get(Channel, channel_id)
                message = await db.scalar(self._next(channel_id))
            if channel is None or message is None or not channel.enabled or not await self._try(channel, message):
                return

    def _next(self, channel_id: int) -> Select[Message]:
        waits = (Message.state == MessageState.WAITING, Message.next_attempt_at <= self._clock())
        return select(Message).where(Message.channel_id == channel_id, *waits).order_by(Message.id).limit(1)

    async def _try(self, channel: Channel, message: Message) -> bool:
        if message.created_at + KEPT < self._clock():
            return False
        try:
            await self._sender.send(channel, message.content, uid=message.uid, now=self._clock())
        except ChannelError as exc:
            await self._failed(channel, message, exc)
            return False
        now = self._clock()
        values = {"state": MessageState.DELIVERED, "finished_at": now, "next_attempt_at": None, "error": None}
        await self._enter(message, attempts=message.attempts + 1, **values)
        await self.note(channel.id, None)
        log.info(f"told {channel.name}: {message.title}", action="notified")
        return True

    async def _failed(self, channel: Channel, message: Message, error: ChannelError) -> None:
        attempts = message.attempts + 1
        again = retry_at(attempts, created_at=message.created_at, now=self._clock(), random=random.random())
        values = {"attempts": attempts, "error": error.message, "next_attempt_at": again}
        if again is None:
            values |= {"state": MessageState.GIVEN_UP, "finished_at": self._clock()}
            log.error(f"{channel.name} was not told: {message.title}: {error.message}", action="notification_given_up")
        else:
            log.warning(f"{channel.name} could not be told: {error.message}", action="notification_failed")
        await self._enter(message, **values)
        await self.note(channel.id, error.message)

    async def _enter(self, message: Message, **values: object) -> None:
        async with self._database.write() as db:
            await db.execute(update(Message).where(Message.id == message.id).values(**values))

    async def note(self, channel_id: int, problem: str | None) -> None:
        """What became of the last try of a channel; None: it worked."""
        now = self._clock()
        values: dict[str, object] = {"last_at": now, "last_error": problem}
        if problem is None:
            values["last_ok_at"] = now
        async with self._database.write() as db:
            await db.execute(update(Channel).where(Channel.id == channel_id).values(**values))

    async def pings_due(self) -> list[Channel]:
        query = select(Channel).where(Channel.kind == ChannelKind.PING, Channel.enabled)
        async with self._database.read() as db:
            return [channel for channel in await db.scalars(query) if is_ping_due(channel, self._clock())]

    async def ping(self, channel: Channel) -> None:
        try:
            await self._sender.send(channel, {}, uid="", now=self._clock())
        except ChannelError as exc:
            log.warning(f"{channel.name}: the sign of life did not arrive: {exc.message}", action="ping_failed")
            await self.note(channel.id, exc.message)
        else:
            await self.note(channel.id, None)

    async def messages(self, channel_id: int, limit: int) -> Sequence[Message]:
        """The latest messages to a channel."""
        query = select(Message).where(Message.channel_id == channel_id).order_by(Message.id.desc()).limit(limit)
        async with self._database.read() as db:
            return (await db.scalars(query)).all()

    async def counts(self) -> dict[MessageState, int]:
        """How many messages are in each state."""
        query = select(Message.state, func.count()).group_by(Message.state)
        async with self._database.read() as db:
            return dict((await db.execute(query)).all())

    async def forget_old(self) -> None:
        """Remove what was told long ago, with its notices."""
        old = self._clock() - KEPT
        async with self._database.read() as db:
            ids = list(await db.scalars(select(Message.id).where(Message.created_at < old).limit(500)))
        if ids:
            async with self._database.write() as db:
                await db.execute(delete(Notice).where(Notice.message_id.in_(ids)))
                await db.execute(delete(Message).where(Message.id.in_(ids)))


def is_ping_due(channel: Channel, now: datetime) -> bool:
    if channel.last_at is None or channel.last_at > now:  # a clock that was set back must not end the signs of life
        return True
    interval = timedelta(minutes=channel.interval)
    return now - channel.last_at >= (min(interval, PING_AGAIN) if channel.last_error else interval)
