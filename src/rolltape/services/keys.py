"""SSH keys: made here or put into the folder of keys. The private halves never leave it."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from rolltape.domain.errors import ConflictError, InputError
from rolltape.services.operations import operation

PUBLIC = ".pub"
LONGEST_NAME = 64  # characters

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Key:
    """A private key in the folder. `public` is the line for the server's authorized_keys, None if it is not known."""

    name: str
    public: str | None


class Keys:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def all(self) -> list[Key]:
        """The keys in the folder, by name."""
        return await asyncio.to_thread(self._read)

    @operation("key_made", "a key was made")
    async def create(self, name: str) -> Key:
        """A new Ed25519 key called `name`.

        Raises:
            InputError: this cannot be the name of a file.
            ConflictError: there is one already, or the folder cannot be written.
        """
        name = name.strip()
        if len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or name.endswith(PUBLIC):
            raise InputError("key_name", "A name has letters, digits, dots, dashes and underscores.")
        return await asyncio.to_thread(self._make, name)

    def _read(self) -> list[Key]:
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        names = sorted(file.name for file in files if file.is_file() and not file.name.startswith("."))
        return [Key(name, self._public(name)) for name in names if not name.endswith(PUBLIC)]

    def _public(self, name: str) -> str | None:
        try:
            return (self._folder / f"{name}{PUBLIC}").read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def _make(self, name: str) -> Key:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " rolltape"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write_new(self._folder / name, private)
            (self._folder / f"{name}{PUBLIC}").write_text(f"{public}\n")
        except FileExistsError as exc:
            raise InputError("key_name", f"There is a key called {name} already.") from exc
        except OSError as exc:
            raise ConflictError(f"{self._folder}: the key cannot be written: {exc.strerror}.") from exc
        return Key(name, public)


def _write_new(file: Path, content: bytes) -> None:
    """Write a file that is not there yet, for our eyes only from its first byte on."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
