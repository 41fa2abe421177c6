"""A take: the audio of one unbroken connection inside a session."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base
from rolltape.domain.units import BitsPerSecond, Hertz, Seconds

TAKES = ".takes"  # in the folder of recordings: the large one, and on the same disk as what they become


def takes_folder(recordings: Path, session_id: int) -> Path:
    """The folder of a session's takes and their journal."""
    return recordings / TAKES / str(session_id)


class Codec(StrEnum):
    MP3 = "mp3"
    AAC = "aac"
    VORBIS = "vorbis"
    OPUS = "opus"
    FLAC = "flac"
    PCM = "pcm"
    OTHER = "other"  # something else that FFmpeg reads


@dataclass(frozen=True)
class AudioFormat:
    """What a stream sends. None where it is not known (yet)."""

    codec: Codec
    sample_rate: Hertz | None = None
    channels: int | None = None
    bit_rate: BitsPerSecond | None = None


@dataclass(frozen=True)
class TakeFacts:
    """One take, as its journal tells it.

    `begins` is when its first frame was on the air by our clock: a server sends its last seconds at once to whoever
    connects, so that is before the connection. `duration` is that of the audio in `file`, in seconds, `size` its bytes.
    `ended_by` says why there is no more of it, as a sentence. It came by one connection, or by several, each of which
    went on where the one before had ended. `continues`: its first frame follows the last one of the take before by the
    same connection, although by the clock something is missing between them.
    """

    number: int
    file: str  # its name in the session's folder
    format: AudioFormat
    begins: datetime
    duration: Seconds
    ended_by: str
    connections: int = 1
    continues: bool = False
    size: int = 0

    @property
    def ends(self) -> datetime:
        return self.begins + timedelta(seconds=self.duration)


class Take(Base):
    __tablename__ = "takes"
    __table_args__ = (UniqueConstraint("session_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    number: Mapped[int]
    codec: Mapped[str]
    sample_rate: Mapped[int | None]
    channels: Mapped[int | None]
    bit_rate: Mapped[int | None]
    begins: Mapped[datetime]
    duration: Mapped[float]
    ended_by: Mapped[str]
