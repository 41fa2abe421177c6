"""One request to an address of the web, of whose answer only the status counts.

The name is looked up once, and the connection goes to the address that was allowed. Redirects are not followed, proxies
of the environment are not used, and nothing of the answer's body is read.
"""

import asyncio
import base64
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from rolltape import __version__
from rolltape.capture.connect import connect, resolve, tls_context
from rolltape.domain.address import Egress
from rolltape.domain.errors import ChannelError, SourceUnreachable
from rolltape.domain.units import Seconds

PATIENCE = Seconds(15)  # for the whole of it: look-up, connection, answer
LONGEST_LINE = 8 * 1024  # bytes of a status line or header; servers take as much
MOST_LINES = 100  # of headers of answers that come before the real one

_PORTS = {"http": 80, "https": 443}
_PLAIN = "/?%:@!$&'()*+,;=~-._[]"  # stands in the request as it is typed


async def call(
    url: str,
    *,
    egress: Egress,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    patience: Seconds = PATIENCE,
) -> None:
    """GET `url`, or POST `body` to it.

    Raises:
        ChannelError: it may not be reached, does not answer, or answers with something else than success.
    """
    try:
        async with asyncio.timeout(patience):
            status = await _ask(url, egress, body, headers or {})
    except TimeoutError as exc:
        raise ChannelError(f"{_host(url)} did not answer within {patience:.0f} s.", code="connect_timeout") from exc
    except SourceUnreachable as exc:
        raise ChannelError(exc.message, code=exc.code) from exc
    except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as exc:
        raise ChannelError(f"{_host(url)} broke off the connection or gave no answer of the web.") from exc
    if not 200 <= status < 300:
        raise ChannelError(f"{_host(url)} answered with {status}{_meaning(status)}.")


async def _ask(url: str, egress: Egress, body: bytes | None, headers: Mapping[str, str]) -> int:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme.lower()]
    addresses = await resolve(host, port, egress, typed=True)
    tls = tls_context(verify=True) if parts.scheme.lower() == "https" else None
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    writers: list[asyncio.StreamWriter] = []
    await connect(
        lambda _: asyncio.StreamReaderProtocol(reader, lambda _reader, writer: writers.append(writer)),
        host,
        port,
        addresses,
        tls,
    )
    writer = writers[0]
    try:
        writer.write(_request(url, body, headers))
        await writer.drain()
        return await _status(reader)
    finally:
        writer.transport.abort()  # whatever else it would like to send


def _request(url: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    target = quote(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", safe=_PLAIN)
    fields = {
        "Host": _ascii(_host(url)),
        "User-Agent": f"Rolltape/{__version__}",
        "Accept": "*/*",
        "Connection": "close",
    }
    if userinfo:
        login = base64.b64encode(unquote(userinfo).encode()).decode()
        fields["Authorization"] = f"Basic {login}"
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = [f"{'GET' if body is None else 'POST'} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (fields | dict(headers)).items()]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + (body or b"")


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the answer; those that announce one (100 to 199) are passed over.

    Raises:
        ValueError: it is no answer of the web.
        EOFError: there is none.
    """
    for _ in range(MOST_LINES):
        line = await reader.readuntil(b"\n")
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("this is no answer of the web")
        status = int(rest[:3])
        if status >= 200:
            return status
        await _pass_over_headers(reader)
    raise ValueError("the answer does not come to its point")


async def _pass_over_headers(reader: asyncio.StreamReader) -> None:
    for _ in range(MOST_LINES):
        if (await reader.readuntil(b"\n")).strip() == b"":
            return
    raise ValueError("the answer has too many headers")


def _ascii(host: str) -> str:
    """A host as it goes over the line: a name that is not in ASCII in its spelling for machines."""
    return host if host.isascii() else host.encode("idna").decode()


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _meaning(status: int) -> str:
    """What a status means, where that helps."""
    if 300 <= status < 400:
        return ", which leads elsewhere; type the address that it leads to"
    meanings = {401: "it asks for a name and a password", 403: "it does not let us in", 404: "there is nothing there"}
    meaning = meanings.get(status)
    return f": {meaning}" if meaning else ""
