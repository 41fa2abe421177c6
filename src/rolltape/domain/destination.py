"""A destination: where recordings go."""

import re
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from rolltape.domain.base import Base, one_of
from rolltape.domain.errors import InputError
from rolltape.domain.stream import LONGEST_TEXT, Name

LONGEST_PATH = 1024  # characters of a directory or key file

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+(?:%[A-Za-z0-9]+)?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*\$?")


class DestinationKind(StrEnum):
    SSH = "ssh"
    LOCAL = "local"


def _check_host(host: str) -> str:
    host = host.strip()
    if host and (len(host) > 253 or not _HOST.fullmatch(host)):
        raise InputError("host", "A host is a name or an address, like nas.lan or 192.168.1.5.")
    return host


def _check_user(user: str) -> str:
    user = user.strip()
    if user and not _USER.fullmatch(user):
        raise InputError("user", "A user name has letters, digits, dots, dashes and underscores.")
    return user


def _check_path(path: str) -> str:
    if any(not char.isprintable() for char in path):
        raise InputError("", "There is a character in it that cannot be shown.")
    if ".." in PurePosixPath(path).parts:
        raise InputError("", "`..` has no place in it.")
    return path


class DestinationFields(BaseModel):
    """What a person can say of a destination.

    A `directory` that does not begin with `/` is counted from the user's home on the server; a `key_file` from the
    folder of keys. `bandwidth_limit` is in bytes per second, None for no limit.
    """

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    name: Name
    kind: DestinationKind = DestinationKind.SSH
    host: Annotated[str, AfterValidator(_check_host)] = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: Annotated[str, Field(max_length=64), AfterValidator(_check_user)] = ""
    key_file: Annotated[str, Field(max_length=LONGEST_PATH), AfterValidator(_check_path)] = ""
    directory: Annotated[str, Field(min_length=1, max_length=LONGEST_PATH), AfterValidator(_check_path)]
    bandwidth_limit: Annotated[int, Field(ge=1024, lt=2**40)] | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "DestinationFields":
        if self.kind is DestinationKind.SSH:
            for name in ("host", "user", "key_file"):
                if not getattr(self, name):
                    raise InputError(name, f"A destination over SSH needs a {name.replace('_', ' ')}.")
        elif not self.directory.startswith("/"):
            raise InputError("directory", "A local folder is named by its whole path, from / on.")
        return self


class HostKey(BaseModel):
    """The public key by which a server is known. `key` is base64, `fingerprint` is OpenSSH's `SHA256:...`."""

    model_config = ConfigDict(frozen=True)

    type: str
    key: str
    fingerprint: str


class Destination(Base):
    __tablename__ = "destinations"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_TEXT), unique=True)
    kind: Mapped[DestinationKind] = mapped_column(one_of(DestinationKind))
    host: Mapped[str]
    port: Mapped[int]
    user: Mapped[str]
    key_file: Mapped[str]
    directory: Mapped[str]
    bandwidth_limit: Mapped[int | None] = mapped_column(BigInteger)
    host_key_type: Mapped[str | None]
    host_key: Mapped[str | None] = mapped_column(doc="base64; accepted by a person, never by itself")
    host_key_fingerprint: Mapped[str | None]
    created_at: Mapped[datetime]
