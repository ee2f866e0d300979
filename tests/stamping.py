"""A time stamp authority on this machine, as RFC 3161 has it, and others that fail in their ways."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Manner = Literal["sound", "unfit", "refuses", "babbles", "says nothing"]

SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"
SHA256, ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
POLICY = "1.3.6.1.4.1.62558.99.1"

INTEGER, OCTETS, SEQUENCE, SET, TIME = 0x02, 0x04, 0x30, 0x31, 0x18


class Stamper:
    """The address of an authority, and how often it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0


@contextmanager
def authority(manner: Manner = "sound") -> Iterator[Stamper]:
    """One that answers as long as this lasts, in this manner."""
    certificate, key = _certificate(fit=manner != "unfit")
    ended = threading.Event()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stamper.asked += 1
            request = self.rfile.read(int(self.headers["Content-Length"]))
            if manner == "says nothing":
                ended.wait()
            self.send_response(500 if manner == "refuses" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            if manner != "says nothing":
                self.wfile.write(
                    _stamped(request, certificate, key) if manner in ("sound", "unfit") else b"no time at all"
                )

        def do_GET(self) -> None:
            stamper.asked += 1
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        stamper = Stamper(f"http://127.0.0.1:{server.server_port}/stamp")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield stamper
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def _stamped(request: bytes, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A TimeStampResp to a TimeStampReq."""
    [[_, body]] = _read(request)
    imprint, *others = list(_read(body))[1:]
    info = [_integer(1), _oid(POLICY), _der(*imprint), _integer(7), _der(TIME, f"{datetime.now(UTC):%Y%m%d%H%M%SZ}")]
    info += [_der(tag, nonce) for tag, nonce in others if tag == INTEGER]
    stamp = _der(SEQUENCE, *info)
    issued = _der(SEQUENCE, certificate.issuer.public_bytes(), _integer(certificate.serial_number))
    own = _der(OCTETS, hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())
    attributes = {
        CONTENT_TYPE: _oid(TST_INFO),
        MESSAGE_DIGEST: _der(OCTETS, hashlib.sha256(stamp).digest()),
        SIGNING_CERTIFICATE: _der(SEQUENCE, _der(SEQUENCE, _der(SEQUENCE, own))),
    }
    said = sorted(_der(SEQUENCE, _oid(name), _der(SET, value)) for name, value in attributes.items())
    signature = key.sign(_der(SET, *said), ec.ECDSA(hashes.SHA256()))
    signer = _der(
        SEQUENCE,
        _integer(1),
        issued,
        _der(SEQUENCE, _oid(SHA256)),
        _der(0xA0, *said),
        _der(SEQUENCE, _oid(ECDSA_SHA256)),
        _der(OCTETS, signature),
    )
    signed = _der(
        SEQUENCE,
        _integer(3),
        _der(SET, _der(SEQUENCE, _oid(SHA256))),
        _der(SEQUENCE, _oid(TST_INFO), _der(0xA0, _der(OCTETS, stamp))),
        _der(0xA0, certificate.public_bytes(Encoding.DER)),
        _der(SET, signer),
    )
    token = _der(SEQUENCE, _oid(SIGNED_DATA), _der(0xA0, signed))
    return _der(SEQUENCE, _der(SEQUENCE, _integer(0)), token)


def _certificate(*, fit: bool) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    said = {NameOID.ORGANIZATION_NAME: "Test", NameOID.COMMON_NAME: "Test stamper"}
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in said.items()])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(5).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(9))
    ciphers = dict.fromkeys(("key_encipherment", "data_encipherment", "key_agreement"), False)
    others = dict.fromkeys(("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=True, content_commitment=False, **ciphers, **others)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True).add_extension(usage, True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(issuer, critical=False) if fit else builder
    stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return builder.add_extension(stamping, critical=True).sign(key, hashes.SHA256()), key


def _der(tag: int, *parts: bytes | str) -> bytes:
    content = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    if len(content) < 128:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(length))) + length + content


def _integer(value: int) -> bytes:
    return _der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        groups = [number & 127]
        while number := number >> 7:
            groups.append(128 | number & 127)
        content += bytes(reversed(groups))
    return _der(6, content)


def _read(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents, one after the other."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 128:
            start += length & 127
            length = int.from_bytes(der[2:start], "big")
        yield tag, der[start : start + length]
        der = der[start + length :]
