"""Fuzzing led by coverage: `make fuzz`, or `python -m tests.fuzz [SECONDS]` (for each target), as a table.

Each target runs in a process of its own, for a crash there ends it; what made it crash is kept in build/fuzz.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rolltape.ffmpeg.run import find
from tests.fuzz.mutate import HURTFUL, seeds
from tests.fuzz.targets import TARGETS

KEPT = Path("build/fuzz")
SECONDS = 60
LONGEST_INPUT = 16 * 1024  # bytes
LONGEST_RUN = 5  # s for one input; then it counts as a hang
MEMORY = 1024  # MB
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+)")


def main(seconds: int) -> int:
    """Every target in turn. The exit code is 1 if one of them crashed."""
    KEPT.mkdir(parents=True, exist_ok=True)
    print(f"| {'target':27} | executions | edges covered | crashes | s |\n|---|---:|---:|---:|---:|")
    crashes = 0
    with tempfile.TemporaryDirectory() as folder:
        good = seeds(Path(folder), find(None))
        for name in TARGETS:
            crashes += _run(name, good[name], Path(folder), seconds)
    return 1 if crashes else 0


def _run(name: str, good: Sequence[bytes], folder: Path, seconds: int) -> int:
    began = time.monotonic()
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(good):
        (corpus / str(number)).write_bytes(data)
    (folder / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in HURTFUL if len(word) <= 64))
    kept = KEPT / name.replace(" ", "-").replace(",", "")
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={LONGEST_RUN}"]
    limits += [f"-rss_limit_mb={MEMORY}", f"-dict={folder / 'words'}", "-print_final_stats=1"]
    words = [sys.executable, "-m", "tests.fuzz.one", name, f"{kept}.input", str(corpus), *limits]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    shutil.rmtree(corpus)
    executed, covered = _EXECUTED.search(done.stderr), _COVERED.findall(done.stderr)
    is_broken = done.returncode != 0 or executed is None
    count, edges = f"{int(executed[1]):,}" if executed else "?", covered[-1] if covered else "?"
    print(
        f"| {name:27} | {count:>10} | {edges:>13} | {int(is_broken):7} | {time.monotonic() - began:.0f} |", flush=True
    )
    if is_broken:
        kept.with_suffix(".txt").write_text(done.stdout + done.stderr)
        print(f"  see {kept}.txt", flush=True)
    return int(is_broken)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
