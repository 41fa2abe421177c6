"""Landlock: the kernel takes from a process what it may not do with files and TCP ports, whoever it runs as.

Linux has it since 5.13, and it needs no privileges. Each version (ABI) knows more rights; those that this kernel does
not know are left out. What a ruleset names no exception for is denied to whoever enters it, and to its children.

Source: Linux, include/uapi/linux/landlock.h, and Documentation/userspace-api/landlock.rst.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from functools import cache

READ = 1 << 2 | 1 << 3  # files and folders
RUN = READ | 1 << 0
WRITE = READ | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 14  # and make, empty and remove files; no folders, links or devices

_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # the rights that mean something for what is no folder
_CONNECT = 1 << 1
_ALL_NET = 1 << 0 | 1 << 1  # listen and connect, by TCP
_ALL_SCOPES = 1 << 0 | 1 << 1  # abstract sockets of others, signals to others
_RIGHTS_OF_FILES = ((1, 13), (2, 14), (3, 15), (5, 16))  # from which ABI on there are how many
_NET_SINCE, _SCOPES_SINCE = 4, 6

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_VERSION = 1  # asks which ABI there is
_BENEATH, _PORT = 1, 2  # kinds of rules
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


@cache
def abi() -> int:
    """The version of Landlock that this kernel has; 0: none, or it is switched off, or kept from us."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))))


def limits_ports() -> bool:
    """Whether this kernel can limit the TCP ports."""
    return abi() >= _NET_SINCE


def ruleset(paths: Iterable[tuple[str, int]], ports: Iterable[int]) -> int:
    """A descriptor of the rules: nothing but `paths`, each with its rights and what is beneath it, and TCP connections
    to `ports`. Paths that are not there are passed over.

    Raises:
        OSError: the kernel does not make it.
    """
    known = (1 << max(count for since, count in _RIGHTS_OF_FILES if abi() >= since)) - 1
    made = _create(known)
    try:
        for path, rights in paths:
            _add_path(made, path, rights & known)
        if limits_ports():
            for port in ports:
                _call(_ADD_RULE, made, _PORT, struct.pack("=QQ", _CONNECT, port), 0)
    except BaseException:
        os.close(made)
        raise
    return made


def enter(ruleset: int) -> None:
    """Bind the calling thread and all that it starts to the rules, for ever.

    Raises:
        OSError: the kernel does not do it.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.syscall(_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "the rules cannot be entered")


def _create(known: int) -> int:
    attributes = struct.pack("=Q", known)
    if abi() >= _NET_SINCE:
        attributes += struct.pack("=Q", _ALL_NET)
    if abi() >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", _ALL_SCOPES)
    return _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)


def _add_path(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
