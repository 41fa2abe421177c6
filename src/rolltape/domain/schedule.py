"""A schedule: when a stream is recorded, and for how long. When that is, in moments, is in `calendar.py`."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base
from rolltape.domain.stream import LONGEST_SESSION, LONGEST_TEXT, Padding, RowId, Text

LONGEST_CRON = 200  # characters


class ScheduleFields(BaseModel):
    """What a person can say of a schedule. Lengths are in seconds.

    Either `cron` or `at` is given. `at` without an offset is a local time in `timezone`. `start_early` and `end_late`
    are the stream's where they are None. Among sessions that wait for room, the higher `priority` goes first.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    stream_id: RowId
    name: Text = ""
    cron: Annotated[str, Field(max_length=LONGEST_CRON), AfterValidator(str.strip)] | None = None
    at: AwareDatetime | NaiveDatetime | None = None
    timezone: str
    duration: Annotated[float, Field(ge=1, le=LONGEST_SESSION, allow_inf_nan=False)]
    enabled: bool = True
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    start_early: Padding | None = None
    end_late: Padding | None = None


class Schedule(Base):
    __tablename__ = "schedules"

    id: Mapped[int] = mapped_column(primary_key=True)
    stream_id: Mapped[int] = mapped_column(ForeignKey("streams.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT))
    cron: Mapped[str | None]
    at: Mapped[datetime | None]
    timezone: Mapped[str]
    duration: Mapped[float]
    enabled: Mapped[bool]
    priority: Mapped[int]
    start_early: Mapped[float | None]
    end_late: Mapped[float | None]
    planned_until: Mapped[datetime] = mapped_column(doc="every occurrence up to here has its session")
    created_at: Mapped[datetime]
