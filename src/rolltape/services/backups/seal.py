"""What is secret in a backup, sealed with a passphrase: nobody reads it without, and nobody changes it unseen.

The key comes from the passphrase by scrypt, with OWASP's parameters for it; what is sealed is encrypted with
AES-256-GCM. What goes with it (`about`) is not hidden, but cannot be exchanged either.
"""

import hashlib
import os

from rolltape.domain.errors import InputError
from rolltape.domain.passphrase import LONGEST_PASSPHRASE, check_passphrase

_MAGIC = b"ROLLTAPE SECRETS 1\n"
_SALT, _NONCE = 16, 12  # bytes
_COST = {"n": 2**16, "r": 8, "p": 2, "maxmem": 80 * 1024**2, "dklen": 32}  # 64 MB and half a second


def seal(content: bytes, passphrase: str, *, about: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 50 ms that most starts do not need

    check_passphrase(passphrase)
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return _MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, content, about)


def unseal(sealed: bytes, passphrase: str, *, about: bytes) -> bytes:
    """
    Raises:
        InputError: the passphrase is wrong, or it is not what was sealed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed.startswith(_MAGIC):
        raise InputError("backup", "The sealed part of the backup is damaged.", code="backup_damaged")
    rest = sealed[len(_MAGIC) :]
    salt, nonce, hidden = rest[:_SALT], rest[_SALT : _SALT + _NONCE], rest[_SALT + _NONCE :]
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, hidden, about)
    except (InvalidTag, ValueError) as exc:
        message = "This is not the passphrase of this backup, or the backup was changed."
        raise InputError("passphrase", message, code="backup_passphrase") from exc


def _key(passphrase: str, salt: bytes) -> bytes:
    phrase = passphrase[:LONGEST_PASSPHRASE].encode("utf-8", "surrogatepass")
    return hashlib.scrypt(phrase, salt=salt, **_COST)
