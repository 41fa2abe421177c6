"""API tokens: made once, shown once, known by their hash."""

import hashlib
import secrets

from sqlalchemy import select, update

from rolltape.domain.errors import InputError
from rolltape.domain.stream import LONGEST_TEXT, check_name
from rolltape.domain.user import Token
from rolltape.services.clock import Clock
from rolltape.store import Database

PREFIX = "rt_"  # so that a token is recognised where it should not be


class Tokens:
    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str) -> str:
        """A new token called `name`. It cannot be shown again."""
        name = check_name(name)
        if len(name) > LONGEST_TEXT:
            raise InputError("name", f"A name has at most {LONGEST_TEXT} characters.")
        token = PREFIX + secrets.token_urlsafe(32)
        async with self._database.write() as db:
            db.add(Token(name=name, sha256=_hash(token), created_at=self._clock()))
        return token

    async def is_known(self, token: str) -> bool:
        """Whether `token` was given out."""
        async with self._database.read() as db:
            found = await db.scalar(select(Token).where(Token.sha256 == _hash(token)))
        if found is None:
            return False
        now = self._clock()
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > 3600:
            async with self._database.write() as db:
                await db.execute(update(Token).where(Token.id == found.id).values(last_used_at=now))
        return True


def _hash(token: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
