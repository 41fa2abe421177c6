"""Certificates that must not be believed, and what is said of each."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rolltape.capture import CaptureSettings, probe
from rolltape.capture.connect import tls_context
from rolltape.domain.errors import SourceError

DAY = timedelta(days=1)


def certificate(file: Path, host: str, begins: datetime, ends: datetime) -> None:
    """A key and a certificate, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "127.0.0.1":
        names = [x509.IPAddress(ip_address(host))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begins, ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    ("host", "begins", "ends", "is_known", "code", "sentence"),
    [
        ("127.0.0.1", -2, -1, True, "tls_expired", "has expired"),
        ("127.0.0.1", 1, 2, True, "tls_not_yet_valid", "not valid yet"),
        ("other.example", -1, 1, True, "tls_wrong_host", "for another host"),
        ("127.0.0.1", -1, 1, False, "tls_untrusted", "signed by itself"),
    ],
)
async def test_each_fault_of_a_certificate_has_its_own_sentence(
    tmp_path: Path, settings: CaptureSettings, monkeypatch: pytest.MonkeyPatch,
    host: str, begins: int, ends: int, is_known: bool, code: str, sentence: str,
) -> None:  # fmt: skip
    # F31
    file, now = tmp_path / "server.pem", datetime.now(UTC)
    certificate(file, host, now + begins * DAY, now + ends * DAY)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    tls_context.cache_clear()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(file)

    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=theirs)
    try:
        with pytest.raises(SourceError) as caught:
            await probe(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", settings)
    finally:
        server.close()
        await server.wait_closed()
        tls_context.cache_clear()

    assert caught.value.code == code
    assert sentence in caught.value.message
