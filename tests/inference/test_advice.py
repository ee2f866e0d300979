"""Which weights `models add` chooses for a card: the most like the model's own with which no layers come and go."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from inference import __main__ as program
from inference import device
from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models import advice, placement, policy
from inference.operating import commands
from tests.inference import tiny_files
from tests.inference.cards import card
from tests.inference.test_adding import add, entry_of, toml
from tests.inference.test_checkpoints import catalogue, paint
from tests.inference.test_ggufs import BASE, denoiser, write

__all__ = ["catalogue", "toml"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a card nothing but the weights counts: those of tiny models are thousandths of what painting takes."""
    for name in ("RESERVED_BYTES", "DENOISING_NUMBERS", "DECODING_NUMBERS"):
        monkeypatch.setattr(policy, name, 0)


def parts(known: Catalog, name: str, **fields: Any) -> dict[str, int]:
    entry = replace(known.models[name], **fields)
    made = reading_of(known, name)
    return dict(placement.measure(made, entry, card_of(10**12)).parts)


def reading_of(known: Catalog, name: str) -> Any:
    from inference.catalog import weights

    place = weights.locate(known, "model", name)
    assert place is not None
    return weights.assemble(known, name, place)


def card_of(memory_bytes: int) -> Device:
    return Device(where=torch.device("cuda"), name="a card", memory_bytes=memory_bytes)


def advised(known: Catalog, name: str, budget_bytes: float) -> advice.Advice:
    """For a card all of whose memory can be weights'."""
    return advice.advise(reading_of(known, name), known.models[name], int(budget_bytes), int(budget_bytes))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "find_spec", lambda _: object())


@pytest.mark.usefixtures("installed")
def test_smaller_weights_are_chosen_only_where_layers_would_come_and_go(known: Catalog) -> None:
    largest, half = (max(parts(known, "sd35", weights=form).values()) for form in ("full", "8bit"))
    budgets = (sum(parts(known, "sd35").values()), largest, largest - 1, half - 1, half // 20)
    seen = [advised(known, "sd35", budget) for budget in budgets]
    assert [one.weights for one in seen] == ["full", "full", "8bit", "int4", "int4"]
    assert "its full weights (0.0 GB) stay whole." in seen[0].why
    assert "its full weights (0.0 GB) come and go part by part." in seen[1].why
    assert "its full weights (0.0 GB) would come and go layer by layer: its 8bit weights (0.0 GB) come" in seen[2].why
    assert "its int4 weights (0.0 GB) come and go layer by layer" in seen[4].why
    assert "and may run out of memory all the same" in seen[4].why


def test_what_is_not_installed_is_not_chosen_but_said(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(parts(known, "sd35").values())
    monkeypatch.setattr(advice, "find_spec", lambda name: None if name == "torchao" else object())
    told = advised(known, "sd35", 0.99 * largest)
    assert told.weights == "int4"
    assert told.why.endswith("(pip install -c constraints.txt 'easel[eightbit]', and weights can be '8bit').")
    monkeypatch.setattr(advice, "find_spec", lambda _: None)
    assert advised(known, "sd35", 0.99 * largest).weights == "full"


@pytest.mark.usefixtures("installed")
def test_a_more_exact_form_is_never_chosen_for_a_smaller_card(known: Catalog) -> None:
    for name in ("sd15", "sdxl", "sd35", "flux-dev"):
        total = sum(parts(known, name).values())
        order = [advice.FORMS.index(advised(known, name, share * total / 40).weights) for share in range(1, 50)]
        assert order == sorted(order, reverse=True)
        assert order[-1] == 0


@pytest.mark.parametrize(
    ("name", "share", "chosen"), [("sd35", 3.0, "full"), ("sd35", 0.9, "int4"), ("sdxl", 0.8, "int4")]
)
def test_every_written_entry_paints_and_says_why(
    name: str, share: float, chosen: str, files: Path, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", str(files / f"{name}-config"))
    assert add(files / f"{name}.safetensors", *config, "--name", "measured") == 0
    largest = max(parts(reading.load(toml), "measured").values())
    capsys.readouterr()
    memory = share * largest / 0.7 / 1e6
    # Without torchao, so that it runs wherever the tests do.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advice, "find_spec", lambda name: None if name == "torchao" else object())
        assert add(files / f"{name}.safetensors", *config, "--name", "new", "--memory", f"{memory:.6f}MB") == 0
    entry = entry_of(toml, "models", "new")
    assert entry.get("weights", "full") == chosen
    said, why = capsys.readouterr().out.splitlines()
    assert "it is [models.new]" in said
    assert why.startswith("On a card with 0.0 GB")
    assert f"\n# {why}\n[models.new]\n" in toml.read_text()
    known = reading.load(toml)
    made = paint(known, card(), "new", width=64, height=64, steps=1)
    assert made.pictures
    assert made.recipe["policy"]["weights"] == chosen


def test_the_blocks_of_a_file_stay_what_they_are(
    files: Path,
    catalogue: Callable[..., Catalog],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    file = write(tmp_path / "flux-Q8_0.gguf", denoiser(files, "flux"))
    catalogue("flux", BASE)
    monkeypatch.setenv("EASEL_MODELS", str(tmp_path / "models.toml"))
    config = ("--config", str(files / "flux-config"))
    assert program.main(["models", "add", str(file), *config, "--name", "new", "--memory", "0.01MB"]) == 0
    assert "weights" not in tomllib.loads((tmp_path / "models.toml").read_text())["models"]["new"]
    assert "its full weights (0.0 GB) come and go layer by layer" in capsys.readouterr().out


def test_a_machine_without_a_card_is_asked_what_the_card_will_have_and_one_with_a_card_is_looked_at(
    files: Path, toml: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    config = ("--config", str(files / "sd1-config"))
    assert add(files / "sd1.safetensors", *config, "--name", "cpu") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "There is no card here: --memory 8GB chooses weights for one that has so much."
    ]
    assert "weights" not in entry_of(toml, "models", "cpu")
    monkeypatch.setattr(device, "choose", lambda *_: card_of(10**4))
    monkeypatch.setattr(advice, "find_spec", lambda name: None if name == "torchao" else object())
    assert add(files / "sd1.safetensors", *config, "--name", "card") == 0
    assert entry_of(toml, "models", "card")["weights"] == "int4"
    monkeypatch.setenv("EASEL_VRAM_BUDGET_GB", "1")
    assert add(files / "sd1.safetensors", *config, "--name", "budget", "--memory", "10") == 0
    assert "weights" not in entry_of(toml, "models", "budget")


@pytest.mark.parametrize("said", ["0GB", "-8GB", "8TB", "nan", "1e9", "GB", "9" * 30, "8GB8", "٨GB", ""])
def test_memory_that_no_card_has_is_refused(said: str, toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = toml.read_text()
    with pytest.raises(SystemExit) as ended:
        add(toml, f"--memory={said}")
    assert ended.value.code == 2
    assert f"argument --memory: {said!r} is no memory of a card: write 8GB or 7.5GB" in capsys.readouterr().err
    assert toml.read_text() == before


@pytest.mark.parametrize(("said", "read"), [("8GB", 8e9), ("7.5 gb", 7.5e9), ("24", 24e9), ("900MB", 9e8)])
def test_memory_is_read_as_it_stands_on_the_box(said: str, read: float) -> None:
    assert commands.memory_bytes(said) == read
