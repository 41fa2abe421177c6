"""Who may come in: accounts of people and their logins, and tokens of programs."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base


class Token(Base):
    """An API token. Only its hash is kept: the token itself is shown once, when it is made."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    password: Mapped[str] = mapped_column(doc="its argon2id hash")
    created_at: Mapped[datetime]


class Login(Base):
    """A signed-in browser. Only the hash of what its cookie holds is kept."""

    __tablename__ = "logins"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    is_remembered: Mapped[bool] = mapped_column(doc="outlives the closing of the browser")
    peer: Mapped[str] = mapped_column(doc="address it came from")
    agent: Mapped[str] = mapped_column(String(200), doc="what the browser calls itself")
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class Attempts(Base):
    """Wrong passwords in a row, from one address or for one name. They outlive a restart."""

    __tablename__ = "attempts"

    source: Mapped[str] = mapped_column(String(300), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime]
