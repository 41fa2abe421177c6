"""A session: one occurrence of a schedule, or one "record now", from due to delivered."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base, one_of
from rolltape.domain.recording import Verdict, Window
from rolltape.domain.stream import LONGEST_TEXT, StreamFields


class SessionState(StrEnum):
    SCHEDULED = "scheduled"
    WAITING = "waiting"
    RECORDING = "recording"
    PROCESSING = "processing"
    DELIVERING = "delivering"
    DONE = "done"
    FAILED = "failed"
    MISSED = "missed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


SOON = timedelta(seconds=10)  # within which the first audio opens the window of a "record now"

NOT_BEGUN = frozenset({SessionState.SCHEDULED, SessionState.WAITING})
OVER = frozenset(
    {SessionState.DONE, SessionState.FAILED, SessionState.MISSED, SessionState.CANCELLED, SessionState.SKIPPED}
)


class Wish(StrEnum):
    """What a person asked of a session that is under way."""

    STOP = "stop"
    CANCEL = "cancel"


class Plan(BaseModel):
    """What a session shall do: its stream and schedule as they were when it began.

    `begins_with_audio`: the window opens with the first audio, if that comes soon, instead of at `start`. That is how
    "record now" counts its time.
    """

    model_config = ConfigDict(frozen=True)

    session_id: int
    show: str
    stream: StreamFields
    start: AwareDatetime
    end: AwareDatetime
    start_early: float
    end_late: float
    timezone: str
    begins_with_audio: bool = False
    artwork: str | None = None

    @property
    def window(self) -> Window:
        """When to record, limited by the stream's `max_duration`."""
        opens = self.start - timedelta(seconds=self.start_early)
        limit = opens + timedelta(seconds=self.stream.max_duration)
        closes = min(self.end + timedelta(seconds=self.end_late), limit)
        return Window(opens, self.start, min(self.end, limit), closes)

    @property
    def begins_until(self) -> datetime:
        """When it is too late to begin: the end of the window, or of the patience with the first audio."""
        closes = self.window.closes
        return max(closes, self.window.opens + SOON) if self.begins_with_audio else closes

    @property
    def local_start(self) -> datetime:
        """The planned start in the schedule's zone. Its date is the recording date."""
        return self.start.astimezone(ZoneInfo(self.timezone))


class Session(Base):
    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("schedule_id", "planned_start", name="uq_sessions_occurrence"),
        Index("ix_sessions_state_opens", "state", "opens"),
        Index("ix_sessions_start", "planned_start", "id", "name"),
        Index("ix_sessions_state_start", "state", "planned_start", "id"),
        Index("ix_sessions_verdict_start", "verdict", "planned_start", "id"),
        Index("ix_sessions_stream_start", "stream_id", "planned_start"),
        Index("ix_sessions_ended", "ended_at"),
        {"sqlite_autoincrement": True},  # takes lie in a folder named by the id: it is never given twice
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    stream_id: Mapped[int | None] = mapped_column(ForeignKey("streams.id", ondelete="SET NULL"))
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedules.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    state: Mapped[SessionState] = mapped_column(one_of(SessionState))
    verdict: Mapped[Verdict | None] = mapped_column(one_of(Verdict))
    epoch: Mapped[int] = mapped_column(default=0, doc="whoever claimed the session last owns it")
    wish: Mapped[Wish | None] = mapped_column(one_of(Wish))
    priority: Mapped[int] = mapped_column(default=0)

    opens: Mapped[datetime] = mapped_column(doc="planned start less the early start")
    planned_start: Mapped[datetime]
    planned_end: Mapped[datetime]
    start_early: Mapped[float] = mapped_column(default=0.0)
    end_late: Mapped[float] = mapped_column(default=0.0)
    timezone: Mapped[str]
    plan: Mapped[dict[str, Any] | None] = mapped_column(doc="a Plan, from the moment it begins")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    recorded: Mapped[float] = mapped_column(default=0.0)
    coverage: Mapped[float | None]
    gaps: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    account: Mapped[dict[str, Any] | None]
    take_count: Mapped[int] = mapped_column(default=0)
    live: Mapped[dict[str, Any] | None] = mapped_column(doc="bit rate and title while it records")

    title: Mapped[str | None]
    file: Mapped[str | None] = mapped_column(doc="the recording, relative to the folder of recordings")
    size: Mapped[int | None] = mapped_column(BigInteger)
    duration: Mapped[float | None]
    sha256: Mapped[str | None]
    tags: Mapped[dict[str, Any] | None]
    deleted_at: Mapped[datetime | None] = mapped_column(doc="when the recording was deleted here, and by our own doing")
    deleted_why: Mapped[str | None] = mapped_column(doc="as a sentence; entered before the file is removed")
    missing_since: Mapped[datetime | None] = mapped_column(doc="its file is not where it was; it may come back")
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0, doc="failed tries of the present step")


class Event(Base):
    """One line of a session's story: what the page, the log and the API show."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_session", "session_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    message: Mapped[str]
