"""Requests that ask about one picture each, by as many as share a pass. What a network says to it is the task's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from PIL import Image

from inference.errors import TaskError
from inference.exchange.reports import Reporter
from inference.pictures import images
from inference.protocol import Classify, Describe

Looking = TypeVar("Looking", Classify, Describe)


def in_passes(
    requests: Sequence[Looking], files: Mapping[str, bytes], places: int, report: Reporter
) -> Iterator[list[tuple[Looking, Image.Image, bytes]]]:
    """The wanted ones of these requests with their pictures and these pictures' files, at most `places` at a time; they
    are told that their pass begins.

    Call it with the model loaded: who has come meanwhile goes along in the places that are free. One whose picture is
    broken fails alone.
    """
    waiting, there = list(requests), dict(files)
    while waiting:
        while (free := places - len(waiting)) > 0 and (boarded := report.board(free))[0]:
            waiting += boarded[0]
            there |= boarded[1]
        wanted = report.still_wanted([request.job for request in waiting])
        waiting = [request for request in waiting if request.job in wanted]
        taken, waiting = waiting[:places], waiting[places:]
        seen = []
        for request in taken:
            try:
                seen.append((request, images.read(there, request.image), there[request.image.sha256]))
            except TaskError as error:
                report.fail(request.job, error.kind, error.reason)
        for request, _, _ in seen:
            report.step(request.job, 0, 1)
        if seen:
            yield seen
