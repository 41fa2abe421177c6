"""What was heard already of an MP3 that does not exist yet: of pieces of the takes it will be made of.

A piece is so many frames of a take, counted from its first one. It is known by the SHA-256 of its bytes and of those
of the frames before it, from which its bit reservoir may come: the same bytes decode to the same sound, whatever file
they are in. So a piece of a finished recording that has a known hash need not be decoded again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.errors import ProcessingError
from rolltape.domain.mpeg import Header
from rolltape.process.frames import FrameReader, NotJoinable
from rolltape.process.hearing import Hearing, from_json, to_json
from rolltape.process.join import PLACE_STEP, without_info
from rolltape.process.verify import NICE, hear

LEAD = PLACE_STEP  # frames before a piece: the longest reservoir, and what the decoder mixes into the next frame
PIECE = 144 * LEAD  # frames: two minutes at 44.1 kHz
LEVEL = 18  # frames whose loudest sample is measured together: half a second
NAME = "heard.jsonl"  # beside the takes

_HASH = 64  # characters
_NEVER = 2**63  # bytes that no file has
_EXACT = 0.0001  # s; what is decoded has a length in samples


class Heard:
    """What was heard of pieces, by their hash, kept in a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError: what is kept cannot be read."""
        self._file = folder / NAME
        self._known: dict[str, Hearing] = {}
        if self._file.exists():
            self._read()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, sha256: str) -> Hearing | None:
        return self._known.get(sha256)

    def add(self, sha256: str, heard: Hearing) -> None:
        """Raises OSError: it cannot be kept."""
        self._known[sha256] = heard
        with self._file.open("a") as file:
            file.write(f"\n{sha256} {to_json(heard)}")  # behind a line that a crash has torn, too

    def _read(self) -> None:
        for line in self._file.read_text("utf-8", "replace").splitlines():
            sha256, _, rest = line.partition(" ")
            try:
                heard = from_json(rest)
            except ValueError:
                continue  # torn, or the empty one at the beginning: that piece is heard again
            if len(sha256) == _HASH:
                self._known[sha256] = heard


@dataclass(frozen=True)
class Piece:
    """A piece of an MP3, with the frames before it."""

    like: Header
    lead: bytes
    content: bytes
    sha256: str  # of both

    @property
    def is_complete(self) -> bool:
        """Whether all that it decodes to depends on nothing before its lead."""
        return len(self.lead) - LEAD * self.like.main_data_at > 2 * self.like.reservoir

    async def hear(self, *, folder: Path, ffmpeg: str, nice: int = NICE) -> Hearing:
        """Decode it.

        Raises:
            ProcessingError: there is a fault in it.
            FfmpegMissing: FFmpeg cannot be started.
        """
        return await hear_frames(
            [self.lead, self.content], self.like, PIECE, lead=LEAD, folder=folder, ffmpeg=ffmpeg, nice=nice
        )


class Pieces:
    """The pieces of an MP3 file that grows, one after the other."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at: int | None = None  # where the lead of the next piece begins; None: at the first frame
        self._like: Header | None = None
        self._enough = 0  # bytes the file must have before it is worth to look for the next piece

    def may_have_grown(self) -> bool:
        """Whether it is worth to ask for the next one. Raises OSError: the file is not there."""
        return self._file.stat().st_size > self._enough

    def next(self) -> Piece | None:
        """The next one; None if it is not there yet. Reads the disk. One with a break in its frames is left out.

        Raises:
            NotJoinable: the file has other things in it than frames of one format.
            OSError: it cannot be read.
        """
        while self.may_have_grown():
            with self._file.open("rb") as file:
                reader = FrameReader(file, self._like)
                try:
                    found = _cut(reader, self._at)
                except NotJoinable:
                    self._enough = _NEVER
                    raise
            self._like = reader.like
            if found is None:
                grows_by = PIECE * (self._like.size if self._like else 0)
                self._enough = max(self._file.stat().st_size, (self._at or 0) + grows_by // 2)
                return None
            piece, self._at = found
            if piece is not None and piece.is_complete:
                return piece
        return None


def hash_of(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


async def hear_frames(
    blocks: Iterable[bytes], like: Header, frames: int, *, lead: int, folder: Path, ffmpeg: str, nice: int = NICE
) -> Hearing:
    """Decode frames, of which the first `lead` are not told of; `frames` are those that are.

    Raises:
        ProcessingError: there is a fault in them, or they are not as many.
        FfmpegMissing: FFmpeg cannot be started.
    """
    samples = like.samples
    heard = await hear(blocks, lead=lead * samples, piece=LEVEL * samples, folder=folder, ffmpeg=ffmpeg, nice=nice)
    expected = frames * like.duration
    if abs(heard.duration - expected) > _EXACT:
        raise ProcessingError(f"the finished MP3 is not sound: {heard.duration:.3f} s are heard of {expected:.3f} s")
    return heard


def _cut(reader: FrameReader, at: int | None) -> tuple[Piece | None, int] | None:
    """The piece whose lead begins at byte `at`, and where that of the next one does; None if it is not all there.

    A frame more than that has to be there, for the last one may be torn. Instead of a piece that has a break in it
    there is None.
    """
    frames, is_whole, is_first = bytearray(), True, at is None
    count, lead_size, next_at = 0, 0, 0
    for run in reader.runs(at):
        if is_first:
            run, is_first = without_info(run), False
        elif not run.continues and count:
            is_whole = False
        if count <= LEAD < count + run.frames:
            lead_size = len(frames) + run.edges[LEAD - count] - run.edges[0]
        if count <= PIECE < count + run.frames:
            next_at = reader.position(run, PIECE - count)
        last = min(run.frames, LEAD + PIECE - count)
        frames += run.part(0, last)
        count += last
        if last < run.frames:
            assert reader.like is not None
            whole = bytes(frames)
            piece = Piece(reader.like, whole[:lead_size], whole[lead_size:], hash_of([whole])) if is_whole else None
            return piece, next_at
    return None
