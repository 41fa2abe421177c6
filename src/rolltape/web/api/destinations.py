"""Destinations in the API."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from rolltape.domain.destination import Destination, DestinationFields
from rolltape.web.params import After, Id, Limit, Listing, With, given, partial

DestinationChanges = partial(DestinationFields, "DestinationChanges")


class AcceptedKey(BaseModel):
    type: str
    fingerprint: str


class DestinationAnswer(DestinationFields):
    id: int
    host_key: AcceptedKey | None
    created_at: datetime


class ShownKey(AcceptedKey):
    """The key that a server showed. `known`: it is the accepted one."""

    known: bool


class TrialAnswer(BaseModel):
    ok: bool
    host_key: ShownKey | None
    free_bytes: int | None
    code: str
    message: str


class KeyQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fingerprint: Annotated[str, Field(max_length=200)]


async def listing(services: With, limit: Limit = 50, after: After = None) -> Listing[DestinationAnswer]:
    """List destinations."""
    found = await services.destinations.page(after=after, limit=limit)
    return Listing(items=[_answer(destination) for destination in found.items], next=found.next)


async def create(services: With, fields: DestinationFields) -> DestinationAnswer:
    """Set up a destination."""
    return _answer(await services.destinations.create(fields))


async def read(services: With, destination_id: Id) -> DestinationAnswer:
    """Read one destination."""
    return _answer(await services.destinations.get(destination_id))


async def change(
    services: With,
    destination_id: Id,
    changes: DestinationChanges,  # type: ignore[valid-type]
) -> DestinationAnswer:
    """Change the named fields of a destination. Another host or port needs its key accepted anew."""
    return _answer(await services.destinations.update(destination_id, given(changes)))


async def delete(services: With, destination_id: Id) -> Response:
    """Delete a destination; what is under way to it is cancelled."""
    await services.destinations.delete(destination_id)
    return Response(status_code=204)


async def test(services: With, destination_id: Id) -> TrialAnswer:
    """Log in, write, rename and delete a small file, and say how much space is free."""
    trial = await services.destinations.test(destination_id)
    shown = None
    if trial.host_key is not None:
        shown = ShownKey(type=trial.host_key.type, fingerprint=trial.host_key.fingerprint, known=trial.known)
    return TrialAnswer(ok=trial.ok, host_key=shown, free_bytes=trial.free_bytes, code=trial.code, message=trial.message)


async def accept_key(services: With, destination_id: Id, question: KeyQuestion) -> DestinationAnswer:
    """Accept the key that the server shows, if it has this fingerprint."""
    return _answer(await services.destinations.accept_host_key(destination_id, question.fingerprint))


def _answer(destination: Destination) -> DestinationAnswer:
    key = None
    if destination.host_key_fingerprint is not None:
        key = AcceptedKey(type=destination.host_key_type or "", fingerprint=destination.host_key_fingerprint)
    return DestinationAnswer(
        **DestinationFields.model_validate(destination).model_dump(),
        id=destination.id,
        host_key=key,
        created_at=destination.created_at,
    )
