"""A transfer: the delivery of one recording to one destination."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base, one_of
from rolltape.domain.units import Bytes, Seconds


class TransferState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"  # for its next attempt
    DELIVERED = "delivered"
    REFUSED = "refused"  # for good, until somebody does something
    CANCELLED = "cancelled"


UNDER_WAY = frozenset({TransferState.QUEUED, TransferState.SENDING, TransferState.WAITING})


class Proof(StrEnum):
    """How the copy was compared with the original."""

    SHA256 = "sha256"  # the server computed it
    READBACK = "readback"  # the copy was read back


@dataclass(frozen=True)
class Receipt:
    """Proof of a delivery. `sha256` is that of the copy, equal to the original's; `took` is in seconds."""

    remote_path: str
    size: Bytes
    sha256: str
    verified_by: Proof
    took: Seconds


class Transfer(Base):
    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("session_id", "destination_id"),
        Index("ix_transfers_state_next", "state", "next_attempt_at"),
        Index("ix_transfers_state_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    destination_id: Mapped[int | None] = mapped_column(ForeignKey("destinations.id", ondelete="SET NULL"), index=True)
    destination_name: Mapped[str] = mapped_column(String(200))
    state: Mapped[TransferState] = mapped_column(one_of(TransferState))
    attempts: Mapped[int] = mapped_column(default=0)
    fruitless: Mapped[int] = mapped_column(default=0, doc="attempts since the last progress; sets the back-off")
    next_attempt_at: Mapped[datetime | None]
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    size: Mapped[int] = mapped_column(BigInteger)
    rate: Mapped[float | None] = mapped_column(doc="bytes per second")
    remote_path: Mapped[str | None]
    sha256: Mapped[str | None]
    verified_by: Mapped[Proof | None] = mapped_column(one_of(Proof))
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
