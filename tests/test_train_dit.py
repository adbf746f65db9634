"""Training of the image backbone: what is killed goes on from its checkpoint and ends in the same weights."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from data_prep import train_dit, train_plaid
from data_prep.training import card_options, learning_rate
from difffeat.backbones import weights_folder

TINY = "--images 64 --channels 6 --width 16 --depth 2 --heads 2 --batch 8".split()
TINY += "--save-every 4 --samples 320 --decay 64".split()


def _command(folder):
    return [
        sys.executable,
        "-m",
        "data_prep.train_dit",
        "--out",
        str(folder / "out"),
        "--run",
        str(folder / "run"),
        *TINY,
    ]


def _train(folder):
    subprocess.run(_command(folder), check=True, capture_output=True)


def _rows(path):
    with path.open() as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def test_a_killed_training_ends_in_the_same_weights(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    _train(whole)
    process = subprocess.Popen(_command(stopped), stderr=subprocess.DEVNULL)
    while not (stopped / "run" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(_rows(stopped / "run" / "log.csv")) < 10
    _train(stopped)

    assert (stopped / "out" / "model.safetensors").read_bytes() == (
        whole / "out" / "model.safetensors"
    ).read_bytes()
    assert _rows(stopped / "out" / "log.csv") == _rows(whole / "out" / "log.csv")
    card = json.loads((whole / "out" / "card.json").read_text())
    assert (card["steps"], card["samples"], card["options"]["data_seed"]) == (40, 320, 0)
    assert len(card["sha256"]) == 64 and card["commit"]


@pytest.mark.parametrize(
    ("seen", "rate"), [(0, 0.01), (99, 1.0), (500, 1.0), (800, 1.0), (900, 0.5), (1000, 0.0)]
)
def test_learning_rate_warms_up_holds_and_decays(seen, rate):
    assert learning_rate(seen, peak=1.0, total=1000, warmup=100, decay=200) == pytest.approx(rate)


def test_help_names_every_default():
    run = subprocess.run(
        [sys.executable, "-m", "data_prep.train_dit", "--help"], check=True, capture_output=True, text=True
    )
    assert "samples to see in all" in run.stdout and "(default: 520000)" in run.stdout


@pytest.mark.parametrize(("script", "name"), [(train_dit, "dit-scenes"), (train_plaid, "plaid-scenes")])
def test_the_shipped_weights_are_what_the_defaults_train(script, name, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name])
    card = json.loads((weights_folder(name) / "card.json").read_text())
    assert card_options(script.parse_arguments()) == card["options"]


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    _train(tmp_path)
    path = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"optimizer": state["optimizer"][1]}, path)
    done = subprocess.run(_command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode and "the checkpoint is of another optimizer: delete it" in done.stderr
