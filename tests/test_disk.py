"""Files get onto a disk whole, or not at all."""

import errno
import resource
import signal
from pathlib import Path

import pytest

from rolltape.disk import write_whole


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
