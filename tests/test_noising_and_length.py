"""Ways of noising and lengths of texts beside each other: features, numbers, verdicts, figures."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from difffeat.evidence import comparisons
from difffeat.evidence.claims import check
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.features import extract, schedule
from difffeat.features.recipe import Recipe
from difffeat.probing import grid, lengths, noisings
from difffeat.probing.stats import Measured
from difffeat.show import lengths as drawn
from difffeat.show import paired

PROBED = dict(steps=30)
RECIPE = Recipe(blocks=[2], timesteps=[300], noising="mean", pooling="real")


@pytest.fixture
def texts():
    return {part: tiny.split(count, name=part) for part, count in (("train", 60), ("val", 20), ("test", 40))}


def compared(first, second, noise=0.002, draws=300):
    """Two conditions at the same points, measured on the same resampled samples."""
    random = np.random.default_rng(0)
    together = 0.02 * random.normal(size=(draws, 1))
    return [
        Measured(np.array(values), values + together + noise * random.normal(size=(draws, len(values))))
        for values in (first, second)
    ]


def test_a_number_of_steps_is_part_of_a_noising_and_ten_are_the_default(texts):
    model = tiny.plaid()
    told = {
        noising: replace(RECIPE, noising=noising).of(texts["val"], model)["noising"]
        for noising in ("mean", "random", "ddim", "ddim-10", "ddim-5")
    }
    assert told == {noising: noising for noising in told} | {"ddim-10": "ddim"}
    for unknown in ("ddim-0", "ddim-", "ddim-x", "mean-5", "noise"):
        with pytest.raises(ValueError, match=f"noising '{unknown}' is unknown; known: random, mean, ddim"):
            replace(RECIPE, noising=unknown)
    with pytest.raises(ValueError, match="'ddim' runs the model on padded texts"):
        replace(RECIPE, noising="ddim-5", pooling="unpadded")


def test_features_follow_the_path_of_as_many_steps(texts, tmp_path):
    model, split = tiny.plaid(), texts["val"]
    z = model.latents(split.captions).z
    for noising, steps in (("ddim-3", 3), ("ddim", schedule.INVERSION_STEPS)):
        recipe = replace(RECIPE, noising=noising, pooling="mean")
        found = extract.features(split, model, recipe, root=tmp_path, progress=False)
        path = schedule.noised(z, 300, "ddim", model.schedule, denoiser=model.predict, steps=steps)
        expected = model.states(path, 300, [2])[2].mean(dim=1)
        torch.testing.assert_close(torch.from_numpy(found.read((300, 2))), expected, atol=2e-3, rtol=2e-3)


def test_a_model_at_another_length_pads_and_cuts_and_is_another_model(texts):
    model = tiny.plaid(length=6)
    model.sha256 = model.identity()
    longer, shorter = model.at_length(9), model.at_length(2)
    assert len({made.sha256 for made in (model, longer, shorter)}) == 3 and model.at_length(6) is model
    assert longer.sha256 == tiny.plaid(length=9).identity()
    captions = texts["val"].captions
    assert [made.latents(captions).z.shape[1] for made in (shorter, model, longer)] == [2, 6, 9]
    assert model.latent_shape[0] == 6  # the first is as it was
    torch.testing.assert_close(longer.latents(captions).z[:, :6], model.latents(captions).z)
    with pytest.raises(ValueError, match="length 0: a text has at least 1 token"):
        model.at_length(0)


def test_ways_are_probed_alike_on_the_first_samples(texts, tmp_path):
    model, few = tiny.plaid(), noisings.fewer(texts, [30, 0])
    assert [len(split) for split in few.values()] == [30, 40]
    found = grid.measure(
        texts, model, replace(RECIPE, noising="random"), root=tmp_path, seeds=(0, 1), probing=PROBED
    )
    points = noisings.points_of(RECIPE.blocks, RECIPE.timesteps)
    random = noisings.drawn(found, points, few)
    assert random[0]["train"].shape == (1, 30, 16) and not np.array_equal(
        random[0]["test"], random[1]["test"]
    )
    ways = {"random": random, noisings.AVERAGED: noisings.averaged(random)}
    ways |= noisings.made(few, model, RECIPE, ["mean", "ddim-1"], root=tmp_path)
    np.testing.assert_allclose(
        ways[noisings.AVERAGED][0]["test"], (random[0]["test"] + random[1]["test"]) / 2, rtol=1e-6
    )
    reached = noisings.probed(few, ways, resamples=20, **PROBED)
    assert {number.draws.shape for number in reached.values()} == {(20, 1)}
    whole = grid.measure(texts, model, RECIPE, root=tmp_path, resamples=20, probing=PROBED)
    everything = noisings.fewer(texts, [0, 0])
    again = noisings.probed(
        everything, {"mean": noisings.drawn(whole, points, everything)}, resamples=20, **PROBED
    )
    np.testing.assert_allclose(again["mean"].value, whole.values.ravel(), rtol=1e-6)
    np.testing.assert_allclose(again["mean"].draws, whole.draws[:, :, 0], rtol=1e-6)
    shifted = {"train": few["train"].select(few["train"].ids[1:])}
    with pytest.raises(ValueError, match="not of the first 29 samples of 'train'"):
        noisings.drawn(found, points, shifted)
    table = paired.differences(noisings.over_points(reached), "random").frame
    assert table["noising"].tolist() == list(ways) and table.iloc[0, 3] == "–"


def test_distances_are_in_units_of_how_far_texts_lie_apart(texts, tmp_path):
    model, split = tiny.plaid(), texts["test"]
    found = noisings.apart(split, model, RECIPE, ["mean", "ddim-1", "random"], root=tmp_path)
    quiet, noised = (
        extract.features(split, model, replace(RECIPE, noising=kind), root=tmp_path).read((300, 2))
        for kind in ("mean", "random")
    )
    expected = np.sqrt(np.square(noised - quiet).sum() / np.square(quiet - quiet.mean(axis=0)).sum())
    assert found["mean"] == 0 and found["ddim-1"] > 0
    assert found["random"] == pytest.approx(expected, rel=1e-4)


def test_curves_over_lengths(texts, tmp_path):
    model = tiny.plaid()
    counts = lengths.tokens(model, texts["train"].captions)
    assert counts.tolist() == [len(caption.split()) for caption in texts["train"].captions]
    assert lengths.chosen(counts, [0, 0.5, 1.0], [2]) == [1, 3, 5, 10]
    done = lengths.shares(np.array([1, 3, 5]), [2, 5])
    assert done["texts cut"].tolist() == pytest.approx([2 / 3, 0])
    assert done["padding"].tolist() == pytest.approx([1 / 6, 6 / 15])
    sizes = [1, 5, 10]
    assert lengths.whole(counts, sizes) == 5 and lengths.whole(counts, [1, 2]) == 2
    how = dict(root=tmp_path, resamples=20, probing=PROBED)
    curves = lengths.by_pooling(texts, model, RECIPE, sizes, ["mean", "real", "unpadded"], **how)
    mean, real, unpadded = curves.values()
    np.testing.assert_allclose(unpadded.values[1], unpadded.values[2])  # nothing but padding is added
    assert not np.isclose(mean.values[1], mean.values[2])
    assert mean.lost(5).value == pytest.approx(mean.values[1] - mean.values[2])
    np.testing.assert_allclose(unpadded.lost(5).draws, 0)
    np.testing.assert_allclose(real.values[0], mean.values[0])  # at one token nothing is padded
    assert (
        len({cache.provenance["backbone_sha256"] for curve in mean.features for cache in curve.values()}) == 3
    )
    figure = drawn.by_length(curves, counts, used=6)
    assert len(figure.table.frame) == 3 * 3 + 2 * 3 and "of texts in tokens. mean " in figure.alt
    told = drawn.fitting(counts, sizes).frame
    assert told[told["whose"] == "paper"]["texts that fit"].tolist()[:3] == ["0.77%", "70.46%", "97.21%"]
    with pytest.raises(ValueError, match="one block and one timestep"):
        lengths.measure(texts, model, replace(RECIPE, blocks=[1, 2]), sizes, **how)


NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("first", "status"),
    [([0.6, 0.6, 0.6], "reproduced"), ([0.6, 0.6, 0.4], "differs"), ([0.6, 0.6, 0.5], "inconclusive")],
)
def test_better_at_every_point(first, status):
    found = check("noising_text_everywhere", *compared(first, [0.5] * 3), names=NAMES)
    assert found.status == status and found.value == pytest.approx(min(first) - 0.5)
    if status == "differs":
        assert found.contradiction.text.startswith("c: the other lies above: +10.0 points")


@pytest.mark.parametrize(
    ("first", "noise", "status"),
    [
        ([0.501, 0.5, 0.499], 0.001, "reproduced"),
        ([0.501, 0.5, 0.499], 0.05, "inconclusive"),  # as near, but nobody can tell
        ([0.505, 0.5, 0.5], 0.0002, "reproduced"),  # stands out from the noise, and is small
        ([0.5, 0.53, 0.5], 0.002, "differs"),
        ([0.5, 0.47, 0.5], 0.002, "differs"),
        ([0.5, 0.53, 0.5], 0.05, "inconclusive"),
    ],
)
def test_no_difference_is_shown_and_not_taken_from_silence(first, noise, status):
    pair = compared(first, [0.5] * 3, noise)
    found = check("noising_images_same", *pair, margin=0.01, names=NAMES)
    assert found.status == status
    if status == "differs":
        assert found.contradiction.what == "b: they differ"


def test_the_papers_t_test():
    found = check("noising_text_paired_t", *compared([0.6, 0.7, 0.65], [0.5, 0.55, 0.53]))
    assert found.status == "reproduced" and found.paper.value == 14.75
    assert found.interval[0] < found.value < found.interval[1]
    assert check("noising_text_paired_t", *compared([0.5, 0.55, 0.53], [0.6, 0.7, 0.65])).status == "differs"
    near = compared([0.6, 0.5, 0.55], [0.5, 0.6, 0.551])
    assert check("noising_text_paired_t", *near).status == "inconclusive"
    assert check("noising_text_paired_t", *compared([0.5], [0.4])).status.startswith(
        "not run (needs at least 2"
    )


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([0.2, 0.5, 0.6, 0.5], "reproduced"),
        ([0.2, 0.5, 0.6, 0.7], "differs"),
        ([0.7, 0.6, 0.5, 0.4], "differs"),
        ([0.2, 0.6, 0.4, 0.6], "differs"),
        ([0.2, 0.6, 0.6, 0.6], "inconclusive"),  # does not fall as far as is known
    ],
)
def test_a_rise_and_a_fall(values, status):
    (number,) = compared(values, values)[:1]
    curve = SimpleNamespace(
        lengths=(10, 20, 30, 40),
        values=number.values,
        draws=number.draws,
        choices=(int(number.values.argmax()), number.draws.argmax(axis=1)),
    )
    found = check("length_rises_then_falls", curve)
    assert found.status == status and found.value == curve.lengths[number.values.argmax()]
    if values[-1] == 0.7:
        assert found.contradiction.what == "L = 40, an end, lies above all inside, L = 30 the nearest"


def test_a_shorter_length_is_chosen_on_val_and_held_against_the_one_used():
    def curve(values, val):
        (number,) = compared(values, values)[:1]
        return SimpleNamespace(lengths=(10, 20, 30), values=number.values, draws=number.draws, val=val)

    found = check("length_shorter_is_better", curve([0.9, 0.6, 0.5], [0.1, 0.7, 0.5]), used=30)
    assert found.status == "reproduced" and found.value == pytest.approx(0.1)
    worse = curve([0.2, 0.3, 0.5], [0.1, 0.7, 0.9])
    assert check("length_shorter_is_better", worse, used=30).status == "differs"
    for used in (10, 25):
        found = check("length_shorter_is_better", worse, used=used)
        assert found.status.startswith(f"not run (needs {used} tokens and a length below")


def test_what_the_figures_say():
    pair = compared([0.6, 0.5, 0.55], [0.5, 0.5, 0.6])
    figure = paired.dumbbells(dict(zip(("quiet", "noised"), pair, strict=True)), NAMES)
    assert "quiet lies above at 1 points and below at 1" in figure.alt
    assert "from -5.0 points at c to +10.0 at a" in figure.alt
    assert comparisons.counted(*pair) == (1, 1, 1)
    table = paired.noising_table(*pair).frame
    assert table.iloc[:2]["mean over points"].tolist() == ["88.42%", "81.96%"]
    assert table.iloc[2]["mean over points"] == "55.0%" and table.iloc[2]["sd over points"] == "5.0%"


def test_the_papers_own_numbers_of_noising_and_length():
    assert paper.grid(5, "text").values.mean() == pytest.approx(0.8842, abs=5e-5)
    assert paper.lead(5, "text") == pytest.approx(0.9341 - 0.9312)
    best = paper.best_length()
    assert (best.value, best.rounding, best.source) == (45, 7.5, "Figure 16")
