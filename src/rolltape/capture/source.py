"""What a recorder asks of a source, and what it offers to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rolltape.domain.take import AudioFormat
from rolltape.domain.units import Bytes, Seconds


@dataclass(frozen=True)
class Station:
    """What a server tells of its station. None where it does not."""

    name: str | None = None
    genre: str | None = None


class Sink(Protocol):
    """Where a source puts what it receives. Everything is called from the event loop and returns at once."""

    @property
    def folder(self) -> Path:
        """Where files may be made."""

    def connected(self, station: Station) -> None:
        """The server answered with a stream."""

    def title(self, title: str) -> None:
        """What is on the air from now on."""

    def note(self, kind: str, message: str) -> None:
        """Something that people should know."""

    def begin(self, format: AudioFormat, suffix: str, *, ours: bool = True) -> Path:
        """A new take begins. Its file is at the path returned: for `append`, or, if not `ours`, for FFmpeg to make."""

    def append(self, frames: bytes, seconds: Seconds) -> None:
        """Whole frames for the take.

        Raises:
            OSError: they cannot be written.
        """

    def reached(self, seconds: Seconds, size: Bytes) -> None:
        """How much audio is in the file that FFmpeg writes."""


class Source(Protocol):
    """One way to receive a stream. An object serves one connection at a time."""

    async def receive(self, url: str, sink: Sink) -> None:
        """Connect to `url` and put into `sink` what comes, until it ends. It ends by an error or by being cancelled.

        Raises:
            SourceUnreachable: there was no connection.
            FormatUnsupported: it is nothing that can be recorded.
            SourceLost: there was a connection, and it ended.
            OSError: the disk is full or broken.
        """

    def gather(self, span: Seconds) -> None:
        """How much audio may wait in the network's buffers until it is put into the sink, so that many sessions cost
        little. 0: none, what has come is wanted now."""
