"""API tokens: made once, shown once, known by their hash."""

import contextlib
import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import InputError, NotFoundError
from rolltape.domain.stream import LONGEST_TEXT, check_name
from rolltape.domain.token import PREFIX
from rolltape.domain.units import HOUR
from rolltape.domain.user import Token
from rolltape.services.clock import Clock
from rolltape.services.operations import operation
from rolltape.store import NO_ANSWER, Database

SEEN_EVERY = HOUR  # how exactly it is known when a token was used; each time is a write


class Tokens:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str) -> str:
        """A new token called `name`. It cannot be shown again."""
        _, shown = await self.make(name)
        return shown

    @operation("token_made", "an API token was made")
    async def make(self, name: str) -> tuple[Token, str]:
        """A new token called `name`, and what it is. That cannot be shown again."""
        try:
            name = check_name(name)
        except InputError as exc:
            raise InputError("name", exc.message) from exc
        if len(name) > LONGEST_TEXT:
            raise InputError("name", f"A name has at most {LONGEST_TEXT} characters.")
        shown = PREFIX + secrets.token_urlsafe(32)
        token = Token(name=name, sha256=_hash(shown), created_at=self._clock())
        async with self._database.write() as db:
            db.add(token)
        return token, shown

    async def all(self) -> Sequence[Token]:
        """The tokens that are valid, the newest first."""
        async with self._database.read() as db:
            return (await db.scalars(select(Token).order_by(Token.id.desc()))).all()

    async def get(self, token_id: int) -> Token:
        async with self._database.read() as db:
            return await _find(db, token_id)

    @operation("token_deleted", "an API token was deleted")
    async def delete(self, token_id: int) -> None:
        """Who has the token cannot come in any more."""
        async with self._database.write() as db:
            await db.delete(await _find(db, token_id))

    async def is_known(self, token: str) -> bool:
        """Whether `token` was given out."""
        async with self._database.read() as db:
            found = await db.scalar(select(Token).where(Token.sha256 == _hash(token)))
        if found is None:
            return False
        now = self._clock()
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > SEEN_EVERY:
            # A full disk must not keep programs from asking what is wrong.
            with contextlib.suppress(*NO_ANSWER):
                async with self._database.write() as db:
                    await db.execute(update(Token).where(Token.id == found.id).values(last_used_at=now))
        return True


async def _find(db: AsyncSession, token_id: int) -> Token:
    token = await db.get(Token, token_id)
    if token is None:
        raise NotFoundError(f"There is no token {token_id}.")
    return token


def _hash(token: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
