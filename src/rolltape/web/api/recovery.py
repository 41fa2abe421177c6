"""What is told of a lost database, and the search for recordings that the database does not know."""

from datetime import datetime

from pydantic import BaseModel

from rolltape.services.lost import words
from rolltape.web.params import With


class LossAnswer(BaseModel):
    """What happened to the database. `moved_to` is where the old file lies, null if there is none."""

    loss: str
    at: datetime
    message: str
    advice: str
    moved_to: str | None


class SearchAnswer(BaseModel):
    """What the last search has found (so far): recordings and unfinished ones; and files that could not be used."""

    is_running: bool
    recordings: int
    takes: int
    refused: int


class RecoveryAnswer(BaseModel):
    """`lost` is null when all is well, or somebody has dealt with it."""

    lost: LossAnswer | None
    search: SearchAnswer


async def read(services: With) -> RecoveryAnswer:
    """Tell whether the database was lost, and what was found again."""
    told, found = services.recovery.told, services.recovery.last
    return RecoveryAnswer(
        lost=LossAnswer(
            loss=told.loss, at=told.at, message=words(told), advice=told.advice, moved_to=told.moved_to
        ) if told else None,
        search=SearchAnswer(
            is_running=services.recovery.is_searching,
            recordings=found.recordings,
            takes=found.takes,
            refused=found.refused,
        ),
    )  # fmt: skip


async def search(services: With) -> RecoveryAnswer:
    """Begin to look for recordings and takes that the database does not know. It goes on by itself."""
    services.recovery.begin_search()
    return await read(services)


async def dismiss(services: With) -> RecoveryAnswer:
    """Tell of the loss no more."""
    services.recovery.dismiss()
    return await read(services)
