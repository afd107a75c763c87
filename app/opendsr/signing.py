"""Signs OpenDSR answers and callbacks with the key of the processor's X.509 certificate.

Source: https://github.com/opengdpr/OpenDSR, specification 2.0, sections 4 and 8. The signature is RSA (PKCS #1 v1.5) or
ECDSA, of the SHA-256 digest of the body as it is sent. Receipts have another key, because OpenDSR knows certificates
only.
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.failures import SettingError
from app.settings import Settings

_LEAST_RSA_BITS = 2048
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Processor:
    """This service as OpenDSR sees it: a domain, and the certificate that was issued for it.

    Args:
        pem: the certificate, and those of its issuers after it.
        key: the private key of the certificate.

    Raises:
        ValueError: the certificate cannot be read, names no domain, or is not of this key.
    """

    def __init__(self, pem: str, key: PrivateKey) -> None:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        if certificate.public_key() != key.public_key():
            raise ValueError("the key is not that of the certificate")
        self.pem = pem
        self.domain = _domain_of(certificate)
        self._key = key

    def url(self, path: str) -> str:
        """The address of a path of this service."""
        return f"https://{self.domain}{path}"

    def headers(self, body: bytes) -> dict[str, str]:
        """The headers that vouch for this body, under their present names and those of version 1."""
        signature = base64.b64encode(self._signature(body)).decode()
        return {
            f"X-{protocol}-{name}": value
            for protocol in ("OpenDSR", "OpenGDPR")
            for name, value in (("Processor-Domain", self.domain), ("Signature", signature))
        }

    def _signature(self, body: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(body, padding.PKCS1v15(), SHA256())
        return self._key.sign(body, ec.ECDSA(SHA256()))


def processor_of(settings: Settings) -> Processor | None:
    """The processor that the settings name; None if they name no certificate.

    Raises:
        SettingError: the certificate or its key cannot be used.
    """
    if settings.opendsr_certificate is None or settings.opendsr_key is None:
        return None
    pem = _text("LETHE_OPENDSR_CERTIFICATE", settings.opendsr_certificate)
    secret = _text("LETHE_OPENDSR_KEY", settings.opendsr_key)
    try:
        key = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError) as error:
        # The library's message may describe the key.
        raise SettingError("LETHE_OPENDSR_KEY: no private key in PEM without a password") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise SettingError(f"LETHE_OPENDSR_KEY: an RSA key has at least {_LEAST_RSA_BITS} bits")
    if not isinstance(key, PrivateKey):
        raise SettingError("LETHE_OPENDSR_KEY: use an RSA key, or one of an elliptic curve (ECDSA)")
    try:
        return Processor(pem, key)
    except ValueError as error:
        raise SettingError(f"LETHE_OPENDSR_CERTIFICATE: {error}") from error


def _text(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM"
        raise SettingError(f"{name}: cannot read {file}: {reason}") from error


def _domain_of(certificate: x509.Certificate) -> str:
    """The name that receivers compare with: the common name if it is a domain, and the first alternative otherwise."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound as error:
        raise ValueError("it names no domain (subject alternative name)") from error
    domains = [name for name in extension.value.get_values_for_type(x509.DNSName) if "*" not in name]
    if not domains:
        raise ValueError("it names no domain (subject alternative name) without a wildcard")
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return next((str(name.value) for name in common if name.value in domains), domains[0])
