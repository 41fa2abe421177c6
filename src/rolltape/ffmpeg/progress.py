"""How far FFmpeg is, from its `-progress` output."""

import contextlib
from asyncio import StreamReader
from collections.abc import AsyncIterator
from dataclasses import dataclass

from rolltape.domain.units import Bytes, Seconds

_LONGEST_BLOCK = 100  # lines


@dataclass(frozen=True)
class RunProgress:
    """`recorded` is in seconds, None until FFmpeg has a first timestamp; `size` is what it wrote, None if unknown."""

    recorded: Seconds | None
    size: Bytes | None
    is_last: bool


def parse_progress(block: str) -> RunProgress:
    """One block of `ffmpeg -progress` output, up to its `progress=` line.

    Raises:
        ValueError: a number does not read as one.

    Source: FFmpeg, fftools/ffmpeg.c, print_report().
    """
    values = dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line)
    # `out_time_ms` is in microseconds too (FFmpeg ticket 7345), so we read the honest name.
    out_time, size = values.get("out_time_us", "N/A"), values.get("total_size", "N/A")
    return RunProgress(
        recorded=None if out_time == "N/A" else Seconds(int(out_time) / 1_000_000),
        size=None if size == "N/A" else Bytes(int(size)),
        is_last=values.get("progress") == "end",
    )


async def read_progress(output: StreamReader) -> AsyncIterator[RunProgress]:
    """The progress that a run writes to `output`, block by block until it ends. What does not read is passed over."""
    block: list[str] = []
    while line := await output.readline():
        block.append(line.decode("utf-8", "replace"))
        if line.startswith(b"progress="):
            with contextlib.suppress(ValueError):
                yield parse_progress("".join(block))
            block.clear()
        elif len(block) > _LONGEST_BLOCK:
            block.clear()
