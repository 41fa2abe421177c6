"""Key files: what is read, and what is said of those that cannot be."""

from pathlib import Path

import pytest

from rolltape.domain.errors import TargetRefused
from rolltape.transfer.keys import load_key
from tests.servers.sshd import make_key, sshd
from tests.transfer.conftest import ssh_site

FORMATS = {
    "ed25519": ("ed25519",),
    "ecdsa": ("ecdsa", "-b", "384"),
    "rsa": ("rsa", "-b", "2048"),
    "rsa as PKCS#1": ("rsa", "-b", "2048", "-m", "PEM"),
    "rsa as PKCS#8": ("rsa", "-b", "2048", "-m", "PKCS8"),
    "ecdsa as PKCS#8": ("ecdsa", "-m", "PKCS8"),
}


@pytest.mark.parametrize("kind", FORMATS)
async def test_every_usual_kind_of_key_logs_in(tmp_path: Path, kind: str):
    with sshd(tmp_path / "sshd") as server:
        key = make_key(tmp_path / "key", *FORMATS[kind])
        (server.folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())

        trial = await ssh_site(server, tmp_path / "there", key_file=str(key)).test()

        assert trial.ok, trial.message


async def test_pkcs8_of_ed25519_as_openssl_writes_it(tmp_path: Path):
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "key").write_bytes(pem)

    assert load_key(tmp_path, "key").get_name() == "ssh-ed25519"


@pytest.mark.parametrize("form", [(), ("-m", "PEM")], ids=["OpenSSH", "PEM"])
def test_a_key_with_a_passphrase_is_refused_with_a_way_out(tmp_path: Path, form: tuple[str, ...]):
    make_key(tmp_path / "key", "ecdsa", "-N", "secret", *form)

    with pytest.raises(TargetRefused) as refused:
        load_key(tmp_path, "key")

    assert refused.value.code == "key_encrypted"
    assert "without one" in refused.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "no private key"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me", "public half"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTY"),
        (bytes(range(256)), "no private key"),
    ],
)
def test_what_is_no_key_is_told_so(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(TargetRefused) as refused:
        load_key(tmp_path, "key")

    assert refused.value.code == "key_unreadable"
    assert words in refused.value.message
    assert str(tmp_path / "key") in refused.value.message


def test_a_missing_key_is_named(tmp_path: Path):
    with pytest.raises(TargetRefused) as refused:
        load_key(tmp_path, "nas/id")

    assert refused.value.code == "key_missing"
    assert str(tmp_path / "nas/id") in refused.value.message


def test_a_folder_is_no_key(tmp_path: Path):
    (tmp_path / "key").mkdir()

    with pytest.raises(TargetRefused) as refused:
        load_key(tmp_path, "key")

    assert refused.value.code == "key_unreadable"
