"""Private keys: files in the folder of keys, readable by us alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from rolltape.domain.errors import TargetRefused

if TYPE_CHECKING:
    from paramiko import PKey


def load_key(folder: Path, name: str) -> "PKey":
    """The private key in the file `name`, counted from `folder`; OpenSSH's format, PKCS#1, PKCS#8.

    Raises:
        TargetRefused: there is none, it cannot be read, or it has a passphrase.
    """
    path = folder / name
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise TargetRefused(
            f"{path}: there is no such key file; put the private key there", code="key_missing"
        ) from exc
    except OSError as exc:
        raise TargetRefused(f"{path}: the key file cannot be read: {exc.strerror}", code="key_unreadable") from exc

    return _certified(_paramiko_key(_openssh_format(content, path), path), path)


def _openssh_format(content: bytes, path: Path) -> str:
    """The same key as OpenSSH writes it today: Paramiko knows no PKCS#8, and one format means one set of errors."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    try:
        try:
            key = form.load_ssh_private_key(content, None)
        except ValueError:
            key = form.load_pem_private_key(content, None)  # type: ignore[assignment]
        text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    except TypeError as exc:
        raise TargetRefused(
            f"{path}: the key has a passphrase; give Rolltape a key of its own without one (ssh-keygen -t ed25519)",
            code="key_encrypted",
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise TargetRefused(
            f"{path}: this is no private key that can be read{_hint(content)}", code="key_unreadable"
        ) from exc

    return text.decode()


def _hint(content: bytes) -> str:
    if content.startswith((b"ssh-", b"ecdsa-")):
        return "; it is the public half, the private one has the same name without .pub"
    if content.startswith(b"PuTTY-User-Key-File"):
        return "; PuTTY's format has to be exported as an OpenSSH key first"
    return ""


def _paramiko_key(text: str, path: Path) -> "PKey":
    from io import StringIO

    from paramiko import ECDSAKey, Ed25519Key, RSAKey, SSHException

    for kind in (Ed25519Key, ECDSAKey, RSAKey):
        try:
            return kind.from_private_key(StringIO(text))
        except (SSHException, ValueError, TypeError, IndexError):
            continue
    raise TargetRefused(
        f"{path}: keys of this kind are not supported; use ed25519, ECDSA or RSA", code="key_unreadable"
    )


def _certified(key: "PKey", path: Path) -> "PKey":
    """With the certificate that lies beside it as `NAME-cert.pub`, if there is one."""
    from paramiko import SSHException

    certificate = path.with_name(f"{path.name}-cert.pub")
    if certificate.exists():
        try:
            key.load_certificate(str(certificate))
        except (SSHException, ValueError, OSError) as exc:
            raise TargetRefused(f"{certificate}: the certificate cannot be read", code="key_unreadable") from exc

    return key
