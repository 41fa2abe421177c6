"""Room is given out by rank, and never lost."""

import asyncio

from rolltape.engine.slots import Slots


async def _hold(slots: Slots, rank: int, order: list[int], go: asyncio.Event) -> None:
    async with slots.hold((rank, 0.0)):
        order.append(rank)
        await go.wait()


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_waits_is_let_in_by_rank() -> None:
    slots, order, go = Slots(1), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(_hold(slots, rank, order, go)) for rank in (5, 3, 1, 4, 2)]
    await _settle()
    assert order == [5]

    go.set()
    await asyncio.gather(*tasks)

    assert order == [5, 1, 2, 3, 4]


async def test_room_is_not_lost_when_who_waits_or_holds_is_called_off() -> None:
    slots, order, go = Slots(1), list[int](), asyncio.Event()
    holder = asyncio.create_task(_hold(slots, 1, order, go))
    await _settle()
    waiting = [asyncio.create_task(_hold(slots, rank, order, go)) for rank in (2, 3)]
    await _settle()

    waiting[0].cancel()
    holder.cancel()
    await asyncio.gather(holder, waiting[0], return_exceptions=True)
    await _settle()

    assert order == [1, 3]
    go.set()
    await waiting[1]
    async with asyncio.timeout(1):
        await _hold(slots, 4, order, go)


async def test_room_is_not_lost_when_who_was_just_let_in_is_called_off() -> None:
    slots, order, go = Slots(1), list[int](), asyncio.Event()
    holder = asyncio.create_task(_hold(slots, 1, order, go))
    await _settle()
    next_one = asyncio.create_task(_hold(slots, 2, order, go))
    await _settle()

    go.set()
    await asyncio.sleep(0)  # the holder leaves and lets the next one in ...
    next_one.cancel()  # ... which is called off before it has noticed
    await asyncio.gather(holder, next_one, return_exceptions=True)

    async with asyncio.timeout(1):
        await _hold(slots, 3, order, go)
    assert order[-1] == 3


async def test_more_room_lets_in_who_waits() -> None:
    slots, order, go = Slots(1), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(_hold(slots, rank, order, go)) for rank in (1, 2, 3, 4)]
    await _settle()

    slots.resize(3)
    await _settle()

    assert order == [1, 2, 3]
    go.set()
    await asyncio.gather(*tasks)


async def test_less_room_puts_nobody_out_but_lets_nobody_in() -> None:
    slots, order, first, second = Slots(3), list[int](), asyncio.Event(), asyncio.Event()
    holders = [asyncio.create_task(_hold(slots, rank, order, first)) for rank in (1, 2)]
    await _settle()
    holders.append(asyncio.create_task(_hold(slots, 3, order, second)))
    waiting = asyncio.create_task(_hold(slots, 4, order, second))
    await _settle()

    slots.resize(1)
    first.set()
    await asyncio.gather(*holders[:2])
    await _settle()
    assert order == [1, 2, 3]

    second.set()
    await asyncio.gather(holders[2], waiting)

    assert order == [1, 2, 3, 4]
