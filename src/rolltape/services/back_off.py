"""Who gives wrong passwords waits longer each time. The count outlives a restart."""

import asyncio
import hashlib
import ipaddress
import math
from datetime import timedelta

from sqlalchemy import delete, select

from rolltape.domain import words
from rolltape.domain.errors import TooManyAttempts
from rolltape.domain.units import MINUTE, Seconds
from rolltape.domain.user import Attempts
from rolltape.services.clock import Clock
from rolltape.store import Database

FREE = 4  # wrong ones in a row that cost no waiting: people mistype
LONGEST_WAIT = Seconds(5 * MINUTE)
FORGOTTEN_AFTER = timedelta(days=1)


def wait_after(failures: int) -> Seconds:
    """How long to wait after so many failures in a row."""
    if failures <= FREE:
        return Seconds(0)

    return Seconds(min(2 ** min(failures - FREE, 20), LONGEST_WAIT))


def by_name(name: str) -> str:
    """The source of attempts on the account `name`, whether there is such an account or not."""
    return f"name {hashlib.sha256(name.strip().encode('utf-8', 'surrogatepass')).hexdigest()}"


def by_peer(peer: str) -> str:
    """The source of attempts from an address. A network of IPv6 is one source: a single machine has all of it."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return f"peer {peer[:100]}"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return f"peer {ipaddress.ip_network((int(address), 64), strict=False)}"

    return f"peer {getattr(address, 'ipv4_mapped', None) or address}"


class BackOff:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._turn = asyncio.Lock()

    async def begin(self, *sources: str) -> None:
        """Count an attempt as failed before it is looked at; `forget()` takes that back.

        Counted afterwards, a thousand attempts at the same moment would all be free.

        Raises:
            TooManyAttempts: one of the sources has to wait; the attempt does not count.
        """
        async with self._turn:
            counted = await self._counted(sources)
            wait = max((self._left(attempts) for attempts in counted.values()), default=0)
            if wait > 0:
                span = words.of_span(Seconds(math.ceil(wait)))
                raise TooManyAttempts(f"Too many attempts. Wait {span}, then try again.", Seconds(wait))
            await self._count(sources, counted)

    async def forget(self, *sources: str) -> None:
        """The attempt was right: the next mistake is the first one again."""
        async with self._turn, self._database.write() as db:
            await db.execute(delete(Attempts).where(Attempts.source.in_(sources)))

    async def _counted(self, sources: tuple[str, ...]) -> dict[str, Attempts]:
        # Read apart from the writing: who has to wait costs the recordings no turn at the database.
        async with self._database.read() as db:
            found = await db.scalars(select(Attempts).where(Attempts.source.in_(sources)))
            return {attempts.source: attempts for attempts in found}

    async def _count(self, sources: tuple[str, ...], counted: dict[str, Attempts]) -> None:
        now = self._clock()
        async with self._database.write() as db:
            await db.execute(delete(Attempts).where(Attempts.last_at < now - FORGOTTEN_AFTER))
            for source in sources:
                before = counted.get(source)
                is_fresh = before is not None and before.last_at >= now - FORGOTTEN_AFTER
                failures = before.failures + 1 if before is not None and is_fresh else 1
                await db.merge(Attempts(source=source, failures=failures, last_at=now))

    def _left(self, attempts: Attempts) -> float:
        wait = wait_after(attempts.failures)
        left = wait - (self._clock() - attempts.last_at).total_seconds()
        # More than the whole wait is left when the clock was set back: nobody is kept out for that.
        return left if 0 < left <= wait else 0
