"""What the program tells: a sentence for people, an action name and fields for machines; readable on the console."""

import logging
import sys
from typing import TextIO

import structlog

QUIET = ("apscheduler", "alembic", "paramiko", "uvicorn.access", "aiosqlite")  # libraries that tell too much


def set_up(level: str, output: TextIO | None = None) -> None:
    """Send what is told, by us and by libraries, to `output` (standard error by default)."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    stream = output or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a console that is gone must not flood what is left
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
