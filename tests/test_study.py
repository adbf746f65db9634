"""What a study gives a page: its data once, the models it names, grids of its own points."""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny

from difffeat import backbones, study
from difffeat.probing import grid


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A study of a small data set and small models, and the names of the models it loaded."""
    sizes = {"train": (60, 100), "val": (40, 300), "test": (41, 500)}
    splits = {
        part: tiny.split(count, folder=tmp_path, name=part, first=first)
        for part, (count, first) in sizes.items()
    }
    models, loaded = {"dit-scenes": tiny.dit, "plaid-scenes": tiny.plaid}, []

    def load(name, trained=True, **_):
        loaded.append((name, trained))
        return models[name](seed=0 if trained else 1)

    monkeypatch.setattr(backbones, "load", load)
    monkeypatch.setattr(study.data_prep, "splits", lambda data: splits)
    p = SimpleNamespace(
        notebook="30_fusion", samples=[50, 0, 0], on_broken="error", rare_below=0.01, enhanced=True,
        image_backbone="dit-scenes", image_blocks=[1, 2], image_timesteps=[0, 50], noise_seeds=[0, 1],
        text_backbone="plaid-scenes", text_blocks=[0, 2], text_timesteps=[0], pooling="real",
        floor_blocks=[1], floor_timesteps=[50], deterministic="mean", steps=5, epochs=0, resamples=10,
        d_align=4, models=defaultdict(dict), data={}, cache=tmp_path / "cache", dataset="tiny",
    )  # fmt: skip
    return study.Study(p), loaded


def test_data_are_the_first_samples_as_written_and_enhanced(page):
    page, _ = page
    assert [len(page.original[part]) for part in ("train", "val", "test")] == [50, 40, 41]
    assert list(page.told) == ["as written", "enhanced"] and page.kind == "enhanced"
    assert page.splits["test"].captions != page.original["test"].captions
    page.p.enhanced = False
    page = study.Study(page.p)
    assert list(page.told) == ["as written"] and page.splits is page.original


def test_models_are_loaded_when_first_used_and_the_last_of_a_modality_stays(page):
    page, loaded = page
    model = page.model("image")
    assert page.model("image") is model and loaded == [("dit-scenes", True)]
    page.model("text")
    assert page.model("image", trained=False) is not model
    assert loaded == [("dit-scenes", True), ("plaid-scenes", True), ("dit-scenes", False)]
    page.p.text_backbone = "dit-scenes"
    with pytest.raises(ValueError, match="30_fusion: text_backbone is 'dit-scenes', which reads images"):
        study.Study(page.p).model("text")


def test_grids_are_of_the_pages_points_unless_told_otherwise(page):
    page, _ = page
    images, texts = page.images(), page.texts()
    assert (images.timesteps, images.blocks, len(images.features)) == ((0, 50), (1, 2), 2)
    assert (texts.timesteps, texts.blocks, len(texts.features)) == ((0,), (0, 2), 1)
    assert texts.features[0]["train"].provenance["noising"] == "mean"
    written = page.texts("as written", noising="random", seeds=[1])
    assert written.features[0]["train"].provenance["seed"] == 1
    assert (
        written.features[0]["train"].provenance["inputs"] != texts.features[0]["train"].provenance["inputs"]
    )
    copy = page.images(trained=False, seeds=[0], **page.floor_points)
    assert copy.values.shape == (1, 1) and not (copy.values == images.values[1, 0]).all()
    clean = page.clean(**page.floor_points)
    assert clean.features[0]["train"].provenance["condition"] == 50
    pair = (images.best, texts.best)
    fused = page.pairs(images.features, texts.features)
    assert 0 <= fused[pair].test <= 1 and fused.head == "addition"


def test_labels_of_each_kind_have_a_grid_and_floors_of_their_own(page):
    page, loaded = page
    page.data = {part: replace(split, kinds=["pet", "pet", "cattle"]) for part, split in page.data.items()}
    grids = page.images_by_kind()
    assert {kind: grid.by_label["AP"].shape for kind, grid in grids.items()} == {
        "pet": (2, 2, 2, 2), "cattle": (2, 1, 2, 2)
    }  # fmt: skip
    lowest = page.floors_by_kind()
    names = ["label frequency", "raw pixels", "untrained copy"]
    assert {kind: [floor.name for floor in found] for kind, found in lowest.items()} == {
        "pet": names, "cattle": names
    }  # fmt: skip
    assert lowest["cattle"][0].value == pytest.approx(page.original["test"].labels[:, 2].mean())
    assert loaded == [("dit-scenes", True), ("dit-scenes", False)]
    copy = page.images_by_kind(trained=False, seeds=[0], **page.floor_points)["pet"]
    assert copy.values.shape == (1, 1) and copy.at_best.value == lowest["pet"][2].value


def test_the_length_of_probes_is_that_of_the_page(page, monkeypatch):
    page, _ = page
    assert page.length == dict(steps=5)
    page.p.epochs = 3
    assert page.length == dict(epochs=3)
    seen = []
    monkeypatch.setattr(grid, "measure", lambda *given, **how: seen.append((given[-1], how)))
    page.texts(pooling="mean")
    (recipe, how), *_ = seen
    assert how["probing"] == dict(epochs=3) and recipe.pooling == "mean"
