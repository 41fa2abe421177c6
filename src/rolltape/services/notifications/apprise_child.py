"""The child process that runs Apprise. Reads one question from standard input, writes one answer to standard output.

Apprise follows redirects, looks names up itself, and some of its services read files or start programs when the address
asks for it. So the interpreter itself is asked to refuse: connections to where nothing may go, files other than
Python's own and the certificates, and programs. What is refused ends the sending, and is told.
"""

import contextlib
import io
import json
import os
import resource
import signal
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from rolltape.domain.address import Egress

MOST_MEMORY = 512 * 1024 * 1024  # bytes; a hostile answer has no end
_READABLE = (
    "/etc/ssl/",
    "/usr/lib/ssl/",
    "/usr/share/ca-certificates/",
    "/usr/share/zoneinfo/",
    "/dev/urandom",
    "/dev/null",
)
_KNOWN_FILES = ("/etc/mime.types", "/etc/localtime", "/proc/self/status", "/etc/hosts", "/etc/resolv.conf")
_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROGRAMS = ("subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.", "ctypes.dlopen")
_CHANGES = frozenset(
    {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"}
)


class Watch:
    """Refuses what Apprise has no business with. `refused` is the first thing that it was refused, as a sentence."""

    def __init__(self, egress: Egress, host: str, *, may_be_local: bool) -> None:
        self._egress = egress
        self._host = host
        self._may_be_local = may_be_local
        self._own = tuple({os.path.realpath(path) + "/" for path in (sys.prefix, sys.base_prefix, *sys.path) if path})
        self.refused = ""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        problem = ""
        if event in _CONNECTIONS:
            problem = self._connection(arguments[-1])
        elif event == "open":
            problem = self._file(arguments[0], arguments[1])
        elif event.startswith(_PROGRAMS) or event in _CHANGES:
            problem = "The address asks for a program or a file of this machine, which is not allowed."
        if problem:
            self.refused = self.refused or problem
            raise PermissionError(problem)

    def _connection(self, address: Any) -> str:
        if address is None:  # of a socket that is connected
            return ""
        if not isinstance(address, tuple):
            return "The address leads to a program of this machine, which is not allowed."
        try:
            problem = self._egress.refusal(str(address[0]), address[1], host=self._host, typed=self._may_be_local)
        except ValueError:  # a name; it is looked up before it is connected to
            return ""
        return f"{problem}." if problem else ""

    def _file(self, path: Any, mode: Any) -> str:
        if isinstance(path, int):
            return ""
        name = os.path.realpath(os.fsdecode(path))
        is_known = name.startswith((*self._own, *_READABLE)) or name in _KNOWN_FILES
        if is_known and not (mode and set("wax+") & set(str(mode))):
            return ""
        return "The address asks for a file of this machine, which is not allowed."


def main() -> None:
    question = json.load(sys.stdin)
    signal.alarm(int(question["patience"]) + 5)  # in case nobody is left to end it
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with contextlib.redirect_stdout(io.StringIO()):
        problem = tell(question)
    json.dump({"problem": problem}, sys.stdout)


def tell(question: dict[str, Any]) -> str:
    """Send it; what is wrong, "" for nothing."""
    import apprise  # 0.3 s, and only needed in the child

    egress = Egress(frozenset((host, port) for host, port in question["allowed"]), question["unrestricted"])
    address: str = question["address"]
    kind = apprise.manager_plugins.NotificationManager()[  # type: ignore[no-untyped-call]
        urlsplit(address).scheme.lower()
    ]
    names_host = any("{host}" in template for template in getattr(kind, "templates", None) or ())
    host = _host(address) if names_host else ""
    watch = Watch(egress, host, may_be_local=_is_local(host, egress))
    sys.addaudithook(watch)
    try:
        service = apprise.Apprise.instantiate(address, asset=apprise.AppriseAsset(), suppress_exceptions=True)
        if service is None:
            return watch.refused or "Apprise cannot read the address; compare it with its documentation."
        # As plain text: what a station calls itself is no markup, whatever the service makes of such.
        plain = apprise.NotifyFormat.TEXT
        arrived = service.notify(title=question["title"], body=question["text"], body_format=plain)
    except Exception as exc:
        return watch.refused or f"Apprise failed: {type(exc).__name__}."
    return "" if arrived else watch.refused or "The service did not take the message; check address and access."


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_local(host: str, egress: Egress) -> bool:
    """Whether a person named a host of the local network; else nothing leads there."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError):
        return False
    return any(egress.is_local(str(entry[4][0])) for entry in found)


if __name__ == "__main__":
    main()
