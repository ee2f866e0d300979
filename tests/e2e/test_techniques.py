"""/imagine along a picture, with a LoRA, in two passes: what comes out is what was asked for, say judge and edges."""

from __future__ import annotations

import pytest
from PIL import Image

from sandbox.client.member import Member, text_of
from starter.control import edge_f1, edges_of
from starter.judge import judge_pictures, load_judge
from starter.render import render
from starter.world import Scene
from tests.e2e.asking import QUICK, has_button, painted, picture, png, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


def small(data: bytes) -> Image.Image:
    """A result at the size at which it was painted and is judged."""
    return picture(data).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)


async def test_edges_of_a_picture_recur_in_what_is_painted_along_it(ada: Member) -> None:
    scene = Scene("house", "red", 1, "large", "meadow", seed=11)
    source = png(render(scene, 256))
    asked = edges_of(render(scene, 64))
    scores = []
    for weight in (1, 0):
        options = {"prompt": "a blue house", "seed": "3", "count": 4, "control_weight": weight}
        reply = await ada.command("imagine", options, files={"control_image": ("house.png", source)})
        message, pictures = await painted(ada, reply)
        scores.append(sum(edge_f1(asked, edges_of(small(data))) for data in pictures) / 4)
        assert f"follows starter {weight}" in text_of(message)
        if weight:
            assert {seen["colour"] for seen in judge_pictures(load_judge(), [small(data) for data in pictures])} == {
                "blue"
            }
    assert scores[0] >= 2 * scores[1], scores
    assert has_button(message, "Show edges")
    shown, _ = await said(ada, await ada.click(message, "Show edges"))
    [sheet] = await ada.pictures(shown)
    assert picture(sheet).width > picture(sheet).height


async def test_weight_nothing_is_no_control_and_no_lora_bit_for_bit(ada: Member) -> None:
    asked = {"prompt": "a green fish", "seed": "4", "steps": 4}
    _, [plain] = await painted(ada, await ada.command("imagine", asked))
    _, [lora] = await painted(ada, await ada.command("imagine", {**asked, "lora": "neon:0"}))
    source = ("edges.png", png(render(Scene("fish", "red", 1, "large", "sea", seed=2), 128)))
    reply = await ada.command("imagine", {**asked, "control_weight": 0}, files={"control_image": source})
    _, [control] = await painted(ada, reply)
    assert picture(plain).tobytes() == picture(lora).tobytes() == picture(control).tobytes()


async def test_lora_paints_in_its_style(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a red house at night lora:neon:1 seed:6 count:4")
    message, pictures = await painted(ada, reply)
    assert "neon 1" in text_of(message)
    assert "<lora:neon:1>" in picture(pictures[0]).info["parameters"]
    seen = judge_pictures(load_judge(), [small(data) for data in pictures])
    assert sum(each["style"] == "neon" for each in seen) >= 3, seen


async def test_second_pass_paints_the_same_larger(ada: Member) -> None:
    asked = "/imagine prompt:two red boats at sea by day, flat style seed:9 count:4"
    _, once = await painted(ada, await ada.command(asked))
    message, twice = await painted(ada, await ada.command(f"{asked} hires:1.5"))
    assert "again at 96x96, strength 0.45" in text_of(message)
    assert [picture(data).size for data in twice] == [(384, 384)] * 4
    first, second = (judge_pictures(load_judge(), [small(data) for data in each]) for each in (once, twice))
    for kind in ("thing", "colour", "place"):
        assert sum(a[kind] == b[kind] for a, b in zip(first, second, strict=True)) >= 3, (first, second)


async def test_second_pass_that_is_too_large_is_refused_in_a_sentence(ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a red house {QUICK} hires:4")
    assert "choose a hires of 2 or less" in text_of(reply.message)
