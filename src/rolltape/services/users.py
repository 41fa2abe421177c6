"""Accounts and logins: the first account, who is signed in, and what ends that.

A login is a signed-in browser. Its cookie holds 256 random bits, of which the database has only the hash.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import ConflictError, InputError, NotFoundError
from rolltape.domain.stream import LONGEST_TEXT, check_name
from rolltape.domain.user import Login, User
from rolltape.services.back_off import BackOff, by_name, by_peer
from rolltape.services.clock import Clock
from rolltape.services.names import unique_name
from rolltape.services.operations import operation
from rolltape.services.passwords import Passwords, check_password
from rolltape.services.setup_code import SetupCode
from rolltape.store import NO_ANSWER, Database

# How long a login lasts without being used, and at most.
IDLE, LIFE = timedelta(hours=12), timedelta(days=30)
REMEMBERED_IDLE, REMEMBERED_LIFE = timedelta(days=30), timedelta(days=180)
SEEN_EVERY = timedelta(minutes=5)  # how exactly it is known when a login was used; each time is a write
LONGEST_AGENT = 200  # characters of what a browser calls itself
LONGEST_PEER = 100  # characters

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Visitor:
    """Who asks: a person in a signed-in browser."""

    user: User
    login_id: int


class Users:
    def __init__(
        self, database: Database, *, data_dir: Path, setup_code: str, clock: Clock, passwords: Passwords | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._code = SetupCode(data_dir / "setup-code", setup_code)
        self._passwords = passwords or Passwords()
        self._back_off = BackOff(database, clock=clock)
        self._setting_up = asyncio.Lock()
        self._exist = False

    async def exist(self) -> bool:
        """Whether there is an account. Once there was one, the first visit is over for ever."""
        if not self._exist:
            async with self._database.read() as db:
                self._exist = await db.scalar(select(User.id).limit(1)) is not None
        return self._exist

    async def setup_code(self) -> str | None:
        """What the first visit is asked for; None once there is an account."""
        if await self.exist():
            self._code.remove()
            return None

        return self._code.read()

    async def set_up(self, name: str, password: str, code: str, peer: str) -> User:
        """Make the first account, for somebody who knows the one-time code.

        Raises:
            InputError: the name or the password cannot be used, or the code is not the right one.
            TooManyAttempts: there were too many wrong codes from `peer`.
            ConflictError: there is an account already.
        """
        await self._check_is_first()
        name = _check_name(name)
        check_password(password, user_name=name)
        await self.check_code(code, peer)
        async with self._setting_up:
            await self._check_is_first()
            user = await self.create(name, password)
        self._exist = True
        self._code.remove()
        log.info(f"the account {user.name} was made", action="set_up", peer=peer)
        return user

    async def check_code(self, code: str, peer: str) -> None:
        """
        Raises:
            InputError: it is not the one-time code of the first visit.
            TooManyAttempts: there were too many wrong codes from `peer`.
            ConflictError: there is an account already.
        """
        await self._check_is_first()
        await self._back_off.begin(by_peer(peer))
        if not self._code.is_right(code):
            log.warning("a setup code was wrong", action="setup_refused", peer=peer)
            raise InputError("code", "This is not the code. It stands in the log of Rolltape.", code="wrong_code")
        await self._back_off.forget(by_peer(peer))

    @operation("user_added", "an account was made")
    async def create(self, name: str, password: str) -> User:
        """A further account.

        Raises:
            InputError: the name or the password cannot be used.
            ConflictError: the name is taken.
        """
        name = _check_name(name)
        check_password(password, user_name=name)
        user = User(name=name, password=await self._passwords.hash(password), created_at=self._clock())
        async with self._database.write() as db:
            db.add(user)
            with unique_name("user", name):
                await db.flush()
        return user

    async def log_in(self, name: str, password: str, *, peer: str, agent: str, remember: bool) -> str:
        """Sign a browser in; returns what its cookie shall hold.

        Raises:
            InputError: name or password is wrong; it is not told which.
            TooManyAttempts: there were too many wrong ones, from `peer` or for `name`.
        """
        sources = (by_peer(peer), by_name(name))
        await self._back_off.begin(*sources)
        user = await self._named(name)
        is_right = await self._passwords.is_right(password, user.password if user else None)
        if user is None or not is_right:
            # The name is not told: people type their password there by mistake.
            log.warning("a login was refused", action="login_refused", peer=peer)
            raise InputError("", "The name or the password is wrong.", code="wrong_login")
        await self._back_off.forget(*sources)
        await self._renew(user, password)
        cookie = await self._begin(user, peer=peer, agent=agent, remember=remember)
        log.info(f"{user.name} signed in", action="login", peer=peer)
        return cookie

    async def who(self, cookie: str) -> Visitor | None:
        """Who holds this cookie; None when the login has ended or never was."""
        now = self._clock()
        query = select(Login, User).join(User, User.id == Login.user_id).where(Login.sha256 == _hash(cookie))
        async with self._database.read() as db:
            found = (await db.execute(query.where(~_is_over(now)))).first()
        if found is None:
            return None
        login, user = found
        if now - login.last_used_at > SEEN_EVERY:
            await self._seen(login.id, now)
        return Visitor(user, login.id)

    @operation("logout", "somebody signed out")
    async def log_out(self, cookie: str) -> None:
        async with self._database.write() as db:
            await db.execute(delete(Login).where(Login.sha256 == _hash(cookie)))

    async def logins(self, user: User | None) -> Sequence[Login]:
        """The browsers that `user` (None: anybody) is signed in with, the last used first."""
        query = select(Login).where(~_is_over(self._clock())).order_by(Login.last_used_at.desc(), Login.id.desc())
        if user is not None:
            query = query.where(Login.user_id == user.id)
        async with self._database.read() as db:
            return (await db.scalars(query)).all()

    @operation("login_ended", "a browser was signed out")
    async def end_login(self, login_id: int) -> None:
        async with self._database.write() as db:
            login = await db.get(Login, login_id)
            if login is None:
                raise NotFoundError(f"There is no signed-in browser {login_id}.")
            await db.delete(login)

    async def change_password(self, visitor: Visitor, old: str, new: str) -> None:
        """Give the account another password. All its logins but the visitor's own end.

        Raises:
            InputError: the old password is wrong, or the new one cannot be used.
            TooManyAttempts: the old one was wrong too often.
        """
        user = visitor.user
        check_password(new, user_name=user.name, field="new")
        source = f"user {user.id}"  # apart from the logins: strangers must not keep the owner from changing it
        await self._back_off.begin(source)
        if not await self._passwords.is_right(old, user.password):
            raise InputError("old", "This is not the present password.", code="wrong_password")
        await self._back_off.forget(source)
        await self._keep_password(user.id, await self._passwords.hash(new), except_login=visitor.login_id)
        log.info(f"{user.name} changed the password", action="password_changed")

    @operation("password_set", "an account was given another password")
    async def set_password(self, name: str, password: str) -> None:
        """Give the account `name` another password without asking for the old one. All its logins end.

        Raises:
            NotFoundError: there is no such account.
            InputError: the password cannot be used.
        """
        user = await self._named(name)
        if user is None:
            raise NotFoundError(f"There is no user named {name}.")
        check_password(password, user_name=user.name)
        await self._keep_password(user.id, await self._passwords.hash(password))

    async def _check_is_first(self) -> None:
        if await self.exist():
            raise ConflictError("Rolltape is set up already. Sign in instead.")

    async def _named(self, name: str) -> User | None:
        try:
            name = _check_name(name)
        except InputError:  # nobody can have it
            return None
        async with self._database.read() as db:
            found: User | None = await db.scalar(select(User).where(User.name == name))
        return found

    async def _begin(self, user: User, *, peer: str, agent: str, remember: bool) -> str:
        cookie = secrets.token_urlsafe(32)
        now = self._clock()
        async with self._database.write() as db:
            await db.execute(delete(Login).where(_is_over(now)))
            db.add(
                Login(
                    user_id=user.id,
                    sha256=_hash(cookie),
                    is_remembered=remember,
                    peer=peer[:LONGEST_PEER],
                    agent=_printable(agent)[:LONGEST_AGENT],
                    created_at=now,
                    last_used_at=now,
                )
            )
        return cookie

    async def _renew(self, user: User, password: str) -> None:
        """Hash the password as it is done today, where that was done otherwise."""
        if self._passwords.is_outdated(user.password):
            kept = await self._passwords.hash(password)
            async with self._database.write() as db:
                await db.execute(update(User).where(User.id == user.id).values(password=kept))

    async def _keep_password(self, user_id: int, kept: str, *, except_login: int | None = None) -> None:
        async with self._database.write() as db:
            await db.execute(update(User).where(User.id == user_id).values(password=kept))
            await _end_logins(db, user_id, except_login)

    async def _seen(self, login_id: int, now: datetime) -> None:
        # A full disk must not keep people from the page that tells them so.
        with contextlib.suppress(*NO_ANSWER):
            async with self._database.write() as db:
                await db.execute(update(Login).where(Login.id == login_id).values(last_used_at=now))


async def _end_logins(db: AsyncSession, user_id: int, except_login: int | None) -> None:
    ended = delete(Login).where(Login.user_id == user_id)
    if except_login is not None:
        ended = ended.where(Login.id != except_login)
    await db.execute(ended)


def _is_over(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(Login.is_remembered.is_(False), _is_older(now, IDLE, LIFE)),
        _is_older(now, REMEMBERED_IDLE, REMEMBERED_LIFE),
    )


def _is_older(now: datetime, idle: timedelta, life: timedelta) -> ColumnElement[bool]:
    return or_(Login.last_used_at < now - idle, Login.created_at < now - life)


def _check_name(name: str) -> str:
    if len(name) > LONGEST_TEXT:
        raise InputError("name", f"A name has at most {LONGEST_TEXT} characters.")
    try:
        return check_name(name)
    except InputError as exc:
        raise InputError("name", exc.message) from exc


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())


def _hash(cookie: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
