"""A process that has loaded everything, and forks for each run: `python -m tests.crash.child FOLDER FFMPEG`.

It reads one order per line and answers with lines of JSON. The fork is armed, runs its step, and (if it lives) tells
how that went; at the next line it goes on as the service does, in the same process or, after a kill, in a new one.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import structlog

from rolltape.domain.errors import RolltapeError
from rolltape.domain.transfer import TransferState
from rolltape.store.database import is_no_answer
from rolltape.transfer import ssh as ssh  # loaded before the fork
from tests.crash import shim
from tests.crash.steps import STEPS, Scene, scene


def main(folder: Path, ffmpeg: str) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    structlog.configure(processors=[lambda *_: ""])
    gc.collect()
    gc.freeze()  # else each fork copies most of the memory
    _tell({"ready": True})
    while order := _hear():
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_obey(folder, ffmpeg, json.loads(order)))
            except BaseException as exc:
                _tell({"broken": repr(exc)})
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _tell({"exit": os.waitstatus_to_exitcode(status)})


async def _obey(folder: Path, ffmpeg: str, order: dict[str, Any]) -> None:
    step = STEPS[order["step"]]
    async with scene(folder, ffmpeg) as made:
        _note_sayings(made, Path(order["log"]))
        if order["strike"] is not None:
            root, log, *numbers = order["strike"]
            nth, mode, for_good, kinds = map(int, numbers)
            shim.arm(shim.Strike(Path(root), Path(log), nth, mode, bool(for_good), shim.Kind(kinds)))
            problem = await _problem(step.run(made))
            shim.arm(shim.Strike(folder, Path(order["log"])))
            _tell({"stopped": problem})
            _hear()
        else:
            shim.arm(shim.Strike(folder, Path(order["log"])))  # only to write down
        _tell({"went_on": await _problem(step.goes_on(made))})
    shim.disarm()


def _note_sayings(made: Scene, log: Path) -> None:
    """Write among the calls when the database is about to be told that a recording is finished, or delivered."""
    sessions, transfers = made.bench.services.sessions, made.bench.services.transfers
    advance, write = sessions.advance, transfers.write

    async def advancing(session: Any, state: Any, kind: str, *rest: Any, **values: Any) -> bool:
        if kind == "finished":
            shim.note(log, kind)
        return await advance(session, state, kind, *rest, **values)

    async def writing(transfer_id: int, **values: Any) -> bool:
        if values.get("state") is TransferState.DELIVERED:
            shim.note(log, "delivered")
        return await write(transfer_id, **values)

    sessions.advance, transfers.write = advancing, writing  # type: ignore[method-assign]


async def _problem(work: Any) -> dict[str, str] | None:
    """What it raised, and of which sort that is."""
    try:
        await work
    except Exception as exc:
        sort = "ours" if isinstance(exc, RolltapeError) else "no answer" if is_no_answer(exc) else "other"
        sort = "system" if isinstance(exc, OSError) else sort
        return {"sort": sort, "says": str(exc) or repr(exc)}
    return None


def _hear() -> str:
    """One line, and no byte more: the others are for who comes next."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def _tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
