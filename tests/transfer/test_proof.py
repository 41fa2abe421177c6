"""Nothing but the whole recording ever has its name, and no receipt is given for anything else."""

import asyncio
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rolltape.domain.errors import TargetRefused, TargetUnreachable
from rolltape.domain.transfer import Proof
from rolltape.domain.units import Bytes
from rolltape.transfer import Delivery
from tests.servers import faulty_sftp
from tests.servers.sshd import Sshd, sshd
from tests.transfer.conftest import Site, make_recording, ssh_site


@contextmanager
def watched(file: Path) -> Iterator[set[str]]:
    """Every SHA-256 that is seen under this name, looked at all the time (a millisecond apart)."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        before = None
        while not over.is_set():
            with suppress(FileNotFoundError):
                facts = file.stat()
                now = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
                if now != before:
                    seen.add(hashlib.sha256(file.read_bytes()).hexdigest())
                    before = now
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def when(limit: int, action: Callable[[], None]) -> Callable[[Bytes], None]:
    """A listener to progress that does `action` once more than `limit` bytes have arrived."""
    return lambda sent: action() if sent > limit else None


def make(file: Path) -> None:
    if not file.exists():
        file.write_bytes(b"mine")


def kill_children(server: Sshd) -> None:
    for pid in server.children():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("sftp", ["internal-sftp", None], ids=["sftp", "no sftp"])
async def test_no_other_content_is_ever_seen_under_the_final_name(tmp_path: Path, sftp: str | None):
    recording = make_recording(tmp_path / "recording.mp3", 3_000_000)
    with sshd(tmp_path / "sshd", sftp=sftp) as server:
        site = ssh_site(server, tmp_path / "there", bandwidth_limit=2_000_000)

        with watched(site.folder / recording.name) as seen:
            for limit in (100_000, 1_000_000, 2_000_000):
                with pytest.raises(TargetUnreachable):
                    await site.send(recording, when(limit, partial(kill_children, server)))
            await site.send(recording)
            await asyncio.sleep(0.05)  # for the watcher to look once more

        assert seen == {recording.sha256}
        assert site.files() == [str(recording.name)]


async def test_a_damaged_part_is_found_out_and_sent_anew(site: Site, recording: Delivery):
    part = site.folder / recording.part
    part.parent.mkdir()
    damaged = bytearray(recording.file.read_bytes()[:4_000_000])
    damaged[1_000_000] ^= 0x10
    part.write_bytes(damaged)

    with pytest.raises(TargetUnreachable) as raised:
        await site.send(recording)
    left = site.files()
    receipt = await site.send(recording)

    assert raised.value.code == "damaged"
    assert left == []
    assert receipt.sha256 == recording.sha256
    assert (site.folder / recording.name).read_bytes() == recording.file.read_bytes()


@contextmanager
def faulty(folder: Path, fault: str, which: int = 0, *, commands: bool = True) -> Iterator[Site]:
    """A destination on a server whose SFTP has a fault: see tests/servers/faulty_sftp.py."""
    subsystem = f"{sys.executable} {faulty_sftp.__file__} {fault} {which}"
    config = [] if commands else [f"ForceCommand {subsystem}"]
    with sshd(folder / "sshd", sftp=subsystem, config=config) as server:
        yield ssh_site(server, folder / "there")


BLOCKS = 22  # of 228,899 bytes in a recording of 5 MB


@pytest.mark.parametrize("which", [0, 10, BLOCKS - 1], ids=["first", "in the middle", "last"])
async def test_one_failed_write_is_never_a_success(tmp_path: Path, recording: Delivery, which: int):
    with faulty(tmp_path, "fail", which) as site:
        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording)

        assert raised.value.code == "disk_full"
        assert site.files() == []


@pytest.mark.parametrize("which", [0, 10, BLOCKS - 1], ids=["first", "in the middle", "last"])
async def test_a_write_that_was_acknowledged_and_not_done_is_found_out(tmp_path: Path, recording: Delivery, which: int):
    with faulty(tmp_path, "drop", which) as site:
        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording)

        assert raised.value.code == "damaged"
        assert site.files() == []


async def test_a_close_that_fails_is_a_failure(tmp_path: Path, recording: Delivery):
    with faulty(tmp_path, "close") as site:
        with pytest.raises(TargetUnreachable) as raised:
            await site.send(recording)

        assert raised.value.code == "failed"
        assert "the disk gave up" in raised.value.message
        assert site.files() == [str(recording.part)]


@pytest.mark.parametrize("fault", ["plain", "short"])
async def test_a_server_that_can_little_is_enough(tmp_path: Path, fault: str):
    recording = make_recording(tmp_path / "recording.mp3", 500_000)
    with faulty(tmp_path, fault, commands=False) as site:
        receipt = await site.send(recording)

        assert receipt.verified_by is Proof.READBACK
        assert receipt.sha256 == recording.sha256
        assert site.files() == [str(recording.name)]


async def test_a_server_that_overwrites_gets_no_chance(tmp_path: Path, recording: Delivery):
    with faulty(tmp_path, "overwrite") as site:
        site = replace(site, destination=site.destination.model_copy(update={"bandwidth_limit": 4_000_000}))
        taken = site.folder / recording.name

        with pytest.raises(TargetRefused) as refused:
            await site.send(recording, when(0, partial(make, taken)))

        assert refused.value.code == "name_taken"
        assert taken.read_bytes() == b"mine"
