"""One fault is one message: what happens is told at once, and what follows of the same kind is gathered.

After a first message, others of the same occasion wait ten minutes, then an hour each time, until there was quiet for
as long. So an outage of all stations is two messages and then one an hour, however many recordings it costs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.notification import Message, MessageState, Notice, Occasion
from rolltape.services.clock import Clock
from rolltape.services.notifications import words
from rolltape.store import Database

FIRST_WINDOW = timedelta(minutes=10)
WINDOW = timedelta(hours=1)
MOST_READ = 100  # notices that a message is made of; the rest is counted


async def gather(database: Database, *, public_url: str, clock: Clock) -> int:
    """Make messages of the notices whose time has come; how many were made."""
    now = clock()
    async with database.read() as db:
        waiting = await _waiting(db)
        last = {group: await _last(db, *group) for group in waiting}
    due = [group for group in waiting if is_due(last[group], now)]
    if not due:
        return 0
    async with database.write() as db:
        for channel_id, occasion in due:
            await _make(db, channel_id, occasion, last[channel_id, occasion], public_url, now)
    return len(due)


def window_after(rank: int) -> timedelta:
    """How long the next message of an occasion waits after one of this rank."""
    return FIRST_WINDOW if rank == 0 else WINDOW


def is_due(last: tuple[int, datetime] | None, now: datetime) -> bool:
    """Whether the next message may be made, after the `last` one: its rank, and when it was made."""
    if last is None:
        return True
    rank, made = last
    return not made <= now < made + window_after(rank)


def next_rank(last: tuple[int, datetime] | None, first: datetime) -> int:
    """The rank of a message whose first notice is of `first`: 0 if there was quiet before."""
    if last is None or first >= last[1] + window_after(last[0]):
        return 0

    return last[0] + 1


async def _waiting(db: AsyncSession) -> list[tuple[int, Occasion]]:
    query = select(Notice.channel_id, Notice.occasion).where(Notice.message_id.is_(None)).distinct()
    return [(channel_id, occasion) for channel_id, occasion in (await db.execute(query)).all()]


async def _last(db: AsyncSession, channel_id: int, occasion: Occasion) -> tuple[int, datetime] | None:
    query = (
        select(Message.rank, Message.created_at)
        .where(Message.channel_id == channel_id, Message.occasion == occasion)
        .order_by(Message.id.desc())
        .limit(1)
    )
    row = (await db.execute(query)).first()
    return (row.rank, row.created_at) if row else None


async def _make(
    db: AsyncSession,
    channel_id: int,
    occasion: Occasion,
    last: tuple[int, datetime] | None,
    public_url: str,
    now: datetime,
) -> None:
    ours = (Notice.channel_id == channel_id, Notice.occasion == occasion, Notice.message_id.is_(None))
    notices = await _read(db, *ours)
    if not notices:
        return
    uid = str(uuid4())
    message = Message(
        channel_id=channel_id,
        uid=uid,
        occasion=occasion,
        rank=next_rank(last, notices[0].at),
        title=words.title_of(notices),
        content=words.content_of(notices, uid=uid, public_url=public_url),
        state=MessageState.WAITING,
        next_attempt_at=now,
        created_at=now,
    )
    db.add(message)
    await db.flush()
    await db.execute(update(Notice).where(*ours).values(message_id=message.id))


async def _read(db: AsyncSession, *ours: object) -> Sequence[Notice]:
    """The notices to tell, oldest first. One that is not kept stands for all that are too many."""
    conditions = ours  # of one channel and occasion
    notices = list(await db.scalars(select(Notice).where(*conditions).order_by(Notice.id).limit(MOST_READ)))  # type: ignore[arg-type]
    if len(notices) < MOST_READ:
        return notices
    total = await db.scalar(select(func.sum(Notice.count)).where(*conditions)) or 0  # type: ignore[arg-type]
    rest = total - sum(notice.count for notice in notices)
    if rest > 0:
        last = notices[-1]
        notices.append(
            Notice(occasion=last.occasion, at=last.at, title="", text="", advice="", link=last.link, count=rest)
        )
    return notices
