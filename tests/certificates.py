"""X.509 certificates for OpenDSR, made for one test and trusted by nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def elliptic_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *domains: str, common: str | None = None
) -> str:
    """A self-signed certificate in PEM. Its common name is the first domain unless said otherwise."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common or (*domains, "nobody")[0])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if domains:
        names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def files(folder: Path, pem: str, key: PrivateKey) -> dict[str, Path]:
    """The settings that name this certificate and this key, in files of this folder."""
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    found = {"opendsr_certificate": folder / "certificate.pem", "opendsr_key": folder / "key.pem"}
    found["opendsr_certificate"].write_text(pem)
    found["opendsr_key"].write_bytes(secret)
    return found
