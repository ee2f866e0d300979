"""A small authority of Easel's own, and the certificates that it issues, as C2PA wants them: nobody may sign with a
certificate that he issued to himself.

Files of PEM: the key and the certificate that sign, then the authority's certificate and its key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

LASTS = timedelta(days=5 * 365)

AUTHORITY_LASTS = timedelta(days=30 * 365)
"""Who trusts it trusts every certificate that it issues later."""

EARLIER = timedelta(days=1)
"""So long before now it holds already: clocks differ."""

CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""C2PA's own purpose. Readers of before know document signing instead, which is said beside it."""

DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""https://www.rfc-editor.org/rfc/rfc9336"""

_BEGIN = b"-----BEGIN "


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ed25519.Ed25519PrivateKey


def first(now: datetime) -> bytes:
    """An authority, and a certificate that it issued."""
    key = ed25519.Ed25519PrivateKey.generate()
    # Of two that are called alike a reader could take the wrong one.
    number = x509.random_serial_number()
    name = _name(f"Easel authority {number:x}"[:24])
    builder = _builder(name, name, key.public_key(), key.public_key(), now, now + AUTHORITY_LASTS, number)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return _issued(_Authority(builder.sign(key, None), key), now)


def next_of(pem: bytes, now: datetime) -> bytes:
    """The same authority, and a new certificate. Raises ValueError where that is no file of such a one, or where the
    authority itself runs out before."""
    blocks = [_BEGIN + block for block in pem.split(_BEGIN)[1:]]
    key = load_pem_private_key(blocks[-1], password=None)
    authority = x509.load_pem_x509_certificate(blocks[-2])
    if not isinstance(key, ed25519.Ed25519PrivateKey) or authority.public_key() != key.public_key():
        raise ValueError("it has no authority's key")
    if authority.not_valid_after_utc < now + LASTS:
        raise ValueError("its authority runs out")
    return _issued(_Authority(authority, key), now)


def _issued(authority: _Authority, now: datetime) -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    issuer = authority.certificate
    builder = _builder(_name("Easel"), issuer.subject, key.public_key(), authority.key.public_key(), now, now + LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    purposes = x509.ExtendedKeyUsage([CLAIM_SIGNING, DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    certificate = builder.add_extension(purposes, critical=False).sign(authority.key, None)
    return b"".join(
        (_pem(key), *(each.public_bytes(Encoding.PEM) for each in (certificate, issuer)), _pem(authority.key))
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ed25519.Ed25519PublicKey,
    issuers: ed25519.Ed25519PublicKey,
    now: datetime,
    ends: datetime,
    number: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(number or x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers), critical=False)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    ciphers = ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    every = (*ciphers, "digital_signature", "content_commitment", "key_cert_sign", "crl_sign")
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in every})


def _name(common: str) -> x509.Name:
    said = {NameOID.ORGANIZATION_NAME: "Easel", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in said.items()])


def _pem(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
