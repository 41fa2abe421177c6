"""What can be asked of Rolltape, or changed. Only these and the pipeline know the database.

Each is imported when it is first asked for: most commands need few of them, and together they bring nearly every
library there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rolltape.services.backups import Backups as Backups
    from rolltape.services.configuration import Configuration as Configuration
    from rolltape.services.destinations import Destinations as Destinations
    from rolltape.services.figures import Figures as Figures
    from rolltape.services.health import Health as Health
    from rolltape.services.keys import Keys as Keys
    from rolltape.services.listening import Listening as Listening
    from rolltape.services.logs import Logs as Logs
    from rolltape.services.news import News as News
    from rolltape.services.notifications import Notifications as Notifications
    from rolltape.services.preferences import Preferences as Preferences
    from rolltape.services.recovery import Recovery as Recovery
    from rolltape.services.resources import Resources as Resources
    from rolltape.services.retention import Retention as Retention
    from rolltape.services.samples import Samples as Samples
    from rolltape.services.schedules import Schedules as Schedules
    from rolltape.services.sessions import Sessions as Sessions
    from rolltape.services.streams import Streams as Streams
    from rolltape.services.tokens import Tokens as Tokens
    from rolltape.services.transfers import Transfers as Transfers
    from rolltape.services.users import Users as Users
    from rolltape.services.waveforms import Waveforms as Waveforms


@dataclass(frozen=True)
class Services:
    streams: Streams
    schedules: Schedules
    sessions: Sessions
    listening: Listening
    samples: Samples
    transfers: Transfers
    destinations: Destinations
    tokens: Tokens
    users: Users
    health: Health
    news: News
    keys: Keys
    logs: Logs
    preferences: Preferences
    notifications: Notifications
    recovery: Recovery
    figures: Figures
    configuration: Configuration
    backups: Backups
    retention: Retention
    resources: Resources
    waveforms: Waveforms


def __getattr__(name: str) -> Any:
    """`Sessions` is in the module `sessions`, and so on."""
    if name not in Services.__annotations__.values():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{name.lower()}"), name)
