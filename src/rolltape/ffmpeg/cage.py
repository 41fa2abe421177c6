"""What a child of FFmpeg may use: the least that it needs to work, and nothing of ours.

It reads what strangers sent, with decoders that had holes before. So the kernel gives it the programs and libraries of
the system, one folder to write into, the ports that it has to connect to, and so much memory; and ends it with its
parent. All that can be prepared is prepared before the fork: a child of a process with threads must not do much.
"""

import contextlib
import ctypes
import os
import re
import resource
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import structlog

from rolltape.domain.units import HOUR, Seconds
from rolltape.ffmpeg import landlock

MEMORY = 768 << 20  # bytes of address space; see docs/reliability.md for what FFmpeg was seen to take
OPEN_FILES = 64
LONGEST_FILE = 16 << 30  # bytes; a day of lossless audio takes 9 GiB
LONGEST_WORK = Seconds(12 * HOUR)  # of CPU time; for what works on files, which has an end

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_READABLE = (
    # to load a program
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/alternatives", "/etc/localtime",
    "/sys/devices/system", "/proc/filesystems", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat",
    "/dev/urandom", "/dev/random", "/dev/zero",
    # to look names up
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols",
    # to verify TLS by; not /etc/ssl as a whole, for keys are kept there
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted", "/etc/crypto-policies",
)  # fmt: skip
_SCRIPT = 16 * 1024  # bytes of a script that are looked at
_PATH = re.compile(rb"/[^\s\"'`$;|&<>()]+")
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

log = structlog.get_logger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Network:
    """The network that a child may use: TCP connections to `ports`, and `proxy` for what speaks HTTP or TLS.

    `authorities` is the file to verify certificates by.
    """

    ports: tuple[int, ...] = ()
    proxy: str | None = None
    authorities: str | None = None


NO_NETWORK = Network()


class Cage:
    """What one child may use; a context, for the time in which it is started. `enter` is for the child.

    Raises:
        OSError: the rules cannot be made.
    """

    def __init__(self, program: str, folder: Path, network: Network, *, nice: int) -> None:
        self._nice = nice
        self._parent = os.getpid()
        self._limits = [*_limits(has_end=network is NO_NETWORK)]
        self._rules: int | None = None
        if landlock.abi():
            self._rules = landlock.ruleset(_paths(program, folder, network.authorities), network.ports)
        _tell_what_is_lacking()

    def __enter__(self) -> "Cage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rules is not None:
            os.close(self._rules)

    def enter(self) -> None:
        """Runs in the child, between fork and exec: system calls, and nothing that could wait for another thread."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:  # it died before it was asked to tell
            os._exit(1)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(0o077)
        if self._nice:
            os.nice(self._nice)
        for what, most in self._limits:
            resource.setrlimit(what, (most, most))
        if self._rules is not None:
            landlock.enter(self._rules)


def environment(network: Network) -> dict[str, str]:
    """The variables that a child gets. By default the C library reserves 128 MB of addresses for each thread."""
    shared = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": "/nonexistent", "MALLOC_ARENA_MAX": "2"}
    return shared | ({"http_proxy": network.proxy} if network.proxy else {})


def described() -> str:
    """How children are confined on this machine, for people."""
    if not landlock.abi():
        return "without Landlock (this kernel has none, or keeps it from Rolltape): limits of memory and files only"
    ports = "files and TCP ports" if landlock.limits_ports() else "files; this kernel cannot limit TCP ports"
    return f"confined by Landlock {landlock.abi()}: {ports}"


def _limits(*, has_end: bool) -> Iterable[tuple[int, int]]:
    """Each limit, or a lower one that we are under ourselves."""
    wanted = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_FSIZE: LONGEST_FILE,
        resource.RLIMIT_CORE: 0,
    }
    if has_end:
        wanted[resource.RLIMIT_CPU] = int(LONGEST_WORK)
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        yield what, most if hard == resource.RLIM_INFINITY else min(most, hard)


def _paths(program: str, folder: Path, authorities: str | None) -> Iterable[tuple[str, int]]:
    for file in _programs(os.path.realpath(program)):
        yield file, landlock.RUN
        yield str(Path(file).parent.parent / "lib"), landlock.RUN  # libraries that came with it
    yield str(folder), landlock.WRITE
    yield "/dev/null", landlock.WRITE
    if authorities is not None:
        yield authorities, landlock.READ
    for path in _SYSTEM:
        yield path, landlock.RUN
    for path in _READABLE:
        yield path, landlock.READ


def _programs(program: str) -> tuple[str, ...]:
    """The program, and, if it is a script, those that it names by their whole path."""
    with contextlib.suppress(OSError), Path(program).open("rb") as file:
        start = file.read(_SCRIPT)
        if start.startswith(b"#!"):
            named = (os.path.realpath(os.fsdecode(name)) for name in _PATH.findall(start))
            return (program, *(path for path in named if Path(path).is_file() and os.access(path, os.X_OK)))
    return (program,)


@cache
def _tell_what_is_lacking() -> None:
    """Once for the life of the process."""
    if not landlock.limits_ports():
        log.warning(f"FFmpeg runs {described()}", action="cage_incomplete", landlock=landlock.abi())
