"""`models list`: what the catalogue has, what of it is here, and what it needs."""

from __future__ import annotations

import sys
from pathlib import Path

from inference.catalog import weights
from inference.catalog.entries import Entry, FileEntry, ModelEntry, UpscalerEntry
from inference.catalog.fields import Kind
from inference.catalog.reading import KINDS, Catalog
from inference.errors import WeightsError
from inference.operating import needs
from inference.operating.needs import Card

HEADINGS = ("NAME", "FAMILY", "HERE", "DISK", *(way.upper() for way in needs.WORDS.values()))
UNKNOWN = "-"


def show(catalog: Catalog, card: Card | None) -> int:
    """Print a row for each entry, then a line for everything that cannot be used; returns the exit status.

    Behind what it takes of the disk stands, of a picture model, the memory of the smallest card that keeps it whole, in
    parts and by layers; and, where a card is given, how that would keep it.
    """
    here, defects = weights.inventory(catalog), weights.defects(catalog)
    asked = () if card is None else (f"ON {gigabytes(card.memory_bytes)}",)
    rows = [(*HEADINGS, *asked, "WHERE FROM")]
    for kind in KINDS:
        for name, entry in catalog.entries(kind).items():
            found = "broken" if (kind, name) in defects else "yes" if name in here[kind] else "no"
            needed = _needs(catalog, kind, name, entry, card)
            rows.append((name, _family(kind, entry), found, _disk(catalog, kind, name), *needed, source(entry)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip())
    for name, remote in catalog.remotes.items():
        print(f"[models.{name}] is a model of {remote.host}: nothing of it lies here")
    fetchable = False
    for kind in KINDS:
        for name in catalog.entries(kind):
            reason = None if (kind, name) in defects else weights.reason(catalog, kind, name)
            if reason == weights.to_be_fetched(name):
                fetchable = True
            elif reason is not None:
                print(f"[{kind}s.{name}] {reason}")
    if fetchable:
        print("python -m inference models fetch NAME brings what is not here, with what it needs")
    for (kind, name), reason in defects.items():
        print(f"easel: [{kind}s.{name}] {reason}", file=sys.stderr)
    return 2 if defects else 0


def source(entry: Entry) -> str:
    """Where an entry's weights come from: of the hub with the commit that is here, else what would be fetched."""
    if not isinstance(entry, FileEntry) and entry.repo is not None:
        return f"{entry.repo}@{weights.commit(entry) or entry.revision or 'main'}"
    url = entry.url if isinstance(entry, FileEntry | ModelEntry) else None
    return str(url or entry.path)


def gigabytes(number: float) -> str:
    """So many bytes, as one reads them on a box."""
    return f"{number / 1e9:.1f}GB" if number >= 1e9 else f"{number / 1e6:.0f}MB" if number >= 1e6 else "<1MB"


def _family(kind: Kind, entry: Entry) -> str:
    if isinstance(entry, ModelEntry):
        return entry.family
    return (entry.arch if isinstance(entry, UpscalerEntry) else None) or kind


def _needs(catalog: Catalog, kind: Kind, name: str, entry: Entry, card: Card | None) -> tuple[str, ...]:
    needed = needs.of_model(catalog, name) if kind == "model" else None
    if not isinstance(entry, ModelEntry) or needed is None:
        return (UNKNOWN,) * (len(needs.WORDS) + (card is not None))
    smallest = (UNKNOWN if least is None else gigabytes(least) for least in needs.smallest_cards(entry, needed))
    return (*smallest, *(() if card is None else (needs.verdict(entry, needed, card),)))


def _disk(catalog: Catalog, kind: Kind, name: str) -> str:
    """What it takes here, or what it would take, about."""
    entry = catalog.entries(kind)[name]
    try:
        place = weights.locate(catalog, kind, name)
    except WeightsError:
        place = None
    if place is not None:
        files = weights.entry_files(catalog, entry) if isinstance(entry, FileEntry) else _files(place)
        return gigabytes(sum(file.stat().st_size for file in files))
    said = entry.download_gb or (sum(entry.sizes.values()) if isinstance(entry, ModelEntry) else None)
    return f"~{gigabytes(said * 1e9)}" if said else UNKNOWN


def _files(place: Path) -> list[Path]:
    return [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
