"""A TCP connection to a server: to an allowed address only, within a time that is kept, and to be aborted."""

import errno
import select
import socket
import time
from collections.abc import Callable

from rolltape.domain.address import Egress
from rolltape.domain.errors import TargetError, TargetRefused, TargetUnreachable
from rolltape.domain.units import Seconds

CONNECT = Seconds(10)  # for one address
SPARE = Seconds(2)
NAP = Seconds(0.2)  # between two looks whether somebody aborted

# s; a line that is dead while nobody speaks is known to be after 25 s.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


def dial(host: str, port: int, egress: Egress, *, stall: Seconds, check: Callable[[], None]) -> socket.socket:
    """A connected socket. `check` is called now and then, and may raise.

    What was sent and is not acknowledged for `stall` seconds (and a moment: the watchdog comes first, it can tell
    more) breaks the connection.

    Raises:
        TargetUnreachable: nobody answers there.
        TargetRefused: the address is none to connect to.
    """
    problem: TargetError = _unknown(host)
    for family, kind, protocol, _, address in _resolve(host, port):
        refusal = egress.refusal(str(address[0]), port, host=host, typed=True)
        if refusal is not None:
            problem = TargetRefused(refusal, code="address_refused")
            continue
        try:
            return _connected(socket.socket(family, kind, protocol), address, stall, check)
        except OSError as exc:
            problem = _translated(exc, f"{host}:{port}")

    raise problem


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as exc:
        raise _unknown(host) from exc


def _unknown(host: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host}: no address is known for this name; correct it, or see whether the name server works",
        code="unknown_host",
    )


def _connected(
    sock: socket.socket, address: tuple[object, ...], stall: Seconds, check: Callable[[], None]
) -> socket.socket:
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "cannot connect")
        _wait(sock, check)
        _tune(sock, stall)
    except BaseException:
        sock.close()
        raise

    return sock


def _wait(sock: socket.socket, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + CONNECT
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while not poll.poll(NAP * 1000):
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "no answer")
    check()
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, "cannot connect")


def _tune(sock: socket.socket, stall: Seconds) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_USER_TIMEOUT", int((stall + SPARE) * 1000)), *_KEEPALIVE):
        if hasattr(socket, name):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _translated(exc: OSError, where: str) -> TargetUnreachable:
    match exc.errno:
        case errno.ECONNREFUSED:
            code, what = "connection_refused", "the connection was refused; is the SSH server running?"
        case errno.ETIMEDOUT:
            code, what = "connect_timeout", f"no answer within {CONNECT:g} s; is the machine on?"
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            code, what = "no_route", "there is no way to this address; is the machine on?"
        case _:
            code, what = "connection_failed", f"cannot connect: {exc.strerror}"
    return TargetUnreachable(f"{where}: {what}", code=code)
