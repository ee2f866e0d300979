"""What is wrong with a request on a picture is said before the picture is read, unless it is the picture's own size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from bot.errors import MemberError
from bot.requests import painting, tools
from bot.requests.drafts import draft
from bot.requests.painting import Options
from inference.protocol import Imagine, Input, ModelInfo, Ready, Request
from tests.bot.conftest import ready, tool

UPSCALER = tool("plain", "Plain", scale=4)


def like_sdxl() -> Ready:
    """An engine whose model paints a megapixel, of sides from 512 to 2048."""
    model: ModelInfo = structs.replace(
        ready().models[1], name="sdxl", width=1024, height=1024, min_size=512, max_size=2048, max_pixels=1024 * 1024
    )
    return ready(models=(model,), default_model="sdxl", missing=(), upscalers=(UPSCALER,))


def painted(options: Options, *image: int) -> Imagine:
    """The draft of a picture from an upload of the size that Discord says."""

    def build(image: Input) -> Request:
        return painting.resolve(replace(options, image=image), like_sdxl())

    made = draft({"image": Input("", *image)}, build, like_sdxl())
    assert isinstance(made, Imagine)
    return made


def test_draft_is_of_the_size_that_discord_says() -> None:
    made = painted(Options(prompt="x"), 1600, 900)
    assert (made.image, made.width, made.height) == (Input("", 1600, 900), 1360, 768)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (Options(prompt="x"), (4000, 1000)),
        (Options(prompt="x", width=1536), (3000, 2000)),
        (Options(prompt="x", width=1536), (2000, 3000)),
        (Options(prompt="x", hires=1.4), (900, 900)),
        (Options(prompt="x", width=2048), (8, 8)),
    ],
)
def test_no_draft_is_refused_for_the_size_of_a_picture(options: Options, size: tuple[int, int]) -> None:
    painted(options, *size)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(prompt=" "), "The prompt is empty"),
        (Options(prompt="x", width=37), "Width 37 does not fit"),
        (Options(prompt="x", width=2048, height=2048), "2048x2048 is too large"),
        (Options(prompt="x", strength=7), "Strength 7 does not fit"),
        (Options(prompt="x", negative="y"), "takes no negative prompt"),
    ],
)
def test_what_is_wrong_whatever_the_picture_is_said_at_once(options: Options, sentence: str) -> None:
    with pytest.raises(MemberError, match=sentence):
        painted(options, 640, 480)


def test_result_that_would_be_too_large_is_refused_when_the_picture_is_known() -> None:
    def build(image: Input) -> Request:
        return tools.upscale(image, like_sdxl(), factor=4)

    draft({"image": Input("", 6000, 6000)}, build, like_sdxl())
    kept = Input("0" * 64, 6000, 6000)
    with pytest.raises(MemberError, match="140 million pixels"):
        draft({"image": kept}, build, like_sdxl())


def test_side_that_is_left_out_follows_the_picture() -> None:
    def size(**sides: int) -> tuple[int, int]:
        made = painting.resolve(Options(prompt="x", image=Input("0" * 64, 3000, 1000), **sides), like_sdxl())
        return made.width, made.height

    assert size(width=1536) == (1536, 512)
    assert size(height=576) == (1728, 576)
    # The model's least.
    assert size(width=1024) == (1024, 512)
    assert size(width=1024, height=1024) == (1024, 1024)
    alone = painting.resolve(Options(prompt="x", width=512), like_sdxl())
    assert (alone.width, alone.height) == (512, 1024)
