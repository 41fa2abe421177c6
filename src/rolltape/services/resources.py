"""What the machine has left: room, files, memory and open files. When one runs low, what is not critical pauses.

A recording is never stopped, and never kept from beginning: what pauses is what can be done later, or again.
"""

import contextlib
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

from rolltape.disk import Room, room
from rolltape.domain.units import Bytes, megabytes
from rolltape.services.findings import Finding

FEW_FILES = 500  # that a disk takes yet; a session of an hour makes a handful
SMALL_SHARE = 0.05  # of a disk that holds no recordings; it may be much smaller than the floor
LITTLE_MEMORY = megabytes(64)  # what FFmpeg takes for one recording that is finished
MANY_OPEN = 0.85  # of the files that the process may have open
CGROUPS = Path("/sys/fs/cgroup")

_PAUSED = "Waveforms, samples and daily backups wait until there is more; recordings go on."
_UNLIMITED = 2**60  # bytes; cgroups say "no limit" by a number near 2 ** 63

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Memory:
    """`limit` is that of the container, or what the machine has; `available` may be taken without swapping."""

    limit: Bytes
    available: Bytes


class Resources:
    """`folders` are those that are written to, by name. `floor` is how much room has to stay free for recordings."""

    def __init__(self, folders: Mapping[str, Path], *, floor: Callable[[], Bytes], cgroups: Path = CGROUPS) -> None:
        self._folders = folders
        self._floor = floor
        self._cgroups = cgroups
        self._paused: set[str] = set()

    @property
    def is_low(self) -> bool:
        """Whether something runs low."""
        return bool(self.findings())

    def may_do(self, work: str) -> bool:
        """Whether work that is not critical, like "waveforms", may be done now. That it pauses is told once."""
        found = self.findings()
        if found and work not in self._paused:
            self._paused.add(work)
            log.warning(f"{work} pause: {found[0].message}", action="work_paused", work=work)
        elif not found and work in self._paused:
            self._paused.discard(work)
            log.info(f"{work} go on", action="work_resumed", work=work)
        return not found

    def findings(self) -> list[Finding]:
        """All that runs low, with what to do about it."""
        found: list[Finding] = []
        seen: set[int] = set()
        # The folder of recordings comes first: of folders on one disk it is the one that is told of.
        for name in sorted(self._folders, key=lambda name: name != "recordings"):
            with contextlib.suppress(OSError):  # a folder that was taken away is told by another finding
                left = room(self._folders[name])
                if left.device not in seen:
                    found += self._of_disk(name, left)
                seen.add(left.device)
        return [*found, *self._of_memory(), *_of_open_files()]

    def memory(self) -> Memory:
        """What is there for this process: of the machine, or of the container it runs in."""
        machine = psutil.virtual_memory()
        limit, available = machine.total, machine.available
        for cgroup in self._own_cgroups():
            with contextlib.suppress(OSError, ValueError):
                most, used = cgroup.read()
                if most < _UNLIMITED:
                    limit, available = min(limit, most), min(available, max(0, most - used))
        return Memory(Bytes(limit), Bytes(available))

    def _of_disk(self, name: str, left: Room) -> list[Finding]:
        found = []
        floor = self._floor() if name == "recordings" else min(self._floor(), int(left.total * SMALL_SHARE))
        what = "for recordings" if name == "recordings" else f"on the disk of the folder of {name}"
        if left.free < floor:
            message = f"Only {_size(left.free)} are left {what}. {_PAUSED}"
            advice = "Make room on the disk, or let streams keep fewer recordings."
            found.append(Finding("little_space", "warning", message, advice))
        if left.files is not None and left.files < FEW_FILES:
            files = "no more files" if left.files == 0 else f"only {left.files} more files"
            message = f"The disk takes {files} {what}: it is running out of inodes. {_PAUSED}"
            advice = "Remove files that nobody needs, many small ones best. Room alone does not help."
            found.append(Finding("few_inodes", "warning", message, advice))
        return found

    def _of_memory(self) -> list[Finding]:
        memory = self.memory()
        if memory.available >= LITTLE_MEMORY:
            return []
        message = f"Only {_size(memory.available)} of {_size(memory.limit)} of memory are left. {_PAUSED}"
        advice = "Give the container or the machine more memory, or record and finish fewer sessions at once."
        return [Finding("little_memory", "warning", message, advice)]

    def _own_cgroups(self) -> list["_Cgroup"]:
        """Where the limits of this process may stand; in a container its own group is the root."""
        paths = {"0": "", "memory": ""}
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/cgroup").read_text().splitlines():
                number, _, rest = line.partition(":")
                kinds, _, path = rest.partition(":")
                if number == "0" or "memory" in kinds.split(","):
                    paths["0" if number == "0" else "memory"] = path.strip("/")
        old = self._cgroups / "memory"
        return [
            _Cgroup(self._cgroups / paths["0"], "memory.max", "memory.current", "inactive_file"),
            _Cgroup(self._cgroups, "memory.max", "memory.current", "inactive_file"),
            _Cgroup(old / paths["memory"], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            _Cgroup(old, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ]


@dataclass(frozen=True)
class _Cgroup:
    """A control group, version 2 or 1, by the names of its files.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """

    folder: Path
    limit: str
    usage: str
    reclaimable: str  # in memory.stat: pages of files, which are given up before anything is killed

    def read(self) -> tuple[int, int]:
        """The limit and what is used of it, in bytes.

        Raises:
            OSError, ValueError: there is no such group, or it has no limit.
        """
        most, used = (int((self.folder / name).read_text()) for name in (self.limit, self.usage))
        for line in (self.folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == self.reclaimable:
                used -= int(value)
        return most, used


def _of_open_files() -> list[Finding]:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = psutil.Process().num_fds()
    if most == resource.RLIM_INFINITY or used < MANY_OPEN * most:
        return []
    message = f"{used} of {most} files are open that may be at once. {_PAUSED}"
    return [Finding("many_open_files", "warning", message, "Raise the limit of open files (ulimit -n) of the service.")]


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"
