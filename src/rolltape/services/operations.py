"""Tells the log of what people and programs ask for: what it was, how it went, and what it was about."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import structlog

from rolltape.domain.errors import RolltapeError

REFUSED = "refused"  # the outcome of what somebody asked for that cannot be; the sentence says why

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

_NUMBERS = (
    "session_id",
    "stream_id",
    "schedule_id",
    "destination_id",
    "transfer_id",
    "token_id",
    "login_id",
    "channel_id",
)


def operation(
    action: str, done: str
) -> Callable[[Callable[Given, Coroutine[Any, Any, Answer]]], Callable[Given, Coroutine[Any, Any, Answer]]]:
    """Has a method of a service tell the log how it went: `done` says it for people when it went well.

    What was refused is told with its reason. What failed is told by whoever catches it, with its stack trace.
    """

    def telling(
        method: Callable[Given, Coroutine[Any, Any, Answer]],
    ) -> Callable[Given, Coroutine[Any, Any, Answer]]:
        log = structlog.get_logger(method.__module__)
        signature = inspect.signature(method)

        @functools.wraps(method)
        async def told(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            about = _numbers_in(signature.bind(*args, **kwargs).arguments)
            try:
                answer = await method(*args, **kwargs)
            except RolltapeError as exc:
                log.info(f"not done: {exc.message}", action=action, outcome=REFUSED, code=exc.code, **about)
                raise
            log.info(done, action=action, **(about | _numbers_of(answer)))
            return answer

        return told

    return telling


def _numbers_in(arguments: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in arguments.items() if name in _NUMBERS and isinstance(value, int)}


def _numbers_of(answer: object) -> dict[str, Any]:
    """The numbers that a row has: its own, by the name of its table, and of what it belongs to."""
    table = getattr(answer, "__tablename__", "")
    found = {name: getattr(answer, name, None) for name in _NUMBERS} | {f"{table[:-1]}_id": getattr(answer, "id", None)}
    return {name: value for name, value in found.items() if name in _NUMBERS and isinstance(value, int)}
