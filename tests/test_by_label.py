"""How each label does: maps beside always saying no, F1 and label sets with intervals, claims on them."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from PIL import Image
from sklearn import metrics as reference

from difffeat.evidence.claims import check
from difffeat.features.recipe import Recipe
from difffeat.probing import by_label, grid, one_pair
from difffeat.probing.stats import Measured
from difffeat.show import categories as figures

RANDOM = np.random.default_rng(0)
LABELS = (RANDOM.random((400, 4)) < [0.5, 0.3, 0.1, 0.01]).astype(np.uint8)
LABELS[0, 3] = 1
SCORES = np.clip(0.35 * LABELS + 0.75 * RANDOM.random(LABELS.shape), 0, 1)
NAMES = ("person", "chair", "cup", "moon")
TIMESTEPS, BLOCKS = (0, 50, 300), (0, 4, 6, 8, 12)


def measured(accuracy):
    """A grid of which only the accuracy (S, K, T, B) of labels is asked."""
    return SimpleNamespace(timesteps=TIMESTEPS, blocks=BLOCKS, by_label={"accuracy": np.asarray(accuracy)})


def peaked(peaks, height=0.3, noise_seeds=2):
    """Accuracy of each label with a peak at its own block, falling with the timestep."""
    blocks = np.abs(np.arange(len(BLOCKS)) - np.array(peaks)[:, None]) / len(BLOCKS)  # (K, B)
    values = 0.95 - height * (blocks[:, None] + np.array([0, 0.1, 0.6])[:, None])
    return measured(np.stack([values] * noise_seeds))


def maps(peaks, samples=400, **how):
    labels = np.tile(LABELS, (-(-samples // len(LABELS)), 1))[:samples]
    return by_label.maps(peaked(peaks, **how), labels, NAMES, NAMES)


def test_labels_are_chosen_over_the_order_of_frequency():
    labels = np.arange(10) < np.array([3, 9, 1, 5, 7, 2])[:, None]
    assert by_label.evenly(labels.T, list("abcdef")) == ["b", "d", "a", "c"]
    assert by_label.evenly(labels.T[:, :2], ["rare", "common"]) == ["common", "rare"]


def test_a_map_stands_beside_always_saying_no():
    first, *_, last = maps([2, 2, 2, 2])
    assert (first.name, first.best) == ("person", (0, 6)) and first.at_best.value == pytest.approx(0.95)
    assert first.positives == LABELS[:, 0].sum()
    assert first.never == pytest.approx(1 - LABELS[:, 0].mean()) == first.floor.value
    assert first.gain.interval.low > 0.3 and last.gain.interval.high < 0
    spread = first.draws[:, 0, 2].std()
    assert spread == pytest.approx((0.95 * 0.05 / 400) ** 0.5, rel=0.2)
    assert by_label.gains([first, last]).draws.shape == (200, 2)
    with pytest.raises(ValueError, match="no label is called car; there are person, chair, cup, moon"):
        by_label.maps(peaked([2] * 4), LABELS, NAMES, ["car"])


@pytest.mark.parametrize(
    ("peaks", "same", "middle"),
    [
        ([2, 2, 2, 2], "reproduced", "reproduced"),
        ([1, 2, 3, 2], "differs", "reproduced"),
        ([2, 2, 2, 4], "differs", "differs"),
    ],
)
def test_the_best_block_of_each_category(peaks, same, middle):
    profiles = by_label.over_blocks(maps(peaks, samples=20_000))
    found = check("label_same_best_block", profiles)
    assert found.status == same
    assert check("label_best_in_middle", profiles, depth=12).status == middle
    if peaks[-1] == 4:
        outside = check("label_best_in_middle", profiles, depth=12).contradiction
        assert outside.what.startswith("moon: ") and outside.value < 0
        assert found.contradiction.what.startswith("moon: block ")


def test_categories_that_noise_orders_decide_nothing():
    profiles = by_label.over_blocks(maps([1, 2, 3, 2], height=0.001))
    assert check("label_same_best_block", profiles).status == "inconclusive"
    assert check("label_best_in_middle", profiles, depth=12).status == "inconclusive"
    few = by_label.over_blocks(maps([2, 2, 2, 2]))
    assert check("label_best_in_middle", few, depth=400).status.startswith("not run (needs blocks inside")


def test_a_fall_over_timesteps():
    assert check("label_frequent_falls_late", maps([2] * 4)[0]).status == "reproduced"
    assert check("label_frequent_falls_late", maps([2] * 4, height=-0.05)[0]).status == "differs"


def test_f1_is_that_of_scikit_learn_and_its_draws_lie_around_it():
    found = by_label.f1(LABELS, SCORES)
    assert found.value == pytest.approx(reference.f1_score(LABELS, SCORES >= 0.5, average=None))
    assert found.draws.shape == (200, 4)
    low, high = found.interval
    assert (low <= found.value).all() and (found.value <= high).all() and (high - low)[:3].max() < 0.2
    hits = by_label.hits(LABELS, SCORES)
    assert hits / LABELS.sum(axis=0) == pytest.approx(
        reference.recall_score(LABELS, SCORES >= 0.5, average=None)
    )
    assert by_label.f1(LABELS, np.zeros(LABELS.shape)).value.tolist() == [0] * 4


def test_rare_labels():
    fused, alone = by_label.f1(LABELS, LABELS * 0.9), by_label.f1(LABELS, SCORES)
    rare = np.array([False, False, True, True])
    both = [by_label.mean_of(one, rare) for one in (fused, alone)]
    assert both[1].value == pytest.approx(alone.value[2:].mean())
    assert check("label_rare_beats_image", *both).status == "reproduced"
    assert check("label_rare_beats_text", *both[::-1]).status == "differs"
    none = by_label.mean_of(fused, np.zeros(4, bool))
    assert check("label_rare_beats_text", none, none).status == (
        "not run (needs a label that is rare and occurs in test)"
    )


def test_rank_correlation():
    rising = Measured(np.array([0.1, 0.2, 0.2, 0.9]), np.array([[0.9, 0.5, 0.3, 0.1], [0.0, 0.0, 0.0, 0.0]]))
    found = by_label.rank_correlation([1, 5, 7, 100], rising)
    assert found.value == pytest.approx(0.9487, abs=1e-4) and found.draws.tolist() == [-1, 0]


def test_label_sets_with_intervals():
    found = by_label.sets(LABELS, SCORES, NAMES, most=3)
    right = (LABELS == (SCORES >= 0.5)).all(axis=1)
    only = (LABELS == [1, 0, 0, 0]).all(axis=1)
    place = found.names.index("person")
    assert found.counts[place] == only.sum() and found.exact.value[place] == pytest.approx(right[only].mean())
    assert found.overall.value == pytest.approx(right.mean())
    assert found.commonest.value == pytest.approx(found.counts[0] / 400)
    assert found.exact.draws.shape == (200, 3)
    low, high = found.exact.interval
    assert (low < found.exact.value).all() and (found.exact.value < high).all()
    assert "no label" in by_label.sets(LABELS, SCORES, NAMES, most=9).names


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    split = {part: tiny.split(24, folder=folder, name=part) for part in ("train", "val", "test")}
    how = dict(root=folder / "features", resamples=5, probing=dict(steps=5))
    image = grid.measure(split, tiny.dit(), Recipe(blocks=[1, 2], timesteps=[0, 50]), **how)
    text = grid.measure(split, tiny.plaid(), Recipe(blocks=[1, 2], timesteps=[0], noising="mean"), **how)
    return split, image, text


def test_a_pair_and_its_two_points_are_scored(grids):
    split, image, text = grids
    found = one_pair.scores(*grids, d_align=4, steps=5)
    assert list(found) == ["image", "text", "fused"]
    assert all(scores.shape == (24, 3) and (0 < scores).all() for scores in found.values())
    alone = grid.probe.fit_grid(one_pair.read(image, text, "train")[1][None], split["train"].labels, steps=5)
    assert np.allclose(found["text"], alone.scores(one_pair.read(image, text, "test")[1][None])[0])


def test_the_probe_of_a_grid_is_the_probe_trained_again(grids):
    split, image, text = grids
    again = by_label.f1(split["test"].labels, one_pair.scores(*grids, d_align=4, steps=5)["image"])
    assert by_label.in_grid(image, np.array([True, False, True])) == pytest.approx(again.value[[0, 2]].mean())
    assert by_label.in_grid(text, np.ones(3, bool), "accuracy") > 0


def test_the_sum_inside_a_head_is_what_its_classifier_reads(grids):
    fused = one_pair.fit(*grids, d_align=4, steps=5)
    test = one_pair.read(*grids[1:], "test")
    found = one_pair.representations(fused, *test)
    assert found["fused"].shape == (24, 4) == found["untrained sum"].shape
    logits = found["fused"] @ fused.weights["classifier"].numpy() + fused.weights["bias"].numpy()
    assert np.allclose(1 / (1 + np.exp(-logits)), fused.scores(*test), atol=1e-5)
    assert np.allclose(found["image, projected"] + found["text, projected"], found["fused"], atol=1e-5)
    assert not np.allclose(found["untrained sum"], found["fused"])
    some = one_pair.inside(*grids, np.array([3, 1]), d_align=4, steps=5)
    assert np.allclose(some["fused"], found["fused"][[3, 1]], atol=1e-5)


FIGURES = {
    "maps": lambda: figures.accuracy_maps(maps([2, 2, 2, 2])),
    "two maps": lambda: figures.accuracy_maps(maps([2, 2, 2, 2])[:2]),
    "circle": lambda: figures.circle(NAMES, LABELS.sum(axis=0), by_label.f1(LABELS, SCORES).value),
    "by frequency": lambda: figures.by_frequency(
        NAMES, LABELS.sum(axis=0), {"fused": by_label.f1(LABELS, SCORES)}
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_what_they_show(name):
    figure = FIGURES[name]()
    with Image.open(io.BytesIO(figure.png)) as image:
        assert image.width == 1040
    assert len(figure.alt) > 60 and len(figure.png) < 150_000
    assert len(figure.table.frame) == {"maps": 20, "two maps": 10}.get(name, 4)
    assert "person" in figure.alt or "moon" in figure.alt


def test_the_number_of_always_saying_no_is_in_words():
    never = 1 - LABELS[:, 0].mean()
    assert f"person: highest 95.0% at t = 0, block 6; always no {never:.1%}." in FIGURES["maps"]().alt
    frame = FIGURES["by frequency"]().table.frame
    assert frame["name"].tolist() == list(NAMES) and frame["fused"][0].endswith(")")
