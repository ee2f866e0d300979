"""The certificate by which pictures are signed, and its key: the operator's own, or one that Easel makes for itself.

Nothing of C2PA's is known here but what it asks of a certificate:
<https://spec.c2pa.org/specifications/specifications/2.2/specs/C2PA_Specification.html#_certificate_profile>.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import OperatorError
from bot.settings import Settings
from inference.protocol import fsync_folder

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

FILE = "credentials.pem"
"""In the data folder: the key, the certificate, and those of the authority that issued it, in this order."""

log = logging.getLogger(__name__)

RENEWED = timedelta(days=365)
"""So long before its end: whatever is signed can be verified for as long at least."""

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a picture is signed by. The files are read where it is done, not before."""

    chain: Path
    """PEM: its own certificate first, then those up to the authority."""
    key: Path
    """PEM: the first private key in it."""
    algorithm: str
    """In C2PA's words."""
    subject: str
    issuer: str
    ends: datetime
    is_own: bool
    """Whether it is the operator's, and not made by Easel."""


def of(read: Settings) -> Certificate | None:
    """By what the operator wants pictures to be signed, made where that is due; None for nothing. Raises
    OperatorError."""
    if not read.easel_c2pa:
        return None
    if read.easel_c2pa_cert is not None and read.easel_c2pa_key is not None:
        return own(read.easel_c2pa_cert, read.easel_c2pa_key)
    return made(read.easel_data)


def look(read: Settings) -> Certificate | None:
    """The same, as it is there before a start; None where that makes one. Raises OperatorError."""
    if read.easel_c2pa_cert is not None and read.easel_c2pa_key is not None:
        return own(read.easel_c2pa_cert, read.easel_c2pa_key)
    file = read.easel_data / FILE
    return _read(file, file, str(file), str(file), is_own=False) if file.exists() else None


def own(chain: Path, key: Path, now: datetime | None = None) -> Certificate:
    """The operator's certificate. Raises OperatorError, in one line, where the two cannot sign."""
    certificate = _read(chain, key, f"EASEL_C2PA_CERT={chain}", f"EASEL_C2PA_KEY={key}", is_own=True)
    if certificate.ends <= (now or datetime.now(UTC)):
        raise OperatorError(
            f"EASEL_C2PA_CERT={chain} ran out on {certificate.ends:%Y-%m-%d}: renew it, or leave it out"
        )
    return certificate


def made(data: Path, now: datetime | None = None) -> Certificate:
    """The certificate that Easel made in this data folder: there is one now, and it is renewed where that is due.

    It may be asked for by several at once, and be killed at any moment: all get the same one. Raises OperatorError
    where it cannot be kept, or is no certificate.
    """
    # Imported here: only a first start and a renewal need it.
    from bot.credentials import issuing

    now = now or datetime.now(UTC)
    file = data / FILE
    try:
        with _alone(data):
            if not file.exists():
                _publish(file, issuing.first(now))
            elif (found := _read(file, file, str(file), str(file), is_own=False)).ends - RENEWED <= now:
                try:
                    renewed = issuing.next_of(file.read_bytes(), now)
                except ValueError:
                    renewed = issuing.first(now)
                _publish(file, renewed)
                log.info("the certificate %s, until %s, is renewed", file, f"{found.ends:%Y-%m-%d}")
        return _read(file, file, str(file), str(file), is_own=False)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OperatorError(f"cannot keep the certificate {file}: {reason}; or set EASEL_C2PA=off") from error


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Be the only one that writes there a certificate. Raises OSError."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        # The lock goes with the descriptor, also where the process is killed.
        os.close(folder)


def _publish(file: Path, pem: bytes) -> None:
    """Let the file be this as a whole, for its owner's eyes alone. Raises OSError."""
    begun = file.with_name(f"{FILE}.part")
    # One of somebody who was killed.
    begun.unlink(missing_ok=True)
    with open(begun, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(pem)
        opened.flush()
        os.fsync(opened.fileno())
    begun.replace(file)
    fsync_folder(file.parent)


def _read(chain: Path, key: Path, of_chain: str, of_key: str, *, is_own: bool) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    texts = []
    for name, file in ((of_chain, chain), (of_key, key)):
        try:
            texts.append(file.read_bytes())
        except OSError as error:
            raise OperatorError(f"{name} cannot be read: {error.strerror}") from error
    try:
        secret = load_pem_private_key(texts[1], password=None)
    except (ValueError, TypeError) as error:
        raise OperatorError(f"{of_key} holds no private key as PEM without a password") from error
    try:
        certificate = x509.load_pem_x509_certificates(texts[0])[0]
    except ValueError as error:
        raise OperatorError(f"{of_chain} holds no certificate as PEM") from error
    if certificate.public_key() != secret.public_key():
        raise OperatorError(f"{of_key} is not the key of {of_chain}")
    return Certificate(
        chain=chain,
        key=key,
        algorithm=_algorithm(secret, of_key),
        subject=_named(certificate.subject),
        issuer=_named(certificate.issuer),
        ends=certificate.not_valid_after_utc,
        is_own=is_own,
    )


def _algorithm(key: PrivateKeyTypes, named: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in CURVES:
            return CURVES[key.curve.name]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
        case _:
            raise OperatorError(f"{named} is of a kind that C2PA does not sign with")


def _named(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID

    said = [*name.get_attributes_for_oid(NameOID.COMMON_NAME), *name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return str(said[0].value) if said else name.rfc4514_string()


def pem(certificate: Certificate) -> tuple[bytes, bytes]:
    """The chain, its own first, and the private key. Raises OSError."""
    chain, key = certificate.chain.read_bytes(), certificate.key.read_bytes()
    return b"".join(_blocks(chain, b"CERTIFICATE")), next(_blocks(key, b"PRIVATE KEY"))


def _blocks(text: bytes, what: bytes) -> Iterator[bytes]:
    """The blocks of this kind in a file of PEM."""
    for found in re.finditer(rb"-----BEGIN ([A-Z ]*)-----.*?-----END \1-----\n?", text, re.DOTALL):
        if found[1].endswith(what):
            yield found[0] if found[0].endswith(b"\n") else found[0] + b"\n"
