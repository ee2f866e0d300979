"""How many pictures pay in a pass: measured by real passes, by whatever clock, and kept where it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch

from inference import __main__ as program
from inference import recipes
from inference.catalog import profiles
from inference.catalog.profiles import Profile
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import SettingsError
from inference.models.policy import Policy
from inference.models.store import Store
from inference.operating import profiling
from inference.painting.passes import Pass
from tests.inference.conftest import with_model


def fast(known: Catalog) -> Catalog:
    return with_model(known, steps=1, max_steps=1)


class Passes:
    """A clock that counts what is painted: a pass of n pictures takes as long as it is told that n take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: Callable[[int], float]) -> None:
        self.pictures: list[int] = []
        self._takes = takes
        denoise = Pass.denoise

        def counted(taken: Pass, slots: list[object], after_step: object) -> torch.Tensor:
            self.pictures.append(len(slots))
            return denoise(taken, slots, after_step)  # type: ignore[arg-type]

        monkeypatch.setattr(Pass, "denoise", counted)

    def seconds(self, work: Callable[[], None]) -> float:
        before = len(self.pictures)
        work()
        return sum(map(self._takes, self.pictures[before:]))


def profile(**changes: object) -> Profile:
    values = {
        "model": "sd15",
        "device": "H200",
        "width": 32,
        "height": 32,
        "batch": 4,
        "seconds": {1: 1.0, 2: 1.1, 4: 1.5},
        "versions": dict(recipes.versions()),
        "date": "2026-11-30",
    }
    return Profile(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("takes", "tried"),
    [(lambda n: 1.0 + n, [1, 2, 4, 8]), (lambda n: float(n), [1, 2]), (lambda n: 1.0, [1, 2, 4, 8, 16])],
    ids=["less and less", "nothing gained", "all at the price of one"],
)
def test_as_many_share_a_pass_as_give_more_pictures_for_the_time(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch, takes: Callable[[int], float], tried: list[int]
) -> None:
    clock = Passes(monkeypatch, takes)
    measured = dict(profiling.measure(fast(known), "sd15", cpu, clock.seconds))
    assert list(measured) == tried
    assert clock.pictures == [n for n in tried for _ in range(profiling.PASSES + 1)], "each pass is a full one"
    best = profiling.choose(measured)
    assert best == (16 if tried[-1] == 16 else tried[-2])


def test_number_that_the_memory_does_not_hold_or_that_slows_the_keeping_is_not_taken(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise = Pass.denoise

    def full(taken: Pass, slots: list[object], after_step: object) -> torch.Tensor:
        if len(slots) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return denoise(taken, slots, after_step)  # type: ignore[arg-type]

    monkeypatch.setattr(Pass, "denoise", full)
    assert list(dict(profiling.measure(fast(known), "sd15", cpu, lambda work: work() or 1.0))) == [1, 2]
    policy = Store._policy

    def thrifty(store: Store, name: str, pixels: int) -> Policy:
        several = store.catalog.models[name].batch > 1
        store._chosen[name] = msgspec.structs.replace(policy(store, name, pixels), vae_tiling=several)
        return store._chosen[name]

    monkeypatch.setattr(Store, "_policy", thrifty)
    assert list(dict(profiling.measure(fast(known), "sd15", cpu, lambda work: work() or 1.0))) == [1]


def test_what_was_measured_on_such_a_device_at_this_size_is_the_batch_that_the_engine_states(
    known: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    entry = known.models["sd15"]
    own = {"width": entry.width, "height": entry.height}
    profiles.keep(tmp_path, profile(batch=2, **own))
    profiles.keep(tmp_path, profile(batch=8, **own))
    profiles.keep(tmp_path, profile(model="sdxl", width=8, height=8, batch=16))
    profiles.keep(tmp_path, profile(model="sd21", device="H100", batch=16))
    profiles.keep(tmp_path, profile(model="gone"))
    now = profiles.applied(known, tmp_path, "H200", recipes.versions())
    assert now.info("sd15", on_gpu=True).batch == 8
    assert {name: one for name, one in now.models.items() if name != "sd15"} == {
        name: one for name, one in known.models.items() if name != "sd15"
    }
    assert now.info("sd15", on_gpu=False).batch == entry.cpu_batch
    assert "sd15: 8 pictures in a pass, as measured on 2026-11-30" in caplog.text
    assert "other versions" not in caplog.text
    later = profiles.applied(known, tmp_path, "H200", {**recipes.versions(), "torch": "9"})
    assert later.models["sd15"].batch == 8, "nothing changes by itself"
    assert "sd15 was measured with other versions" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"{", b"[{}]", b'[{"model": 1}]', b"\xff"])
def test_damaged_profiles_are_told_to_the_operator(known: Catalog, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / profiles.FILE).write_bytes(damage)
    with pytest.raises(SettingsError, match="remove it: `models profile` measures anew"):
        profiles.applied(known, tmp_path, "H200", {})
    profiles_before = (tmp_path / profiles.FILE).read_bytes()
    with pytest.raises(SettingsError):
        profiles.keep(tmp_path, profile())
    assert (tmp_path / profiles.FILE).read_bytes() == profiles_before


@pytest.mark.parametrize("batch", [0, 17])
def test_absurd_number_is_not_believed(tmp_path: Path, batch: int) -> None:
    profiles.keep(tmp_path, profile())
    file = tmp_path / profiles.FILE
    file.write_text(file.read_text().replace('"batch": 4', f'"batch": {batch}'))
    with pytest.raises(SettingsError):
        profiles.read(tmp_path)


def test_on_a_cpu_it_is_printed_and_not_kept(
    models_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    monkeypatch.setattr(profiling, "PASSES", 1)
    monkeypatch.setattr(profiling, "CANDIDATES", (1, 2))
    assert program.main(["models", "profile", "sd15", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert " 1 in a pass:" in said
    assert "nothing is kept" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models", "profile", "sd15", "--data", "nowhere"], "--data nowhere names no data folder"),
        (["models", "profile", "nobody", "--data", "."], "there is no [models.nobody]"),
        (["models", "profile", "flux-fill-dev", "--data", "."], "paints nothing without a picture"),
    ],
    ids=["no folder", "no model", "fills"],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    models_toml: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    assert program.main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
