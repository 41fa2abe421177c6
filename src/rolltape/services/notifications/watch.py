"""What happens is noticed here, once: sessions that came to their end, findings that come and go.

Sessions are looked up by when they ended. How far that went is kept in the database and written together with what was
made of it, so that nothing is told or counted twice, nor left out, whenever the service is ended.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.notification import Channel, ChannelKind, Occasion, Trouble
from rolltape.domain.recording import Verdict
from rolltape.domain.session import OVER, Session, SessionState
from rolltape.domain.tally import Tally, Watermark
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.services import tallies
from rolltape.services.clock import Clock
from rolltape.services.findings import Finding
from rolltape.services.notifications import words
from rolltape.services.notifications.words import Happening
from rolltape.store import Database

OVERLAP = timedelta(minutes=10)  # what ended this long before the last look may have been written after it
OLD_NEWS = timedelta(days=1)  # what ended before that is not told any more
MOST_TOLD = 50  # of one occasion in one look; the rest is counted
AT_ONCE = 500  # sessions in one question to the database
LATE = timedelta(hours=1)  # after a recording was ready; the retries of a passing fault are over by then
CALM = timedelta(minutes=5)  # a finding is over when it was not there for so long; many come and go

# Findings by code. What the sessions themselves tell, and what only counts others, is left out.
OCCASIONS = {
    "little_space": Occasion.DISK,
    "few_inodes": Occasion.DISK,
    "space_forecast": Occasion.DISK,
    "halted": Occasion.DISK,
    "destination_refuses": Occasion.DESTINATION,
    "destination_unreachable": Occasion.DESTINATION,
    "database_moved": Occasion.DATABASE,
    "database_changes_lost": Occasion.DATABASE,
    "no_recent_backup": Occasion.BACKUP,
}
LEFT_OUT = frozenset({"stream_failed", "missed", "more"})
# How long a finding has to last before it is told: a NAS that sleeps at night is no news.
PATIENCE = {"destination_unreachable": timedelta(hours=1), "channel_failing": timedelta(minutes=30)}

_MARK = "sessions"
_FLAWS = [verdict for verdict in Verdict if verdict is not Verdict.COMPLETE]
_COLUMNS = (
    Session.id, Session.name, Session.state, Session.verdict, Session.planned_start, Session.timezone,
    Session.ended_at, Session.coverage, Session.error_code, Session.error_message,
)  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What a look found: a key for each thing that can be told or counted once."""

    ended: dict[str, int]
    flawed: dict[str, int]


class Watch:
    """`findings` are those of the health page."""

    def __init__(self, database: Database, *, findings: Callable[[], Awaitable[list[Finding]]], clock: Clock) -> None:
        self._database = database
        self._findings = findings
        self._clock = clock

    async def look_at_sessions(self) -> None:
        """Enter notices of what ended since the last look, and count it. The first look of all only counts."""
        now = self._clock()
        async with self._database.read() as db:
            mark = await db.get(Watermark, _MARK)
            if mark is None:
                await self._begin(db, now)
                return
            seen = await _look(db, mark, now)
            ended = [number for key, number in seen.ended.items() if key not in mark.seen]
            flawed = [number for key, number in seen.flawed.items() if key not in mark.seen]
            if not ended and not flawed:
                return
            counts = await _count(db, ended)
            happenings = await _tell(db, ended, flawed, now)
        async with self._database.write() as db:
            await db.merge(Watermark(name=_MARK, at=now, seen=_recent(seen, now)))
            await tallies.add(db, counts)
            await _enter(db, happenings)

    async def _begin(self, reading: AsyncSession, now: datetime) -> None:
        """Count what is over already, and remember what must not be taken for new."""
        counts = await tallies.count_all(reading)
        seen = await _look(reading, Watermark(name=_MARK, at=now, seen={}), now)
        async with self._database.write() as db:
            db.add(Watermark(name=_MARK, at=now, seen=_recent(seen, now)))
            await db.execute(delete(Tally))
            await tallies.add(db, counts)

    async def look_at_findings(self) -> None:
        """Enter notices of findings that are new, or gone."""
        now = self._clock()
        present = _keyed(await self._findings())
        if any(finding.code == "database" for finding in present.values()):
            return  # nothing can be written down; the sign of life stops, and that is what tells it
        async with self._database.read() as db:
            known = {trouble.key: trouble for trouble in await db.scalars(select(Trouble))}
        if not _has_changed(known, present, now):
            return
        async with self._database.write() as db:
            known = {trouble.key: trouble for trouble in await db.scalars(select(Trouble))}
            happenings = [*_new(db, known, present, now), *await _gone(db, known, present, now)]
            await _enter(db, happenings)


async def _look(db: AsyncSession, mark: Watermark, now: datetime) -> _Seen:
    columns = (Session.id, Session.state, Session.verdict, Session.ended_at)
    # A clock that was set back must not hide what ends now.
    since = min(mark.at, now) - OVERLAP
    ended = (await db.execute(select(*columns).where(Session.ended_at >= since))).all()
    is_flawed = (Session.state == SessionState.DELIVERING, Session.verdict.in_(_FLAWS))
    flawed = list((await db.execute(select(*columns).where(*is_flawed))).all())
    # One that failed later, as it could not be delivered, was told when it was recorded.
    flawed += [row for row in ended if row.state is SessionState.DONE and row.verdict in _FLAWS]
    over = [row for row in ended if row.state in OVER]
    return _Seen(
        ended={f"{row.id}@{row.ended_at.timestamp():.3f}": row.id for row in over if row.ended_at},
        flawed={f"flaw {row.id}": row.id for row in flawed},
    )


def _recent(seen: _Seen, now: datetime) -> dict[str, Any]:
    """The keys that the next look may find again."""
    since = (now - OVERLAP).timestamp()
    recent = {key: 1 for key in seen.ended if float(key.partition("@")[2]) >= since}
    return recent | dict.fromkeys(seen.flawed, 1)


async def _count(db: AsyncSession, session_ids: Sequence[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in _parts(session_ids):
        counts.update(await tallies.count(db, part))
    return counts


async def _tell(db: AsyncSession, ended: Sequence[int], flawed: Sequence[int], now: datetime) -> list[Happening]:
    happenings: list[Happening] = []
    async for row in _rows(db, ended):
        is_news = row.ended_at is not None and row.ended_at >= now - OLD_NEWS
        if is_news and row.state in (SessionState.FAILED, SessionState.MISSED):
            happenings.append(words.ended(row, now))
        elif is_news and row.state is SessionState.DONE:
            happenings += await _late(db, row, now)
    async for row in _rows(db, flawed):
        happenings.append(words.flawed(row, now))
    return _bounded(happenings, now)


async def _rows(db: AsyncSession, session_ids: Sequence[int]) -> Any:
    for part in _parts(session_ids):
        for row in (await db.execute(select(*_COLUMNS).where(Session.id.in_(part)).order_by(Session.id))).all():
            yield row


async def _late(db: AsyncSession, row: Row[*tuple[Any, ...]], now: datetime) -> list[Happening]:
    """Whether a recording that has arrived everywhere was late at one of the places."""
    query = select(Transfer.destination_name, Transfer.created_at, Transfer.finished_at).where(
        Transfer.session_id == row.id, Transfer.state == TransferState.DELIVERED
    )
    took = [(finished - ready, name) for name, ready, finished in await db.execute(query) if finished is not None]
    longest, name = max(took, default=(timedelta(0), ""))
    return [words.late(row, name, longest / timedelta(hours=1), now)] if longest > LATE else []


def _bounded(happenings: Sequence[Happening], now: datetime) -> list[Happening]:
    """The first of each occasion, and one that stands for the rest."""
    counts = Counter(happening.occasion for happening in happenings)
    kept: list[Happening] = []
    for occasion, count in counts.items():
        kept += [happening for happening in happenings if happening.occasion is occasion][:MOST_TOLD]
        if count > MOST_TOLD:
            kept.append(words.more(occasion, count - MOST_TOLD, now))
    return kept


async def _enter(db: AsyncSession, happenings: Iterable[Happening]) -> None:
    """A notice for each channel that wants to hear of it."""
    happenings = list(happenings)
    if not happenings:
        return
    query = select(Channel.id, Channel.events).where(Channel.enabled, Channel.kind != ChannelKind.PING)
    for number, events in (await db.execute(query)).all():
        db.add_all(happening.notice(number) for happening in happenings if happening.occasion in events)


def _occasion(finding: Finding) -> Occasion:
    """What a finding is told as; one that has no name of its own here is told, too."""
    return OCCASIONS.get(finding.code, Occasion.MACHINE)


def _keyed(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {f"{found.code} {found.link}"[:200]: found for found in findings if found.code not in LEFT_OUT}


def _is_due(trouble: Trouble, finding: Finding, now: datetime) -> bool:
    patience = PATIENCE.get(finding.code, timedelta(0))
    return trouble.told_at is None and now - trouble.since >= patience


def _has_changed(known: dict[str, Trouble], present: dict[str, Finding], now: datetime) -> bool:
    is_new = any(
        key not in known or known[key].gone_since is not None or _is_due(known[key], finding, now)
        for key, finding in present.items()
    )
    return is_new or any(
        trouble.gone_since is None or now - trouble.gone_since >= CALM
        for key, trouble in known.items()
        if key not in present
    )


def _new(
    db: AsyncSession, known: dict[str, Trouble], present: dict[str, Finding], now: datetime
) -> Iterable[Happening]:
    for key, finding in present.items():
        trouble = known.get(key)
        if trouble is None:
            trouble = Trouble(key=key, occasion=_occasion(finding), since=now, link=finding.link, text="")
            db.add(trouble)
        trouble.text, trouble.gone_since = finding.message, None
        if _is_due(trouble, finding, now):
            trouble.told_at = now
            yield words.found(trouble.occasion, finding, now)


async def _gone(
    db: AsyncSession, known: dict[str, Trouble], present: dict[str, Finding], now: datetime
) -> list[Happening]:
    happenings = []
    for key, trouble in known.items():
        if key in present:
            continue
        if trouble.gone_since is None or trouble.gone_since > now:
            trouble.gone_since = now
        elif now - trouble.gone_since >= CALM:
            await db.delete(trouble)
            if trouble.told_at is not None:
                happenings.append(words.well_again(trouble.text, trouble.link or "/system", now))
    return happenings


def _parts(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[first : first + AT_ONCE] for first in range(0, len(numbers), AT_ONCE))
