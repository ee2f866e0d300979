"""What operators bring to a model and members name in prompts: LyCORIS, embeddings, wildcard files, LoRAs in styles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inference.protocol import draw_words
from sandbox.client.member import Member, text_of
from tests.e2e.asking import is_private, painted, picture
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

STARTER = ROOT / "starter" / "models"

MODELS = """
default = "starter"
wildcards = "wild"

[models.starter]
title = "Starter"
family = "sd1"
path = "{starter}/picture"
width = 64
height = 64
size_multiple = 16
min_size = 32
max_size = 128
max_pixels = 16384
steps = 4
guidance = 3
sampler = "DPM++ 2M"

[loras.neon]
title = "Neon"
path = "{starter}/style/pytorch_lora_weights.safetensors"
models = ["starter"]

[loras.mist]
title = "Mist, a LoHa"
path = "mist.safetensors"
models = ["starter"]

[loras.quick]
title = "Quick"
path = "{starter}/style/pytorch_lora_weights.safetensors"
models = ["starter"]
sampler = "Euler trailing"
steps = 2
guidance = 1

[loras.elsewhere]
title = "Of XL"
path = "elsewhere.safetensors"
models = ["starter"]

[embeddings.bad-hands]
title = "Bad hands"
path = "bad-hands.safetensors"
models = ["starter"]
"""

STYLES = """
[styles.glow]
title = "Glow"
prompt = "{prompt}, neon style <lora:neon:1>"
"""


def catalogue(folder: Path) -> Path:
    """The starter with what operators find on model sites, made for it."""
    torch.manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    with safe_open(STARTER / "picture" / "unet" / "diffusion_pytorch_model.safetensors", "pt") as unet:
        for name in unet.keys():  # noqa: SIM118
            if name.endswith("attn2.to_v.weight"):
                outputs, inputs = unet.get_slice(name).get_shape()
                layer = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
                for part, shape in (("w1_a", (outputs, 2)), ("w1_b", (2, inputs))):
                    tensors[f"{layer}.hada_{part}"] = torch.randn(shape)
                    tensors[f"{layer}.hada_{part.replace('1', '2')}"] = 0.3 * torch.randn(shape)
    save_file(tensors, folder / "mist.safetensors")
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    of_xl = {f"{layer}.lora_down.weight": torch.ones(2, 2048), f"{layer}.lora_up.weight": torch.ones(640, 2)}
    save_file(of_xl, folder / "elsewhere.safetensors")
    with safe_open(STARTER / "picture" / "text_encoder" / "model.safetensors", "pt") as encoder:
        [table] = [name for name in encoder.keys() if name.endswith("token_embedding.weight")]  # noqa: SIM118
        width = encoder.get_slice(table).get_shape()[1]
    save_file({"emb_params": torch.randn(2, width)}, folder / "bad-hands.safetensors")
    (folder / "wild").mkdir()
    (folder / "wild" / "colours.txt").write_text("red\nblue <lora:neon:1>\n")
    (folder / "styles.toml").write_text(STYLES)
    (folder / "models.toml").write_text(MODELS.format(starter=STARTER))
    return folder / "models.toml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    models = catalogue(tmp_path_factory.mktemp("models"))
    async with running(tmp_path_factory.mktemp("data"), EASEL_MODELS=str(models)) as opened:
        yield opened


async def ask(ada: Member, prompt: str, **options: object) -> tuple[str, list[str], list[bytes]]:
    """The card, what each PNG says, and the pixels."""
    message, data = await painted(ada, await ada.command("imagine", {"prompt": prompt, "seed": "7", **options}))
    pictures = [picture(one) for one in data]
    return text_of(message), [one.info["parameters"] for one in pictures], [one.tobytes() for one in pictures]


async def test_a_loha_paints_and_at_0_does_not(ada: Member) -> None:
    _, _, [plain] = await ask(ada, "a red house")
    card, [told], [changed] = await ask(ada, "a red house <LYCO:mist:0.5:1>")
    assert changed != plain
    assert told.startswith("a red house <lora:mist:0.5:1>\n")
    assert "mist 1, in the words 0.5" in card
    _, _, [none] = await ask(ada, "a red house", lora="mist:0")
    assert none == plain


async def test_an_embedding_works_by_its_name_and_another_is_told(ada: Member) -> None:
    _, _, [plain] = await ask(ada, "a red house")
    _, [told], [changed] = await ask(ada, "a red house", negative="embedding:bad-hands")
    assert changed != plain
    assert "Negative prompt: embedding:bad-hands\n" in told
    assert "TI hashes: " in told
    card, [told], _ = await ask(ada, "a red house embedding:nobody")
    assert "There is no embedding called 'nobody' for Starter here: it was left out." in card
    assert "TI hashes" not in told


async def test_words_that_the_model_has_never_seen_are_told_by_their_names(ada: Member) -> None:
    card, _, _ = await ask(ada, "a red zebra and a house")
    assert "Starter has never seen: zebra, and. It knows no more of them than their letters." in card
    card, _, _ = await ask(ada, "a red house")
    assert "never seen" not in card


async def test_of_wildcards_and_their_loras_those_work_that_were_drawn(ada: Member) -> None:
    card, told, _ = await ask(ada, "a __colours__ {house|boat} {<lora:mist:0.5>|}", count=4)
    firsts = [each.splitlines()[0] for each in told]
    assert len(set(firsts)) > 1
    for number, first in enumerate(firsts, start=1):
        assert ("blue" in first) == ("<lora:neon:1>" in first)
        assert ("mist" in first) == ("<lora:mist:0.5>" in first)
        words = first.partition(" <")[0]
        assert f"{number}. {words}" in card
    assert "__" not in card.partition("**")[2].partition("**")[2]
    message, _ = await painted(ada, await ada.command("imagine", {"prompt": "a __colours__ house", "seed": "7"}))
    _, [again] = await painted(ada, await ada.click(message, "Re-roll"))
    assert picture(again).info["parameters"].split()[1] in ("red", "blue")
    _, variations = await painted(ada, await ada.click(message, "V1"))
    assert len({picture(one).info["parameters"].splitlines()[0] for one in variations}) == 1


async def test_a_style_brings_its_lora_and_a_lora_its_sampler(ada: Member) -> None:
    _, [told], [styled] = await ask(ada, "a red house", style="glow")
    assert told.splitlines()[0] == "a red house, neon style <lora:neon:1>"
    assert "Lora hashes" in told
    _, _, [written] = await ask(ada, "a red house, neon style <lora:neon:1>")
    assert written == styled
    card, [told], _ = await ask(ada, "a red house <lora:quick>")
    assert "2 steps · Euler trailing · guidance 1" in card
    assert "Steps: 2, Sampler: Euler trailing, CFG scale: 1" in told


async def test_prompts_of_other_tools_paint_what_they_mean(ada: Member) -> None:
    prompts = (
        "a [cat:house:0.5] here",
        "a [cat|house]",
        "a cat AND a house :1.2",
        "red hat BREAK blue coat",
        "{2$$red|blue|green} house",
        "{0.5::red|2::blue} house",
        "a （red：1.4） house",
    )
    seen = set()
    for prompt in prompts:
        _, [told], [pixels] = await ask(ada, prompt)
        assert told.splitlines()[0] == draw_words(prompt, 7)
        seen.add(pixels)
    assert len(seen) == len(prompts)
    _, [told], [skipped] = await ask(ada, "a red house", clip_skip=2)
    assert "Clip skip: 2" in told
    assert skipped != (await ask(ada, "a red house"))[2][0]


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("<lora:neon:1:lbw=IN02> a red house", "The LoRA neon cannot be set as 'lbw=IN02': leave that out."),
        ("{<lora:nobody:1>|} a red house", "There is no LoRA called 'nobody' here"),
        ("<lora:elsewhere:1> a red house", "There is no LoRA called 'elsewhere' here"),
        ("a AND b AND c AND d AND e", "5 parts of the prompt are joined by AND and 4 is the most"),
    ],
)
async def test_what_cannot_be_done_is_said_to_the_member_alone(ada: Member, prompt: str, sentence: str) -> None:
    reply = await ada.command("imagine", {"prompt": prompt})
    assert is_private(reply)
    assert sentence in text_of(reply.message)


async def test_a_grid_takes_the_quotes_of_phones(ada: Member) -> None:
    reply = await ada.command("grid", {"prompt": "a red house", "x": "prompt red, blue, “red, white and blue”"})
    message = await ada.wait_for(reply.message, lambda one: "3 pictures" in text_of(one), timeout_s=120)
    assert "red, blue, red, white and blue" in text_of(message)


async def test_everything_the_bot_sent_keeps_to_discords_description(studio: Studio) -> None:
    assert await studio.problems() == []
