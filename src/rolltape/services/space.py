"""The room that the coming sessions take on the disk, by the bit rates of their streams' last recordings."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.disk import room
from rolltape.domain.forecast import FINISHING, Need, forecast
from rolltape.domain.session import NOT_BEGUN, Session, SessionState
from rolltape.domain.stream import Stream
from rolltape.domain.units import BitsPerSecond, Bytes, Seconds
from rolltape.services.clock import Clock
from rolltape.store import Database

ASSUMED_RATE = BitsPerSecond(128_000)  # of a recording, where the stream has none yet
AHEAD = timedelta(hours=48)  # how far the forecast of space looks; the planner enters sessions as far
REMEMBERED = Seconds(5)  # a thousand sessions may begin in one second

_PLANNED = NOT_BEGUN | {SessionState.RECORDING}


class Space:
    """`floor` is how much room has to stay free for recordings."""

    def __init__(self, database: Database, *, recordings: Path, floor: Callable[[], Bytes], clock: Clock) -> None:
        self._database = database
        self._recordings = recordings
        self._floor = floor
        self._clock = clock
        self._needs: dict[int, Need] = {}
        self._until = 0.0  # monotonic; until then the needs count

    async def warning(self, session_id: int) -> str | None:
        """Why a session that is about to begin may not fit, as a sentence; None if it does."""
        mine = await self._need(session_id)
        if mine is None:
            return None
        until = mine.end + FINISHING
        free, floor = room(self._recordings).free, self._floor()
        found = forecast((need for need in self._needs.values() if need.start <= until), Bytes(free - floor), until)
        if found.full_at is None:
            return None
        others = found.sessions - 1
        whose = "This recording needs" if not others else "This recording and what is recorded meanwhile need"
        return (
            f"{whose} up to {_size(found.needed)}; {_size(free)} are free, and {_size(floor)} of them are to stay so. "
            "It is recorded all the same."
        )

    async def _need(self, session_id: int) -> Need | None:
        if time.monotonic() >= self._until or session_id not in self._needs:
            async with self._database.read() as db:
                self._needs = {need.session_id: need for need in await coming(db, self._clock())}
            self._until = time.monotonic() + REMEMBERED
        return self._needs.get(session_id)


async def coming(db: AsyncSession, now: datetime) -> list[Need]:
    """What each session that records, or is planned for the next time, needs from now on."""
    columns = (Session.id, Session.stream_id, Session.opens, Session.planned_end, Session.end_late, Session.live)
    query = select(*columns).where(Session.state.in_(_PLANNED), Session.opens < now + AHEAD)
    planned = (await db.execute(query)).all()
    rates = await _rates(db, {row.stream_id for row in planned if row.stream_id is not None})
    needs = []
    for number, stream_id, opens, planned_end, end_late, live in planned:
        known, is_kept = rates.get(stream_id, (None, True))
        rate = known or _live_rate(live) or ASSUMED_RATE
        start, end = max(opens, now), planned_end + timedelta(seconds=end_late)
        size, whole = (_bytes(end - since, rate) for since in (start, opens))
        needs.append(Need(start, end, size, is_kept, made=whole, session_id=number))
    return needs


async def _rates(db: AsyncSession, stream_ids: set[int]) -> dict[int | None, tuple[float | None, bool]]:
    """The bit rate of the last recording of each stream, and whether recordings stay here after delivery."""
    last = (
        select(Session.size * 8.0 / Session.duration)
        .where(Session.stream_id == Stream.id, Session.size.is_not(None), Session.duration > 0)
        .order_by(Session.planned_start.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = await db.execute(select(Stream.id, last, Stream.delete_after_delivery))
    return {number: (rate, not deleted) for number, rate, deleted in rows if number in stream_ids}


def _live_rate(live: dict[str, Any] | None) -> float | None:
    rate = (live or {}).get("bit_rate")
    return float(rate) if rate else None


def _bytes(span: timedelta, rate: float) -> Bytes:
    return Bytes(int(max(span.total_seconds(), 0) * rate / 8))


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"
