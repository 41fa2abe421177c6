"""Who may come in, in the API: tokens of programs, signed-in browsers, the password."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from rolltape.domain.errors import ConflictError
from rolltape.domain.stream import Name
from rolltape.domain.user import Login, Token
from rolltape.services.users import Visitor
from rolltape.web.params import Id, Listing, With


class TokenFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name


class TokenAnswer(BaseModel):
    """`last_used_at` is exact to an hour; null for a token that was never used."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


class NewToken(BaseModel):
    """`token` is shown this once."""

    id: int
    name: str
    token: str


class LoginAnswer(BaseModel):
    """`is_this`: it is the browser that asks. `last_used_at` is exact to some minutes."""

    id: int
    peer: str
    agent: str
    is_remembered: bool
    is_this: bool
    created_at: datetime
    last_used_at: datetime


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    old: Annotated[str, Field(max_length=2000)]
    new: Annotated[str, Field(max_length=2000)]


def visitor(request: Request) -> Visitor | None:
    """Who asks, where it is a person; None for a program with a token."""
    found: Visitor | None = request.state.visitor
    return found


Asking = Annotated[Visitor | None, Depends(visitor)]


async def tokens(services: With) -> Listing[TokenAnswer]:
    """List API tokens, without what is secret."""
    return Listing(items=[_token(token) for token in await services.tokens.all()], next=None)


async def create_token(services: With, fields: TokenFields) -> NewToken:
    """Make an API token. It is shown this once."""
    made, shown = await services.tokens.make(fields.name)
    return NewToken(id=made.id, name=made.name, token=shown)


async def delete_token(services: With, token_id: Id) -> Response:
    """Take an API token back."""
    await services.tokens.delete(token_id)
    return Response(status_code=204)


async def logins(services: With, asking: Asking) -> Listing[LoginAnswer]:
    """List the browsers that are signed in."""
    found = await services.users.logins(asking.user if asking else None)
    return Listing(items=[_login(login, asking) for login in found], next=None)


async def end_login(services: With, login_id: Id) -> Response:
    """Sign a browser out."""
    await services.users.end_login(login_id)
    return Response(status_code=204)


async def change_password(services: With, change: PasswordChange, asking: Asking) -> Response:
    """Change the password, and sign all other browsers out."""
    if asking is None:
        raise ConflictError("A token has no password. Sign in to change yours.")
    await services.users.change_password(asking, change.old, change.new)
    return Response(status_code=204)


def _token(token: Token) -> TokenAnswer:
    return TokenAnswer(id=token.id, name=token.name, created_at=token.created_at, last_used_at=token.last_used_at)


def _login(login: Login, asking: Visitor | None) -> LoginAnswer:
    return LoginAnswer(
        id=login.id,
        peer=login.peer,
        agent=login.agent,
        is_remembered=login.is_remembered,
        is_this=asking is not None and asking.login_id == login.id,
        created_at=login.created_at,
        last_used_at=login.last_used_at,
    )
