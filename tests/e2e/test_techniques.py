"""/imagine along a picture, with a LoRA, in two passes: what comes out is what was asked for, say judge and edges."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from sandbox.client.member import Json, Member, text_of
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


async def test_two_pictures_are_followed_at_once_and_every_button_keeps_both(ada: Member) -> None:
    house, fish = (png(render(Scene(thing, "red", 1, "large", "meadow", seed=3), 64)) for thing in ("house", "fish"))
    both = {"control_image": ("house.png", house), "control_image2": ("fish.png", fish)}
    swapped = dict(zip(both, reversed(both.values()), strict=True))
    asked = {"prompt": "a blue house", "seed": "3", "steps": 4}

    async def along(control: str | None, files: dict[str, tuple[str, bytes]] = both) -> tuple[Json, Image.Image]:
        options = asked if control is None else {**asked, "control": control}
        message, [data] = await painted(ada, await ada.command("imagine", options, files=files))
        return message, picture(data)

    message, first = await along("starter:0.8, starter:0.4")
    assert "follows starter 0.8 · follows starter 0.4" in text_of(message)
    words = first.info["parameters"]
    assert 'ControlNet 0: "Module: canny, Model: starter, Weight: 0.8"' in words
    assert 'ControlNet 1: "Module: canny, Model: starter, Weight: 0.4"' in words
    made_of = json.loads(first.info["easel"])["controls"]
    assert [(one["name"], one["weight"], len(one["hash"])) for one in made_of] == [
        ("starter", 0.8, 10),
        ("starter", 0.4, 10),
    ]
    _, again = await along("starter:0.8, starter:0.4")
    assert again.tobytes() == first.tobytes()
    _, alone = await along("starter:0.8", {"control_image": both["control_image"]})
    others = [
        alone,
        (await along(None))[1],
        (await along("starter:0.8, starter:0.4", swapped))[1],
    ]
    assert len({each.tobytes() for each in (first, *others)}) == 4
    assert (await along("starter:0.4, starter:0.8", swapped))[1].tobytes() == first.tobytes()
    _, without = await along("starter:0.8, starter:0")
    assert without.tobytes() == alone.tobytes()
    form = await ada.click(message, "Edit")
    edited, [data] = await painted(ada, await ada.submit(form, {"prompt": "a blue house"}))
    assert picture(data).tobytes() == first.tobytes()
    assert "follows starter 0.8 · follows starter 0.4" in text_of(edited)
    rolled, [data] = await painted(ada, await ada.click(message, "Re-roll"))
    assert "follows starter 0.8 · follows starter 0.4" in text_of(rolled)
    assert picture(data).tobytes() != first.tobytes()
    shown, text = await said(ada, await ada.click(message, "Show edges"))
    assert "What starter, starter followed" in text
    [sheet] = await ada.pictures(shown)
    assert picture(sheet).width > 4 * picture(sheet).height
    assert [choice["value"] for choice in await ada.complete("imagine", "control", control="starter:0.8, ")] == [
        "starter:0.8, starter"
    ]
    reply = await ada.command("imagine", {**asked, "control": "starter, starter, starter"}, files=both)
    assert "3 ControlNets are too many" in text_of(reply.message)


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
