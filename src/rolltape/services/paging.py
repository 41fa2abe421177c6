"""Lists by pages: newest first, by key and never by offset."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import InputError

LONGEST_PAGE = 200

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page. `next` asks for the one behind it, None on the last."""

    items: Sequence[Row]
    next: str | None


async def page(
    db: AsyncSession, query: Select[Row], keys: Sequence[Any], *, after: str | None, limit: int
) -> Page[Row]:
    """The rows of `query` that come behind the key `after`, the largest `keys` first.

    Raises:
        InputError: `after` is no key that was given out.
    """
    if after is not None:
        query = query.where(tuple_(*keys) < tuple_(*_read_key(after, len(keys))))
    query = query.order_by(*(key.desc() for key in keys)).limit(limit + 1)
    rows = (await db.scalars(query)).all()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _key([getattr(rows[-1], key.key) for key in keys]) if more else None)


def _key(values: Sequence[Any]) -> str:
    text = "~".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in values)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_key(key: str, count: int) -> list[Any]:
    try:
        text = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()
        *moments, number = text.split("~")
        if len(moments) != count - 1 or not 0 <= int(number) < 2**63:
            raise ValueError(key)
        return [*(datetime.fromisoformat(moment) for moment in moments), int(number)]
    except (ValueError, binascii.Error) as exc:
        raise InputError("after", "This page does not exist; begin with the first one.") from exc
