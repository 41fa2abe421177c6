"""Pipes between us and FFmpeg, for what is not read from a file by itself."""

import os
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO


def pipe() -> tuple[FileIO, FileIO]:
    """The end to read from, and the one to write to."""
    reading, writing = os.pipe()
    return FileIO(reading, "rb"), FileIO(writing, "wb")


def pour(blocks: Iterable[bytes], sink: FileIO) -> None:
    """Write all blocks and close the pipe; no more of them once nobody reads it. Waits for who reads."""
    with sink, suppress(BrokenPipeError):
        for block in blocks:
            left = memoryview(block)
            while left:
                left = left[sink.write(left) :]
