"""The facts of a session as they lie beside its recording, so that it can be told of without the database.

Secrets of addresses are left out: the folder of recordings is often shared. What is read back may have been written by
anybody, so it is checked like what a person typed.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from rolltape.domain.address import without_secrets
from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError
from rolltape.domain.preference import LONGEST_PADDING
from rolltape.domain.recording import MOST_SILENCES, Verdict
from rolltape.domain.session import Plan, Session
from rolltape.domain.stream import LONGEST_SESSION, LONGEST_TEXT, check_name
from rolltape.domain.titles import LONGEST as LONGEST_TITLE
from rolltape.domain.titles import MOST as MOST_TITLES

LARGEST = 1024 * 1024  # bytes; two thousand titles take a quarter of it
PLAN = "plan.json"  # in the folder of a session's takes: what they are takes of

_HIDDEN, _SUFFIX = ".", ".json"
_LONGEST_NAME = 255  # bytes, on every common file system
_LONGEST_SPAN = 400 * 86_400  # s; longer than any session, and no number to break a page with
_MOST_GAPS = 100_000

Span = Annotated[float, Field(ge=0, le=_LONGEST_SPAN, allow_inf_nan=False)]


_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _check_base_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name or name.startswith(_HIDDEN):
        raise InputError("file", "That is no name of a recording.")
    return name


def _check_plan(plan: Plan) -> Plan:
    """A plan that anybody may have written, as far as its own types do not say enough."""
    check_name(plan.show)
    if len(plan.show) > LONGEST_TEXT:
        raise InputError("show", "The name is too long.")
    check_zone(plan.timezone)
    if not all(_EARLIEST <= moment <= _LATEST for moment in (plan.start, plan.end)):
        raise InputError("start", "Nothing was recorded then.")
    if not 0 < (plan.end - plan.start).total_seconds() <= LONGEST_SESSION:
        raise InputError("end", "Nothing is recorded for so long.")
    if not all(0 <= padding <= LONGEST_PADDING for padding in (plan.start_early, plan.end_late)):
        raise InputError("start_early", "Nothing begins so early or ends so late.")
    if plan.artwork is not None and Path(plan.artwork).name != plan.artwork:
        raise InputError("artwork", "That is no name of a cover.")
    return plan


def _check_text(text: str) -> str:
    if "\0" in text:  # PostgreSQL takes none
        raise InputError("", "There is a character in it that cannot be kept.")
    return text


Words = Annotated[str, AfterValidator(_check_text)]
LongWords = Annotated[Words, Field(max_length=2000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class GapFacts(BaseModel):
    start: Span
    length: Span
    cause: LongWords
    position: Span


class TitleFacts(BaseModel):
    start: Span
    title: Annotated[Words, Field(max_length=LONGEST_TITLE)]


class SilenceFacts(BaseModel):
    start: Span
    length: Span


class AccountFacts(BaseModel):
    verdicts: Annotated[list[Verdict], Field(max_length=len(Verdict))]
    planned: Span
    recorded: Span
    late: Span
    short: Span
    longest_stall: Span | None = None
    silent_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    silences: Annotated[list[SilenceFacts], Field(max_length=MOST_SILENCES)] | None = None  # older files have none
    loudness: Annotated[float, Field(ge=-70, le=20, allow_inf_nan=False)] | None = None
    peak: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    titles: Annotated[list[TitleFacts], Field(max_length=MOST_TITLES)]
    ends: AwareDatetime


CheckedPlan = Annotated[Plan, AfterValidator(_check_plan)]


class PlanFacts(BaseModel):
    """What a session shall do. `is_whole` is false where secrets had to be left out of its addresses."""

    version: Literal[1] = 1
    plan: CheckedPlan
    is_whole: bool


class Facts(BaseModel):
    """A finished recording. `file` is its name in the folder that these facts lie in; lengths are in seconds."""

    version: Literal[1] = 1
    plan: CheckedPlan
    started_at: AwareDatetime | None
    finished_at: AwareDatetime
    verdict: Verdict | None
    coverage: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    recorded: Span
    gaps: Annotated[list[GapFacts], Field(max_length=_MOST_GAPS)]
    account: AccountFacts | None
    take_count: Annotated[int, Field(ge=0, le=1_000_000)]
    title: LongWords | None
    file: Annotated[str, AfterValidator(_check_base_name)]
    size: Annotated[int, Field(ge=0, lt=2**63)]
    duration: Span
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tags: Annotated[dict[LongWords, LongWords | int | Number | None] | None, Field(max_length=50)]


def facts_file(recording: Path) -> Path:
    """The hidden file beside a recording that has its facts."""
    name = f"{_HIDDEN}{recording.name}{_SUFFIX}"
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(recording.name.encode()).hexdigest()[:16]
        room = _LONGEST_NAME - len(f"{_HIDDEN}~{digest}{_SUFFIX}")
        stem = recording.name.encode()[:room].decode("utf-8", "ignore")
        name = f"{_HIDDEN}{stem}~{digest}{_SUFFIX}"
    return recording.with_name(name)


def may_be_facts(name: str) -> bool:
    return name.startswith(_HIDDEN) and name.endswith(_SUFFIX)


def facts_of(session: Session, plan: Plan, *, finished_at: datetime) -> Facts:
    """The facts of a session whose recording is finished."""
    assert session.file is not None
    return Facts.model_validate(
        {
            "plan": _shareable(plan),
            "finished_at": finished_at,
            "file": session.file.rpartition("/")[2],
            "tags": _shareable_tags(session.tags),
            **{name: getattr(session, name) for name in _SAME},
        }
    )


def plan_facts_of(plan: Plan) -> PlanFacts:
    shareable = _shareable(plan)
    return PlanFacts(plan=shareable, is_whole=shareable.stream.urls == plan.stream.urls)


_SAME = (
    "started_at", "verdict", "coverage", "recorded", "gaps", "account", "take_count", "title", "size", "duration",
    "sha256",
)  # fmt: skip


def _shareable(plan: Plan) -> Plan:
    stream = plan.stream
    hidden = {
        "url": without_secrets(stream.url),
        "fallback_urls": [without_secrets(url) for url in stream.fallback_urls],
    }
    return plan.model_copy(update={"stream": stream.model_copy(update=hidden)})


def _shareable_tags(tags: dict[str, Any] | None) -> dict[str, Any] | None:
    if tags is None:
        return None
    return {
        name: without_secrets(value) if isinstance(value, str) and "://" in value else value
        for name, value in tags.items()
    }
