"""The certificate that the settings name, and signatures that anybody can verify with it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from app.failures import SettingError
from app.opendsr.signing import Processor, processor_of
from app.settings import Settings
from tests.certificates import certificate, elliptic_key, files, rsa_key

DOMAIN = "lethe.example.com"
RSA = rsa_key()


def settings_with(**values: object) -> Settings:
    return Settings(environment="development", _env_file=None, **values)  # type: ignore[call-arg, arg-type]


def verify(pem: str, signature: bytes, body: bytes) -> None:
    public = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, body, padding.PKCS1v15(), SHA256())
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, body, ec.ECDSA(SHA256()))


@pytest.mark.parametrize("key", [RSA, elliptic_key()], ids=["rsa", "elliptic curve"])
def test_a_body_verifies_with_the_certificate_and_another_body_does_not(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    pem = certificate(key, DOMAIN)
    processor = processor_of(settings_with(**files(tmp_path, pem, key)))
    assert processor is not None
    headers = processor.headers(b'{"request_status":"completed"}')
    assert headers["X-OpenDSR-Processor-Domain"] == DOMAIN
    signature = base64.b64decode(headers["X-OpenDSR-Signature"], validate=True)
    verify(processor.pem, signature, b'{"request_status":"completed"}')
    with pytest.raises(InvalidSignature):
        verify(processor.pem, signature, b'{"request_status":"pending"}')


@pytest.mark.parametrize(
    ("domains", "common", "domain"),
    [
        (("*.example.com", "a.example.com", "b.example.com"), None, "a.example.com"),
        (("a.example.com", "b.example.com"), "b.example.com", "b.example.com"),
        (("a.example.com",), "Example Ltd", "a.example.com"),
    ],
)
def test_the_domain_is_one_that_the_certificate_is_for(
    domains: tuple[str, ...], common: str | None, domain: str
) -> None:
    assert Processor(certificate(RSA, *domains, common=common), RSA).domain == domain


def test_without_a_certificate_there_is_no_processor() -> None:
    assert processor_of(settings_with()) is None
    assert processor_of(settings_with(opendsr_certificate=" ", opendsr_key="")) is None
    with pytest.raises(ValueError, match="set together"):
        settings_with(opendsr_key="key.pem")


@pytest.mark.parametrize(
    ("domains", "key", "said"),
    [
        ((DOMAIN,), elliptic_key(), "LETHE_OPENDSR_CERTIFICATE: the key is not that of the certificate"),
        ((), RSA, "LETHE_OPENDSR_CERTIFICATE: it names no domain"),
        (("*.example.com",), RSA, "LETHE_OPENDSR_CERTIFICATE: it names no domain .* without a wildcard"),
        ((DOMAIN,), rsa_key(1024), "LETHE_OPENDSR_KEY: an RSA key has at least 2048 bits"),
        ((DOMAIN,), ed25519.Ed25519PrivateKey.generate(), "LETHE_OPENDSR_KEY: use an RSA key"),
    ],
)
def test_a_certificate_that_cannot_sign_is_refused_at_the_start(
    domains: tuple[str, ...], key: rsa.RSAPrivateKey, said: str, tmp_path: Path
) -> None:
    named = files(tmp_path, certificate(RSA, *domains), key)
    with pytest.raises(SettingError, match=said):
        processor_of(settings_with(**named))


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("opendsr_key", None, "LETHE_OPENDSR_KEY: cannot read .*: No such file"),
        ("opendsr_key", "no key", "LETHE_OPENDSR_KEY: no private key in PEM without a password"),
        (
            "opendsr_certificate",
            "Zertifikatshülle",
            "LETHE_OPENDSR_CERTIFICATE: cannot read .*: it is no PEM",
        ),
        ("opendsr_certificate", "none", "LETHE_OPENDSR_CERTIFICATE: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named(field: str, text: str | None, said: str, tmp_path: Path) -> None:
    named = files(tmp_path, certificate(RSA, DOMAIN), RSA)
    named[field].unlink()
    if text is not None:
        named[field].write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=said):
        processor_of(settings_with(**named))
