"""What is not well with streams, destinations and sessions, in plain words, with what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from rolltape.domain.notification import Channel
from rolltape.domain.session import Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.domain.words import MONTHS, WEEKDAYS

RECENT = timedelta(days=7)  # older troubles are history
MOST_EACH = 10  # findings of one kind; the rest is counted
OLD_BACKUP = timedelta(days=2)  # one that failed is made up for within hours
MANY_ATTEMPTS = 4  # of a transfer; by then its destination has been away for minutes

_GOT_ON = (SessionState.PROCESSING, SessionState.DELIVERING, SessionState.DONE)


@dataclass(frozen=True)
class Finding:
    """Something that is not well. `level` is "warning" or "error"; `advice` says what to do, `link` where.

    `link` is the path of a page, "" if there is none.
    """

    code: str
    level: str
    message: str
    advice: str
    link: str = ""


async def of_streams(db: AsyncSession, now: datetime) -> list[Finding]:
    """Streams whose last session recorded nothing that could be used."""
    newest = (
        select(Session.stream_id, func.max(Session.planned_start).label("start"))
        .where(Session.state == SessionState.FAILED, Session.planned_start >= now - RECENT, Session.sha256.is_(None))
        .group_by(Session.stream_id)
        .subquery()
    )
    later = aliased(Session)
    got_on = exists().where(
        later.stream_id == Session.stream_id,
        later.planned_start > Session.planned_start,
        later.state.in_(_GOT_ON),
    )
    query = (
        select(
            Stream.id, Stream.name, Session.planned_start, Session.timezone, Session.error_message, Session.take_count
        )
        .join(newest, and_(Session.stream_id == newest.c.stream_id, Session.planned_start == newest.c.start))
        .join(Stream, Stream.id == Session.stream_id)
        .where(Session.state == SessionState.FAILED, ~got_on)
        .order_by(Session.planned_start.desc())
    )
    return _limited([_failed(row) for row in await db.execute(query)], "streams", "/sessions?state=failed")


async def of_destinations(db: AsyncSession) -> list[Finding]:
    """Destinations that refuse what is sent to them, or have not answered for a while."""
    troubled = (Transfer.state == TransferState.REFUSED) | (
        (Transfer.state == TransferState.WAITING) & (Transfer.fruitless >= MANY_ATTEMPTS)
    )
    counted = (
        select(Transfer.destination_id, func.max(Transfer.id).label("last"), func.count().label("count"))
        .where(troubled, Transfer.destination_id.is_not(None))
        .group_by(Transfer.destination_id)
        .subquery()
    )
    query = (
        select(
            Transfer.destination_id, Transfer.destination_name, Transfer.state, Transfer.error_message, counted.c.count
        )
        .join(counted, Transfer.id == counted.c.last)
        .order_by(Transfer.id.desc())
    )
    return _limited([_refusing(row) for row in await db.execute(query)], "destinations", "/destinations")


async def of_missed(db: AsyncSession, now: datetime) -> list[Finding]:
    """What was due in the last days and was not recorded."""
    is_recent = (Session.state == SessionState.MISSED, Session.planned_start >= now - RECENT)
    columns = (Session.name, Session.planned_start, Session.timezone, Session.error_message)
    last = (
        await db.execute(select(*columns).where(*is_recent).order_by(Session.planned_start.desc()).limit(1))
    ).first()
    if last is None:
        return []
    count = await db.scalar(select(func.count()).select_from(Session).where(*is_recent)) or 0
    sessions = "One session was" if count == 1 else f"{count} sessions were"
    message = (
        f"{sessions} missed in the last seven days; the last one was {last.name} on "
        f"{when(last.planned_start, last.timezone)}. {last.error_message or ''}"
    )
    advice = "What was missed cannot be had again. Look at the reason, so that the next one is recorded."
    return [Finding("missed", "warning", message.rstrip(), advice, "/sessions?state=missed")]


async def of_channels(db: AsyncSession) -> list[Finding]:
    """Channels of notifications that the last message, or sign of life, did not get through."""
    query = select(Channel.id, Channel.name, Channel.last_error).where(Channel.enabled, Channel.last_error.is_not(None))
    found = [
        Finding(
            "channel_failing",
            "warning",
            f"{name}: what it is told does not arrive. {error}",
            "Correct its address, then test it. What waits for it is tried again for a day.",
            f"/system/notifications/{number}",
        )
        for number, name, error in await db.execute(query.order_by(Channel.id))
    ]
    return _limited(found, "channels", "/system/notifications")


async def of_backups(db: AsyncSession, now: datetime, last: datetime | None) -> list[Finding]:
    """That there is no recent backup, once there is something to lose. `last` is when the newest was made."""
    first = await db.scalar(select(func.min(Stream.created_at)))
    since = first if last is None else last
    if first is None or since is None or now - since <= OLD_BACKUP:
        return []
    age = (now - since).days
    message = "There is no backup." if last is None else f"The last backup was made {age} days ago."
    advice = "Make one now. If that fails, it says why; make sure that the folder of backups can be written."
    return [Finding("no_recent_backup", "warning", message, advice, "/system/backups")]


def when(moment: datetime, zone: str) -> str:
    """A moment in words, like "Sunday 29 March at 02:30 (Europe/Berlin)"."""
    try:
        local = moment.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # the zone has gone from the time zone database
        local, zone = moment, "UTC"
    return f"{WEEKDAYS[local.isoweekday() % 7]} {local.day} {MONTHS[local.month - 1]} at {local:%H:%M} ({zone})"


def _failed(row: Row[*tuple[Any, ...]]) -> Finding:
    number, name, start, zone, reason, takes = row
    message = f"{name}: the last recording, of {when(start, zone)}, failed. {reason or ''}".rstrip()
    if takes:
        advice = "What was received is kept: open the session and try again."
        return Finding("stream_failed", "warning", message, advice, "/sessions?state=failed")
    advice = "Test the stream. The station may be off the air, or its address may have changed."
    return Finding("stream_failed", "warning", message, advice, f"/streams/{number}")


def _refusing(row: Row[*tuple[Any, ...]]) -> Finding:
    number, name, state, reason, count = row
    waiting = "1 recording waits" if count == 1 else f"{count} recordings wait"
    if state is TransferState.REFUSED:
        message = f"{name} refuses recordings; {waiting} for it. {reason or ''}".rstrip()
        advice = "Put right what it complains about, then test the destination: what waits is sent again by itself."
        return Finding("destination_refuses", "warning", message, advice, f"/destinations/{number}")
    message = f"{name} cannot be reached; {waiting} for it. {reason or ''}".rstrip()
    advice = "See whether it is switched on and connected. It is tried again by itself."
    return Finding("destination_unreachable", "warning", message, advice, f"/destinations/{number}")


def _limited(found: Sequence[Finding], things: str, link: str) -> list[Finding]:
    """The first of them, and one that counts the rest."""
    rest = len(found) - MOST_EACH
    if rest <= 0:
        return list(found)
    more = Finding("more", "warning", f"There are {rest} more {things} like these.", "Look at the whole list.", link)
    return [*found[:MOST_EACH], more]
