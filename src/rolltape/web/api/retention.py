"""How long recordings are kept, in the API."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from rolltape.domain.retention import Rule
from rolltape.domain.stream import LONGEST_KEPT
from rolltape.services.retention import Fate, Preview
from rolltape.web.params import Id, With

Days = Annotated[int | None, Query(ge=1, le=LONGEST_KEPT)]
Count = Annotated[int | None, Query(ge=1, le=1_000_000)]
Gigabytes = Annotated[float | None, Query(ge=0.001, le=1_000_000, allow_inf_nan=False)]


class FateAnswer(BaseModel):
    """A recording that the rule gives up. `kept_by` is why it stays nevertheless, "" if it goes. `size` is in bytes."""

    session_id: int
    name: str
    planned_start: datetime
    file: str
    size: int
    why: str
    kept_by: str


class RetentionAnswer(BaseModel):
    """What a rule does now. `size` and `room` (what would be free) are in bytes.

    `waits` says why nothing goes by itself, "" if it does.

    `only_copy`: the stream has no destination, so what goes is gone. `fingerprint` stands for just what is `going`.
    """

    keep_days: int | None
    keep_count: int | None
    keep_gigabytes: float | None
    recordings: int
    size: int
    room: int
    only_copy: bool
    waits: str
    fingerprint: str
    going: list[FateAnswer]
    staying: list[FateAnswer]


class Agreement(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fingerprint: Annotated[str, Field(max_length=64)]


async def preview(
    services: With,
    stream_id: Id,
    keep_days: Days = None,
    keep_count: Count = None,
    keep_gigabytes: Gigabytes = None,
) -> RetentionAnswer:
    """Tell what the rule of a stream would delete now, or, with a limit in the question, what another one would."""
    rule = Rule(keep_days, keep_count, keep_gigabytes)
    return _answer(await services.retention.preview(stream_id, rule if rule.is_set else None))


async def agree(services: With, stream_id: Id, agreement: Agreement) -> RetentionAnswer:
    """Have what is going deleted soon: just what has this fingerprint. From now on the rule works by itself."""
    return _answer(await services.retention.agree(stream_id, agreement.fingerprint))


def _answer(found: Preview) -> RetentionAnswer:
    return RetentionAnswer(
        keep_days=found.rule.days,
        keep_count=found.rule.count,
        keep_gigabytes=found.rule.gigabytes,
        recordings=found.recordings,
        size=found.size,
        room=found.room,
        only_copy=found.is_only_copy,
        waits=found.waits,
        fingerprint=found.fingerprint,
        going=[_fate(fate) for fate in found.going],
        staying=[_fate(fate) for fate in found.staying],
    )


def _fate(fate: Fate) -> FateAnswer:
    one = fate.recording
    return FateAnswer(
        session_id=one.id,
        name=one.name,
        planned_start=one.start,
        file=one.file,
        size=one.size,
        why=fate.why,
        kept_by=fate.kept_by,
    )
