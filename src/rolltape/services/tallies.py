"""Counts of what sessions came to, which go on over restarts and do not shrink when sessions are deleted."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.recording import Verdict
from rolltape.domain.session import OVER, Event, Session, SessionState
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
    is_retried = select(Event.session_id).where(Event.kind == "retry", Event.session_id.in_(session_ids))
    retried = set(await db.scalars(is_retried))
    counts = _counted((await db.execute(select(*_COLUMNS).where(Session.id.in_(session_ids)))).all(), retried)
    fresh = [number for number in session_ids if number not in retried]
    counts[RECEIVED] += await _received(db, Take.session_id.in_(fresh))
    return counts


async def count_all(db: AsyncSession) -> Counter[str]:
    """What all sessions that are over add to the counts."""
    # The database adds up the many that have audio; the few that have none are looked at one by one.
    has_audio = Session.coverage > 0
    is_empty = Session.state.in_(OVER) & (Session.coverage.is_(None) | (Session.coverage <= 0))
    counts = _counted((await db.execute(select(*_COLUMNS).where(is_empty))).all(), set())
    recorded, planned = func.sum(Session.recorded), func.sum(Session.recorded / Session.coverage)
    again = func.sum(case((Session.take_count > 1, Session.take_count - 1), else_=0))
    sums = select(Session.state, Session.verdict, func.count(), recorded, planned, again)
    among = sums.where(Session.state.in_(OVER), has_audio).group_by(Session.state, Session.verdict)
    for state, verdict, number, seconds, wanted, reconnects in (await db.execute(among)).all():
        counts[_name(state, verdict)] += number
        if state in _WANTED:
            counts.update({RECORDED: seconds, LOST: max(0.0, wanted - seconds), RECONNECTS: reconnects})
    counts[RECEIVED] += await _received(db, true())
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


def _counted(rows: Sequence[Row[*tuple[Any, ...]]], retried: Set[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[_name(row.state, row.verdict)] += 1
        if row.id not in retried:
            counts.update(_audio(row))
    return counts


def _name(state: SessionState, verdict: Verdict | None) -> str:
    return f"{SESSIONS}:{state}:{verdict or ''}"


async def _received(db: AsyncSession, condition: ColumnElement[bool]) -> int:
    """The bytes of takes, by their length and bit rate."""
    return int(await db.scalar(select(func.sum(Take.duration * Take.bit_rate / 8.0)).where(condition)) or 0)


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
