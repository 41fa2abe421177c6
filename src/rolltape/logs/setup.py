"""Where what is told goes, and how much is told."""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from rolltape.domain.log import COMPONENTS, OURS, component_of
from rolltape.logs import safe

QUIET = ("apscheduler", "alembic", "asyncio", "paramiko", "uvicorn.access", "aiosqlite")  # libraries that tell too much

Event = MutableMapping[str, Any]

_FIRST = ("time", "level", "component", "message", "action", "outcome", "session_id", "stream_id")  # in this order
_OUTCOMES = {"error": "failed", "warning": "trouble"}  # by level, where nothing else is said; of all others "ok"


def set_up(level: str, output: TextIO | None = None, *, components: Mapping[str, str] | None = None) -> None:
    """Send what is told, by us and by libraries, to `output` (standard error by default)."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    stream = output or sys.stderr
    console = logging.StreamHandler(stream)
    console.setFormatter(_formatter(_for_console, structlog.dev.ConsoleRenderer(colors=stream.isatty())))
    logging.getLogger().handlers = [console]
    logging.raiseExceptions = False  # a console that is gone must not flood what is left
    set_levels(level, components or {})


def set_levels(level: str, components: Mapping[str, str]) -> None:
    """How much is told by all, and by some parts of the program, like {"capture": "debug"}."""
    logging.getLogger().setLevel(level.upper())
    for name in COMPONENTS:
        logging.getLogger(f"{OURS}.{name}").setLevel(components.get(name, "notset").upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def json_formatter() -> logging.Formatter:
    """Makes lines of JSON, as domain/log.py describes them."""
    return _formatter(_line)


def _shared() -> list[structlog.types.Processor]:
    """What happens to every event, our own or a library's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _formatter(*processors: structlog.types.Processor) -> logging.Formatter:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(), processors=[remove_meta, _made_safe, *processors]
    )


def _made_safe(_logger: object, _method: str, event: Event) -> Event:
    return safe.fields(event)


def _for_console(_logger: object, _method: str, event: Event) -> Event:
    """One line for each event; only a stack trace has more."""
    return {
        name: safe.lines(value) if name == "exception" else safe.one_line(value) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _line(_logger: object, _method: str, event: Event) -> str:
    event["time"] = event.pop("timestamp")
    event["message"] = event.pop("event")
    event["component"] = component_of(str(event.get("logger")))
    event["level"] = "error" if event["level"] == "critical" else event["level"]
    event.setdefault("outcome", _OUTCOMES.get(event["level"], "ok"))
    ordered = {name: event[name] for name in _FIRST if name in event} | dict(event)
    return safe.in_json(json.dumps(ordered, ensure_ascii=False, separators=(",", ":")))
