"""What models of real data are trained on, and the optimizer of their matrices."""

import copy

import numpy as np
import pytest
import torch
from layouts import reference
from torch import nn

import data_prep
from data_prep.training import pictures, texts
from data_prep.training.optimizers import Muon, orthogonal, outside
from difffeat import profiles


@pytest.fixture
def captions():
    reference("coco18_captions_30000")  # skips where there are none
    return texts.of_captions(3000, seed=0)


def test_no_caption_that_is_tested_on_is_trained_on(captions):
    parts = data_prep.splits(profiles.expanded(profiles.load("coco-text").data, "coco-text"))
    tested = {caption for part in ("val", "test") for caption in parts[part].captions}
    plain = [text.split(" In this photo, there are also some")[0].rstrip(".") for text in captions.train]
    known = {caption.strip().rstrip(".") for caption in tested}
    assert len(captions.train) == 3000 and not known & set(plain)
    assert set(captions.validation) <= set(parts["val"].captions)


def test_a_third_of_captions_have_lists_which_name_every_label(captions):
    listed = [text for text in captions.train if "there are also some" in text]
    assert 0.2 < len(listed) / len(captions.train) < 0.35, "a list that would be empty is none"
    said = " ".join(listed)
    assert sum(f"{name}" in said for name in captions.names) == len(captions.names) == 80
    assert texts.of_captions(3000, seed=0).train == captions.train


def test_pictures_of_a_profile_are_its_train_part(monkeypatch, tmp_path):
    import tiny

    train, val = tiny.split(20, folder=tmp_path, name="train"), tiny.split(9, folder=tmp_path, first=500)
    monkeypatch.setattr(data_prep, "splits", lambda settings: {"train": train, "val": val})
    found = pictures.of_profile("scenes", 0, 8, "whole")
    assert (
        found.count == 20 and found.train(3, 4).shape == (4, 3, 8, 8) and found.train(0, 1).dtype == np.uint8
    )
    pixels = np.concatenate(list(pictures.in_chunks(found, 6)))
    assert np.array_equal(pixels, found.train(0, 20))
    assert not np.array_equal(found.validation(2), found.train(0, 2))
    fewer = pictures.of_profile("scenes", 12, 8, "whole")
    assert fewer.count == 12 and fewer.digest != found.digest, "other pictures, other latents"
    with pytest.raises(ValueError, match="has 20 pictures to train on, 21 were asked for"):
        pictures.of_profile("scenes", 21, 8, "whole")


def test_matrices_get_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 8, 20), (3, 20, 8), (2, 16, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert 0.2 < values.min() and values.max() < 1.3
    tall = torch.randn(1, 20, 8)
    assert torch.equal(orthogonal(tall), orthogonal(tall.mT).mT)


def test_steps_are_those_of_the_library_to_the_precision_of_its_products():
    """`torch.optim.Muon` multiplies in bfloat16."""
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(12, 20), nn.Linear(20, 12))
    theirs = copy.deepcopy(ours)
    muon = Muon(ours, [{"params": outside(ours, ours)}])
    matrices = [value for value in theirs.parameters() if value.ndim == 2]
    library = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    before = [value.detach().clone() for value in matrices]
    for _ in range(3):
        inputs = torch.randn(32, 12)
        for model in (ours, theirs):
            (model(inputs) - inputs.flip(1)).square().mean().backward()
        muon.step(0.01)
        library.step()
        library.zero_grad()
    for start, one, other in zip(
        before, (p for p in ours.parameters() if p.ndim == 2), matrices, strict=True
    ):
        moved, expected = one.detach() - start, other.detach() - start
        assert (moved - expected).norm() < 0.05 * expected.norm() > 0


def test_a_checkpoint_of_the_optimizer_goes_on():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 6))
    inputs = torch.randn(16, 6)

    def stepped(model, muon, times):
        for _ in range(times):
            (model(inputs) - 1).square().mean().backward()
            muon.step(0.02)

    whole, half = copy.deepcopy(model), copy.deepcopy(model)
    stepped(whole, Muon(whole, [{"params": outside(whole, whole)}]), 6)
    first = Muon(half, [{"params": outside(half, half)}])
    stepped(half, first, 3)
    later = Muon(half, [{"params": outside(half, half)}])
    later.load_state_dict(copy.deepcopy(first.state_dict()))
    stepped(half, later, 3)
    for one, other in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="of another optimizer"):
        later.load_state_dict({"state": {}})
