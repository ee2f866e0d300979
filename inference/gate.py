"""Which pictures may be worked on: the catalogue's checker looks at each that comes in, whatever is asked of it.

What models paint is looked at where it is painted (`painting.session`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from inference.models.store import Store
from inference.pictures import images
from inference.protocol import Input

KEPT = 1000
"""Verdicts on the newest pictures: the same one is enlarged, changed and described."""


class Gate:
    """What the checker said of pictures. Belongs to the thread that owns the device."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flagged: OrderedDict[str, bool] = OrderedDict()

    def flags(self, image: Input, files: Mapping[str, bytes], on_load: Callable[[], None]) -> bool:
        """Whether the checker flags this picture, whose bytes are among `files`; it flags none where there is no
        checker.

        Raises as `Store.use_checker` does, and InvalidInput where it is no sound picture.
        """
        name = self._store.catalog.checker
        if name is None:
            return False
        if image.sha256 not in self._flagged:
            network = self._store.use_checker(name, on_load).network
            self._flagged[image.sha256] = network.flags(images.read(files, image))
        self._flagged.move_to_end(image.sha256)
        if len(self._flagged) > KEPT:
            self._flagged.popitem(last=False)
        return self._flagged[image.sha256]
