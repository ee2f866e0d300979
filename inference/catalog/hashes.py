"""Which weights these are: the SHA-256 of their bytes, whatever their files are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from inference.catalog.entries import FileEntry
from inference.errors import WeightsError

THREADS = 4
"""How many files are read at once: hashing leaves Python's lock alone, and one core does about 1 GB a second."""


def check(file: Path, described: FileEntry, name: str) -> None:
    """Raise WeightsError where the file of this entry is another one than models.toml says."""
    if described.sha256 not in (None, sha256(file)):
        raise WeightsError(f"{file} is another file than sha256 in models.toml says: fetch {name} again")


def fingerprints(components: Mapping[str, Iterable[Path]]) -> dict[str, str]:
    """The fingerprint of each component's weights."""
    files = {component: list(of) for component, of in components.items()}
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="hashing") as hashing:
        list(hashing.map(sha256, [file for of in files.values() for file in of]))
    return {component: fingerprint(of) for component, of in files.items()}


def fingerprint(files: Sequence[Path]) -> str:
    """The first ten digits of the SHA-256 of one component's weights, as Stable Diffusion tools shorten it."""
    if len(files) == 1:
        return sha256(files[0])[:10]
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()[:10]


def sha256(file: Path) -> str:
    """A file's SHA-256, as 64 hex digits. Its bytes are read once in this process, and again when it has changed."""
    # Not by the name that the hub's cache gave it: whoever can write there can call any file so.
    target = file.resolve()
    stat = target.stat()
    return _sha256_of(target, stat.st_size, stat.st_mtime_ns, stat.st_ino)


def of_kind(file: Path, digest: str) -> str:
    """The digest of a file, of the kind that this one is: SHA-256, or git's, by which the hub knows small files."""
    if len(digest) == 64:
        return sha256(file)
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1024)
def _sha256_of(path: Path, _size: int, _modified_ns: int, _inode: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
