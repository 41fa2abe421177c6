"""HTTP as streaming servers speak it: one GET, an answer whose body never ends.

Only what a listener needs, and what real servers send: HTTP/1.0 and 1.1, `ICY 200 OK`, lines that end in LF alone,
bodies in chunks. Source: RFC 9110 and 9112.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit

from rolltape import __version__
from rolltape.domain.address import mask
from rolltape.domain.errors import SourceUnreachable
from rolltape.domain.units import Seconds

LONGEST_HEAD = 32 * 1024  # bytes
LONGEST_WAIT = Seconds(60)  # that a server may ask of us with Retry-After

_STATUS = re.compile(rb"(HTTP/1\.[01]|ICY) (\d{3})")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_SAFE = "%/:=&?~#+!$,;'@()*[]|"

_REFUSALS = {
    400: "the server does not understand the request",
    401: "the server asks for a user name and a password, or does not accept those in the address",
    403: "the server does not let us listen",
    404: "the server has no such stream; it may be off the air",
    410: "the stream is gone for good",
    429: "the server says that we ask too often",
    500: "the server has a fault of its own",
    502: "the server cannot reach the station",
    503: "the server is busy or full",
    504: "the server cannot reach the station",
}


@dataclass(frozen=True)
class Head:
    """The head of an answer. The names of the headers are in lower case; of several equal ones the last counts."""

    status: int
    headers: dict[str, bytes]

    def text(self, name: str) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def number(self, name: str) -> int | None:
        """The value of a header that is a whole number; None where it is missing or reads as none."""
        value = self.text(name).strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None

    @property
    def location(self) -> str | None:
        """Where the answer sends us, None where it does not."""
        return self.text("location").strip() or None if self.status in (301, 302, 303, 307, 308) else None

    @property
    def is_chunked(self) -> bool:
        return self.text("transfer-encoding").strip().lower().endswith("chunked")


def request(url: str) -> bytes:
    """The request for `url`. A user name and a password in it are sent as Basic authorisation."""
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}:{parts.port}" if parts.port else f"Host: {host}",
        f"User-Agent: Rolltape/{__version__}",
        "Accept: */*",
        "Icy-MetaData: 1",
        "Connection: close",
    ]
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {base64.b64encode(login.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode("ascii", "ignore")


def split_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head that `data` begins with and what follows it; None where it is not whole yet.

    Raises:
        ValueError: this is no answer of an HTTP server, or its head does not end.
    """
    if len(data) >= 12 and not _STATUS.match(data):
        raise ValueError("no HTTP")
    end = _HEAD_END.search(data)
    if end is None:
        if len(data) > LONGEST_HEAD:
            raise ValueError("the head does not end")
        return None
    status = _STATUS.match(data)
    if status is None:
        raise ValueError("no HTTP")
    lines = data[: end.start()].splitlines()[1:]
    pairs = (line.partition(b":") for line in lines)
    headers = {name.strip().lower().decode("latin-1"): value.strip() for name, _, value in pairs}
    return Head(int(status[2]), headers), data[end.end() :]


def refusal(head: Head, url: str, *, now: datetime) -> SourceUnreachable | None:
    """What an answer that is no stream means; None if it is one."""
    if head.status == 200 or head.location:
        return None
    why = _REFUSALS.get(head.status, "the server did not send the stream")
    wait = retry_after(head.text("retry-after"), now=now)
    return SourceUnreachable(f"{mask(url)}: {why} ({head.status}).", code=f"http_{head.status}", retry_after=wait)


def retry_after(value: str, *, now: datetime) -> Seconds | None:
    """How long the server asks us to wait, at most a minute; None where it does not say."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(Seconds(float(value[:9])), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Seconds(min(max(0.0, (moment - now).total_seconds()), LONGEST_WAIT))


class ChunkedReader:
    """Takes the chunk sizes out of a body. Source: RFC 9112, 7.1. `ended` once the last chunk came."""

    LONGEST_LINE = 4096

    def __init__(self) -> None:
        self._left = 0  # bytes of the present chunk, with the line end behind it
        self._line = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The body in `data`.

        Raises:
            ValueError: these are no chunks.
        """
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.ended:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                # The last two bytes counted are the CR LF behind the chunk.
                pieces.append(piece[: max(0, self._left - 2)])
                self._left -= len(piece)
            else:
                position = self._read_size(data, position)
        return b"".join(pieces)

    def _read_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        self._line += data[position : len(data) if end == -1 else end]
        if len(self._line) > self.LONGEST_LINE:
            raise ValueError("a chunk size that does not end")
        if end == -1:
            return len(data)
        size = int(self._line.split(b";")[0].strip(), 16)
        if size < 0:
            raise ValueError("a negative chunk size")
        self._line = b""
        self._left = size + 2 if size else 0
        self.ended = not size
        return end + 1
