"""The shim that counts calls: how it is built, armed and read. The numbers are those of shim.c."""

import ctypes
import errno
import shutil
import subprocess
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

SOURCE = Path(__file__).parent / "shim.c"
PLAN = "CRASH_PLAN"  # in the environment of a program that does not arm itself

KILL, TORN = -1, -2
ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EMFILE", "EROFS")}
MODES = {"kill": KILL, "torn": TORN} | ERRORS


class Kind(IntFlag):
    """The kinds of calls."""

    NONE = 0
    OPEN = 1  # of what is there
    CREATE = 2
    WRITE = 4
    SYNC = 8
    NAME = 16  # rename and link
    REMOVE = 32
    FOLDER = 64
    SEND = 128


CHANGES = Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.NAME | Kind.REMOVE | Kind.FOLDER


@dataclass(frozen=True)
class Strike:
    """What happens at the `nth` call of these kinds below `root`; 0 for never. `log` is where all calls are written."""

    root: Path
    log: Path
    nth: int = 0
    mode: int = KILL
    for_good: bool = False  # at every one from there on, too
    kinds: Kind = CHANGES

    def words(self) -> list[str]:
        return [str(word) for word in (self.root, self.log, self.nth, self.mode, int(self.for_good), int(self.kinds))]


@dataclass(frozen=True)
class Call:
    """A call that was made. `what` is "call", or "hit" or "torn" where it was struck; `other` is the new name."""

    what: str
    call: str
    path: str
    other: str
    kind: Kind = Kind.NONE

    def __str__(self) -> str:
        return f"{self.call} {self.other or self.path}"


def build(folder: Path) -> Path:
    """The shim as a library in `folder`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "the crash points need a C compiler"
    library = folder / "shim.so"
    words: list[str | Path] = [
        compiler,
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        library,
        SOURCE,
        "-ldl",
    ]
    subprocess.run(words, check=True)
    return library


def arm(strike: Strike) -> None:
    """From now on in this process, into which the shim was loaded."""
    root, log, *numbers = strike.words()
    nth, mode, for_good, kinds = map(int, numbers)
    shim = ctypes.CDLL(None)
    shim.crash_arm(root.encode(), log.encode(), ctypes.c_long(nth), mode, for_good, kinds)


def disarm() -> None:
    ctypes.CDLL(None).crash_disarm()


def note(log: Path, saying: str) -> None:
    """Write among the calls what the database is about to be told."""
    with log.open("a") as file:
        file.write(f"call\tsays\t{saying}\t\t0\n")


def calls(log: Path) -> list[Call]:
    """Every call that was made, in order."""
    if not log.exists():
        return []
    lines = (line.split("\t") for line in log.read_text(errors="surrogateescape").splitlines())
    return [Call(what, call, path, other, Kind(int(kind))) for what, call, path, other, kind in lines]
