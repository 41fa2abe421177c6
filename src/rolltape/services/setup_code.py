"""The one-time code of the first visit: only who can read the log or the data folder makes the account."""

import hmac
import secrets
from pathlib import Path

import structlog

from rolltape.disk import write_whole
from rolltape.domain.setup_code import SHORTEST, bare

LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that looks like another one
GROUPS, GROUP = 3, 4  # 12 letters: 58 random bits

log = structlog.get_logger(__name__)


class SetupCode:
    """The code in `file`, or the one that was `given` in the settings."""

    def __init__(self, file: Path, given: str) -> None:
        self._file = file
        self._code = given

    def read(self) -> str:
        """The code. It is made, and kept for the next start, where there is none yet."""
        if not self._code:
            self._code = _kept(self._file) or _make(self._file)
        return self._code

    def is_right(self, typed: str) -> bool:
        # In constant time: how long it takes tells nothing about how much of it is right.
        return hmac.compare_digest(_bytes(typed), _bytes(self.read()))

    def remove(self) -> None:
        """The code has served."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as exc:
            log.warning(
                f"{self._file} could not be removed; it opens nothing any more", action="code_left", exc_info=exc
            )


def _bytes(code: str) -> bytes:
    return bare(code).encode("utf-8", "surrogatepass")


def _kept(file: Path) -> str | None:
    try:
        code = file.read_text(errors="replace").strip()
    except OSError:
        return None
    return code if len(bare(code)) >= SHORTEST else None  # a file that a power cut left empty is none


def _make(file: Path) -> str:
    code = "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{code}\n".encode())
    except OSError as exc:
        # It still stands in the log; the next start makes another one.
        log.warning(f"{file} could not be written", action="code_not_kept", exc_info=exc)
    return code
