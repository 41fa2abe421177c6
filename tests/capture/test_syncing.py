"""What waits for the disk is done by others, together, and each hears of its own end."""

import asyncio
import threading

import pytest

from rolltape.capture import syncing as syncing_
from rolltape.capture.syncing import syncing


async def test_what_is_to_be_done_soon_is_done_together_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing_, "TOGETHER", 0.05)
    threads: list[int] = []
    disk = syncing()

    await asyncio.gather(*(disk.soon(lambda: threads.append(threading.get_ident())) for _ in range(20)))

    assert len(threads) == 20
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


async def test_each_hears_of_its_own_fault() -> None:
    def fails() -> None:
        raise OSError("the disk is full")

    disk = syncing()
    good, bad, other = disk.soon(lambda: None), disk.soon(fails), disk.soon(lambda: None)

    disk.hurry()
    await asyncio.wait([good, bad, other], timeout=10)

    assert good.exception() is None
    assert str(bad.exception()) == "the disk is full"
    assert other.exception() is None


async def test_who_does_not_wait_any_more_keeps_nobody_from_hearing() -> None:
    disk = syncing()
    gone, waiting = disk.soon(lambda: None), disk.soon(lambda: None)
    gone.cancel()

    disk.hurry()

    await asyncio.wait_for(waiting, 10)
    assert gone.cancelled()


async def test_all_of_a_loop_share_one() -> None:
    assert syncing() is syncing()
