"""Join MP3 takes frame by frame, without encoding them again.

Cuts lie on the borders of frames, and every kept frame stays where it was in time. What a cut does to the bit
reservoir is made good where possible (see `reservoir`); a frame that cannot be decoded becomes silent.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rolltape.domain.mpeg import Header, main_data_begin
from rolltape.domain.recording import Cut
from rolltape.domain.units import BitsPerSecond, Hertz, Seconds
from rolltape.process import reservoir, xing
from rolltape.process.frames import CHAIN_ROOM, FrameReader, NotJoinable, Run

SEEK_STEP = 16  # frames from one whose place is remembered to the next: under half a second
PLACE_STEP = 32  # frames of a take from one whose place in the file is told to the next


class Place(NamedTuple):
    """Where a frame of a take lies in the file: as which of its frames (the silent first one is 0), at which byte."""

    cut: int
    number: int  # of the frame in its take
    frame: int
    at: int


@dataclass(frozen=True)
class Joined:
    """What was joined. `silenced` is how many of its frames could not be decoded and are silent now.

    `places` are those of every PLACE_STEPth frame of the takes. `frames` counts the silent one in front, too.
    """

    duration: Seconds
    sample_rate: Hertz
    channels: int
    bit_rate: BitsPerSecond
    silenced: int
    like: Header
    frames: int
    places: tuple[Place, ...]


def join(cuts: Sequence[Cut], folder: Path, out: Path) -> Joined:
    """Write the cuts of the takes in `folder` to `out`, with an Info frame in front.

    A take of a few bytes without a whole frame counts for nothing.

    Raises:
        NotJoinable: they are not MP3 of one format, or there is not a single frame.
    """
    with out.open("w+b") as file:
        writer = _Writer(file)
        for index, (before, cut) in enumerate(pairwise([None, *cuts])):
            assert cut is not None
            writer.cut = index
            with (folder / cut.take.file).open("rb") as take:
                reader = FrameReader(take, writer.like)
                follows = cut.take.continues and before is not None and before.take.number + 1 == cut.take.number
                _copy(cut, reader, writer, follows=follows)
                if not reader.bit_rates and take.tell() > CHAIN_ROOM:
                    raise NotJoinable(f"{cut.take.file} has no MP3 frames in it")
        return writer.finish()


def _copy(cut: Cut, reader: FrameReader, writer: "_Writer", *, follows: bool) -> None:
    """Write the frames of the cut. `follows`: they were encoded in one go with those that are written already."""
    number, begin, end = 0, 0, 0  # of the run's first frame, and of those between which the cut lies
    tail = b""  # the main data before the run, as far as a frame may reach back
    for run in reader.runs():
        head = reader.like
        assert head is not None, "there is a frame, so there is a format"
        if not end:
            begin, end = _frame_numbers(cut, head)
            run = without_info(run)
        if not run.continues:
            tail = b""
        first, last = max(0, begin - number), min(run.frames, end - number)
        if first < last:
            if begin >= number and not (follows and begin == 0):
                writer.seam(run.frame(first), _main_data_before(run, first, tail, head.reservoir))
            elif not run.continues:
                writer.break_off()
            writer.write(run, first, last, number)
        number += run.frames
        if number >= end:
            break
        tail = _main_data_before(run, run.frames, tail, head.reservoir)
    writer.bit_rates |= reader.bit_rates


def _frame_numbers(cut: Cut, head: Header) -> tuple[int, int]:
    """The frame the cut begins with, and the one before which it ends."""
    per_second = head.sample_rate / head.samples
    return round(cut.skip * per_second), round((cut.skip + cut.length) * per_second)


def without_info(run: Run) -> Run:
    """The first frames of a take without the header an encoder put in front of them."""
    first = run.frame(0)
    is_info = xing.is_info(first, reservoir.head_of(first))
    return run._replace(edges=run.edges[1:]) if is_info else run


def _main_data_before(run: Run, number: int, tail: bytes, room: int) -> bytes:
    """The last `room` bytes of main data before a frame of the run; `tail` is what lies before the run."""
    found = b""
    while number > 0 and len(found) < room:
        number -= 1
        found = reservoir.main_data(run.frame(number)) + found
    return (tail + found)[-room:]


class _Writer:
    """The joined file while it grows.

    `like` is the header of its first frame. `_room` is how many bytes of main data before the next frame are the ones
    it was encoded with; None once that is all it can need.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.like: Header | None = None
        self.bit_rates: set[int] = set()
        self.cut = 0  # the one that is being written
        self._file = file
        self._size = 0
        self._frames = 0
        self._silenced = 0
        self._room: int | None = 0
        self._last_size = 0  # of the last frame
        self._marks: list[int] = []  # where every SEEK_STEPth frame begins
        self._places: list[Place] = []

    def seam(self, frame: bytes, before: bytes) -> None:
        """A cut begins with `frame`; `before` is the main data before it in its take."""
        own = reservoir.head_of(frame)
        reach = main_data_begin(frame, own)
        before = before[-reach:] if reach else b""
        # Like this frame, not like one of an encoder's header: FFmpeg takes a first frame of another mode for junk.
        self._room = self._begin(own, before) if self.like is None else self._widen_last(before)

    def break_off(self) -> None:
        """Frames are missing before the next one."""
        self._room = 0

    def write(self, run: Run, first: int, last: int, number: int) -> None:
        """Write these frames of the run, of which the first one has this number in its take."""
        self._mark(run, first, last, number)
        while self._room is not None and first < last:
            self._file.write(self._decodable(run.frame(first)))
            first += 1
        self._file.write(run.part(first, last))

    def finish(self) -> Joined:
        """Write the Info frame."""
        if self.like is None:
            raise NotJoinable("there is not a single MP3 frame in the takes")
        like = self.like
        info = xing.info_frame(
            xing.info_header(like),
            frames=self._frames,
            size=self._size,
            seek_points=[self._place(self._frames * percent // 100) for percent in range(100)],
            constant=len(self.bit_rates) == 1,
            delay=like.samples - xing.DECODER_DELAY,  # that is the silent frame
            padding=xing.DECODER_DELAY,  # that is none
        )
        self._file.seek(0)
        self._file.write(info)
        duration = Seconds((self._frames - 1) * like.duration)
        return Joined(
            duration=duration,
            sample_rate=like.sample_rate,
            channels=like.channels,
            bit_rate=BitsPerSecond(round((self._size - len(info)) * 8 / duration)),
            silenced=self._silenced,
            frames=self._frames,
            like=like,
            places=tuple(self._places),
        )

    def _begin(self, head: Header, before: bytes) -> int:
        """Leave room for the Info frame, and write a silent one with `before` in it; how many bytes of that it has."""
        self.like = head
        self._size = xing.info_header(head).size
        self._marks.append(self._size)
        lead = reservoir.silent(head, before)
        self._file.write(bytes(self._size) + lead)
        self._size += len(lead)
        self._frames, self._last_size = 1, len(lead)
        return len(before)

    def _widen_last(self, before: bytes) -> int:
        """Put the end of `before` at the end of the last frame; how many bytes of it there was room for."""
        self._file.seek(-self._last_size, os.SEEK_END)
        wide, given = reservoir.widen(self._file.read(self._last_size), before)
        self._file.seek(-self._last_size, os.SEEK_END)
        self._file.write(wide)
        self._size += len(wide) - self._last_size
        return given

    def _decodable(self, frame: bytes) -> bytes:
        """The next frame, silent if its sound begins before what it may reach."""
        assert self._room is not None
        head = reservoir.head_of(frame)
        if main_data_begin(frame, head) <= self._room:
            self._room = None
            return frame
        self._room += len(frame) - head.main_data_at
        self._silenced += 1
        return reservoir.silence(frame)

    def _mark(self, run: Run, first: int, last: int, number: int) -> None:
        """Count these frames, and remember where some of them are."""
        offset = self._size - run.edges[first]
        for index in range(first + -self._frames % SEEK_STEP, last, SEEK_STEP):
            self._marks.append(run.edges[index] + offset)
        for index in range(first + -(number + first) % PLACE_STEP, last, PLACE_STEP):
            frame = self._frames + index - first
            self._places.append(Place(self.cut, number + index, frame, run.edges[index] + offset))
        self._frames += last - first
        self._size = run.edges[last] + offset
        self._last_size = run.edges[last] - run.edges[last - 1]

    def _place(self, number: int) -> int:
        """Where a frame begins, near enough."""
        mark, rest = divmod(number, SEEK_STEP)
        begin = self._marks[mark]
        end = self._marks[mark + 1] if mark + 1 < len(self._marks) else self._size
        between = min(SEEK_STEP, self._frames - mark * SEEK_STEP)
        return begin + (end - begin) * rest // between
