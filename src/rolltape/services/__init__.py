"""What can be asked of Rolltape, or changed. Only these and the pipeline know the database."""

from dataclasses import dataclass

from rolltape.services.destinations import Destinations as Destinations
from rolltape.services.health import Health as Health
from rolltape.services.schedules import Schedules as Schedules
from rolltape.services.sessions import Sessions as Sessions
from rolltape.services.streams import Streams as Streams
from rolltape.services.tokens import Tokens as Tokens
from rolltape.services.transfers import Transfers as Transfers


@dataclass(frozen=True)
class Services:
    streams: Streams
    schedules: Schedules
    sessions: Sessions
    transfers: Transfers
    destinations: Destinations
    tokens: Tokens
    health: Health
