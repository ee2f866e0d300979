"""A table of pictures that differ in one or two things: its cells are painted as those of /imagine, and are one job."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace
from PIL import Image

from inference import recipes
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.models.store import Store
from inference.painting import session, setups
from inference.painting.callbacks import Pictures, Stage
from inference.painting.session import Failure, Painting
from inference.painting.wording import gathered
from inference.pictures import drawing, images
from inference.protocol import Answer, Grid, Imagine, Reason

REQUEST = Grid
SKETCH_PIXELS = 160
"""The longer side of a cell in a preview."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device) -> dict[str, Any]:
    """What `protocol.Ready` says about grids: nothing beyond what it says of painting."""
    return {}


def too_large(request: Grid, catalog: Catalog) -> Reason:
    """For who asked for more than the memory holds."""
    return setups.too_large(max(request.cells, key=lambda cell: cell.work), catalog)


def run(requests: Sequence[Grid], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint grids that may be run and have begun; each ends through `report`."""
    for request in requests:
        table = _Table(request, report)
        for group in table.groups():
            for made in session.paint(group, files, store, table):
                if isinstance(made, Failure):
                    report.fail(request.job, made.error.kind, made.error.reason)
                else:
                    table.put(made)
        if report.still_wanted([request.job]):
            table.finish()


class _Table:
    """The cells of one grid on their way, each a job of the session that is called by its place."""

    def __init__(self, request: Grid, report: Reporter) -> None:
        self._request = request
        self._report = report
        self._cells = [replace(cell, job=place, safety=request.safety) for place, cell in enumerate(request.cells)]
        self._steps = [0] * len(self._cells)
        self._sketches: list[Image.Image | None] = [None] * len(self._cells)
        self._paintings: dict[int, Painting] = {}

    def groups(self) -> Iterator[list[Imagine]]:
        """The cells that can be painted together, in one list each, for as long as somebody wants them."""
        groups: dict[Hashable, list[Imagine]] = {}
        for cell in self._cells:
            groups.setdefault(cell.pass_key, []).append(cell)
        for group in groups.values():
            if self._report.still_wanted([self._request.job]):
                yield group

    def put(self, painting: Painting) -> None:
        """Put a finished picture into its cell; one that was flagged is not shown before the hidden end."""
        self._paintings[painting.request.job] = painting
        if not painting.flagged:
            self._show(painting.request.job, lambda: painting.image)

    def finish(self) -> None:
        """End the grid with all its cells."""
        paintings = [self._paintings[cell.job] for cell in self._cells]
        first, *others = paintings
        # The table is marked as a whole, but for its labels.
        recipe = recipes.table(self._request, [{**each.recipe, "watermark": None} for each in paintings])
        columns, rows = self._request.headings
        sheet = drawing.table([each.image for each in paintings], columns, rows)
        within = drawing.cells(sheet.size, [each.image for each in paintings], columns)
        recipe["watermark"] = self._report.marks.watermark_of(sheet, within)
        # Other tools know no grids: they are told how its first picture was made.
        parameters = recipes.parameters(first.request, first.recipe, first.request.seed_of(0))
        painted = Painted(
            image=sheet,
            source=recipes.source_of(first.request),
            made_by=marking.made_by(first.recipe, *(each.recipe for each in others)),
            texts={"parameters": parameters, **recipes.recipe_text(recipe)},
            watermarked=recipe["watermark"] is not None,
            within=within,
            flagged=any(each.flagged for each in paintings),
        )
        notes = gathered(note for each in paintings for note in each.notes)
        self._report.finish(self._request.job, [painted], recipe, Answer(notes=notes))

    # What the session calls.

    def alive(self) -> None:
        """The session gets on, and so does the grid."""
        self._report.alive()

    def loading(self) -> None:
        """So it is with what takes minutes."""
        self._report.loading()

    def still_wanted(self, cells: Iterable[int]) -> list[int]:
        """All of them or none, as the grid is."""
        return list(cells) if self._report.still_wanted([self._request.job]) else []

    def give_way(self) -> None:
        """Let a quick job that waits go first."""
        self._report.give_way()

    def board(self, places: int) -> tuple[Sequence[Imagine], Mapping[str, bytes]]:
        """Nobody else's pictures go with those of a grid."""
        return (), {}

    def step(self, cell: int, step: int, steps: int, stage: Stage = "painting") -> None:
        """The grid has come as far as all its cells; what the last one finishes is not the end of it."""
        self._steps[cell] = step
        together = sum(each.steps_together for each in self._cells)
        self._report.step(self._request.job, sum(self._steps), together, "painting" if stage == "finishing" else stage)

    def preview(self, cell: int, pictures: Pictures, width: int, height: int) -> None:
        """Show the table with what this cell's one picture looks like so far."""
        self._show(cell, lambda: next(iter(pictures()), None))

    def _show(self, cell: int, look: Callable[[], Image.Image | None]) -> None:
        self._report.show(self._request.job, partial(self._sketched, cell, look))

    def _sketched(self, cell: int, look: Callable[[], Image.Image | None]) -> Image.Image | None:
        """The table so far, on the encoding thread: pictures may be large, and no step waits for them."""
        if (picture := look()) is None:
            return None
        scale = SKETCH_PIXELS / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        self._sketches[cell] = picture.convert("RGB").resize(size)
        sheet = drawing.table(self._sketches, *self._request.headings)
        return images.grid([sheet], sheet.width, sheet.height)
