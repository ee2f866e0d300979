"""The classifier that comes with Easel: nsfwjs' own answers, and what is flagged."""

from __future__ import annotations

import base64
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from inference.catalog import reading
from inference.device import Device
from inference.errors import CatalogError, WeightsError
from inference.models.store import Store
from inference.networks import nsfw
from inference.networks.nsfw import NsfwChecker
from starter import nsfwjs
from starter.render import render
from starter.world import Scene
from tests.inference import tiny

ROOT = Path(__file__).parents[2]

# What nsfwjs 4.4.0 says of scikit-image's photographs under tfjs 4.22: drawing, hentai, neutral, porn, sexy.
ANSWERS = {
    "astronaut": (0.060222, 0.004155, 0.933126, 0.001771, 0.000727),
    "coffee": (0.008216, 0.001416, 0.987326, 0.0025, 0.000542),
    "chelsea": (0.001292, 0.000779, 0.930835, 0.062888, 0.004207),
    "rocket": (0.811482, 1.9e-05, 0.188497, 0.0, 2e-06),
    "page": (0.004495, 0.001269, 0.993855, 0.000354, 2.8e-05),
    "camera": (0.305568, 0.007728, 0.664271, 0.012193, 0.01024),
    "coins": (0.037329, 0.000515, 0.962138, 1e-05, 8e-06),
}


@pytest.fixture(scope="module")
def checker(cpu: Device) -> NsfwChecker:
    """As the catalogue that comes with Easel has it."""
    store = Store(catalog=reading.load(ROOT / "models.toml"), device=cpu)
    network = store.use_checker("nsfw", lambda: None).network
    assert isinstance(network, NsfwChecker)
    return network


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_those_of_nsfwjs_itself(checker: NsfwChecker, name: str) -> None:
    picture = Image.fromarray(getattr(data, name)()).convert("RGB")
    shares = checker.shares(picture)
    assert list(shares) == ["drawing", "hentai", "neutral", "porn", "sexy"]
    assert np.allclose(list(shares.values()), ANSWERS[name], atol=1e-4)
    assert not checker.flags(picture)


def test_drawings_that_harm_nobody_pass(checker: NsfwChecker) -> None:
    rng = random.Random(7)
    assert not any(checker.flags(render(Scene.sample(rng), 256)) for _ in range(24))


def test_what_is_explicit_by_more_than_half_is_flagged(checker: NsfwChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"drawing": 0.0, "hentai": 0.35, "neutral": 0.1, "porn": 0.26, "sexy": 0.29}
    monkeypatch.setattr(checker, "shares", lambda _: said)
    assert checker.flags(tiny.picture())
    said |= {"porn": 0.2, "sexy": 0.35}
    assert not checker.flags(tiny.picture())


def test_what_hides_behind_transparency_is_not_looked_at(checker: NsfwChecker) -> None:
    picture = tiny.picture(40, 40).convert("RGBA")
    picture.putalpha(0)
    assert checker.shares(picture) == checker.shares(Image.new("RGB", (40, 40), "white"))


def test_a_classifier_that_cannot_tell_lets_nothing_pass(checker: NsfwChecker) -> None:
    bias = checker.model.head[4].bias
    kept = bias[0].item()
    bias[0] = float("nan")
    try:
        with pytest.raises(FloatingPointError):
            checker.flags(tiny.picture())
    finally:
        bias[0] = kept


def test_file_that_is_not_the_classifiers_is_refused(tmp_path: Path, cpu: Device) -> None:
    (tmp_path / "nsfw").mkdir()
    (tmp_path / "nsfw" / "model.safetensors").write_bytes(
        (ROOT / "starter/models/upscaler/realesr-animevideov3.safetensors").read_bytes()
    )
    text = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
    (tmp_path / "models.toml").write_text(text.replace(f"{ROOT}/starter/models/nsfw", "nsfw"))
    (tmp_path / "styles.toml").write_text((ROOT / "styles.toml").read_text())
    store = Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu)
    with pytest.raises(WeightsError, match="does not load as a checker of nsfwjs"):
        store.use_checker("nsfw", lambda: None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('checker = "nobody"', "checker: must name one of"),
        ('checker = "none"', "checker: must name one of"),
        ('[checkers.none]\ntitle = "None"\npath = "starter/models/nsfw"', "this name stands for no checker"),
    ],
)
def test_catalogue_that_names_no_checker_of_its_own_is_refused(tmp_path: Path, wrong: str, said: str) -> None:
    text = (ROOT / "models.toml").read_text()
    wrong_text = f"{text}\n{wrong}\n" if wrong.startswith("[") else text.replace('checker = "nsfw"', wrong, 1)
    (tmp_path / "models.toml").write_text(wrong_text)
    with pytest.raises(CatalogError, match=said):
        reading.load(tmp_path / "models.toml")


def test_models_have_the_catalogues_checker_unless_they_say_otherwise() -> None:
    known = reading.load(ROOT / "models.toml")
    assert known.models["sd15"].checker == "nsfw"
    assert known.models["starter"].checker is None


def test_package_is_converted_number_for_number(tmp_path: Path) -> None:
    """On a package of the published layout with numbers of chance."""
    network = nsfw.Network()
    keras = {name: list(tensor.shape) for name, tensor in network.state_dict().items() if tensor.ndim}
    rng = np.random.default_rng(7)
    names = _keras_names()
    assert sorted(nsfwjs.torch_name(name) for name in names) == sorted(keras)
    described, weights = [], b""
    for number, name in enumerate(names):
        shape = _keras_shape(name, keras[nsfwjs.torch_name(name)])
        weights += rng.integers(0, 256, int(np.prod(shape)), dtype=np.uint8).tobytes()
        described.append(
            f'{{name:"{name}",shape:[{",".join(map(str, shape))}],dtype:"float32",'
            f'quantization:{{min:-.5,scale:{0.001 * (number + 1):.4f},dtype:"uint8"}}}}'
        )
    folder = tmp_path / "package" / "dist" / "models" / "mobilenet_v2"
    folder.mkdir(parents=True)
    (folder / "model.min.js").write_text(f"module.exports={{weights:[{','.join(described)}]}}")
    (folder / "group1-shard1of1.min.js").write_text(f'module.exports="{base64.b64encode(weights).decode()}"')
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        package.add(tmp_path / "package", "package")
    nsfwjs.convert(tmp_path / "package.tgz", tmp_path / "made")
    made = nsfw.load(tmp_path / "made" / "model.safetensors").state_dict()
    first = np.frombuffer(weights, np.uint8, 3 * 3 * 3 * 32).reshape(3, 3, 3, 32).astype(np.float32)
    expected = torch.from_numpy(first * np.float32(0.001) - np.float32(0.5)).permute(3, 2, 0, 1)
    assert torch.allclose(made["tower.conv_stem.first_conv.convolution.weight"], expected)


def _keras_names() -> list[str]:
    """The tensors of Keras' MobileNetV2 with the head of three layers."""
    norms = ("gamma", "beta", "moving_mean", "moving_variance")
    names = ["Conv1/kernel", *(f"bn_Conv1/{norm}" for norm in norms)]
    for block in ("expanded_conv", *(f"block_{number}" for number in range(1, 17))):
        for part in ("expand", "depthwise", "project")[block == "expanded_conv" :]:
            kernel = "depthwise_kernel" if part == "depthwise" else "kernel"
            names += [f"{block}_{part}/{kernel}", *(f"{block}_{part}_BN/{norm}" for norm in norms)]
    names += ["Conv_1/kernel", *(f"Conv_1_bn/{norm}" for norm in norms)]
    return [*names, *(f"dense_{number}/{kind}" for number in (1, 2, 3) for kind in ("kernel", "bias"))]


def _keras_shape(name: str, shape: list[int]) -> list[int]:
    if name.endswith("depthwise_kernel"):
        return [shape[2], shape[3], shape[0], shape[1]]
    if len(shape) == 4:
        return [shape[2], shape[3], shape[1], shape[0]]
    return shape[::-1]
