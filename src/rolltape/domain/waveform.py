"""A waveform: how loud a recording is from its begin to its end, for the eye."""

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base

POINTS = 1000  # of a waveform, whatever its recording's length: as many as a wide screen shows apart


class Waveform(Base):
    """`peaks` has one byte for each of POINTS equal parts of the recording: the largest sample in it, 255 for full."""

    __tablename__ = "waveforms"

    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    peaks: Mapped[bytes] = mapped_column(LargeBinary)
