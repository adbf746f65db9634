"""A measured grid is what its parts give one by one, and points are chosen on val."""

import re
import runpy
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from sklearn.metrics import average_precision_score

from difffeat.base.files import ROOT
from difffeat.features import datasets, extract, parts
from difffeat.features.recipe import Recipe
from difffeat.probing import floors, fusion, grid, metrics, one_pair, pairs, probe, repeated, resampled, stats
from difffeat.probing.pairs import Pairs

RECIPE = Recipe(blocks=[0, 1, 2], timesteps=[0, 100])
QUICK = dict(resamples=20, probing=dict(epochs=3))


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sizes = {"train": (60, 100), "val": (40, 300), "test": (41, 500)}
    return {
        part: tiny.split(count, folder=folder, name=part, first=first)
        for part, (count, first) in sizes.items()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def test_a_grid_is_its_points_one_by_one(splits, root):
    model = tiny.plaid()
    measured = grid.measure(splits, model, RECIPE, root=root, seeds=[0, 1], **QUICK)
    assert measured.test.shape == measured.val.shape == (2, 2, 3) and measured.draws.shape == (20, 2, 3)
    found = {
        part: extract.features(split, model, replace(RECIPE, seed=1), root=root)
        for part, split in splits.items()
    }
    one = probe.fit_grid(found["train"].read((100, 2))[None], splits["train"].labels, epochs=3)
    scores = one.scores(found["test"].read((100, 2))[None])[0]
    expected = metrics.mean_average_precision(splits["test"].labels, scores)
    assert measured.test[1, 1, 2] == pytest.approx(expected, abs=1e-6)
    assert measured.val_draws.shape == measured.draws.shape and len(measured.features) == 2
    at = measured.at(100, 2)
    assert at.value == pytest.approx(measured.test[:, 1, 2].mean())
    assert at.interval.low <= at.interval.high and measured.draws[:, 1, 2].min() <= at.interval.low
    np.testing.assert_array_equal(at.draws, measured.draws[:, 1, 2])
    assert measured.average.value == pytest.approx(measured.values.mean())
    np.testing.assert_allclose(measured.average.draws, measured.draws.mean(axis=(1, 2)))
    seen = measured.on_val
    assert seen.best == measured.best and np.array_equal(seen.values, measured.val.mean(axis=0))


def test_seeds_measured_apart_and_joined_are_seeds_measured_together(splits, root):
    model, what = tiny.plaid(), dict(root=root, **QUICK)
    together = grid.measure(splits, model, RECIPE, seeds=[0, 1], **what)
    joined = grid.over_seeds([grid.measure(splits, model, RECIPE, seeds=[seed], **what) for seed in (0, 1)])
    for name in ("val", "test", "draws", "val_draws"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(together, name))
    assert (joined.timesteps, joined.blocks) == (together.timesteps, together.blocks)
    assert [parts["test"].path for parts in joined.features] == [
        parts["test"].path for parts in together.features
    ]


def test_draws_over_seeds_are_of_the_average_and_as_wide_as_seeds_are_apart():
    """Two seeds that differ by 0.2 everywhere: the standard error of their mean is 0.1."""
    images = np.random.default_rng(0).normal(scale=1e-3, size=(400, 1, 2))
    seeds = []
    for value in (0.4, 0.6):
        test = np.full((1, 1, 2), value)
        seeds.append(grid.Grid((0,), (1, 2), test, test, value + images, value + images))
    joined = grid.over_seeds(seeds)
    np.testing.assert_allclose(joined.values, 0.5)
    assert joined.test.shape == (2, 1, 2) and joined.draws.shape == (400, 1, 2)
    assert joined.draws.std(axis=0) == pytest.approx(np.full((1, 2), 0.1), rel=0.05)
    np.testing.assert_allclose(joined.draws, joined.val_draws)  # val and test take the same seeds in a draw
    one = grid.over_seeds(seeds[:1])
    np.testing.assert_array_equal(one.draws, seeds[0].draws)


def close_points(gap):
    """Two points, the second better by `gap` on val and test, both with a noise of 0.01 on each part."""
    mean = np.array([[[0.5, 0.5 + gap]]])
    val, test = 0.01 * np.random.default_rng(0).normal(size=(2, 1000, 1, 2))
    return grid.Grid((0,), (1, 2), mean, mean, mean + test, mean + val)


def test_the_number_at_the_best_point_holds_the_choice():
    seldom, often = close_points(0.2), close_points(0.03)
    for found in (seldom, often):
        place, places = found.choices
        assert place == 1 and found.at_best.value == found.at(*found.best).value
        np.testing.assert_array_equal(places, found.val_draws[:, 0].argmax(axis=1))
        drawn = found.draws[np.arange(1000), 0, places]
        moved = found.at_best.draws - drawn  # the same for all draws: they lie around the value
        assert np.ptp(moved) < 1e-12 and found.at_best.draws.mean() == pytest.approx(found.at_best.value)
    width = np.ptp(seldom.at_best.interval)
    assert width == pytest.approx(np.ptp(seldom.at(0, 2).interval))  # nothing to choose
    chosen, given = often.at_best.interval, often.at(0, 2).interval
    assert (often.choices[1] == 0).any() and chosen.low < given.low
    assert chosen.high - chosen.low > given.high - given.low


def test_one_class_a_sample_is_measured_by_accuracy(splits, root):
    classes = {part: split.ids % 3 for part, split in splits.items()}
    one = {
        part: replace(split, labels=np.eye(len(split.names))[classes[part]]) for part, split in splits.items()
    }
    model = tiny.plaid()
    measured = grid.measure(one, model, RECIPE, root=root, metric="top-1", **QUICK)
    found = {part: extract.features(split, model, RECIPE, root=root) for part, split in splits.items()}
    fitted = probe.fit_grid(found["train"].read((100, 2))[None], classes["train"], loss="ce", epochs=3)
    hits = fitted.scores(found["test"].read((100, 2))[None])[0].argmax(axis=1) == classes["test"]
    assert measured.test[0, 1, 2] == pytest.approx(hits.mean())
    assert measured.draws[:, 1, 2].mean() == pytest.approx(hits.mean(), abs=0.05)
    five = grid.measure(one, model, RECIPE, root=root, metric="top-5", **QUICK)
    assert (five.test == 1).all()  # of three classes
    commonest = np.bincount(classes["train"]).argmax()
    floor = floors.label_frequency(one, "top-1")
    assert floor.value == pytest.approx((classes["test"] == commonest).mean())
    with pytest.raises(ValueError, match=r"sample \d+ has [023] labels: measure mAP"):
        grid.measure(splits, model, RECIPE, root=root, metric="top-1", **QUICK)
    with pytest.raises(ValueError, match="unknown metric 'accuracy'; there are mAP, top-1, top-5"):
        grid.measure(one, model, RECIPE, root=root, metric="accuracy", **QUICK)


def test_ignored_pairs_are_not_judged():
    """As the VOC challenge counts: precision and recall as if the image were not in that class's list."""
    generator = np.random.default_rng(1)
    labels, scores = generator.integers(2, size=(40, 3)), generator.normal(size=(2, 40, 3))
    ignored = generator.random((40, 3)) < 0.2
    split = datasets.Split("test", range(40), ("a", "b", "c"), labels, ignored=ignored)
    found = metrics.average_precision(*split.judged(scores))
    for k in range(3):
        left = ~ignored[:, k]
        expected = [average_precision_score(labels[left, k], point[left, k]) for point in scores]
        assert found[:, k] == pytest.approx(expected)
    one = split.select([7, 3])
    assert np.array_equal(one.ignored, ignored[[7, 3]])
    assert split.digest != replace(split, ignored=None).digest


def test_the_best_point_is_chosen_on_val():
    val, test = np.zeros((1, 2, 3)), np.zeros((1, 2, 3))
    val[0, 1, 2], test[0, 0, 0] = 1, 1
    assert grid.Grid((0, 100), (4, 8, 12), val, test, test, val).best == (100, 12)


def test_filling_by_shares_is_what_measuring_finds(splits, root):
    model, what = tiny.dit(), dict(root=root, seeds=[3], shard_size=16)
    first = parts.fill(splits, model, RECIPE, shard="1/2", **what)
    assert not first.verified.any() and (first.shards < first.of).all()
    whole = parts.fill(splits, model, RECIPE, shard="2/2", **what)
    assert whole.verified.all() and list(whole.shards) == list(whole.of) == [4, 3, 3]
    files = {path: path.stat().st_mtime_ns for path in root.rglob("*.h5")}
    grid.measure(splits, model, RECIPE, root=root, seeds=[3], **QUICK)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.h5")} == files


def test_a_clean_input_is_the_same_for_every_timestep_told_at_block_0_of_text_only(splits, root):
    told = Recipe(blocks=[0, 3], timesteps=[50, 200])
    clean = grid.conditioned(splits, tiny.dit(), told, root=root, **QUICK)
    assert (clean.timesteps, clean.blocks, clean.values.shape) == ((50, 200), (0, 3), (2, 2))
    assert clean.values[0, 0] == clean.values[1, 0]  # the embedding before the first block is told nothing
    assert clean.values[0, 1] != clean.values[1, 1]


def test_floors_know_what_they_should(splits):
    frequency = floors.label_frequency(splits)
    assert frequency.value == pytest.approx(splits["test"].labels.mean(axis=0).mean())
    assert frequency.measured.draws.mean() == pytest.approx(frequency.value)  # else it can lie outside
    words = floors.bag_of_words(splits, epochs=60, lr=0.05)
    assert (
        words.value > 0.95 > floors.raw_pixels(splits, side=4, epochs=3).value
    )  # captions name the labels, pixels are noise
    assert words.interval.low <= words.value <= words.interval.high


def test_pairs_are_measured_once_and_as_one_by_one(splits, root):
    images = parts.features(splits, tiny.dit(), RECIPE, root=root)
    texts = parts.features(splits, tiny.plaid(), RECIPE, root=root)
    pairs = Pairs(splits, [images], [texts], d_align=8, epochs=3)
    wanted = [((0, 1), (0, 2)), ((100, 1), (0, 2)), ((0, 1), (100, 0))]
    together = pairs(wanted)
    read = [
        found["train"].read((timestep, block))
        for found, (timestep, block) in zip((images, texts), wanted[2], strict=True)
    ]
    alone = fusion.fit("addition", *read, splits["train"].labels, d_align=8, epochs=3)
    scores = alone.scores(images["val"].read((0, 1)), texts["val"].read((100, 0)))
    assert together[2] == pytest.approx(
        metrics.mean_average_precision(splits["val"].labels, scores), abs=1e-5
    )
    before = dict(pairs.measured)
    assert pairs(wanted) == together and pairs.measured == before
    assert pairs.best == max(wanted, key=lambda pair: pairs[pair].val)
    values, draws = pairs.test
    assert values[1] == pairs[wanted[1]].test and draws.shape == (200, 3)
    assert pairs[wanted[1]].interval.low <= draws[:, 1].mean() <= pairs[wanted[1]].interval.high


def test_pairs_of_other_samples_are_refused(splits, root):
    images = parts.features(splits, tiny.dit(), RECIPE, root=root)
    turned = {part: split.select(split.ids[::-1]) for part, split in splits.items()}
    texts = parts.features(turned, tiny.plaid(), RECIPE, root=root)
    with pytest.raises(ValueError, match="image and text features of train are not of the same samples"):
        Pairs(splits, [images], [texts])


@pytest.fixture(scope="module")
def of_seeds(splits, root):
    """Features of each noise seed: of images two, of texts two."""
    return [
        [parts.features(splits, model, replace(RECIPE, seed=seed), root=root) for seed in (0, 1)]
        for model in (tiny.dit(), tiny.plaid())
    ]


PAIRS = [((0, 1), (0, 2)), ((100, 2), (100, 1))]


@pytest.mark.parametrize("texts", [2, 1])
def test_pairs_over_noise_seeds_are_the_average_of_each(splits, of_seeds, texts):
    """A modality with one seed goes with every seed of the other."""
    images, texts = of_seeds[0], of_seeds[1][:texts]
    how = dict(resamples=30, d_align=8, epochs=3)
    both = Pairs(splits, images, texts, **how)
    both.measure(PAIRS)
    each = [Pairs(splits, [image], [text], **how) for image, text in zip(images, texts * 2, strict=False)]
    for pair in PAIRS:
        alone = [measured[pair] for measured in each]
        assert both[pair].val == pytest.approx(np.mean([one.val for one in alone]))
        assert both[pair].test == pytest.approx(np.mean([one.test for one in alone]))
        np.testing.assert_allclose(both[pair].losses, np.mean([one.losses for one in alone], axis=0))
        for name in ("draws", "val_draws"):
            stacked = np.stack([getattr(one, name) for one in alone], axis=1)
            np.testing.assert_allclose(getattr(both[pair], name), stats.over_seeds(stacked))
        assert both[pair].others.keys() == set(metrics.DECIDED)
        for name, other in both[pair].others.items():
            assert other.value == pytest.approx(np.mean([one.others[name].value for one in alone]))
            stacked = np.stack([one.others[name].draws for one in alone], axis=1)
            np.testing.assert_allclose(other.draws, stats.over_seeds(stacked))
    assert each[0][PAIRS[1]].test != each[1][PAIRS[1]].test  # so there is something to average


def test_pairs_and_grids_are_resampled_alike(splits, of_seeds):
    """The same images and the same seeds in each draw, or differences would not be paired."""
    images, texts = of_seeds
    measured = Pairs(splits, images[:1], texts[:1], resamples=30, d_align=8, epochs=3)
    read = images[0]["train"].read((0, 1)), texts[0]["train"].read((0, 2))
    fused = fusion.fit("addition", *read, splits["train"].labels, d_align=8, epochs=3)
    for part, name in (("val", "val_draws"), ("test", "draws")):
        read = images[0][part].read((0, 1)), texts[0][part].read((0, 2))
        judged = splits[part].judged(fused.scores(*read))
        expected = stats.map_draws(*judged, draws=30, seed=grid.RESAMPLING[part])
        np.testing.assert_allclose(getattr(measured[PAIRS[0]], name), expected, atol=1e-5)
    assert measured[PAIRS[0]].on_test.value == measured[PAIRS[0]].test
    labels, scores = judged
    expected = metrics.report(labels, scores)
    drawn = resampled.decided_draws(
        labels.astype(bool), scores >= 0.5, draws=30, seed=grid.RESAMPLING["test"]
    )
    for name, other in measured[PAIRS[0]].others.items():
        assert other.value == pytest.approx(expected[name], abs=1e-6)
        np.testing.assert_allclose(other.draws, drawn[name], atol=1e-6)


def test_pairs_that_were_measured_are_read(splits, of_seeds, root, monkeypatch):
    """Of the same features and protocol; another protocol, or one part of the seeds, is measured."""
    how = dict(resamples=30, d_align=8, epochs=3, root=root)
    first = Pairs(splits, *of_seeds, **how)
    first.measure(PAIRS)
    monkeypatch.setattr(fusion, "fit_pairs", lambda *_, **__: pytest.fail("trained again"))
    again = Pairs(splits, *of_seeds, **how)
    again.measure(PAIRS)
    for pair in PAIRS:
        assert (again[pair].val, again[pair].test) == (first[pair].val, first[pair].test)
        for name in ("draws", "val_draws", "losses"):
            np.testing.assert_array_equal(getattr(again[pair], name), getattr(first[pair], name))
        assert again[pair].others.keys() == first[pair].others.keys() == set(metrics.DECIDED)
        for name, other in again[pair].others.items():
            assert other.value == first[pair].others[name].value
            np.testing.assert_array_equal(other.draws, first[pair].others[name].draws)
    images, texts = of_seeds
    for other in (
        Pairs(splits, images, texts, **how | dict(epochs=4)),
        Pairs(splits, images[:1], texts[:1], **how),
        Pairs(splits, images, texts, "concat", **how),
        Pairs(splits, images, texts, **how | dict(resamples=31)),
    ):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            other.measure(PAIRS)


def test_pairs_kept_by_other_code_are_measured_again(splits, of_seeds, root, monkeypatch):
    """A file of before, with fewer numbers, lies under another name."""
    how = dict(resamples=10, d_align=8, epochs=3, root=root)
    first = Pairs(splits, *of_seeds, **how)
    monkeypatch.setattr(pairs, "CODE", pairs.CODE[:-1])
    first.measure(PAIRS[:1])
    monkeypatch.undo()
    calls, fit_pairs = [], fusion.fit_pairs
    monkeypatch.setattr(fusion, "fit_pairs", lambda *a, **b: calls.append(a) or fit_pairs(*a, **b))
    Pairs(splits, *of_seeds, **how).measure(PAIRS[:1])
    assert len(calls) == 1


def test_the_best_pair_holds_the_choice(splits, of_seeds):
    pairs = Pairs(splits, *of_seeds, resamples=60, d_align=8, epochs=3)
    pairs.measure(PAIRS)
    chosen = pairs.at_best
    assert chosen.value == pairs[pairs.best].test
    drawn = [
        max((pairs[pair] for pair in PAIRS), key=lambda one: one.val_draws[draw]).draws[draw]
        for draw in range(60)
    ]
    np.testing.assert_allclose(chosen.draws, drawn - np.mean(drawn) + chosen.value)  # moved to lie around it
    op = pairs.others_at_best["OP"]
    assert op.value == pairs[pairs.best].others["OP"].value
    drawn = [
        max((pairs[pair] for pair in PAIRS), key=lambda one: one.val_draws[draw]).others["OP"].draws[draw]
        for draw in range(60)
    ]
    np.testing.assert_allclose(op.draws, drawn - np.mean(drawn) + op.value)  # chosen by mAP all the same


def test_numbers_of_seeds_that_do_not_go_together_are_refused(splits, of_seeds):
    images, texts = of_seeds
    with pytest.raises(ValueError, match="2 noise seeds of images do not go with 3 of texts"):
        Pairs(splits, images, [*texts, texts[0]])


def test_first_samples_of_each_part(splits):
    some = datasets.first(splits, [5, 0, 7])
    assert [len(split) for split in some.values()] == [5, 40, 7]
    assert list(some["train"].ids) == list(splits["train"].ids[:5])
    with pytest.raises(ValueError, match="val has 40 samples, 41 were asked for"):
        datasets.first(splits, [1, 41, 1])
    with pytest.raises(ValueError, match="one count for each of train, val, test"):
        datasets.first(splits, [1, 2])


def test_another_input_is_another_cache(splits, root):
    model = tiny.plaid()
    shouted = {
        part: replace(split, captions=tuple(c + " here" for c in split.captions))
        for part, split in splits.items()
    }
    a, b = (parts.features(some, model, RECIPE, root=root) for some in (splits, shouted))
    assert a["test"].path != b["test"].path
    assert not np.array_equal(a["test"].read((0, 1)), b["test"].read((0, 1)))


def test_a_point_that_was_measured_is_read_by_another_grid_and_the_rest_measured(splits, root, monkeypatch):
    how = dict(root=root, resamples=20, probing=dict(epochs=2))
    model, trained = tiny.dit(), []
    whole = grid.measure(splits, model, RECIPE, **how)
    fit = probe.fit_grid

    def counted(features, *given, **named):
        chunks = [chunk for chunk in features]
        trained.append(sum(map(len, chunks)))
        return fit(iter(chunks), *given, **named)

    monkeypatch.setattr(probe, "fit_grid", counted)
    part = grid.measure(splits, model, Recipe(blocks=[0, 2], timesteps=[100]), **how)
    assert not trained
    narrow = grid.narrowed(whole, [0, 2], [100])
    for name in ("val", "test", "draws", "val_draws"):
        np.testing.assert_array_equal(getattr(part, name), getattr(narrow, name))
    grid.measure(splits, model, Recipe(blocks=[0, 2], timesteps=[100]), **how | dict(probing=dict(epochs=3)))
    assert trained == [2]


def test_other_metrics_and_labels_are_those_of_the_same_probes(splits, root):
    model = tiny.dit()
    measured = grid.measure(splits, model, RECIPE, root=root, seeds=[0, 1], **QUICK)
    found = {
        part: extract.features(split, model, replace(RECIPE, seed=1), root=root)
        for part, split in splits.items()
    }
    one = probe.fit_grid(found["train"].read((100, 2))[None], splits["train"].labels, epochs=3)
    scores = one.scores(found["test"].read((100, 2))[None])[0]
    expected = metrics.report(splits["test"].labels, scores)
    assert list(measured.others) == sorted(metrics.DECIDED)
    for name, other in measured.others.items():
        assert other.metric == name and other.draws.shape == (20, 2, 3)
        assert other.test[1, 1, 2] == pytest.approx(expected[name], abs=1e-6)
        at = other.at(100, 2)
        assert at.interval.low <= at.value + 0.2 and np.isfinite(at.draws).all()
    right = (scores >= 0.5) == splits["test"].labels
    np.testing.assert_allclose(measured.by_label["accuracy"][1, :, 1, 2], right.mean(axis=0), atol=1e-6)
    average = np.nanmean(measured.by_label["AP"][1, :, 1, 2])
    assert average == pytest.approx(measured.test[1, 1, 2], abs=1e-6)
    narrow = grid.narrowed(measured, [0, 2], [100])
    assert narrow.others["OP"].blocks == (0, 2) and narrow.by_label["F1"].shape[-2:] == (1, 2)
    cut = measured.others["OP"].draws[:, [1]][:, :, [0, 2]]
    np.testing.assert_array_equal(narrow.others["OP"].draws, cut)


def test_draws_of_decisions_that_repeat_no_image_are_the_plain_metrics(monkeypatch):
    random = np.random.default_rng(0)
    labels, predicted = random.random((30, 4)) < 0.4, random.random((2, 30, 4)) < 0.5
    monkeypatch.setattr(resampled, "multiplicities", lambda n, draws, _: torch.ones(n, draws))
    draws = resampled.decided_draws(labels, predicted, draws=3)
    plain = metrics.decided(labels, predicted)
    for name in metrics.DECIDED:
        assert draws[name].shape == (3, 2)
        np.testing.assert_allclose(draws[name], np.broadcast_to(plain[name], (3, 2)), atol=1e-6)


def test_draws_of_decisions_are_the_metrics_of_the_images_drawn():
    random = np.random.default_rng(1)
    labels, predicted = random.random((30, 4)) < 0.4, random.random((30, 4)) < 0.5
    draws = resampled.decided_draws(labels, predicted, draws=2, seed=3)
    generator = np.random.default_rng(3)
    for draw in range(2):
        drawn = generator.integers(30, size=30)
        expected = metrics.decided(labels[drawn], predicted[drawn])
        for name in metrics.DECIDED:
            assert draws[name][draw] == pytest.approx(expected[name])


@pytest.mark.parametrize("module", [grid, pairs, floors, repeated, one_pair])
def test_what_is_remembered_depends_on_every_module_that_makes_it(module, monkeypatch):
    """Modules of this wing that are imported, one through another, by what measures."""
    monkeypatch.chdir(ROOT)
    path = f"{module.__name__.replace('.', '/')}.py"
    behind = runpy.run_path("workflow/imports.py")["files_behind"](path)
    made_by = {
        file for file in [path, *behind] if re.fullmatch(r"difffeat/probing/(?!__init__)\w+\.py", file)
    }
    assert made_by == {f"difffeat/{name}" for name in module.CODE}
