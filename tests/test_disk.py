"""Files get onto a disk whole, or not at all."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from rolltape.disk import cause, try_out, write_whole
from rolltape.domain.units import Bytes
from tests.servers.disks import disk, fill


@pytest.mark.parametrize("name", ["a", "ü" * 127, "x" * 255])
def test_a_file_is_there_whole_and_for_our_eyes_only(tmp_path: Path, name: str) -> None:
    for content in (b"first", b"", b"last"):
        write_whole(tmp_path / name, content)

        assert (tmp_path / name).read_bytes() == content
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_what_does_not_fit_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as refused:
            write_whole(file, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, was)

    assert refused.value.errno == errno.EFBIG
    assert file.read_bytes() == b"before"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_what_an_earlier_try_left_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))  # as a kill leaves it
        with pytest.raises(KeyboardInterrupt):
            write_whole(tmp_path / "file", b"half")
    assert len(list(tmp_path.iterdir())) == 1

    write_whole(tmp_path / "file", b"whole")

    assert [found.read_bytes() for found in tmp_path.iterdir()] == [b"whole"]


def test_a_disk_is_tried_out_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=2m") as folder:
        try_out(folder, Bytes(1_000_000))
        fill(folder, but=500_000)

        with pytest.raises(OSError, match="No space left"):
            try_out(folder, Bytes(1_000_000))
        try_out(folder, Bytes(400_000))

        assert [file.name for file in folder.iterdir()] == ["filler"]
    with pytest.raises(FileNotFoundError):
        try_out(tmp_path / "nowhere", Bytes(1))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "The disk was full."),
        (errno.EDQUOT, "The quota of the disk was used up."),
        (errno.EROFS, "The disk could only be read."),
        (errno.EIO, "The disk reported a fault."),
        (errno.ESTALE, "The file or its folder was gone."),
        (errno.EMFILE, "Too many files were open."),
        (errno.EACCES, "It could not be written: Permission denied."),
    ],
)
def test_why_nothing_could_be_written_is_one_sentence(tmp_path: Path, number: int, said: str) -> None:
    assert cause(OSError(number, os.strerror(number)), tmp_path) == said
