"""Throw-away certificates as C2PA wants them: a root, and one for signing that it vouches for."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}

DAY = datetime.timedelta(days=1)


def write(folder: Path, algorithm: str = "es256", *, days: int = 30, purposes: bool = True) -> tuple[Path, Path]:
    """A chain and its key as PEM files; the certificate runs out after so many days from now, fewer than 0 are past.
    Without `purposes` it says not that it is for signing, as C2PA wants it to."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), KEYS[algorithm]()
    root = _certificate("Test root", root_key.public_key(), root_key, authority=True)
    leaf = _certificate("Test studio", key.public_key(), root_key, days=days, purposes=purposes)
    chain_file, key_file = folder / "chain.pem", folder / "key.pem"
    chain_file.write_bytes(leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain_file, key_file


def _certificate(
    name: str,
    public: Any,
    issuer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    days: int = 30,
    purposes: bool = True,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("Test root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage),
            critical=True,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if purposes and not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(name: str) -> x509.Name:
    said = {NameOID.ORGANIZATION_NAME: "Test", NameOID.COMMON_NAME: name}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in said.items()])
