"""A stream: a source of live audio, and what becomes of its recordings."""

import re
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain import pattern
from rolltape.domain.address import check_url
from rolltape.domain.base import Base, one_of
from rolltape.domain.errors import InputError
from rolltape.domain.preference import LONGEST_PADDING
from rolltape.domain.units import DAY, HOUR

LONGEST_TEXT = 200  # characters of a name or a tag
LONGEST_SESSION = 7 * DAY  # nothing is recorded for longer in one piece
LONGEST_KEPT = 36_500  # days
MOST_FALLBACKS = 10
MOST_DESTINATIONS = 20

DEFAULT_TITLE = "{date} {show}"
DEFAULT_FILE_NAME = "{stream}/{date} {show}"
DEFAULT_QUALITY = "V2"
DEFAULT_STALL_TIMEOUT = 20  # s; longer than a busy server's pauses, shorter than its burst

_QUALITY = re.compile(r"V[0-9]|(?:32|40|48|56|64|80|96|112|128|160|192|224|256|320)k")


class CaptureEngine(StrEnum):
    AUTO = "auto"
    NATIVE = "native"
    FFMPEG = "ffmpeg"


def check_text(text: str) -> str:
    """`text` without the white space around it; what cannot be shown on one line is refused."""
    text = text.strip()
    if any(not char.isprintable() for char in text):
        raise InputError("", "There is a character in it that cannot be shown.")
    return text


def check_name(text: str) -> str:
    text = check_text(text)
    if not text:
        raise InputError("", "A name is needed.")
    return text


def _check_quality(quality: str) -> str:
    if not _QUALITY.fullmatch(quality):
        raise InputError("mp3_quality", "A quality is V0 (best) to V9, or a constant bit rate like 128k.")
    return quality


def _check_ids(ids: list[int]) -> list[int]:
    if len(set(ids)) != len(ids):
        raise InputError("destination_ids", "The same destination is listed twice.")
    return ids


Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(check_text)]
Name = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(check_name)]
Url = Annotated[str, AfterValidator(check_url)]
RowId = Annotated[int, Field(ge=1, lt=2**31)]
Padding = Annotated[float, Field(ge=0, le=LONGEST_PADDING, allow_inf_nan=False)]


class StreamFields(BaseModel):
    """What a person can say of a stream. Lengths are in seconds.

    `max_attempts` is how often in a row a connection is tried, None for "until the end". `mp3_quality` counts where
    the source is not MP3 already. `keep_days`, `keep_count` and `keep_gigabytes` say which recordings are kept here,
    None for all of them; one that any of the three gives up goes.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    name: Name
    url: Url
    fallback_urls: Annotated[list[Url], Field(max_length=MOST_FALLBACKS)] = []
    artist: Text = ""
    album: Text = ""
    album_artist: Text = ""
    genre: Text = ""
    title_pattern: Annotated[str, AfterValidator(partial(pattern.check, field="title_pattern"))] = DEFAULT_TITLE
    filename_pattern: Annotated[str, AfterValidator(partial(pattern.check, field="filename_pattern"))] = (
        DEFAULT_FILE_NAME
    )
    engine: CaptureEngine = CaptureEngine.AUTO
    mp3_quality: Annotated[str, AfterValidator(_check_quality)] = DEFAULT_QUALITY
    max_duration: Annotated[float, Field(ge=1, le=LONGEST_SESSION, allow_inf_nan=False)] = float(DAY)
    start_early: Padding = 0
    end_late: Padding = 0
    stall_timeout: Annotated[float, Field(ge=1, le=HOUR, allow_inf_nan=False)] = DEFAULT_STALL_TIMEOUT
    max_attempts: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    verify_tls: bool = True
    destination_ids: Annotated[list[RowId], Field(max_length=MOST_DESTINATIONS), AfterValidator(_check_ids)] = []
    delete_after_delivery: bool = False
    keep_days: Annotated[int, Field(ge=1, le=LONGEST_KEPT)] | None = None
    keep_count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    keep_gigabytes: Annotated[float, Field(ge=0.001, le=1_000_000, allow_inf_nan=False)] | None = None

    @property
    def urls(self) -> list[str]:
        """The addresses to try, in this order."""
        return [self.url, *self.fallback_urls]


class Stream(Base):
    __tablename__ = "streams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT), unique=True)
    url: Mapped[str]
    fallback_urls: Mapped[list[str]]
    artist: Mapped[str]
    album: Mapped[str]
    album_artist: Mapped[str]
    genre: Mapped[str]
    title_pattern: Mapped[str]
    filename_pattern: Mapped[str]
    engine: Mapped[CaptureEngine] = mapped_column(one_of(CaptureEngine))
    mp3_quality: Mapped[str]
    max_duration: Mapped[float]
    start_early: Mapped[float]
    end_late: Mapped[float]
    stall_timeout: Mapped[float]
    max_attempts: Mapped[int | None]
    verify_tls: Mapped[bool]
    destination_ids: Mapped[list[int]]
    delete_after_delivery: Mapped[bool]
    keep_days: Mapped[int | None]
    keep_count: Mapped[int | None]
    keep_gigabytes: Mapped[float | None]
    keep_agreed: Mapped[dict[str, Any] | None] = mapped_column(
        doc="the rule by which recordings may be deleted unasked"
    )
    keep_looked_at: Mapped[datetime | None] = mapped_column(doc="when its recordings were last held against the rule")
    artwork: Mapped[str | None] = mapped_column(doc="name of the uploaded cover in the artwork folder")
    created_at: Mapped[datetime]
