"""Training of the U-Net of scenes: it is told captions, goes on after a kill, and leaves a model to load."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from data_prep.scenes.language import captions
from data_prep.training import unet as train_unet
from data_prep.training.shared import card_options
from difffeat import backbones
from difffeat.backbones.captioned import CaptionedUNet
from difffeat.backbones.shipped import SHIPPED, weights_folder

TINY = "--images 64 --channels 6 --width 16 --heads 2 --groups 8 --length 8 --batch 8".split()
TINY += "--save-every 4 --samples 128 --decay 32 --threads 1".split()
SIZES = dict(
    channels=6, side=8, width=16, heads=2, levels=2, repeats=1, groups=8, length=8, text_width=128,
)  # fmt: skip


def command(folder):
    places = ["--out", str(folder / "out"), "--run", str(folder / "run")]
    return [sys.executable, "-m", "data_prep.training.unet", *places, *TINY]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A training run that has not begun."""
    monkeypatch.setattr(sys, "argv", command(tmp_path)[2:])
    return train_unet.Run(train_unet.parse_arguments())


def test_a_killed_training_ends_in_the_same_weights_and_they_are_loaded(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run(command(whole), check=True, capture_output=True)
    process = subprocess.Popen(command(stopped), stderr=subprocess.DEVNULL)
    while not (stopped / "run" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command(stopped), check=True, capture_output=True)
    weights = [(folder / "out" / "model.safetensors").read_bytes() for folder in (whole, stopped)]
    assert weights[0] == weights[1]
    card = json.loads((whole / "out" / "card.json").read_text())
    assert (card["model"], card["steps"], card["samples"]) == ("unet-scenes", 16, 128)
    assert card["options"]["silent"] == 0.15 and len(card["sha256"]) == 64
    text_card = json.loads((weights_folder("plaid-scenes") / "card.json").read_text())
    assert (card["text_model"], card["text_model_sha256"]) == ("plaid-scenes", text_card["sha256"])

    model, untrained = (
        backbones.load("unet-scenes", trained, folder=whole / "out") for trained in (True, False)
    )
    assert model.sha256 != untrained.sha256 and torch.equal(model.context, untrained.context)
    expected = train_unet.Captions(8, "cpu")([""])
    torch.testing.assert_close(model.context, expected, rtol=2e-3, atol=2e-3)  # kept in half precision
    z = torch.randn(2, *model.latent_shape)
    states = model.states(z, 50, range(model.depth + 1))
    assert {tokens.shape[2] for tokens in states.values()} == {16}, (
        "of one width, so that grids take them all"
    )
    assert {tokens.shape[1] for tokens in states.values()} == {64, 16}
    transformers = [name for name in model.places if name.endswith("vit-out")]
    read = {place: tokens.shape[1] for _, place, tokens in model.activations(z, 50, [0], transformers)}
    assert set(read.values()) == {64, 16}, "transformers at two resolutions"


def test_a_picture_is_told_its_own_caption_or_the_empty_one(run):
    rows = np.array([3, 5, 8])
    run.options.silent = 0.0
    (told,) = run.told(rows)
    own = [captions(0, row, row + 1)[0][0][0] for row in rows]
    torch.testing.assert_close(told, run.encode(own))
    assert not torch.equal(told[0], told[1])
    run.options.silent = 1.0
    (told,) = run.told(rows)
    torch.testing.assert_close(told, run.model.context.expand(3, -1, -1))
    run.options.silent = 0.5
    told = torch.cat([run.told(np.arange(32))[0] for _ in range(4)])
    silent = (told - run.model.context).abs().flatten(1).amax(dim=1) < 1e-3
    assert 0.3 < float(silent.float().mean()) < 0.7


def test_a_step_learns_and_the_caption_matters(run):
    before = [parameter.detach().clone() for parameter in run.model.parameters()]
    assert run.advance().isfinite() and run.step == 1
    changed = [not torch.equal(*pair) for pair in zip(before, run.model.parameters(), strict=True)]
    assert all(changed)
    z, told = torch.randn(2, 6, 8, 8), torch.full((2,), 500)
    with torch.no_grad():
        plain, captioned = run.model(z, told), run.model(z, told, run.encode(["a red house", "two cats"]))
    assert not torch.allclose(plain, captioned)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(heads=3), "heads 3 does not divide width 16"),
        (dict(groups=5), "groups 5 does not divide width 16"),
        (dict(levels=5), "side 8 cannot be halved 4 times"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CaptionedUNet(**SIZES | change)


@pytest.mark.skipif(not weights_folder("unet-scenes").is_dir(), reason="unet-scenes is not trained")
def test_the_shipped_weights_are_small_and_what_the_defaults_train(monkeypatch):
    assert "unet-scenes" in SHIPPED
    folder = weights_folder("unet-scenes")
    monkeypatch.setattr(sys, "argv", ["unet"])
    card = json.loads((folder / "card.json").read_text())
    assert card_options(train_unet.parse_arguments()) == card["options"]
    assert (folder / "model.safetensors").stat().st_size < 6e6
