"""Floors see what they are given, and are read on the very resamples that features are."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from difffeat.features.datasets import Split
from difffeat.probing import floors, grid, metrics, probe, stats

SIZES = {"train": 60, "val": 200, "test": 200}


@pytest.fixture(scope="module")
def splits():
    return {
        part: tiny.split(count, name=part, first=1000 * place)
        for place, (part, count) in enumerate(SIZES.items())
    }


@pytest.fixture(scope="module")
def world():
    """Splits with 60 samples to train on, 4 labels, features 80 wide of which 4 matter: easy to overfit."""
    random = np.random.default_rng(0)
    splits, features = {}, {}
    for part, count in SIZES.items():
        latent = random.normal(size=(count, 4))
        noise = 1.5 * random.normal(size=(count, 80))
        noise[:, :4] += 2 * latent
        splits[part] = Split(part, range(count), tuple("abcd"), latent > 0.5)
        features[part] = noise.astype(np.float32)
    return splits, features


def test_a_bag_of_words_sees_the_captions_it_is_given(splits):
    """Captions name the labels; captions of the next sample say nothing of this one."""
    shuffled = {part: replace(split, captions=np.roll(split.captions, 1)) for part, split in splits.items()}
    how = dict(epochs=60, lr=0.05)
    assert floors.bag_of_words(splits, **how).value > 0.95
    chance = floors.label_frequency(splits).value
    assert abs(floors.bag_of_words(shuffled, **how).value - chance) < 0.15


def test_words_are_those_of_training_captions_that_occur_twice():
    captions = {"train": ["a red cat", "red dog", "cat", "once"], "test": ["red red fish", "once a cat"]}
    splits = {
        part: Split(part, range(len(said)), ("x",), np.ones((len(said), 1)), said)
        for part, said in captions.items()
    }
    found = floors.words(splits)
    assert found["train"].tolist() == [[1, 1], [0, 1], [1, 0], [0, 0]]  # cat, red
    assert found["test"].tolist() == [[0, 1], [1, 0]] and found["test"].dtype == np.float32


def test_a_floor_is_probed_as_features_are_and_paired_with_them(world):
    splits, features = world
    how = dict(steps=150, lr=0.01, batch_size=32)
    floor = floors.probed("some", splits, features, resamples=50, **how)
    probes = probe.fit_grid(features["train"][None], splits["train"].labels, **how)
    scores, labels = probes.scores(features["test"][None])[0], splits["test"].labels
    assert (floor.name, floor.metric) == ("some", "mAP")
    assert floor.value == pytest.approx(metrics.mean_average_precision(labels, scores))
    expected = stats.map_draws(labels, scores, draws=50, seed=grid.RESAMPLING["test"])
    np.testing.assert_array_equal(floor.measured.draws, expected)
    judged = floors.judged("some", splits["test"], scores, resamples=50)
    assert judged.interval == floor.interval == stats.percentiles(expected)


def on_val(splits, features, strength):
    """mAP on val of one logistic regression per label, fitted apart."""
    scaler = StandardScaler().fit(features["train"])
    train, val = (scaler.transform(features[part]) for part in ("train", "val"))
    scores = [
        LogisticRegression(C=strength, max_iter=2000).fit(train, label).decision_function(val)
        for label in splits["train"].labels.T
    ]
    return metrics.mean_average_precision(splits["val"].labels, np.stack(scores, axis=1))


def test_the_strength_is_the_best_on_val_and_beats_none_where_data_are_few(world):
    splits, features = world
    values = {strength: on_val(splits, features, strength) for strength in floors.STRENGTHS}
    best = max(values, key=values.get)
    whole = floors.regularised("optimum", splits, features)
    assert whole.value == floors.regularised("optimum", splits, features, strengths=[best]).value
    assert best < 1e-1 and values[best] > values[1.0] + 0.02  # the choice is not idle
    # Read on val, the regularised one is no worse than the probe that is trained to the end.
    seen = splits | {"test": splits["val"]}, features | {"test": features["val"]}
    converged = floors.probed("probe", *seen, steps=4000, lr=0.01, batch_size=32)
    assert floors.regularised("optimum", *seen).value == pytest.approx(values[best], abs=1e-6)
    assert floors.regularised("optimum", *seen).value >= converged.value


def test_a_label_that_training_never_or_always_has_gets_a_constant_score(world):
    splits, features = world
    labels = splits["train"].labels.copy()
    labels[:, 1], labels[:, 2] = 0, 1
    given = splits | {"train": replace(splits["train"], labels=labels)}
    floor = floors.regularised("optimum", given, features)
    each = metrics.average_precision(splits["test"].labels, np.zeros((200, 4)))
    for strength in floors.STRENGTHS:
        scores = floors._fit_logistic(features["train"], labels, strength, "bce")(features["test"])
        assert (scores[:, 1] == 0).all() and (scores[:, 2] == 1).all() and np.ptp(scores[:, 0]) > 0
    assert floor.value < floors.regularised("optimum", splits, features).value
    assert floor.value > each.mean()


def test_one_class_a_sample_is_regularised_too(world):
    splits, features = world
    one, left = ({} for _ in range(2))
    for part, split in splits.items():
        classes = features[part][:, :4].argmax(axis=1)
        one[part] = replace(split, labels=np.eye(4)[classes])
        left[part] = replace(
            split, labels=np.eye(5)[classes + (classes > 1)], names=tuple("abcde")
        )  # none of c
    floor = floors.regularised("optimum", one, features, "top-1")
    assert floor.metric == "top-1" and floor.value > floors.label_frequency(one, "top-1").value + 0.15
    absent = floors.regularised("optimum", left, features, "top-1")
    assert absent.value == floor.value  # a class that training lacks is never chosen
    np.testing.assert_array_equal(absent.measured.draws, floor.measured.draws)


def test_the_optimum_of_a_grid_is_that_of_its_best_point(world):
    splits, features = world
    random = np.random.default_rng(0)

    class Kept:
        """Features of one part: what matters at block 2 and t = 10, noise elsewhere."""

        def __init__(self, part):
            self.ids, self.values = splits[part].ids, features[part]
            self.noise = random.normal(size=self.values.shape)

        def read(self, point):
            return self.values if point == (10, 2) else self.noise

    value = np.array([[[0.1, 0.2], [0.3, 0.9]]])
    found = grid.Grid((0, 10), (1, 2), value, value, value, value, ({part: Kept(part) for part in splits},))
    floor = floors.optimum(splits, found, resamples=50)
    assert floor.name == "regularised optimum"
    expected = floors.regularised("x", splits, features, resamples=50)
    assert floor.value == expected.value and floor.interval == expected.interval


def test_a_probe_that_another_page_trained_is_read_and_another_is_trained(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    splits = {part: tiny.split(40, name=part) for part in ("train", "val", "test")}
    features = {part: random.normal(size=(40, 5)).astype(np.float32) for part in splits}
    how = dict(root=tmp_path / "features", steps=20)
    first = floors.probe_scores(splits, features, **how)
    plain = floors.probe_scores(splits, features, steps=20)
    np.testing.assert_array_equal(first, plain)
    with monkeypatch.context() as patched:
        patched.setattr(probe, "fit_grid", lambda *_, **__: pytest.fail("trained again"))
        np.testing.assert_array_equal(floors.probe_scores(splits, features, **how), first)
    other = features | {"train": features["train"] + 1}
    for changed in (dict(features=other), dict(steps=30)):
        again = floors.probe_scores(splits, **dict(features=features) | how | changed)
        assert not np.array_equal(again, first)
