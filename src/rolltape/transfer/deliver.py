"""One attempt to deliver one recording, from file to receipt, for any target."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from rolltape.domain.destination import DestinationFields, HostKey
from rolltape.domain.transfer import Receipt
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import problems
from rolltape.transfer.registry import TARGETS
from rolltape.transfer.target import Delivery, Target, TransferSettings, Trial

REPORT_EVERY = Seconds(0.25)  # progress is for people, and for a database
LAST_WORDS = Seconds(3)  # that an aborted transfer gets to end

_Result = TypeVar("_Result")


async def deliver(
    delivery: Delivery,
    destination: DestinationFields,
    host_key: HostKey | None,
    settings: TransferSettings,
    *,
    on_progress: Callable[[Bytes], None],
) -> Receipt:
    """Deliver a recording, whole or not at all; what was sent before is gone on with.

    `on_progress` is told, in this event loop and a few times a second, how many bytes have arrived. A cancelled call
    ends at once and leaves only the hidden part behind.

    Raises:
        TargetUnreachable: a passing fault; `retry.after` says when to try again.
        TargetRefused: somebody has to do something first.
    """
    loop = asyncio.get_running_loop()
    report = _seldom(lambda sent: _call_soon(loop, lambda: on_progress(sent)), whole=delivery.size)
    target = TARGETS[destination.kind](destination, host_key, settings)

    def send() -> Receipt:
        try:
            return target.send(delivery, report)
        except OSError as exc:  # what no target foresaw
            raise problems.failed(destination.name, exc.strerror or str(exc)) from exc

    return await _in_thread(target, send)


async def test(destination: DestinationFields, host_key: HostKey | None, settings: TransferSettings) -> Trial:
    """Log in, write, rename and delete a small file. What goes wrong is told in the result, not raised.

    Without an accepted `host_key` it only looks which key the server shows.
    """
    target = TARGETS[destination.kind](destination, host_key, settings)
    return await _in_thread(target, target.test)


test.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would take for its own


def _seldom(report: Callable[[Bytes], None], *, whole: Bytes) -> Callable[[Bytes], None]:
    last = 0.0

    def at_times(sent: Bytes) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_EVERY or sent == whole:
            last = now
            report(sent)

    return at_times


async def _in_thread(target: Target, work: Callable[[], _Result]) -> _Result:
    """Run `work` in a thread of its own; the pool of asyncio is small, and an upload lasts.

    When the call is cancelled, the target is aborted and gets a moment to end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, problem: BaseException | None) -> None:
        if done.done():
            return
        if problem is not None:
            done.set_exception(problem)
        else:
            done.set_result(cast(_Result, result))

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as exc:
            problem = exc
        _call_soon(loop, lambda: settle(result, problem))

    threading.Thread(target=run, name="rolltape-transfer", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        target.abort()
        await asyncio.wait([done], timeout=LAST_WORDS)
        if not done.cancel():
            done.exception()  # nobody else asks for it
        raise


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call)
