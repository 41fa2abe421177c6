"""What can go wrong, in this program's words.

    RolltapeError                 code, sentence
    ├── InputError                what somebody typed does not do; names the field
    ├── NotFoundError             there is no such thing (any more)
    ├── ConflictError             not in this state
    ├── BusyError                 as much of it is under way as may be at once; later there is room
    ├── TooManyAttempts           wrong passwords; names the wait
    ├── SourceError               a stream, while it is captured or probed
    │   ├── SourceUnreachable     no connection, or an answer that is a refusal (404, 401 ...)
    │   ├── SourceLost            it was connected, then broke off or fell silent
    │   └── FormatUnsupported     it is no audio, or none that Rolltape can record
    ├── DiskError                 a disk took nothing until it was too late
    ├── ProcessingError           the takes did not become a sound MP3
    ├── FfmpegMissing             FFmpeg cannot be started
    ├── BackupError               a backup could not be written, or not be put in place
    ├── ChannelError              a message did not get to whom it was for
    └── TargetError               a destination, while it is tested or delivered to
        ├── TargetUnreachable     a passing fault: worth a retry
        └── TargetRefused         the target said no: somebody has to do something first

The sentence is for the person at the screen: it names the thing, what happened to it and, where there is one, the
way out. The cause (`raise ... from`) is for the log. `code` is for machines and never changes its meaning.
"""

from collections.abc import Mapping
from typing import Any

from rolltape.domain.units import Seconds


class RolltapeError(Exception):
    """Something went wrong that has a name. `permanent`: trying again cannot help."""

    code = "error"
    permanent = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InputError(RolltapeError, ValueError):
    """A value that cannot be used. `field` is its name in the API, "" for the whole.

    A `ValueError` too, so that the same check serves as a validator of a Pydantic model.
    """

    code = "invalid"
    permanent = True

    def __init__(self, field: str, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFoundError(RolltapeError):
    code = "not_found"
    permanent = True


class ConflictError(RolltapeError):
    code = "conflict"
    permanent = True


class NameTaken(ConflictError):
    """Something of this kind has the name already."""

    field = "name"


class BusyError(RolltapeError):
    code = "busy"


class TooManyAttempts(RolltapeError):
    """Too many wrong passwords or codes. `retry_after` is how long nothing is looked at."""

    code = "too_many_attempts"

    def __init__(self, message: str, retry_after: Seconds) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceError(RolltapeError):
    """A stream misbehaves. `retry_after` is what the server asked us to wait, None if it did not ask."""

    code = "source_error"

    def __init__(self, message: str, *, code: str | None = None, retry_after: Seconds | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class SourceUnreachable(SourceError):
    code = "source_unreachable"


class SourceLost(SourceError):
    code = "source_lost"


class FormatUnsupported(SourceError):
    code = "format_unsupported"


class DiskError(RolltapeError):
    code = "disk"


class ProcessingError(RolltapeError):
    code = "processing_failed"


class FfmpegMissing(RolltapeError):
    code = "ffmpeg_missing"


class ChannelError(RolltapeError):
    code = "channel_error"


class BackupError(RolltapeError):
    code = "backup_failed"


class TargetError(RolltapeError):
    code = "target_error"


class TargetUnreachable(TargetError):
    code = "target_unreachable"


class TargetRefused(TargetError):
    code = "target_refused"
    permanent = True


def said(error: Mapping[str, Any]) -> str:
    """What Pydantic found wrong (an entry of its `errors()`), as a sentence."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause.message
    if error["type"] == "extra_forbidden":
        return "There is no such field."
    if error["type"] == "missing":
        return "This is needed."
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.endswith(".") else f"{message}."
