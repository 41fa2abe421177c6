"""Passwords: what one must be like, and how it is kept: as an argon2id hash."""

import asyncio
import functools
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rolltape.domain.errors import InputError

SHORTEST = 8  # characters
LONGEST = 1000  # characters; a sentence fits in, and a hash of it takes no longer
AT_ONCE = 2  # hashes made at the same time: each takes 64 MiB, and recordings need the machine, too


def check_password(password: str, *, user_name: str, field: str = "password") -> None:
    """Whether `password` is hard enough to guess.

    Raises:
        InputError: it is not; the message says why.
    """
    if len(password) < SHORTEST:
        raise InputError(field, f"A password has at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise InputError(field, f"A password has at most {LONGEST} characters.")
    if password.strip().casefold() == user_name.strip().casefold():
        raise InputError(field, "The password must not be the name.")


class Passwords:
    """Makes and checks hashes, in threads, a few at a time.

    The parameters of argon2id are those of RFC 9106 for a machine with little memory, unless `hasher` has others.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Whether `kept` is a hash of `password`. Without a hash it takes the same time, and it is not."""
        async with self._turn:
            return await asyncio.to_thread(self._is_right, password, kept)

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash would be made differently today."""
        return self._hasher.check_needs_rehash(kept)

    def _is_right(self, password: str, kept: str | None) -> bool:
        nobody = self._hash_of_nobody  # made for either kind of user, so that the first login tells nothing
        try:
            return self._hasher.verify(kept or nobody, _normal(password)) and kept is not None
        except (VerificationError, InvalidHashError):
            return False

    @functools.cached_property
    def _hash_of_nobody(self) -> str:
        return self._hasher.hash(secrets.token_hex())


def _normal(password: str) -> bytes:
    # An é can be sent as one character or as two, as the keyboard likes. One too long is none, and is not worked on.
    return unicodedata.normalize("NFKC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
