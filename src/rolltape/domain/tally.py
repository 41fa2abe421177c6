"""Counts that only grow, and how far what they count was looked through."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base


class Tally(Base):
    """A count that goes on over restarts, whatever is deleted meanwhile."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[float]


class Watermark(Base):
    """How far the sessions were looked through. `seen` are the last ones: key, and when they were last there."""

    __tablename__ = "watermarks"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    at: Mapped[datetime]
    seen: Mapped[dict[str, Any]]
