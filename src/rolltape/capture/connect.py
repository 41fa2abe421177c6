"""A connection to a server: its name resolved, the address allowed, TCP, and TLS where it is asked for."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import ip_address
from typing import TypeVar

from rolltape.domain.address import Egress
from rolltape.domain.errors import SourceUnreachable
from rolltape.domain.units import Seconds

MOST_LOOKUPS = 32  # at once; a name server that does not answer must not hold up the other sessions
PER_ADDRESS = Seconds(6)  # to try one of several addresses of a host

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)

_TLS_FAULTS = {  # OpenSSL, x509_vfy.h
    9: ("tls_not_yet_valid", "its certificate is not valid yet (is the clock right?)"),
    10: ("tls_expired", "its certificate has expired"),
    18: ("tls_untrusted", "its certificate is signed by itself"),
    19: ("tls_untrusted", "its certificate is signed by an authority that is not known here"),
    20: ("tls_untrusted", "its certificate is signed by an authority that is not known here"),
    21: ("tls_untrusted", "the chain of its certificate is not complete"),
    62: ("tls_wrong_host", "its certificate is for another host"),
    64: ("tls_wrong_host", "its certificate is for another host"),
}


@cache
def _lookups() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_LOOKUPS, "lookup")


@cache
def tls_context(*, verify: bool) -> ssl.SSLContext:
    """The rules for TLS: the certificates of the system's authorities, or none asked for. Shared: one takes a MB."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def resolve(host: str, port: int, egress: Egress, *, typed: bool) -> list[str]:
    """The numeric addresses of `host` that may be connected to.

    `typed`: a person gave the host; else a public stream led there.

    Raises:
        SourceUnreachable: there is no such host, or none of its addresses is allowed.
    """
    addresses = await _addresses(host, port)
    refusals = {
        address: egress.refusal(
            address, port, host=host, typed=typed, is_own=port == egress.own_port and _is_own(address)
        )
        for address in addresses
    }
    allowed = [address for address, refusal in refusals.items() if refusal is None]
    if not allowed:
        raise SourceUnreachable(f"{next(filter(None, refusals.values()))}.", code="egress_refused")
    return allowed


async def _addresses(host: str, port: int) -> list[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    lookup = asyncio.get_running_loop().run_in_executor(
        _lookups(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    try:
        found = await lookup
    except (OSError, UnicodeError) as exc:
        raise _lookup_error(host, exc) from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_own(address: str) -> bool:
    """Whether `address` is one of this machine's: only to those a socket can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _lookup_error(host: str, exc: Exception) -> SourceUnreachable:
    if isinstance(exc, socket.gaierror) and exc.errno == socket.EAI_AGAIN:
        return SourceUnreachable(f"{host}: the name server does not answer.", code="dns_failed")
    return SourceUnreachable(f"{host}: there is no host of this name.", code="unknown_host")


async def connect(
    protocol: Callable[[socket.socket], Protocol],
    host: str,
    port: int,
    addresses: list[str],
    tls: ssl.SSLContext | None,
) -> Protocol:
    """Connect to the first of `addresses` that answers. `protocol` is called with the socket.

    Raises:
        SourceUnreachable: nobody answers, or not in TLS.
    """
    loop = asyncio.get_running_loop()
    connection = await _first(host, port, addresses)
    try:
        _, made = await loop.create_connection(
            lambda: protocol(connection), sock=connection, ssl=tls, server_hostname=host if tls else None
        )
    except BaseException as exc:
        connection.close()
        if isinstance(exc, OSError):
            raise (_tls_error(host, port, exc) if tls else _connect_error(host, port, exc)) from exc
        raise
    return made


async def listens(host: str, port: int, egress: Egress, *, within: Seconds) -> bool:
    """Whether a server listens there now. Nothing is asked of it."""
    try:
        async with asyncio.timeout(within):
            connection = await _first(host, port, await resolve(host, port, egress, typed=True))
    except (SourceUnreachable, TimeoutError):
        return False
    connection.close()
    return True


async def _first(host: str, port: int, addresses: list[str]) -> socket.socket:
    failure: OSError | None = None
    for address in addresses:
        try:
            async with asyncio.timeout(PER_ADDRESS if address != addresses[-1] else None):
                return await _connect_to(address, port)
        except OSError as exc:
            failure = exc
    assert failure is not None
    raise _connect_error(host, port, failure) from failure


async def _connect_to(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_error(host: str, port: int, exc: OSError) -> SourceUnreachable:
    if isinstance(exc, TimeoutError):
        return SourceUnreachable(f"{host}:{port} does not answer.", code="connect_timeout")
    if exc.errno == errno.ECONNREFUSED:
        return SourceUnreachable(
            f"{host}:{port} refuses the connection; no server listens there.", code="connect_refused"
        )
    if exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return SourceUnreachable(f"{host}:{port} cannot be reached over the network.", code="no_route")
    why = os.strerror(exc.errno) if exc.errno else str(exc)
    return SourceUnreachable(f"{host}:{port}: {why}.", code="connect_failed")


def _tls_error(host: str, port: int, exc: OSError) -> SourceUnreachable:
    if isinstance(exc, ssl.SSLCertVerificationError):
        code, why = _TLS_FAULTS.get(exc.verify_code, ("tls_untrusted", "its certificate was not accepted"))
        return SourceUnreachable(f"{host}:{port}: {why}.", code=code)
    return SourceUnreachable(f"{host}:{port} does not answer in TLS; is it http instead of https?", code="tls_failed")
