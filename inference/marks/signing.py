"""Content Credentials: a C2PA manifest, signed with the operator's certificate, in every picture that goes out.

Needs the library of the extra `c2pa`, which is imported only where a certificate is configured.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from inference.errors import SettingsError
from inference.protocol import SourceType, digital_source_type

Sign = Callable[[bytes, SourceType], bytes]
"""Returns the PNG with a manifest that says where the picture comes from. Not twice the same: it holds a new number."""

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def load(certificate: Path, key: Path) -> Sign:
    """A signer from these PEM files: the certificate with its chain, its own first, and its private key.

    Raises SettingsError, in one line, where the library is missing or the two cannot sign.
    """
    try:
        import c2pa
    except ImportError as error:
        raise SettingsError("EASEL_C2PA_CERT needs a library that is not here: pip install 'easel[c2pa]'") from error
    chain, secret = _read("EASEL_C2PA_CERT", certificate), _read("EASEL_C2PA_KEY", key)
    algorithm = _algorithm(key, secret)
    # A thumbnail of a picture inside the same picture would tell nobody anything.
    context = c2pa.Context(c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))

    def sign(png: bytes, source: SourceType) -> bytes:
        signed = io.BytesIO()
        with c2pa.Builder(_manifest(source), context) as builder:
            builder.sign(signer, "image/png", io.BytesIO(png), signed)
        return signed.getvalue()

    try:
        # No time authority: Easel reaches out to nobody.
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, secret, None))
        # It looks at the certificate only when it signs, and at every other time it is too late to tell the operator.
        sign(_smallest_png(), "trainedAlgorithmicMedia")
    except c2pa.C2paError as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"EASEL_C2PA_CERT={certificate} and EASEL_C2PA_KEY={key} cannot sign: {reason}") from error
    return sign


def _read(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name}={file} cannot be read: {error.strerror}") from error


def _algorithm(key: Path, secret: bytes) -> str:
    """What a key of this kind signs with, in C2PA's words."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"EASEL_C2PA_KEY={key} holds no private key as PEM without a password") from error
    match loaded:
        case ec.EllipticCurvePrivateKey() if loaded.curve.name in CURVES:
            return CURVES[loaded.curve.name]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
        case _:
            raise SettingsError(f"EASEL_C2PA_KEY={key} is of a kind that C2PA does not sign with")


def _manifest(source: SourceType) -> dict[str, Any]:
    action = {"action": "c2pa.created", "digitalSourceType": digital_source_type(source)}
    return {
        "claim_generator_info": [{"name": "Easel", "version": version("easel")}],
        "format": "image/png",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def _smallest_png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, format="PNG")
    return stream.getvalue()
