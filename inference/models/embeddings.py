"""The embeddings that one model can read, by the names that prompts call them by; loaded when a prompt names them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.catalog import hashes
from inference.catalog.entries import EmbeddingEntry
from inference.errors import UnavailableModel, WeightsError
from inference.models import vectors
from inference.models.vectors import SIGNS, Vectors

log = logging.getLogger(__name__)

_ENDS = r"(?:\.(?:safetensors|pt|bin))?"
_PREFIXED = re.compile(rf"\bembedding\s*[:：]\s*([\w.-]*\w){_ENDS}", re.IGNORECASE)
"""As ComfyUI writes one. AUTOMATIC1111 writes its name alone."""


@dataclass(frozen=True)
class Embedding:
    """One that a prompt has named."""

    name: str
    sha256: str
    """Of its file; where it came with a LoRA, of its numbers."""
    vectors: Vectors


@dataclass(frozen=True)
class Spelled:
    """Prompts in which embeddings stand as the signs of their vectors."""

    texts: tuple[str, ...]
    used: tuple[Embedding, ...]
    unknown: tuple[str, ...]
    """What was called an embedding and is none here; it is left out."""


class Embeddings:
    """Those of one model."""

    def __init__(
        self,
        entries: Mapping[str, EmbeddingEntry],
        located: Callable[[str], Path | None],
        require_fit: Callable[[Vectors], None],
        title: str,
    ) -> None:
        """`entries` are those that go with the model of this title, `located` says where one of them lies, if it does,
        and `require_fit` raises ValueError for one whose vectors the model cannot read."""
        self._entries = entries
        self._located = located
        self._require_fit = require_fit
        self._title = title
        self._read: dict[tuple[Path, str], Vectors] = {}

    def spell(self, texts: Sequence[str], others: Mapping[str, Vectors]) -> Spelled:
        """Prompts with the signs of the embeddings that they name, those of the catalogue or these others.

        Raises UnavailableModel where one that is there cannot be used.
        """
        # Nobody else's signs are those of a vector.
        texts = [SIGNS.sub("", text).replace("\0", "") for text in texts]
        unknown: dict[str, None] = {}
        called = {name.lower(): name for name in (*self._entries, *others)}
        found: dict[str, Embedding] = {}
        pattern = _pattern(called)

        def known(match: re.Match[str]) -> str:
            name = called[match[1].lower()]
            if name not in found and (one := self._found(name, others)) is not None:
                found[name] = one
            if name in found:
                return f"\0{name}\0"
            unknown[name] = None
            return ""

        def left_out(match: re.Match[str]) -> str:
            unknown[match[1]] = None
            return ""

        marked = [pattern.sub(known, text) if pattern else text for text in texts]
        marked = [_PREFIXED.sub(left_out, text) for text in marked]
        written = dict(zip(found, vectors.signs([one.vectors for one in found.values()]), strict=True))
        spelled = (re.sub("\0(.*?)\0", lambda match: f" {written[match[1]]} ", text) for text in marked)
        return Spelled(tuple(spelled), tuple(found.values()), tuple(unknown))

    def _found(self, name: str, others: Mapping[str, Vectors]) -> Embedding | None:
        if name in others:
            return Embedding(name, others[name].sha256, others[name])
        entry = self._entries[name]
        try:
            file = self._located(name)
            if file is None:
                return None
            hashes.check(file, entry, name)
            sha256 = hashes.sha256(file)
            if (file, sha256) not in self._read:
                read = vectors.read(file, name)
                try:
                    self._require_fit(read)
                except ValueError as error:
                    raise WeightsError(f"the embedding {name} cannot be used: {error}") from error
                self._read[file, sha256] = read
            return Embedding(name, sha256, self._read[file, sha256])
        except WeightsError as error:
            log.error("%s", error)
            raise UnavailableModel("embedding_unusable", embedding=entry.title, model=self._title) from error


def _pattern(names: Mapping[str, str]) -> re.Pattern[str] | None:
    """What finds these names, alone or as ComfyUI writes them; the longest of those that begin alike."""
    if not names:
        return None
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w.-])(?:embedding\s*[:：]\s*)?({either}){_ENDS}(?![\w-]|\.\w)", re.IGNORECASE)
