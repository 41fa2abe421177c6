"""Samples in the API: some seconds of a stream, to listen to before it is saved."""

from typing import Annotated

from fastapi import Path
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict

from rolltape.domain.stream import Url
from rolltape.web.params import With

SampleId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", examples=["0" * 32])]


class SampleQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url
    verify_tls: bool = True


class SampleAnswer(BaseModel):
    """`duration` is in seconds. The sample is at /api/samples/{id}, for a quarter of an hour."""

    id: str
    duration: float
    message: str


async def record(services: With, question: SampleQuestion) -> SampleAnswer:
    """Record a few seconds of an address, to listen to before it is saved."""
    sample = await services.samples.record(question.url, verify_tls=question.verify_tls)
    station = f" of {sample.offer.station}" if sample.offer.station else ""
    return SampleAnswer(
        id=sample.id, duration=sample.duration, message=f"Here are {sample.duration:.0f} seconds{station}."
    )


async def read(services: With, sample_id: SampleId) -> FileResponse:
    """Listen to a sample."""
    return FileResponse(services.samples.file(sample_id), media_type="audio/mpeg")
