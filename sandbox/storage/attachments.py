"""Uploaded files: how they are kept, described and addressed. Addresses are signed and expire, as on Discord's CDN."""

from __future__ import annotations

import hashlib
import hmac
import io
import mimetypes
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from PIL import Image

from sandbox.clock import Clock
from sandbox.storage.database import Storage

Json = dict[str, Any]
LIFETIME_S = 24 * 60 * 60
GRACE_S = 60.0
"""How long a discarded file can still be fetched: a client may be about to show the message as it was."""
_WITH_EXTENSION = re.compile(r"(.*)\.([A-Za-z0-9]{1,16})", re.DOTALL)
_ADDRESS = re.compile(r"/(?:ephemeral-)?attachments/(\d+)/(\d+)/([^/?]+)")


@dataclass(frozen=True)
class Upload:
    """A file as it arrived, before it belongs to anything."""

    filename: str
    content_type: str
    data: bytes


class Attachment(msgspec.Struct, omit_defaults=True):
    """A kept file."""

    id: int
    channel_id: int
    filename: str
    content_type: str
    size: int
    width: int | None = None
    height: int | None = None
    description: str | None = None
    ephemeral: bool = False


class Files:
    """Keeps uploads and makes their addresses."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._discarded: list[tuple[float, Path]] = []
        self.origin = ""  # set once the server knows its port

    def keep(
        self,
        upload: Upload,
        attachment_id: int,
        channel_id: int,
        *,
        description: str | None = None,
        ephemeral: bool = False,
        filename: str | None = None,
    ) -> Attachment:
        name = safe_filename(filename or upload.filename)
        width, height = _picture_size(upload.data)
        kept = Attachment(
            attachment_id,
            channel_id,
            name,
            _content_type(name, upload.content_type),
            len(upload.data),
            width,
            height,
            description,
            ephemeral,
        )
        path = self._path(channel_id, attachment_id, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(upload.data)
        return kept

    def copy(self, attachment: Attachment, attachment_id: int, channel_id: int) -> Attachment:
        """Keep a file once more, for another message."""
        data = self._path(attachment.channel_id, attachment.id, attachment.filename).read_bytes()
        upload = Upload(attachment.filename, attachment.content_type, data)
        return self.keep(upload, attachment_id, channel_id, description=attachment.description)

    def discard(self, attachment: Attachment) -> None:
        """Let go of a file that no message shows any more; it is removed after a while, or by `close`."""
        now = self._clock.now()
        self._discarded.append((now, self._path(attachment.channel_id, attachment.id, attachment.filename)))
        self._remove([path for since, path in self._discarded if now - since >= GRACE_S])
        self._discarded = [(since, path) for since, path in self._discarded if now - since < GRACE_S]

    def close(self) -> None:
        """Remove what was discarded."""
        self._remove([path for _, path in self._discarded])
        self._discarded.clear()

    def find(self, channel_id: int, attachment_id: int, filename: str) -> Path | None:
        """Return where a file lies, or None where there is none of that name."""
        if filename != safe_filename(filename):
            return None
        path = self._path(channel_id, attachment_id, filename)
        return path if path.is_file() else None

    def url(self, attachment: Attachment) -> str:
        kind = "ephemeral-attachments" if attachment.ephemeral else "attachments"
        path = f"/{kind}/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
        issued = int(self._clock.now())
        issued -= issued % 3600  # one address per hour, so that a browser's cache works
        expires = issued + LIFETIME_S
        return f"{self.origin}{path}?ex={expires:x}&is={issued:x}&hm={self._signature(path, expires, issued)}"

    def is_valid(self, path: str, expires: str, issued: str, signature: str) -> bool:
        """Say whether an address was given out here and has not expired."""
        try:
            ends, began = int(expires, 16), int(issued, 16)
        except ValueError:
            return False
        genuine = hmac.compare_digest(signature.encode(), self._signature(path, ends, began).encode())
        return genuine and self._clock.now() < ends

    def json(self, attachment: Attachment) -> Json:
        """Return Discord's attachment object."""
        body: Json = {
            "id": str(attachment.id),
            "filename": attachment.filename,
            "size": attachment.size,
            "content_type": attachment.content_type,
            **self.media_json(attachment, reference=False),
        }
        if attachment.description is not None:
            body["description"] = attachment.description
        if attachment.ephemeral:
            body["ephemeral"] = True
        return body

    def media_json(self, attachment: Attachment, *, reference: bool = True) -> Json:
        """Return what a media component or an embed's picture says about a file."""
        url = self.url(attachment)
        body: Json = {"url": url, "proxy_url": url}
        if attachment.width is not None:
            body |= {"width": attachment.width, "height": attachment.height}
        if reference:
            body |= {
                "id": str(attachment.id),
                "attachment_id": str(attachment.id),
                "content_type": attachment.content_type,
            }
        return body

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
            if path.parent.exists() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def _path(self, channel_id: int, attachment_id: int, filename: str) -> Path:
        return self._storage.files / str(channel_id) / str(attachment_id) / filename

    def _signature(self, path: str, expires: int, issued: int) -> str:
        text = f"{path}?{expires}&{issued}"
        return hmac.new(self._storage.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def safe_filename(name: str) -> str:
    """Return the name that Discord gives an upload: blanks become underscores, other unusual characters go.

    Of a name that has only those, the extension is left.
    """
    named = _WITH_EXTENSION.fullmatch(name)
    stem, extension = (named[1], f".{named[2]}") if named else (name, "")
    kept = re.sub(r"[^A-Za-z0-9._-]", "", stem.replace(" ", "_")).strip(".")
    return (kept[: 150 - len(extension)] or "unknown") + extension


def attachment_id_in(url: str) -> int | None:
    """Return the id of the file that an address names, or None."""
    found = _ADDRESS.fullmatch(urlsplit(url).path)
    return int(found[2]) if found else None


def _content_type(filename: str, announced: str) -> str:
    # Libraries send every part as application/octet-stream; Discord goes by the name.
    return mimetypes.guess_type(filename)[0] or announced or "application/octet-stream"


def _picture_size(data: bytes) -> tuple[int | None, int | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # only the header is read
            with Image.open(io.BytesIO(data)) as picture:
                return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, None
