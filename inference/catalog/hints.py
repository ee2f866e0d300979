"""What to do about a folder of weights that lacks something, as far as what is in it shows that."""

from __future__ import annotations

from pathlib import Path

from inference.catalog import headers
from inference.catalog.fields import DENOISERS, INDEX

UNFINISHED = (".part", ".incomplete", ".crdownload", ".aria2", ".download")
"""How names end that browsers and other programs give to what they have not fetched whole."""
PICKLED = {"model": "pytorch_model"}
"""How files of weights are called as pickles, where that is another name."""


def of_file(folder: Path, file: Path) -> str:
    """What to do about a file of weights that is not there, where its folder shows that."""
    stem = file.name.removesuffix(headers.SAFETENSORS)
    if any(file.parent.glob(f"{PICKLED.get(stem, stem)}*.bin")):
        return f", but pickled weights: python -m inference models convert {folder} makes safetensors of them"
    if any(file.parent.glob(f"{stem}-*-of-*{headers.SAFETENSORS}")):
        return (
            f", and no {stem}{headers.SAFETENSORS}.index.json, which tells what is in the pieces of it that are there"
        )
    if named := variants(file.parent, stem):
        return f", but {' and '.join(named)} of it: write variant = {named[-1]!r}"
    if parts := [part.name for part in sorted(file.parent.glob(f"{file.name}.*")) if part.suffix in UNFINISHED]:
        return f", but {parts[0]}, whose download was cut off: fetch it again"
    return ""


def variants(part: Path, stem: str) -> list[str]:
    """What stands before `.safetensors` in the names of the files of weights of a component that are not plain."""
    found: set[str] = set()
    for before, after in ((f"{stem}.", headers.SAFETENSORS), (f"{stem}{headers.SAFETENSORS}.index.", ".json")):
        names = (file.name.removeprefix(before).removesuffix(after) for file in part.glob(f"{before}*{after}"))
        found.update(name for name in names if name.isalnum())
    return sorted(found)


def instead_of_index(folder: Path) -> str:
    """What there is in the place of a pipeline's list of components."""
    there = [part.name for part in sorted(folder.iterdir()) if (part / "config.json").is_file()]
    if any(name in DENOISERS for name in there):
        return f" beside {', '.join(there)}: copy it from its family's folder in inference/families/configs"
    if (folder / "config.json").is_file():
        return ": it holds one network, and not a whole model"
    files = sorted(folder.glob(f"*{headers.SAFETENSORS}"))
    if files:
        return f": write one of its files as path, as {files[0].name}"
    # No deeper: a disk has very many folders.
    found = [*folder.glob(f"*/{INDEX}"), *folder.glob(f"*/*/{INDEX}")]
    models = sorted(str(index.parent.relative_to(folder)) for index in found)
    if models:
        return f", but {_few(models)}: write one of them as path"
    held = [file.name for file in sorted(folder.iterdir())]
    return f": it holds {_few(held)} and no weights" if held else ": it is empty"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
