"""A table of pictures that differ in one or two things: its cells are painted by whoever answers `Imagine`.

Tasks do not know each other. So this one takes the engine's place before that task: it groups the cells, opens each
as a job of its own with a reporter of their own, and makes one job's progress, preview and end of what they report.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from PIL import Image

from inference import recipes, tasks
from inference.catalog.entries import Kind
from inference.catalog.reading import Catalog
from inference.errors import InvalidInput
from inference.exchange.outputs import Painted
from inference.exchange.reports import Reporter
from inference.marks.marking import Marks
from inference.models.store import Store
from inference.pictures import drawing
from inference.protocol import (
    MAX_CELLS,
    MAX_OUTPUT_PIXELS,
    Alive,
    Answer,
    Event,
    Failed,
    Finished,
    Grid,
    Imagine,
    Picture,
    Preview,
    Progress,
)

REQUEST = Grid
MAX_LABEL_CHARS = 200
SKETCH_PIXELS = 160
"""The longer side of a cell in a preview."""


def abilities(catalog: Catalog, here: Mapping[Kind, Sequence[str]]) -> dict[str, Any]:
    """What `protocol.Ready` says about grids: nothing beyond what it says of painting."""
    return {}


def check(request: Grid, catalog: Catalog) -> None:
    """Raise InvalidInput or UnavailableModel, in a sentence for the member, where this cannot be painted."""
    if not 1 <= len(request.cells) <= MAX_CELLS:
        raise InvalidInput(f"A grid has 1 to {MAX_CELLS} pictures, not {len(request.cells)}.")
    if len(request.columns) * len(request.rows) != len(request.cells):
        raise InvalidInput("The labels of the grid do not fit its pictures.")
    if any(len(label) > MAX_LABEL_CHARS for label in (*request.columns, *request.rows)):
        raise InvalidInput(f"A label of the grid is too long: at most {MAX_LABEL_CHARS} characters are drawn.")
    for cell in request.cells:
        _painter().check(cell, catalog)
        if cell.count != 1 or cell.inputs:
            raise InvalidInput("Every cell of a grid holds one picture, painted from words alone.")
    pixels = sum(cell.width * cell.height * catalog.info(cell.model).upscale ** 2 for cell in request.cells)
    if pixels > MAX_OUTPUT_PIXELS:
        raise InvalidInput("The grid is too large: ask for fewer or smaller pictures.")


def too_large(request: Grid, catalog: Catalog) -> str:
    """A sentence for who asked for more than the memory holds."""
    return _painter().too_large(max(request.cells, key=lambda cell: cell.work), catalog)


def run(requests: Sequence[Grid], files: Mapping[str, bytes], store: Store, report: Reporter) -> None:
    """Paint grids that have been checked and begun; each ends through `report`."""
    for request in requests:
        # What has not been checked is shown to nobody, and neither is what stands beside it.
        shown = all(store.catalog.models[cell.model].checker is None for cell in request.cells)
        cells = _Cells(request, report, shown)
        try:
            for group in cells.groups():
                _painter().run(group, files, store, cells.report)
        finally:
            cells.report.close()
        cells.end()


def _painter() -> tasks.Task:
    return tasks.discover()[Imagine]


class _InMemory:
    """The pictures of the cells, which go into their table and nowhere else."""

    # The table is marked as a whole.
    marks = Marks(watermark=False)

    def __init__(self) -> None:
        self._kept: dict[str, Painted] = {}

    def __getitem__(self, picture: Picture) -> Painted:
        return self._kept[picture.file]

    def keep(self, painted: Painted) -> Picture:
        name = str(len(self._kept))
        self._kept[name] = painted
        return Picture(file=name, sha256="", width=painted.image.width, height=painted.image.height)

    def drop(self, picture: Picture) -> None:
        del self._kept[picture.file]


class _Cells:
    """The cells of one grid on their way, each as a job that is called by its place, and what has become of them."""

    def __init__(self, request: Grid, report: Reporter, shown: bool) -> None:
        self._pictures = _InMemory()
        self.report = Reporter(self._hear, self._pictures, self._between_steps)
        self._shown = shown
        self._request = request
        self._grid = report
        self._cells = [replace(cell, job=place) for place, cell in enumerate(request.cells)]
        self._steps = [0] * len(self._cells)
        self._sketches: list[Image.Image | None] = [None] * len(self._cells)
        self._finished: dict[int, Finished] = {}
        self._failed: Failed | None = None

    def groups(self) -> list[list[Imagine]]:
        """The cells that can be painted together, in one list each, opened and begun."""
        groups: dict[Hashable, list[Imagine]] = {}
        for cell in self._cells:
            self.report.accept(cell.job)
            self.report.begin(cell.job)
            groups.setdefault(cell.pass_key, []).append(cell)
        return list(groups.values())

    def end(self) -> None:
        """End the grid as its cells have ended; once their reporter is closed."""
        job = self._request.job
        if not self._grid.still_wanted([job]):
            return
        if self._failed is not None:
            self._grid.fail(job, self._failed.kind, self._failed.message)
            return
        in_order = [self._finished[cell.job] for cell in self._cells]
        cells = [self._pictures[finished.pictures[0]] for finished in in_order]
        recipe = recipes.table(self._request, [finished.recipe for finished in in_order])
        sheet = drawing.table([cell.image for cell in cells], self._request.columns, self._request.rows)
        recipe["watermark"] = self._grid.marks.watermark_of(sheet)
        painted = Painted(
            image=sheet,
            source=recipes.source_of(self._cells[0]),
            # Other tools know no grids: they are told how its first picture was made.
            texts={"parameters": cells[0].texts["parameters"], **recipes.recipe_text(recipe)},
            watermarked=recipe["watermark"] is not None,
        )
        notes = dict.fromkeys(note for finished in in_order for note in finished.answer.notes)
        self._grid.finish(job, [painted], recipe, Answer(notes=tuple(notes)))

    def _between_steps(self) -> None:
        if self._failed is not None or not self._grid.still_wanted([self._request.job]):
            for cell in self._cells:
                self.report.cancel(cell.job)
        self._grid.give_way()

    def _hear(self, event: Event) -> None:
        """What the cells report, from the task's thread and from the one that encodes their pictures."""
        match event:
            case Progress():
                self._steps[event.job] = event.step
                together = sum(cell.steps_together for cell in self._cells)
                stage = "painting" if event.stage == "finishing" else event.stage
                self._grid.step(self._request.job, sum(self._steps), together, stage)
            case Alive():
                (self._grid.loading if event.loading else self._grid.alive)()
            case Preview():
                self._show(event.job, Image.open(io.BytesIO(event.image)))
            case Finished():
                self._finished[event.job] = event
                self._show(event.job, self._pictures[event.pictures[0]].image)
            case Failed():
                self._failed = self._failed or event

    def _show(self, place: int, picture: Image.Image) -> None:
        if not self._shown:
            return
        sketch = picture.convert("RGB")
        scale = SKETCH_PIXELS / max(sketch.size)
        self._sketches[place] = sketch.resize((round(sketch.width * scale), round(sketch.height * scale)))
        sheet = drawing.table(self._sketches, self._request.columns, self._request.rows)
        self._grid.preview(self._request.job, [sheet], sheet.width, sheet.height)
