"""What is said to have been done, from a job and the one before it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bot.lineage import done
from bot.requests.painting import rerolled, varied
from inference.protocol import Classify, Compare, Describe, Grid, Input, Mask, Request, Upscale
from tests.bot.conftest import request

PICTURE = Input("0" * 64, 64, 64)
ASKED = request()
DESCRIBED = Describe(job=0, model="plain", image=PICTURE, task="caption")


@pytest.mark.parametrize(
    ("wanted", "before", "said"),
    [
        (ASKED, None, "painted"),
        (replace(ASKED, job=9), replace(ASKED, job=3), "painted again from the same seed"),
        (rerolled(ASKED), ASKED, "painted from another seed"),
        (varied(ASKED, 0, 5, 4), ASKED, "varied"),
        (replace(ASKED, prompt="a boat"), ASKED, "painted with changes"),
        (replace(ASKED, image=PICTURE, strength=0.5), ASKED, "painted from the picture"),
        (replace(ASKED, image=PICTURE, mask=PICTURE), ASKED, "edited"),
        (replace(ASKED, references=(PICTURE,)), ASKED, "edited"),
        (
            rerolled(replace(ASKED, image=PICTURE, mask=PICTURE)),
            replace(ASKED, image=PICTURE, mask=PICTURE),
            "painted from another seed",
        ),
        (ASKED, DESCRIBED, "imagined from its description"),
        (Upscale(job=0, model="plain", image=PICTURE, factor=4), ASKED, "enlarged 4×"),
        (DESCRIBED, ASKED, "described"),
        (Classify(job=0, model="plain", image=PICTURE, labels=("a", "b"), templates=("{}",)), ASKED, "classified"),
        (Grid(job=0, model="starter", cells=(ASKED, ASKED), columns=("a", "b")), None, "painted as a table"),
        (Mask(job=0, model="plain", image=PICTURE, edit=ASKED), ASKED, "marked to be painted anew"),
        (
            Compare(job=0, model="canny", image=PICTURE, width=64, height=64, painted=(PICTURE,)),
            ASKED,
            "compared with what it followed",
        ),
    ],
)
def test_what_was_done_is_told_by_what_is_different(wanted: Request, before: Request | None, said: str) -> None:
    assert done(wanted, before) == said
