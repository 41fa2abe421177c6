"""What goes into a backup as it is, what only sealed, and what not at all.

Rows come straight from a database of any of its schemas, so a column that is named here may not be there yet.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from rolltape.domain.address import HIDDEN, mask_all, without_secrets
from rolltape.domain.notification import ChannelKind, masked
from rolltape.services.backups.archive import LARGEST_SECRETS, damaged
from rolltape.store.snapshot import JsonRow

# What others refer to comes first.
KEPT = (
    "destinations", "streams", "schedules", "sessions", "events", "takes", "transfers", "waveforms", "preferences",
    "channels",
)  # fmt: skip
SEALED = ("users", "tokens")
# Of this instance and this hour: who is signed in, what is being told and counted.
LEFT_OUT = ("logins", "attempts", "notices", "messages", "troubles", "tallies", "watermarks")

HOST_KEY = ("host_key_type", "host_key", "host_key_fingerprint")
LARGEST_KEY = 64 * 1024  # bytes of a private key; a real one has 3000


_KEY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _.@+-]{0,99}")


def _check_keys(keys: dict[str, bytes]) -> dict[str, bytes]:
    for name, content in keys.items():
        if not _KEY_NAME.fullmatch(name) or len(content) > LARGEST_KEY:
            raise ValueError("there is a key that is none")
    return keys


class StreamSecrets(BaseModel):
    id: int
    url: str
    fallback_urls: list[str]


class HostKeyOf(BaseModel):
    id: int
    host_key_type: str
    host_key: str
    host_key_fingerprint: str


class ChannelSecrets(BaseModel):
    id: int
    address: str
    secret: str


class Secrets(BaseModel):
    """What is sealed: rows as a whole, what is secret in other rows, and private keys by name, in base64."""

    model_config = ConfigDict(extra="forbid")

    users: list[JsonRow] = []
    tokens: list[JsonRow] = []
    streams: list[StreamSecrets] = []
    destinations: list[HostKeyOf] = []
    channels: list[ChannelSecrets] = []
    keys: Annotated[dict[str, Base64Bytes], AfterValidator(_check_keys)] = Field(default_factory=dict)

    def of(self, table: str, number: int) -> JsonRow | None:
        """What is secret in a row, None if nothing is."""
        found = (row.model_dump() for row in getattr(self, table) if row.id == number)
        return next(found, None)

    def urls(self) -> Iterator[str]:
        """Every address of a stream."""
        for row in self.streams:
            yield from (row.url, *row.fallback_urls)

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()


def read_secrets(content: bytes) -> Secrets:
    """What `to_bytes` made."""
    if len(content) > LARGEST_SECRETS:
        raise damaged("its sealed part is too large")
    try:
        return Secrets.model_validate_json(content)
    except ValidationError as exc:
        raise damaged("its sealed part cannot be read") from exc


@dataclass
class Hiding:
    """Takes what is secret out of rows on their way into a backup, and gathers it in `secrets`."""

    secrets: Secrets = field(default_factory=Secrets)

    def hide(self, table: str, row: JsonRow) -> JsonRow:
        if table == "streams":
            return self._stream(row)
        if table == "destinations":
            return self._destination(row)
        if table == "channels":
            return self._channel(row)
        if table == "sessions":
            return _told(row) | {"plan": _plan(row["plan"])}
        return _told(row) if table in ("events", "takes", "transfers") else row

    def take(self, table: str, row: JsonRow) -> None:
        """A row that is secret as a whole."""
        getattr(self.secrets, table).append(row)

    def _stream(self, row: JsonRow) -> JsonRow:
        hidden = {"url": without_secrets(row["url"]), "fallback_urls": [*map(without_secrets, row["fallback_urls"])]}
        if hidden != {name: row[name] for name in hidden}:
            self.secrets.streams.append(StreamSecrets.model_validate(row))
        return row | hidden

    def _destination(self, row: JsonRow) -> JsonRow:
        if row["host_key"] is not None:
            self.secrets.destinations.append(HostKeyOf.model_validate(row))
        return row | dict.fromkeys(HOST_KEY)

    def _channel(self, row: JsonRow) -> JsonRow:
        self.secrets.channels.append(ChannelSecrets.model_validate(row))
        hidden = masked(ChannelKind(row["kind"]), row["address"])
        # What went wrong may name the address in words of its own.
        return row | {"address": hidden, "secret": "", "last_at": None, "last_ok_at": None, "last_error": None}


def keys_in(folder: Path) -> dict[str, bytes]:
    """The files in the folder of keys."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    wanted = [file for file in files if _KEY_NAME.fullmatch(file.name) and file.is_file() and not file.is_symlink()]
    return {file.name: file.read_bytes() for file in wanted if file.stat().st_size <= LARGEST_KEY}


def lacks(url: str) -> bool:
    """Whether an address still has a gap where its secret was."""
    return HIDDEN in url


def _plan(plan: Any) -> Any:
    """What a session shall do, without the passwords of the stream it copied."""
    if not isinstance(plan, dict) or not isinstance(plan.get("stream"), dict):
        return plan
    stream = plan["stream"]
    urls = {"url": without_secrets(stream.get("url", ""))}
    fallbacks = {"fallback_urls": [without_secrets(url) for url in stream.get("fallback_urls", [])]}
    return plan | {"stream": stream | urls | fallbacks}


def _told(row: JsonRow) -> JsonRow:
    """A row whose sentences may quote an address: all of them are masked (again)."""
    if "://" not in repr(row):  # hardly any does, and there may be a million
        return row
    return {name: _masked(value) for name, value in row.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        return mask_all(value)
    if isinstance(value, list):
        return [_masked(part) for part in value]
    if isinstance(value, dict):
        return {name: _masked(part) for name, part in value.items()}
    return value
