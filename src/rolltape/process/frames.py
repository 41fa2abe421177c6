"""The frames of an MP3 take, read as a stream: whole ones only, whatever lies between them left out.

What a server sends is mostly frames, but also tags, pieces of frames where its own source broke off, and, at the end
of a take that was killed, half a frame.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from rolltape.domain.errors import ProcessingError
from rolltape.domain.mpeg import HEADER_SIZE, LARGEST_FRAME, Header, header_at

BLOCK = 1024 * 1024  # bytes read at a time: about a minute at 128 kbit/s
CHAIN = 3  # headers in a row, each where the one before says, tell frames from bytes that look like one
CHAIN_ROOM = CHAIN * LARGEST_FRAME + HEADER_SIZE  # bytes in which a chain is found if there is one

_ID3_HEADER = 10  # bytes


class NotJoinable(ProcessingError):
    """The takes are not layer III frames of one format: they have to be encoded."""


class Run(NamedTuple):
    """Frames that follow one another without a byte between them, and fit into memory.

    Frame i lies in `data` from `edges[i]` to `edges[i + 1]`. `continues`: so does the first one the last one of the
    run before.
    """

    data: bytes
    edges: list[int]
    continues: bool

    @property
    def frames(self) -> int:
        return len(self.edges) - 1

    def frame(self, number: int) -> bytes:
        return self.data[self.edges[number] : self.edges[number + 1]]

    def part(self, first: int, end: int) -> memoryview:
        """Frames `first` up to but without `end`."""
        return memoryview(self.data)[self.edges[first] : self.edges[end]]


class FrameReader:
    """Reads the frames of a file. They are all of the format of `like`, or of the first one."""

    def __init__(self, file: BinaryIO, like: Header | None = None) -> None:
        self.like = like
        self._file = file
        self._sizes: dict[bytes, int] = {}  # of frames, by their first four bytes: a stream has a few dozen kinds

    @property
    def bit_rates(self) -> set[int]:
        """Those met so far."""
        heads = (header_at(word) for word in self._sizes)
        return {head.bit_rate for head in heads if head is not None}

    def runs(self, at: int | None = None) -> Iterator[Run]:
        """The frames, in runs. They begin at byte `at` of the file, None: behind the tag it may begin with.

        Raises:
            NotJoinable: there are frames of another format, or none of layer III.
        """
        if at is None:
            skip_id3(self._file)
        else:
            self._file.seek(at)
        data, continues, ended = b"", False, False
        while not ended:
            block = self._file.read(BLOCK)
            data, ended = data + block, not block
            begin: int | None = 0
            while begin is not None:
                edges = self._walk(data, begin)
                broken = self._is_break(data, edges[-1])
                begin = self._resume(data, edges, ended) if broken else None
                if begin is None and not ended and _may_be_torn(data, edges, broken=broken):
                    edges.pop()  # it is looked at again, with what follows
                if len(edges) > 1:
                    yield Run(data, edges, continues)
                    continues = True
                continues = continues and not broken
            rest = max(edges[-1], len(data) - CHAIN_ROOM) if broken else edges[-1]
            data = data[rest:]

    def position(self, run: Run, number: int) -> int:
        """At which byte of the file a frame of the run that was given last begins."""
        return self._file.tell() - len(run.data) + run.edges[number]

    def _walk(self, data: bytes, at: int) -> list[int]:
        """Where the whole frames from `at` on begin, and where the last of them ends."""
        edges = [at]
        sizes, end = self._sizes, len(data)
        while True:
            size = sizes.get(data[at : at + HEADER_SIZE]) or self._size(data, at)
            at += size
            if not size or at > end:
                return edges
            edges.append(at)

    def _size(self, data: bytes, at: int) -> int:
        """Of a frame whose header was not met yet; 0 if there is none that is like the others."""
        head = header_at(data, at)
        if head is None or self.like is None or not self.like.fits(head):
            return 0
        self._sizes[data[at : at + HEADER_SIZE]] = head.size
        return head.size

    def _is_break(self, data: bytes, at: int) -> bool:
        """Whether what follows is something else than the beginning of one more frame."""
        return len(data) - at >= HEADER_SIZE and not self._size(data, at)

    def _resume(self, data: bytes, edges: list[int], ended: bool) -> int | None:
        """Where frames begin again after a break, None if nowhere in `data`.

        Is it inside the last frame, then that one is torn, and taken off.
        """
        found = find_frames(data, edges[-2] + 1 if len(edges) > 1 else edges[0], ended=ended)
        if found is None:
            return None
        head = header_at(data, found)
        if head is None or head.layer != 3 or (self.like is not None and not self.like.fits(head)):
            raise NotJoinable("the takes are not MP3 of one format")
        self.like = self.like or head
        if found < edges[-1]:
            edges.pop()
        return found


def _may_be_torn(data: bytes, edges: list[int], *, broken: bool) -> bool:
    """Whether what comes next may show that the last frame is torn: that frames begin again inside of it."""
    if len(edges) < 2:
        return False
    return len(data) - edges[-2] < CHAIN_ROOM if broken else len(data) - edges[-1] < HEADER_SIZE


def skip_id3(file: BinaryIO) -> None:
    """Go behind an ID3v2 tag at the beginning: a picture in it may have bytes that look like frames."""
    start = file.read(_ID3_HEADER)
    size = 0
    if start[:3] == b"ID3" and len(start) == _ID3_HEADER:
        size = _ID3_HEADER + (start[6] << 21 | start[7] << 14 | start[8] << 7 | start[9])
    file.seek(size)


def find_frames(data: bytes, at: int = 0, *, ended: bool) -> int | None:
    """Where the first chain of frames from `at` on begins, None if there is none.

    `ended`: no more data will come, so a chain may end with it.
    """
    while (at := data.find(b"\xff", at)) >= 0:
        if _is_chain(data, at, ended):
            return at
        at += 1
    return None


def _is_chain(data: bytes, at: int, ended: bool) -> bool:
    first = head = header_at(data, at)
    for number in range(CHAIN):
        if first is None or head is None or not first.fits(head):
            return False
        at += head.size
        if at + HEADER_SIZE > len(data):
            return ended and (number > 0 or at == len(data))
        head = header_at(data, at)
    return True
