"""A preference: a setting that a person may change in the page. The environment goes before it.

Every command reads the settings, so nothing here needs the database.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError
from rolltape.domain.log import COMPONENTS, LEVELS, LogLevel
from rolltape.domain.units import HOUR

LONGEST_PADDING = 12 * HOUR  # before and after a show


def _check_timezone(name: str) -> str:
    check_zone(name)
    return name


def component_levels(text: str) -> dict[str, str]:
    """ "capture=debug, web=warning" as a mapping.

    Raises:
        InputError: a part is not like this, or names something that is not there.
    """
    levels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, level = (side.strip() for side in part.partition("="))
        if name not in COMPONENTS:
            raise InputError("log_levels", f"{part[:40]}: a part of the program is one of {', '.join(COMPONENTS)}.")
        if level not in LEVELS:
            raise InputError("log_levels", f"{part[:40]}: a level is one of {', '.join(LEVELS)}.")
        levels[name] = level
    return levels


def _check_levels(text: str) -> str:
    return ", ".join(f"{name}={level}" for name, level in component_levels(text).items())


Zone = Annotated[str, AfterValidator(_check_timezone)]
Levels = Annotated[str, AfterValidator(_check_levels)]


def _field(default: Any, label: str, help: str, unit: str = "", **limits: Any) -> Any:
    return Field(default, title=label, description=help, json_schema_extra={"unit": unit}, **limits)


class PreferenceFields(BaseModel):
    """What a person may change in the page; each can be fixed by the environment as well."""

    model_config = ConfigDict(extra="forbid")

    timezone: Zone = _field(
        "UTC", "Time zone", "Zone of what has no schedule, like a record now, and of the times in the pages."
    )
    max_concurrent_sessions: int = _field(
        50, "Sessions at once", "What records at once at most; others wait, by priority.", "sessions", ge=1, le=10_000
    )
    max_concurrent_processing: int = _field(
        2, "Recordings finished at once", "Encoding takes a processor core each.", "recordings", ge=1, le=64
    )
    max_concurrent_transfers: int = _field(
        4, "Transfers at once", "Sessions that are delivered at once, over all destinations.", "transfers", ge=1, le=64
    )
    max_transfers_per_destination: int = _field(
        2, "Transfers at once to one destination", "Many small servers allow few connections.", "transfers", ge=1, le=16
    )
    start_early: float = _field(
        0, "Start early", "How much earlier a recording begins; for streams that are set up from now on.", "seconds",
        ge=0, le=LONGEST_PADDING, allow_inf_nan=False,
    )  # fmt: skip
    end_late: float = _field(
        0, "End late", "How much later a recording ends; for streams that are set up from now on.", "seconds",
        ge=0, le=LONGEST_PADDING, allow_inf_nan=False,
    )  # fmt: skip
    log_level: LogLevel = _field(
        LogLevel.INFO, "Log level", "How much is told: debug is everything, error only what waits for somebody."
    )
    log_levels: Levels = _field(
        "", "Other log levels", "For parts of the program, like capture=debug, web=warning.", max_length=500
    )
    log_size: int = _field(
        10, "Size of a log file", "A larger one is closed, and a new one begun.", "MB", ge=1, le=1000
    )
    log_retention: int = _field(30, "Keep log files for", "Older ones are removed.", "days", ge=1, le=3650)
    disk_floor: float = _field(
        1, "Room to keep free", "With less room for recordings, what can be done later waits; recordings go on.", "GB",
        ge=0, le=100_000, allow_inf_nan=False,
    )  # fmt: skip
    backup_hour: int = _field(
        4, "Hour of the daily backup", "In the time zone of the pages. One that was slept through is made up for.",
        "o'clock", ge=0, le=23,
    )  # fmt: skip
    backups_kept: int = _field(
        7, "Daily backups kept", "Older ones are removed; those that you made or brought stay.", "backups",
        ge=1, le=1000,
    )  # fmt: skip


@dataclass(frozen=True)
class Fixed:
    """A setting of the environment, fit to be shown. `is_given`: it is not the default."""

    variable: str
    value: str
    meaning: str
    is_given: bool
