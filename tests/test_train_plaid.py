"""Training of the text backbone: its loss is the variational bound, and a killed run goes on from there."""

import csv
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import tiny
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES
from data_prep.training import plaid as train_plaid
from data_prep.training.shared import MALLOC
from data_prep.training.texts import of_scenes
from data_prep.training.variational import Terms, loss_terms, prior_term, token_weights, training_step
from data_prep.training.vocabulary import spread
from difffeat import backbones

TINY = (
    "--texts 300 --vocabulary 400 --length 24 --width 16 --depth 2 --heads 2 --batch 16 --save-every 4 "
    "--samples 480 --decay 96"
).split()


def start(folder):
    """Training in its own process, with the allocator's settings there already, so that it starts once."""
    options = ["--out", str(folder / "out"), "--run", str(folder / "run"), *TINY]
    command = [sys.executable, "-m", "data_prep.training.plaid", *options]
    return subprocess.Popen(command, env={**os.environ, **MALLOC}, stderr=subprocess.DEVNULL)


def train(folder):
    assert start(folder).wait() == 0


def rows(path):
    with path.open() as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


def test_a_killed_training_ends_in_the_same_weights(whole, tmp_path):
    process = start(tmp_path)
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    log = tmp_path / "run" / "log.csv"
    assert len(rows(log)) < len(rows(whole / "run" / "log.csv"))
    log.write_bytes(log.read_bytes()[:-7])
    train(tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (whole / "out" / name).read_bytes()
    assert rows(tmp_path / "out" / "log.csv") == rows(whole / "out" / "log.csv")


def test_what_training_leaves_can_be_loaded_and_tells_its_story(whole):
    model = backbones.load("plaid-scenes", folder=whole / "out")
    text = captions(0, 0, 1)[0][0][0]
    assert model.decode(model.latents([text]).z) == [text]
    card = json.loads((whole / "out" / "card.json").read_text())
    assert (card["steps"], card["samples"], card["options"]["data_seed"]) == (30, 480, 0)
    assert card["sha256"] == hashlib.sha256((whole / "out" / "model.safetensors").read_bytes()).hexdigest()
    log = rows(whole / "out" / "log.csv")
    assert [int(row["step"]) for row in log] == [4, 8, 12, 16, 20, 24, 28, 30]
    for row in log:
        parts = sum(float(row[name]) for name in Terms._fields)
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-3)
    assert float(log[-1]["validation_loss"]) < float(log[0]["validation_loss"])


def test_help_names_every_default():
    command = [sys.executable, "-m", "data_prep.training.plaid", "--help"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "samples to see" in run.stdout and "(default: 64)" in run.stdout


# The loss.


def test_diffusion_term_is_the_rate_of_the_exact_kl():
    """gamma' exp(-gamma) |x - x_hat|^2 / 2 is the KL of modelled from exact posterior, per unit of t."""
    torch.manual_seed(0)
    model = tiny.plaid()
    low, high = 0.5, 0.5 + 1e-4  # gamma at two close times
    alpha, variance = (torch.sigmoid(torch.tensor(sign * low, dtype=torch.float64)) for sign in (-1, 1))
    later_alpha, later_variance = (
        torch.sigmoid(torch.tensor(sign * high, dtype=torch.float64)) for sign in (-1, 1)
    )
    clean, estimate = torch.randn(2, 4, dtype=torch.float64)
    # Posterior of z(low) given z(high) and x: its mean moves with x by this factor, its variance does not.
    step = later_alpha.sqrt() / alpha.sqrt()
    remaining = later_variance - step**2 * variance
    factor, spread = alpha.sqrt() * remaining / later_variance, (variance * remaining / later_variance).sqrt()
    exact = kl_divergence(Normal(factor * clean, spread), Normal(factor * estimate, spread)).sum()
    rate = 0.5 * math.exp(-low) * (clean - estimate).square().sum() * (high - low)
    assert float(exact) == pytest.approx(float(rate), rel=1e-3)

    ids, noise = torch.tensor([[1, 4, 0, 0, 0, 0]] * 2), torch.randn(2, 6, 4)
    gamma, slope = (
        torch.tensor([-3.0, 0.5], dtype=torch.float64),
        torch.tensor([9.0, 2.0], dtype=torch.float64),
    )
    weights = torch.full((2, 6), 1 / 6)
    with torch.no_grad():
        reconstruction, diffusion = loss_terms(model, ids, weights, slice(1, None), gamma, slope, noise)
        scale = gamma[:, None, None]
        z = (
            torch.sigmoid(-scale).sqrt() * model.embeddings[ids] + torch.sigmoid(scale).sqrt() * noise
        ).float()
        first = model.estimate(model(z, gamma, torch.zeros_like(z)))
        first[1] = 0  # of two rows, the first is self-conditioned
        logits = model(z, gamma, first)
        error = (model.embeddings[ids[1]] - model.estimate(logits[1])).square().sum(dim=1)
    surprise = -Categorical(logits=logits[0]).log_prob(ids[0])
    assert float(reconstruction) == pytest.approx(float(surprise.mean()), rel=1e-5)
    assert float(diffusion) == pytest.approx(float(0.5 * math.exp(-0.5) * 2.0 * error.mean()), rel=1e-5)


def test_prior_term_is_the_exact_kl():
    gamma = torch.tensor(1.5, dtype=torch.float64)
    clean = torch.nn.functional.normalize(torch.randn(16, dtype=torch.float64), dim=0)
    noised = Normal(torch.sigmoid(-gamma).sqrt() * clean, torch.sigmoid(gamma).sqrt())
    exact = kl_divergence(noised, Normal(torch.zeros(16, dtype=torch.float64), 1.0)).sum()
    assert float(prior_term(gamma, 16)) == pytest.approx(float(exact))


def test_pads_count_less_than_words_and_the_first_end():
    mask = torch.tensor([[True, True, False, False], [True, True, True, True], [False] * 4])
    weights = token_weights(mask)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert weights[0, 2] == weights[0, 0] == pytest.approx(10 * float(weights[0, 3]))
    torch.testing.assert_close(weights[1], torch.full((4,), 0.25))
    assert weights[2, 0] == pytest.approx(10 * float(weights[2, 1]))


def test_every_parameter_learns_and_the_ends_stay_in_bounds():
    torch.manual_seed(0)
    model, generator = tiny.plaid(width=64), torch.Generator().manual_seed(0)
    ids, mask = model.tokenize(["cat sits here"] * 8 + ["dog runs"] * 8)
    training_step(model, ids, mask, generator)
    silent = [
        name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum()
    ]
    assert not silent
    for value, expected in ((-9.0, (-4.5, 4.0)), (9.0, (-2.0, 8.0))):
        with torch.no_grad():
            model.schedule.gamma_0.fill_(value)
            model.schedule.gamma_1.fill_(value)
        train_plaid.keep_in_bounds(model.schedule)
        assert (model.schedule.gamma_0.item(), model.schedule.gamma_1.item()) == expected


def test_the_rise_of_gamma_learns_to_even_out_the_loss():
    """With the network held still, only the schedule moves: the spread of the loss over t must shrink."""
    torch.manual_seed(0)
    model, generator = tiny.plaid(width=32), torch.Generator().manual_seed(0)
    texts = [
        "cat sits here",
        "dog runs there",
        "cow sleeps",
        "dog sits",
    ] * 64  # many: the gradient of a variance is noisy
    ids, mask = model.tokenize(texts)
    schedule = [model.schedule.W1, model.schedule.b1, model.schedule.W2]
    optimizer = torch.optim.Adam(schedule, lr=5e-2)

    @torch.no_grad()
    def unevenness():
        t = torch.linspace(0.02, 0.98, 64, dtype=torch.float64)
        slope = model.schedule.rise(t)[1] * (model.schedule.gamma_1 - model.schedule.gamma_0)
        drawn = torch.randn(8, 64, 6, 4, generator=torch.Generator().manual_seed(1))
        weights, gamma = token_weights(mask[:64]), model.schedule(t)
        losses = [
            loss_terms(model, ids[:64], weights, slice(0, None), gamma, slope, noise)[1] for noise in drawn
        ]
        smooth = torch.stack(losses).mean(0).unfold(0, 8, 8).mean(1)
        return float(smooth.std() / smooth.mean())

    before = unevenness()
    for _ in range(200):
        training_step(model, ids, mask, generator)
        optimizer.step()
        model.zero_grad()
    assert unevenness() < 0.75 * before


# The training texts.


def test_lists_of_labels_are_those_of_another_image():
    count = 2000
    texts = of_scenes(0, count, 0).train
    known = captions(0, 0, count)
    listed = [
        (text, labels) for text, (_, labels) in zip(texts, known, strict=True) if "there are also" in text
    ]
    assert 0.2 < len(listed) / count < 0.3
    own = sum(
        all(CATEGORIES[label] in text.split("also some")[1] for label in labels) for text, labels in listed
    )
    assert own / len(listed) < 0.2
    several = [
        (text, sentences)
        for text, (sentences, _) in zip(texts, known, strict=True)
        if text == " ".join(sentences[:3])
    ]
    assert 0.4 < len(several) / count < 0.5
    assert texts == of_scenes(0, count, 0).train


def test_spread_keeps_the_start_of_embeddings_apart():
    generator = torch.Generator().manual_seed(0)
    points = spread(200, 16, generator)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(200))
    random = torch.nn.functional.normalize(torch.randn(200, 16, generator=generator), dim=1)
    highest = [float((code @ code.T).fill_diagonal_(-1).max()) for code in (points, random)]
    assert highest[0] < highest[1] - 0.1
