"""A copy of the channels beside the keys: who is to be told that the database was lost must not be lost with it."""

import json
from pathlib import Path

import structlog
from pydantic import ValidationError

from rolltape.disk import write_whole
from rolltape.domain.notification import ChannelFields

FILE = ".channels.json"  # what begins with a dot is no key, and in no backup
LARGEST = 1024 * 1024  # bytes; some hundred channels take a tenth of it

log = structlog.get_logger(__name__)


def write(folder: Path, channels: list[ChannelFields]) -> None:
    """Write the copy, whole or not at all. That it cannot be written is told in the log only."""
    text = json.dumps([channel.model_dump(mode="json") for channel in channels], indent=1)
    try:
        write_whole(folder / FILE, text.encode())
    except OSError:
        log.warning("the copy of the channels cannot be written", exc_info=True, action="channels_not_kept")


def read(folder: Path) -> list[ChannelFields]:
    """The channels of the copy; none where there is no copy, or none that can be read."""
    file = folder / FILE
    try:
        if file.stat().st_size > LARGEST:
            return []
        return [ChannelFields.model_validate(row) for row in json.loads(file.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, ValidationError, RecursionError):
        log.warning("the copy of the channels cannot be read", exc_info=True, action="channels_not_read")
        return []
