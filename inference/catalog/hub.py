"""What an entry needs of its repository of the hub, and how that comes into the ordinary Hugging Face cache.

Which files lie there, and where they come from, the hub's own library says; it makes the cache's folders and links too.
It throws away what came of a file where a download breaks off, and compares no hashes: bytes come by `downloading`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from inference.catalog import downloading, hashes, headers, layouts
from inference.catalog.downloading import Passing, Source
from inference.catalog.entries import FolderEntry, ModelEntry, PipelineEntry
from inference.catalog.fields import INDEX
from inference.errors import WeightsError

COMMIT = re.compile("[0-9a-f]{40}")
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""What a blob of the cache is called by: of git, or SHA-256."""
HEAVY = (*headers.PICKLES, headers.SAFETENSORS, ".gguf", ".h5", ".msgpack", ".onnx", ".onnx_data", ".pb", ".ot")
"""How names of weights end, in whatever format."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Remote:
    """One file, as the hub describes it."""

    size: int
    digest: str | None


@dataclass(frozen=True)
class Order:
    """What of an entry is still to come."""

    entry: FolderEntry
    folder: Path
    """Where all of it will lie."""
    missing: Mapping[str, Remote]
    """The weights last: when those are there, so is all else."""

    @property
    def size(self) -> int:
        """How many bytes that are, without those that came before a download broke off."""
        blobs = self.folder.parents[1] / "blobs"
        parts = {file.digest: blobs / f"{file.digest}.part" for file in self.missing.values()}
        came = sum(part.stat().st_size for part in parts.values() if part.is_file())
        return max(0, sum(file.size for file in self.missing.values()) - came)


def order(entry: FolderEntry, patterns: Iterable[str]) -> Order:
    """What is still to come of an entry's files: of a pipeline what painting needs, of one file that, else what fits
    one of these patterns.

    Raises WeightsError where the hub does not say, or has not what is needed. What is small of a pipeline comes now,
    for it says which weights are meant. Nothing is asked where a pinned commit is here, whole and right.
    """
    revision, repo = entry.revision or "main", str(entry.repo)
    if COMMIT.fullmatch(revision) and is_right(folder := _folder(repo, revision), entry):
        return Order(entry, folder, {})
    files, commit = _listed(entry)
    folder = _folder(repo, commit)
    match entry:
        case ModelEntry(file=str(name)):
            names: Collection[str] = [name]
        case PipelineEntry():
            names = _of_pipeline(entry, folder, files)
        case _:
            names = [name for name in files if any(fnmatchcase(name, pattern) for pattern in patterns)]
    for name in names:
        if name not in files:
            raise WeightsError(f"{repo} has no {name}{_instead(name, files)}")
    missing = {name: files[name] for name in names if not _is_here(folder / name, files[name])}
    return Order(entry, folder, dict(sorted(missing.items(), key=lambda one: one[0].endswith(HEAVY))))


def bring(ordered: Order) -> Path:
    """Fetch what is missing, and return where all of it lies. Raises WeightsError, in one line."""
    for name, remote in ordered.missing.items():
        _bring(ordered.entry, ordered.folder.name, name, remote)
    return ordered.folder


def cache() -> Path:
    """The folder of the Hugging Face cache."""
    # Imported here because it reads once, when imported, whether it may use the network.
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def is_right(folder: Path, entry: FolderEntry) -> bool:
    """Whether this commit of an entry's repository is here, whole, and its bytes are those that the hub named."""
    if not folder.is_dir():
        return False
    try:
        if isinstance(entry, ModelEntry) and entry.file is not None:
            headers.check(folder / entry.file, called=entry.file)
        else:
            layouts.check(folder, entry)
    except WeightsError:
        return False
    known = {file: digest for file in folder.rglob("*") if file.is_file() and (digest := digest_of(file))}
    return all(hashes.of_kind(file, digest) == digest for file, digest in known.items())


def digest_of(file: Path) -> str | None:
    """What the digest of a file in the cache should be: its blob is called by it. None for any other file."""
    blob = file.resolve()
    return blob.name if blob.parent.name == "blobs" and DIGEST.fullmatch(blob.name) else None


def unfinished(entry: FolderEntry) -> Path | None:
    """What came of a file of an entry's repository whose download broke off."""
    return next(iter(sorted(_folder(str(entry.repo), "").parent.glob("blobs/*.part"))), None)


def _folder(repo: str, commit: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache() / repo_folder_name(repo_id=repo, repo_type="model") / "snapshots" / commit


def _listed(entry: FolderEntry) -> tuple[dict[str, Remote], str]:
    """Every file of its repository, and the commit at which its revision is."""
    from huggingface_hub import HfApi

    info = _asked(entry, lambda: HfApi().model_info(str(entry.repo), revision=entry.revision, files_metadata=True))
    files = {
        file.rfilename: Remote(file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id)
        for file in info.siblings or []
        # A name that leads out of the cache is somebody's trick.
        if not {"", ".", ".."} & set(file.rfilename.split("/")) and "\\" not in file.rfilename
    }
    return files, str(info.sha)


def _of_pipeline(entry: PipelineEntry, folder: Path, files: Mapping[str, Remote]) -> list[str]:
    """The files that painting needs: all that is small of its components, and the weights that `layouts` reads."""
    if INDEX not in files:
        raise WeightsError(f"{entry.repo} has no {INDEX}: it is no model in the layout of diffusers")
    _bring_unless_here(entry, folder, INDEX, files)
    small = [INDEX]
    for component in layouts.components(folder):
        inside = [name for name in files if name.startswith(f"{component}/") and not name.endswith(HEAVY)]
        # Beside weights lie licences, pictures and whatever else.
        has_weights = f"{component}/config.json" in files
        small += [name for name in inside if not has_weights or name.endswith(".json")]
    for name in small:
        _bring_unless_here(entry, folder, name, files)
    there = {folder / name for name in files}
    parts = layouts.component_files(folder, entry.variant, there=there.__contains__)
    return [*small, *(file.relative_to(folder).as_posix() for part in parts.values() for file in part)]


def _instead(name: str, files: Collection[str]) -> str:
    stem = name.removesuffix(headers.SAFETENSORS)
    beside = [other for other in sorted(files) if other.startswith(stem) and other.endswith(headers.SAFETENSORS)]
    return f", but {' and '.join(beside[:3])}: write variant into models.toml" if beside else ""


def _is_here(file: Path, remote: Remote) -> bool:
    """Whether a file lies in the cache and is what the hub has; what is not goes."""
    if not file.is_file():
        return False
    digest = remote.digest if remote.digest and DIGEST.fullmatch(remote.digest) else None
    if file.stat().st_size == remote.size and (digest is None or hashes.of_kind(file, digest) == digest):
        return True
    file.resolve().unlink()
    file.unlink(missing_ok=True)
    return False


def _bring_unless_here(entry: FolderEntry, folder: Path, name: str, files: Mapping[str, Remote]) -> None:
    if not _is_here(folder / name, files[name]):
        _bring(entry, folder.name, name, files[name])


def _bring(entry: FolderEntry, commit: str, name: str, remote: Remote) -> None:
    """Let one file of a commit lie in the cache."""
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url

    repo = str(entry.repo)
    url = hf_hub_url(repo, name, revision=commit)
    found = _asked(entry, lambda: get_hf_file_metadata(url, token=None))
    # What is larger comes by the library's own way alone.
    if re.fullmatch(r"[\w-]+", found.etag or "") and remote.size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
        token = get_token() if urlsplit(found.location).netloc == urlsplit(url).netloc else None
        said = {} if token is None else {"Authorization": f"Bearer {token}"}
        digest = found.etag if DIGEST.fullmatch(str(found.etag)) else None
        source = Source(
            url=found.location,
            size=found.size,
            digest=digest,
            headers=said,
            named_by="the hub",
            # What it leads to is signed for an hour or so.
            renewed=lambda: _asked(entry, lambda: get_hf_file_metadata(url, token=None)).location,
        )
        blob = _folder(repo, commit).parents[1] / "blobs" / str(found.etag)
        if not blob.exists():
            downloading.download(source, blob, called="", shown=name)
    _asked(entry, lambda: hf_hub_download(repo, name, revision=entry.revision))


def _asked(entry: FolderEntry, ask: Callable[[], Answer]) -> Answer:
    """What the hub's library answers, which is asked again where that may help."""
    from huggingface_hub.errors import HfHubHTTPError

    answers: list[Answer] = []

    def attempt() -> None:
        try:
            answers.append(ask())
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in downloading.PASSING or status >= 500:
                raise Passing(str(error)) from error
            raise

    try:
        downloading.patiently(attempt, lambda: 0)
    except Exception as error:  # of the hub's client, of what it speaks HTTP with, of the disk
        # Where the hub does not answer, the library looks into the cache instead and raises what it found out last.
        cause = error.__cause__ or error
        said = " ".join(str(cause).split()) or type(cause).__name__
        raise WeightsError(f"{entry.repo} cannot be fetched: {said}") from error
    return answers[0]
