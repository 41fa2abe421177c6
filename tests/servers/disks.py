"""Small disks: file systems of their own, that can be filled, set to be read only, and taken away."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


def mount(folder: Path, options: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def mount_at(folder: Path, disk: Path) -> None:
    """Connect what is at `disk` also at `folder`, from where it can be taken away with all that is on it."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(disk), str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """Take it away, also from who uses it."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own at `folder`, until the block ends."""
    mount(folder, options)
    try:
        yield folder
    finally:
        unmount(folder)


def fill(folder: Path, *, but: int = 0) -> Path:
    """Take all the room of a disk but `but` bytes. Returns the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with filler.open("r+b") as file:
        file.truncate(max(0, filler.stat().st_size - but))
    return filler
