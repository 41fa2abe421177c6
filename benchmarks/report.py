"""What every table is headed by, and how a table is written."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rolltape.ffmpeg.run import find
from tests.servers.process import program


def conditions(*programs: str, seed: int | None = None) -> str:
    """The command, the machine, the versions and the seed, as a paragraph."""
    command = " ".join([f"python benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    words = [f"Rolltape {version('rolltape')}", f"Python {platform.python_version()}"]
    words += [f"{name} {_version(name)}" for name in programs]
    if seed is not None:
        words.append(f"seed {seed}")
    words.append(f"{os.cpu_count()} cores of {_processor()}, Linux {platform.release()}")
    return f"`{command}`: {', '.join(words)}."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _version(name: str) -> str:
    command, option = (find(None), "-version") if name == "ffmpeg" else (program(name), "-v")
    done = subprocess.run([command, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d[\w.]*", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
