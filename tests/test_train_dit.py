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

from data_prep.training import dit as train_dit
from data_prep.training import plaid as train_plaid
from data_prep.training.shared import Log, card_options, learning_rate, load_checkpoint, save_checkpoint
from difffeat.backbones import weights_folder

TINY = "--images 64 --channels 6 --width 16 --depth 2 --heads 2 --batch 8".split()
TINY += "--save-every 4 --samples 320 --decay 64".split()


def _command(folder):
    return [
        sys.executable,
        "-m",
        "data_prep.training.dit",
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
    log = stopped / "run" / "log.csv"
    assert len(_rows(log)) < 10
    log.write_bytes(log.read_bytes()[:-7])
    _train(stopped)

    assert (stopped / "out" / "model.safetensors").read_bytes() == (
        whole / "out" / "model.safetensors"
    ).read_bytes()
    assert _rows(stopped / "out" / "log.csv") == _rows(whole / "out" / "log.csv")
    card = json.loads((whole / "out" / "card.json").read_text())
    assert (card["steps"], card["samples"], card["options"]["data_seed"]) == (40, 320, 0)
    assert len(card["sha256"]) == 64 and card["commit"] and " of " in card["machine"]


@pytest.mark.parametrize(
    ("seen", "rate"), [(0, 0.01), (99, 1.0), (500, 1.0), (800, 1.0), (900, 0.5), (1000, 0.0)]
)
def test_learning_rate_warms_up_holds_and_decays(seen, rate):
    assert learning_rate(seen, peak=1.0, total=1000, warmup=100, decay=200) == pytest.approx(rate)


def test_help_names_every_default():
    run = subprocess.run(
        [sys.executable, "-m", "data_prep.training.dit", "--help"], check=True, capture_output=True, text=True
    )
    assert "samples to see in all" in run.stdout and "(default: 520000)" in run.stdout


@pytest.mark.parametrize(
    ("script", "name"), [(train_dit, "dit-scenes"), (train_dit, "dit-cifar"), (train_plaid, "plaid-scenes")]
)
def test_the_shipped_weights_are_what_the_defaults_train(script, name, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, "--model", name])
    card = json.loads((weights_folder(name) / "card.json").read_text())
    assert card_options(script.parse_arguments()) == card["options"]


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    _train(tmp_path)
    path = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"optimizer": state["optimizer"][1]}, path)
    done = subprocess.run(_command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode and "the checkpoint is of another optimizer: delete it" in done.stderr


def measured(log, steps):
    """A log with a row for each of these steps, numbers of every length among them."""
    for step in steps:
        log.add(step=step, seconds=step // 3, loss=1 / step, rate=1e-3 * step, validation=float(step % 7))
    return log


@pytest.mark.parametrize("kept", [True, False], ids=["with-rows", "without"])
def test_a_log_cut_anywhere_goes_on(tmp_path, kept, monkeypatch):
    """At every length; the checkpoint is of step 750, and training was stopped at step 1500."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # this many would take seconds
    path, steps = tmp_path / "log.csv", range(125, 1501, 125)
    whole = measured(Log(path, 0), steps)
    content = path.read_bytes()
    rows = whole.rows[:6] if kept else None
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        log = Log(path, 750, rows)
        lines = content[:length].split(b"\n")[:-1][1:]
        assert path.read_bytes() == (
            b"\n".join(content.split(b"\n")[: 1 + (6 if kept else min(6, len(lines)))] + [b""])
            if kept or lines
            else b""
        )
        if not kept:
            assert [row["step"] for row in log.rows] == [str(step) for step in steps[: min(6, len(lines))]]
        elif length % 20 == 0:
            measured(log, steps[6:])
            assert path.read_bytes() == content


def test_a_log_with_a_strange_line_is_read_up_to_it(tmp_path):
    path = tmp_path / "log.csv"
    for line in ("12,,\r\n", "\0\0\r\n", "1.5,2\r\n", "7,8,9\r\n"):
        path.write_bytes(b"step,loss\r\n4,0.5\r\n" + line.encode() + b"8,0.25\r\n")
        assert Log(path, 100).rows == [{"step": "4", "loss": "0.5"}]


def test_a_killed_write_leaves_the_log_before_it(tmp_path, monkeypatch):
    log = measured(Log(tmp_path / "log.csv", 0), [1, 2])
    before = log.path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda handle: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        measured(log, [3])
    assert log.path.read_bytes() == before


def test_a_cut_checkpoint_is_set_aside_and_said(tmp_path, capsys):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 3, "model": {"weight": torch.ones(50)}, "log": [{"step": 3, "loss": "1"}]})
    assert load_checkpoint(path)["log"] == [{"step": 3, "loss": "1"}]
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert load_checkpoint(path) is None
        assert not path.exists() and path.with_name("checkpoint.pt.damaged").read_bytes() == content[:length]
        assert f"{path} is damaged or ends early" in capsys.readouterr().err
