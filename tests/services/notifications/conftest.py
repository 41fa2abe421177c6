"""A receiver, and sessions that come to their end."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rolltape.domain.notification import Channel, ChannelFields
from rolltape.domain.session import Session, SessionState
from tests.servers.receiver import Receiver, receiver
from tests.services.conftest import Bench

SECRET = "a secret of this test"


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@dataclass
class Desk:
    """The notifications of a bench, with a webhook that leads to the receiver."""

    bench: Bench
    listener: Receiver
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def notifications(self) -> Any:
        return self.bench.services.notifications

    async def channel(self, name: str = "Hook", **more: Any) -> Channel:
        values = {"name": name, "kind": "webhook", "address": self.listener.url(), "secret": SECRET, **more}
        return await self.bench.services.notifications.create(ChannelFields.model_validate(values))

    async def ends(self, count: int = 1, state: SessionState = SessionState.FAILED, **values: Any) -> list[int]:
        """Sessions that end now."""
        now = self.bench.clock()
        sessions = [
            Session(
                name=f"Show {next(self.numbers)}", state=state, opens=now, planned_start=now - timedelta(hours=1),
                planned_end=now, timezone="UTC", ended_at=None if state is SessionState.DELIVERING else now, gaps=[],
                **values,
            )
            for _ in range(count)
        ]  # fmt: skip
        async with self.bench.database.write() as db:
            db.add_all(sessions)
        return [session.id for session in sessions]

    async def turn(self) -> None:
        """What the loop does in one round."""
        await self.notifications.look()
        await self.notifications.deliver()

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the receiver was told."""
        return [json.loads(request.body) for request in self.listener.received if request.method == "POST"]


@pytest.fixture
async def desk(bench: Bench, listener: Receiver) -> Desk:
    made = Desk(bench, listener)
    await made.notifications.look()  # from here on
    return made
