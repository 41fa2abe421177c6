"""Counts of what sessions came to, which go on over restarts and do not shrink when sessions are deleted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.session import Event, Session, SessionState
from rolltape.domain.take import Take
from rolltape.domain.tally import Tally

RECORDED, LOST, RECONNECTS, RECEIVED = "recorded_seconds", "lost_seconds", "reconnects", "received_bytes"
SESSIONS = "sessions"  # the names go on with state and verdict: sessions:done:complete

_WANTED = frozenset({SessionState.DONE, SessionState.FAILED, SessionState.MISSED})  # nobody wanted it otherwise
_COLUMNS = (
    Session.id, Session.state, Session.verdict, Session.planned_start, Session.planned_end, Session.start_early,
    Session.end_late, Session.recorded, Session.coverage, Session.take_count,
)  # fmt: skip


async def count(db: AsyncSession, session_ids: Sequence[int]) -> Counter[str]:
    """What these sessions, which are over, add to the counts.

    The audio of one that was tried again was counted when it was over for the first time.
    """
    counts: Counter[str] = Counter()
    rows = (await db.execute(select(*_COLUMNS).where(Session.id.in_(session_ids)))).all()
    is_retried = select(Event.session_id).where(Event.kind == "retry", Event.session_id.in_(session_ids))
    retried = set(await db.scalars(is_retried))
    for row in rows:
        counts[f"{SESSIONS}:{row.state}:{row.verdict or ''}"] += 1
        if row.id not in retried:
            counts.update(_audio(row))
    fresh = [row.id for row in rows if row.id not in retried]
    received = select(func.sum(Take.duration * Take.bit_rate / 8.0)).where(Take.session_id.in_(fresh))
    counts[RECEIVED] += int(await db.scalar(received) or 0)
    return counts


async def add(db: AsyncSession, counts: Mapping[str, float]) -> None:
    """Add to the counts that are kept."""
    known = {tally.name: tally for tally in await db.scalars(select(Tally).where(Tally.name.in_(counts)))}
    for name, value in counts.items():
        if name in known:
            known[name].value += value
        else:
            db.add(Tally(name=name, value=value))


async def read(db: AsyncSession) -> dict[str, float]:
    return {tally.name: tally.value for tally in await db.scalars(select(Tally))}


def _audio(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """Seconds recorded and lost, and connections that were made again."""
    if row.state not in _WANTED:
        return {}
    window = (row.planned_end - row.planned_start).total_seconds() + row.start_early + row.end_late
    planned = row.recorded / row.coverage if row.coverage else window
    return {
        RECORDED: row.recorded,
        LOST: max(0.0, planned - row.recorded),
        RECONNECTS: max(0, row.take_count - 1),
    }
