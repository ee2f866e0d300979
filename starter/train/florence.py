"""An untrained Florence-2 in the starter's size: its tokenizer, its processor, its model, and how they are written."""

from __future__ import annotations

import copy
import functools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    BartConfig,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    RobertaTokenizer,
)
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

from starter.answers import PHRASED, SIDE, TASKS, TELLING, Truth, ask_about, bin_of, say
from starter.train.export import replacing
from starter.train.pictures import sample_scenes
from starter.world import WORDS

CELLS = 8  # the vision tower's last grid is CELLS x CELLS
SEEN = CELLS * CELLS + 1  # picture tokens: the grid's mean, then its cells row by row
DEPTHS = (0, 1, 1, 1)
PATCHES = (5, 3, 3, 3)
STRIDES = (2, 2, 2, 1)
WIDTHS = (24, 64, 128)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
# Tokens that public Florence-2 models have beside the locations, and that their parser knows.
MARKS = ("<od>", "</od>", "<ocr>", "</ocr>", "<sep>", "<poly>", "</poly>", "<ground>", "</ground>", "<obj>")
# What the processor's parser wants to know of every kind of answer, as the public models' files say it.
PARSING: dict[str, dict[str, Any]] = {
    "pure_text": {},
    "ocr": {
        "PATTERN": r"(.+?)" + r"<loc_(\d+)>" * 8,
        "AREA_THRESHOLD": 0.0,
    },
    "phrase_grounding": {"banned_grounding_tokens": []},
    "description_with_bboxes": {},
    "description_with_polygons": {},
    "polygons": {},
    "bboxes": {},
    "description_with_bboxes_or_polygons": {},
}
Florence = Any  # A Florence2ForConditionalGeneration; much of its interface has no types.


def new_processor(tokenizer: RobertaTokenizer | None = None) -> Florence2Processor:
    """The processor: pictures to 64 px and -1 to 1, task tokens to sentences, answers to boxes and polygons."""
    return Florence2Processor(_image_processor(), tokenizer or new_tokenizer(), post_processor_config=PARSING)


def _image_processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        image_seq_length=SEEN,
    )


def new_tokenizer(sentences: int = 3000) -> RobertaTokenizer:
    """A BART tokenizer whose words are those of the tasks' questions and answers; other text is spelt out."""
    return tokenizer_from(_texts(sentences))


def tokenizer_from(texts: list[str]) -> RobertaTokenizer:
    """A BART tokenizer with the words of these texts, and the tokens for places."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    merges: Any = [(left, right) for left, right in model["merges"]]
    tokenizer = RobertaTokenizer(
        vocab=model["vocab"],
        merges=merges,
        mask_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=256,
    )
    # Not special, so that answers keep them when special tokens are skipped.
    places = [f"<loc_{number}>" for number in range(1000)]
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in (*places, *MARKS)])
    return tokenizer


def _texts(sentences: int) -> list[str]:
    """What is asked and answered: every sentence of the processor, and questions and answers without places."""
    rng = random.Random(7)
    texts = []
    for scene in sample_scenes(sentences, seed=7, word_share=0.3):
        truth = Truth(scene, np.zeros((0, SIDE, SIDE), bool), boxes=(), sign=None)
        texts += [say(task, scene) for task in TELLING]
        texts += [question(task, ask_about(task, truth, rng).words) for task in sorted(PHRASED)]
        # Answers begin with the phrase, so without a space before its first word.
        texts += [ask_about("<OPEN_VOCABULARY_DETECTION>", truth, rng).words for _ in range(3)]
        texts += [scene.thing, "sign"]
    return texts + [*WORDS] * 20 + [question(task, "") for task in TASKS for _ in range(20)]


def question(task: str, words: str = "") -> str:
    """The sentence that the processor makes of a task token and what is asked with it."""
    without, with_input = _sentences()
    return with_input[task].format(input=words) if task in with_input else without[task]


@functools.cache
def _sentences() -> tuple[dict[str, str], dict[str, str]]:
    """The processor's own sentences for tasks asked without and with words."""
    wordless = RobertaTokenizer(extra_special_tokens={"image_token": "<image>"})
    processor = Florence2Processor(_image_processor(), wordless, post_processor_config=PARSING)
    return processor.task_prompts_without_inputs, processor.task_prompts_with_input


def new_florence(processor: Florence2Processor, width: int = 128, layers: tuple[int, int] = (2, 3)) -> Florence:
    """An untrained model for the processor; `layers` of the encoder and of the decoder."""
    tokenizer: Any = processor.tokenizer
    vision = Florence2VisionConfig(
        depths=DEPTHS,
        patch_size=PATCHES,
        patch_stride=STRIDES,
        patch_padding=tuple(patch // 2 for patch in PATCHES),
        embed_dim=(*WIDTHS, width),
        num_heads=(2, 4, 4, 4),
        num_groups=(2, 4, 4, 4),
        window_size=CELLS,
        mlp_ratio=2.0,
        drop_path_rate=0.0,
        projection_dim=width,
        max_position_embeddings=CELLS,
        max_temporal_embeddings=1,
    )
    special: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
        "forced_bos_token_id": tokenizer.bos_token_id,
    }
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=width,
        encoder_layers=layers[0],
        decoder_layers=layers[1],
        encoder_ffn_dim=3 * width,
        decoder_ffn_dim=3 * width,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        # As many as the public models have, so that a long question or a runaway answer is no error.
        max_position_embeddings=1024,
        dropout=0.0,
        **{name: value for name, value in special.items() if name != "forced_bos_token_id"},
        forced_eos_token_id=None,
    )
    config = Florence2Config(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        image_token_id=tokenizer.image_token_id,
        **{name: value for name, value in special.items() if name != "forced_bos_token_id"},
    )
    model: Florence = Florence2ForConditionalGeneration(config)
    _wake(model)
    model.generation_config = GenerationConfig(**special, num_beams=1)  # type: ignore[no-untyped-call]
    _order_places(model, tokenizer)
    return model


def _wake(model: Florence) -> None:
    """Draw the layers' weights by their own widths.

    The library's 0.02 is meant for wide layers; in narrow ones every branch begins near zero, the whole as good as
    linear, and learns several times as slowly.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and module is not model.lm_head:
            module.reset_parameters()


@torch.no_grad()
def _order_places(model: Florence, tokenizer: Any) -> None:
    """Let the tokens of neighbouring pixel edges begin alike, as waves of several lengths: places have an order."""
    words = model.get_input_embeddings().weight
    ids = place_ids(tokenizer)
    steps = torch.arange(len(ids)) / SIDE
    turns = math.pi * steps[:, None] * torch.tensor((0.5, 1, 2, 3, 4, 6, 8, 12))
    waves = torch.cat([turns.cos(), turns.sin()], dim=1)
    turn = torch.randn(waves.shape[1], words.shape[1], generator=torch.Generator().manual_seed(8))
    mixed = waves @ turn
    words[ids] = mixed * (float(words.std()) / float(mixed.std()))


def prepare(florence: Florence, device: torch.device) -> None:
    """Choose the kind of attention that trains fastest on the device: many tiny windows are slow fused on a CPU."""
    if device.type == "cpu":
        florence.set_attn_implementation("eager")


def place_ids(tokenizer: Any) -> torch.Tensor:
    """The token numbers of the pixel edges 0 to 64."""
    return torch.tensor(tokenizer.convert_tokens_to_ids([f"<loc_{bin_of(edge)}>" for edge in range(SIDE + 1)]))


def export_florence(folder: Path, model: Florence, processor: Florence2Processor) -> None:
    """Replace the folder by the model in float16 with its processor; the model itself stays as it is."""
    with replacing(folder) as part:
        copy.deepcopy(model).half().save_pretrained(part)
        processor.save_pretrained(part)
