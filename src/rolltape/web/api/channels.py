"""Channels: who is told what happens."""

from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from rolltape.domain.address import HIDDEN
from rolltape.domain.notification import Channel, ChannelFields, Occasion, masked
from rolltape.web.params import Id, Listing, With, given, partial

ChannelChanges = partial(ChannelFields, "ChannelChanges")


class ChannelAnswer(BaseModel):
    """`address` and `secret` are not told; given back as they are shown, they stay what they are.

    `secret` is told in the answer to the request that made the channel, and never again. `last_error` is what was wrong
    with the last try, null if it worked.
    """

    id: int
    name: str
    kind: str
    address: str
    secret: str
    events: list[Occasion]
    interval: int
    enabled: bool
    last_at: datetime | None
    last_ok_at: datetime | None
    last_error: str | None
    created_at: datetime


class TrialAnswer(BaseModel):
    ok: bool
    code: str
    message: str


async def listing(services: With) -> Listing[ChannelAnswer]:
    """List all channels, by name."""
    return Listing(items=[_answer(channel) for channel in await services.notifications.all()], next=None)


async def create(services: With, fields: ChannelFields) -> ChannelAnswer:
    """Set up a channel. A webhook without a secret gets one, which this answer tells."""
    channel = await services.notifications.create(fields)
    return _answer(channel, secret=channel.secret)


async def read(services: With, channel_id: Id) -> ChannelAnswer:
    """Read one channel."""
    return _answer(await services.notifications.get(channel_id))


async def change(
    services: With,
    channel_id: Id,
    changes: ChannelChanges,  # type: ignore[valid-type]
) -> ChannelAnswer:
    """Change the named fields of a channel. What waits for one that is switched off is dropped."""
    return _answer(await services.notifications.update(channel_id, given(changes)))


async def delete(services: With, channel_id: Id) -> Response:
    """Delete a channel, and what was to be told there."""
    await services.notifications.delete(channel_id)
    return Response(status_code=204)


async def test(services: With, channel_id: Id) -> TrialAnswer:
    """Send a test message now; a ping is fetched."""
    return TrialAnswer.model_validate(await services.notifications.test(channel_id), from_attributes=True)


def _answer(channel: Channel, *, secret: str = "") -> ChannelAnswer:
    values: dict[str, Any] = {name: getattr(channel, name) for name in ChannelAnswer.model_fields}
    shown = {"address": masked(channel.kind, channel.address), "secret": secret or (HIDDEN if channel.secret else "")}
    return ChannelAnswer.model_validate(values | shown)
