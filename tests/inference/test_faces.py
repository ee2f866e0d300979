"""Faces: found in a real photograph, cut out upright, made anew by real architectures, put back without a trace."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as skimage_data

from inference import engine
from inference.catalog import reading, weights
from inference.catalog.entries import RestorerEntry
from inference.device import Device
from inference.errors import NotFinite, OutOfMemory
from inference.exchange import reports
from inference.models.store import Store
from inference.networks import faces
from inference.networks.restorer import Restorer
from inference.protocol import Finished, Progress, Ready, Upscale, because, limits
from inference.tasks import upscale
from tests.inference import tiny
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    """A portrait in the public domain, small."""
    return Image.fromarray(skimage_data.astronaut()).resize((256, 256), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> reading.Catalog:
    """An upscaler, and a restorer of RestoreFormer's own class with random weights."""
    folder = tmp_path_factory.mktemp("faces")
    tiny.write_restorer(folder / "restorer.pth")
    text = tiny.CATALOG[: tiny.CATALOG.index("[models.sd21]")]
    text += tiny.CATALOG[tiny.CATALOG.index("[upscalers.x4]") : tiny.CATALOG.index("grain =")]
    text += '[restorers.tiny]\ntitle = "Tiny restorer"\npath = "restorer.pth"\n'
    text += '[restorers.absent]\ntitle = "Never fetched"\nurl = "https://example.org/absent.pth"\n'
    text += '[restorers.wrong]\ntitle = "An upscaler"\npath = "x4.pth"\n'
    (folder / "models.toml").write_text(text)
    known = reading.load(folder / "models.toml")
    tiny.write_upscaler(folder / "x4.pth", known.upscalers["x4"])
    return known


@pytest.fixture(scope="module")
def own(catalogue: reading.Catalog, cpu: Device) -> Store:
    return Store(catalog=catalogue, device=cpu)


@pytest.fixture(scope="module")
def said(catalogue: reading.Catalog, cpu: Device) -> Ready:
    return engine.readiness(catalogue, {**weights.inventory(catalogue), "model": ("sd15",)}, cpu)


def enlarge(store: Store, picture: Image.Image, record: Record | None = None, **changes: Any) -> Finished:
    image, files = uploaded(picture)
    record = Record() if record is None else record
    request = Upscale(**{"job": 1, "model": "x4", "image": image, "factor": 2, **changes})
    record.begin(request)
    upscale.run([request], files, store, record.report)
    return record.finished()[1]


def opened(finished: Finished) -> Image.Image:
    return Image.open(io.BytesIO(bytes_of(finished.pictures[0])))


def test_a_face_is_found_at_every_size_and_none_where_none_is(astronaut: Image.Image) -> None:
    (face,) = faces.find(np.asarray(astronaut))
    left_eye, right_eye, nose, left_mouth, right_mouth = face
    # In the photograph of 512 pixels her eyes lie near (203, 101) and (245, 102), her nose near (223, 125).
    assert np.abs(np.array([left_eye, right_eye, nose]) * 2 - [[203, 101], [245, 102], [223, 125]]).max() < 6
    assert left_mouth[0] < right_mouth[0]
    assert min(left_mouth[1], right_mouth[1]) > nose[1]
    close = astronaut.crop((70, 15, 145, 95)).resize((1500, 1600))
    assert len(faces.find(np.asarray(close))) == 1
    two = np.concatenate([np.asarray(astronaut), np.asarray(astronaut)[:, ::-1]], axis=1)
    assert len(faces.find(two)) == 2
    for other in (skimage_data.coffee(), skimage_data.chelsea(), np.zeros((1, 1, 3), np.uint8)):
        assert faces.find(other) == []


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_what_is_put_back_as_it_was_cut_out_lies_where_it_was(astronaut: Image.Image, factor: int) -> None:
    picture = np.asarray(astronaut)
    (face,) = faces.find(picture)
    crop, matrix = faces.cut_out(picture, face)
    eyes = matrix @ [*face[:2].mean(axis=0), 1]
    assert np.abs(eyes - [256, 240]).max() < 12, "upright in the middle, as FFHQ's faces lie"
    size = (256 * factor, 256 * factor)
    large = np.array(astronaut.resize(size, Image.Resampling.BICUBIC))
    before = large.copy()

    def change(right: float, down: float) -> float:
        """What is otherwise, where the face is put so many pixels from its place."""
        moved, there = matrix.copy(), before.copy()
        moved[:, 2] -= matrix[:, :2] @ [right / factor, down / factor]
        faces.put_back(there, crop, moved, factor)
        return float(np.abs(there.astype(int) - before).mean())

    assert change(0, 0) < min(change(right, down) for right, down in [(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)])
    faces.put_back(large, 255 - crop, matrix, factor)
    touched = np.abs(large.astype(int) - before).max(axis=2) > 0
    # A square around the face, and every bit elsewhere.
    ys, xs = np.nonzero(touched)
    sides = np.array([xs.min(), xs.max(), ys.min(), ys.max()]) / factor
    assert np.abs(sides - [71, 152, 12, 95]).max() < 6


def test_a_face_at_the_edge_and_one_much_smaller_than_512_come_back(astronaut: Image.Image) -> None:
    edge = np.array(astronaut.crop((95, 40, 256, 256)))
    matrix = faces.cut_out(np.asarray(astronaut), faces.find(np.asarray(astronaut))[0])[1].copy()
    matrix[:, 2] += matrix[:, :2] @ [95, 40]
    before = edge.copy()
    faces.put_back(edge, np.zeros((512, 512, 3), np.uint8), matrix, 1)
    assert (edge[:20, :10] == 0).all()
    assert np.array_equal(edge[100:], before[100:])
    matrix[:, 2] += 10_000
    faces.put_back(edge, np.zeros((512, 512, 3), np.uint8), matrix, 1)


def test_faces_are_made_anew_and_all_else_keeps_every_bit(own: Store, astronaut: Image.Image) -> None:
    plain, with_faces = enlarge(own, astronaut), enlarge(own, astronaut, faces="tiny")
    one, other = (np.asarray(opened(each)).astype(int) for each in (plain, with_faces))
    ys, xs = np.nonzero(np.abs(one - other).max(axis=2))
    assert (xs.min() > 130, xs.max() < 320, ys.min() > 10, ys.max() < 205) == (True,) * 4
    assert np.abs(one - other)[60:150, 180:270].mean() > 5, "a network of chance makes another face"
    recipe = with_faces.recipe["restorer"]
    assert (recipe["name"], recipe["faces"], recipe["detector"]) == ("tiny", 1, "yunet_2023mar")
    assert recipe["files"] == [{"path": "restorer.pth", "url": None}]
    assert len(recipe["hash"]) == 10
    assert plain.recipe["restorer"] is None
    assert with_faces.recipe["request"]["faces"] == "tiny"
    assert with_faces.answer.notes == ()
    torch.manual_seed(99)
    again = enlarge(own, astronaut, faces="tiny")
    assert opened(again).tobytes() == opened(with_faces).tobytes()


def test_transparency_stays_as_the_upscaler_made_it(own: Store, astronaut: Image.Image) -> None:
    picture = astronaut.convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    plain, with_faces = (opened(enlarge(own, picture, faces=name)) for name in (None, "tiny"))
    assert plain.getchannel("A").tobytes() == with_faces.getchannel("A").tobytes()
    assert plain.tobytes() != with_faces.tobytes()


def test_where_no_face_is_that_is_said_and_nothing_is_loaded(catalogue: reading.Catalog, cpu: Device) -> None:
    fresh = Store(catalog=catalogue, device=cpu)
    cat = Image.fromarray(skimage_data.chelsea()).resize((90, 60))
    finished = enlarge(fresh, cat, faces="tiny")
    assert finished.answer.notes == (because("no_faces"),)
    assert finished.recipe["restorer"] is None
    assert list(fresh.resident()) == ["upscaler x4"]
    assert opened(finished).tobytes() == opened(enlarge(fresh, cat)).tobytes()


def test_progress_counts_faces_and_a_cancel_is_honoured_before_each(
    own: Store, astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However soon one comes after another.
    monkeypatch.setattr(reports, "PROGRESS_INTERVAL_S", 0.0)
    record = Record()
    enlarge(own, astronaut, record, faces="tiny")
    steps = [event for event in record if isinstance(event, Progress) and event.stage != "loading"]
    assert [(event.step, event.steps) for event in steps] == [(0, 2), (1, 2), (2, 2)]
    record = Record()
    image, files = uploaded(astronaut)
    request = Upscale(job=1, model="x4", image=image, factor=2, faces="tiny")
    record.begin(request)
    network = own.use_upscaler("x4", lambda: None).network.network

    def cancel(*_: object) -> None:
        record.report.cancel(1)

    hook = network.register_forward_hook(cancel)
    try:
        upscale.run([request], files, own, record.report)
    finally:
        hook.remove()
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"


def test_a_full_memory_and_a_face_that_is_no_number_end_the_job(
    own: Store, astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = own.use_restorer("tiny", lambda: None).network.network

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(network, "forward", full)
        with pytest.raises(OutOfMemory) as refused:
            enlarge(own, astronaut, faces="tiny")
    assert refused.value.reason == because("memory_for_upscale", width=256, height=256, model="Tiny x4")
    monkeypatch.setattr(own.use_restorer("tiny", lambda: None).network.network, "forward", lambda face: [face / 0])
    with pytest.raises(NotFinite) as nothing:
        enlarge(own, astronaut, faces="tiny")
    assert nothing.value.reason == because("restorer_makes_nothing", model="Tiny restorer")


def test_ready_offers_what_is_here_and_the_rule_knows_no_other(said: Ready, catalogue: reading.Catalog) -> None:
    assert [(tool.name, tool.title) for tool in said.restorers] == [("tiny", "Tiny restorer")]
    assert "restores no faces" in weights.defects(catalogue)["restorer", "wrong"]
    image, _ = uploaded(tiny.picture())
    asked = Upscale(job=1, model="x4", image=image, factor=2, faces="tiny")
    assert limits.problem(asked, said) is None
    for name in ("absent", "wrong", "x4"):
        other = Upscale(job=1, model="x4", image=image, factor=2, faces=name)
        assert limits.problem(other, said) == because("no_restorer", typed=name, choices=("tiny",))


def test_gfpgan_is_given_and_gives_what_it_was_trained_on(
    tmp_path: Path, astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From -1 to 1, and not as spandrel calls all others: a network that changes nothing must change nothing."""
    kind = importlib.import_module("spandrel.architectures.GFPGAN").GFPGAN
    with torch.device("meta"):
        made = kind()
    file = tmp_path / "gfpgan.pth"
    # Its own size, which spandrel takes no smaller: a byte for each number.
    torch.save(
        {"params_ema": {name: torch.zeros(t.shape, dtype=torch.int8) for name, t in made.state_dict().items()}}, file
    )
    restorer = Restorer(RestorerEntry(title="GFPGAN", path="gfpgan.pth"), file, CPU, torch.float16)
    assert restorer.dtype == torch.float32, "it bears no half precision"
    seen: list[tuple[float, float]] = []

    def unchanged(face: torch.Tensor, return_rgb: bool) -> tuple[torch.Tensor, list[Any]]:
        seen.append((float(face.min()), float(face.max())))
        return face, []

    monkeypatch.setattr(restorer.network, "forward", unchanged)
    places = faces.find(np.asarray(astronaut))
    result = restorer.restore(astronaut, astronaut, places, 1)
    assert seen[0][0] < -0.9
    assert np.abs(np.asarray(result).astype(int) - np.asarray(astronaut)).mean() < 1
