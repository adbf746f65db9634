"""Heads over several first weights, methods side by side, and what Tables 1 and 2 compare."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from data_prep.training import baseline
from difffeat.evidence import claims, numbers
from difffeat.evidence.papers.diff_feat import baselines
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims import training
from difffeat.features.datasets import Split
from difffeat.probing import metrics, repeated, stats
from difffeat.probing.methods import Methods
from difffeat.show import heads, rivals

SIZES = {"train": 80, "val": 60, "test": 70}
POINT = (0, 1)


class Side:
    """Features of one part, as a cache gives them."""

    def __init__(self, split, values):
        self.ids, self.values, self.provenance = split.ids, values, {"of": split.name}

    def read(self, point):
        assert tuple(point) == POINT
        return self.values


@pytest.fixture(scope="module")
def world():
    """Splits of 3 labels, of which images tell the first and texts the others."""
    random = np.random.default_rng(0)
    splits, image, text = {}, {}, {}
    for part, count in SIZES.items():
        latent = random.normal(size=(count, 3))
        splits[part] = Split(part, range(count), tuple("abc"), latent > 0.3)
        noise = 0.3 * random.normal(size=(count, 6))
        image[part] = Side(splits[part], np.c_[latent[:, :1], noise[:, :3]].astype(np.float32))
        text[part] = Side(splits[part], np.c_[latent[:, 1:], noise[:, 3:]].astype(np.float32))
    return splits, image, text


def trained(world, head="addition", **how):
    return repeated.train(*world, (POINT, POINT), head, **dict(steps=60, d_align=4, resamples=30) | how)


def test_a_head_from_several_seeds(world):
    found = trained(world, seeds=[3, 4])
    assert found.losses.shape == (2, 60) and found.scores.shape == (2, 70, 3) and found.seconds.shape == (2,)
    assert found.parameters == 4 * 4 + 5 * 4 + 4 * 3 + 3  # two projections, a classifier, its bias
    labels = world[0]["test"].labels
    alone = [metrics.mean_average_precision(labels, scores) for scores in found.scores]
    assert found.measured.value == pytest.approx(np.mean(alone)) and alone[0] != alone[1]
    assert trained(world, seeds=[4]).losses[0] == pytest.approx(found.losses[1])


def test_a_head_that_was_trained_is_read_with_the_seconds_it_took(world, tmp_path):
    root = tmp_path / "features"
    first, again = (trained(world, root=root) for _ in range(2))
    assert again.seconds == pytest.approx(first.seconds, abs=0)
    assert trained(world, root=root, d_align=5).parameters > first.parameters
    assert len(list((tmp_path / "heads").glob("*.npz"))) == 2


def test_draws_over_seeds_spread_as_seeds_do():
    values = np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 10.0]])
    found = repeated.over_seeds(values, resamples=2000)
    assert found.value.tolist() == [2.0, 10.0]
    assert found.draws[:, 0].std() == pytest.approx(1 / 3**0.5, rel=0.1)  # of the mean of three
    assert not found.draws[:, 1].std()


def curves(*ends, epochs=10, spread=0.0):
    """Heads whose loss falls in a line from 1 to an end, with seeds apart by `spread`."""
    return [
        SimpleNamespace(
            losses=np.stack([np.linspace(1, end, epochs) + move for move in (-spread, 0, spread)])
        )
        for end in ends
    ]


def test_epochs_to_the_loss_that_the_slowest_ends_with():
    fast, slow = curves(0.1, 0.55)
    level, epochs = repeated.epochs_to_common({"fast": fast, "slow": slow}, resamples=20)
    assert level == pytest.approx(0.55)
    assert epochs["fast"].value == 6 and epochs["slow"].value == 10  # from 1 down by 0.1 an epoch


def test_losses_decide_a_claim_only_where_seeds_agree():
    names = ["cross_attention", "addition", "linear_concat", "concat"]

    def status(*ends, spread):
        given = [repeated.final(head, 200) for head in curves(*ends, spread=spread)]
        return claims.check("loss_two_lowest", *given, names=names)

    assert status(0.1, 0.1, 0.3, 0.4, spread=0.01).status == "reproduced"
    assert status(0.1, 0.3, 0.1, 0.4, spread=0.0).status.startswith("not run (needs at least 2 seeds")
    against = status(0.1, 0.3, 0.1, 0.4, spread=0.01)
    assert against.status == "differs" or against.support < 0.95
    assert against.contradiction.text.startswith("linear_concat lies below addition: -0.2")
    assert "points" not in against.contradiction.text  # losses are no fractions


def noisy(value, seed, noise=0.01):
    draws = value + noise * np.random.default_rng(seed).normal(size=300)
    return stats.Measured(value, draws)


def test_a_curve_that_flattens():
    given = noisy(0.5, 0), noisy(0.7, 1), noisy(0.72, 2)
    assert claims.check("fusion_width_flattens", *given).status == "reproduced"
    late = noisy(0.5, 0), noisy(0.52, 1), noisy(0.8, 2)
    found = claims.check("fusion_width_flattens", *late)
    assert found.status == "differs" and "+28.0 points beyond" in found.contradiction.what
    needs = claims.check("fusion_width_flattens", given[0], given[1], given[1])
    assert needs.status.startswith("not run (needs widths below")


def test_the_width_that_is_best_and_where_it_lies_over_draws():
    made = [SimpleNamespace(width=w, measured=noisy(v, w, 0.02)) for w, v in ((8, 0.4), (32, 0.7), (64, 0.7))]
    best, (low, high) = repeated.peak(made)
    assert best in (32, 64) and (low, high) == (32, 64)


def test_figures_and_rows_of_heads(world):
    found = [trained(world, seeds=[0, 1], d_align=width) for width in (2, 8)]
    figure = heads.widths({"captions as written": found})
    assert "width 2" in figure.alt and f"{found[1].parameters:,} parameters" in figure.alt
    assert figure.table.frame["width"].tolist() == ["2", "8"]
    drawn = heads.spread({"addition": found[0].losses, "concat": trained(world, "concat").losses}, 0.6)
    assert "addition" in drawn.alt and "over 2 seeds" in drawn.alt and "over 1 seed)" in drawn.alt
    _, epochs = repeated.epochs_to_common({"addition": found[0]}, 20)
    (row,) = heads.losses_beside({"addition": found[0]}, epochs)
    assert row["epochs to the common loss"].split(".")[0].isdigit() and row["seeds"] == 2


@pytest.fixture(scope="module")
def methods():
    random = np.random.default_rng(1)
    labels = random.random((300, 4)) < 0.3
    scores = {
        name: 1 / (1 + np.exp(-(skill * (labels - 0.3) + random.normal(size=labels.shape))))
        for name, skill in (("good", 4), ("fair", 2), ("none", 0))
    }
    return Methods(Split("test", range(300), tuple("abcd"), labels), scores, 100)


def test_methods_are_judged_alike_and_in_pairs(methods):
    less = methods.less("good")
    difference = methods.measured("good") - methods.measured("fair")
    assert less["fair"][0] == pytest.approx(difference.value)
    assert less["fair"][1] == pytest.approx(difference.interval)  # of the same resamples
    assert less.keys() == {"fair", "none"} and less["none"][0] > less["fair"][0] > 0
    report = methods.report("good")
    assert report["CF1_macro"] == pytest.approx(
        metrics.report(methods.split.labels, methods.scores["good"])["CF1_macro"]
    )
    assert report["top-3 OF1"] != report["OF1"]


def test_tables_of_methods(methods):
    shown = rivals.measured(methods, {name: ("pictures", "no") for name in methods.scores}).frame
    assert shown["method"].tolist() == ["good", "fair", "none"] and "top-3 OF1" in shown
    apart = rivals.differences({"good": methods.less("good"), "fair": methods.less("fair")}).frame
    (good,) = apart["fair"][apart["less"] == "good"]
    assert good.startswith("-") and good.endswith(" *")
    assert apart["good"][apart["less"] == "good"].tolist() == ["–"]


@pytest.mark.parametrize("number", [1, 2])
def test_every_printed_row_has_its_facts_with_a_source_and_a_citation(number):
    rows = baselines.rows(number)
    assert len(rows) == len(paper.table(number)) and (rows[baselines.FACTS] != "").all(axis=None)
    bibliography = (paper.FOLDER.parents[3] / "book" / "references.bib").read_text()
    assert not [key for key in rows["cite"] if f"{{{key}," not in bibliography]
    assert set(rows["captions_at_test"]) == {"no", "yes"}
    assert set(rows["method"][rows["captions_at_test"] == "yes"]) == {baselines.OURS}


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_said_of_a_method_says_where_it_can_be_read(number):
    """In its code or an entry, by name, or in the paper itself: "its paper" is no place to look it up."""
    for row in baselines.rows(number).to_dict("records"):
        places = dict(part.strip().split(": ", 1) for part in row["source"].split(";") if ": " in part)
        for fact in ("resolution", "pretraining"):
            place = places.get(fact, places.get("the rest", ""))
            named = re.search(r"its code|there|its name|Papers with Code|sections", place)
            assert bool(named) == (row[fact] != "not stated"), (row["method"], fact)


def test_margins_of_the_papers_own_numbers():
    assert baselines.best(1, "CNN")[0] == "MCAR" and baselines.best(2)[0] == "Q2L-TResL-22k"
    assert baselines.margin(1, "CNN").value == pytest.approx(0.148)
    assert baselines.margin(1).value == pytest.approx(0.051) and baselines.margin(2).value < 0.05
    with pytest.raises(ValueError, match="Table 5 compares no methods"):
        baselines.rows(5)


def test_margins_over_published_rows_are_of_the_papers_data_alone():
    fused = noisy(0.986, 0, 0.001)
    assert baselines.margins("scenes", fused) == []
    found = {result.id: result for result in baselines.margins("coco", fused)}
    assert found.keys() == {"margin_cnn", "margin_graph", "margin_transformer"}
    assert found["margin_cnn"].value == pytest.approx(0.148) and "MCAR" in found["margin_cnn"].what


def test_error_rates_stand_beside_table_7_the_least_first():
    accuracy = noisy(0.9, 0, 0.001)
    probe = numbers.error_rate("a probe", accuracy, paper.value(7, "error_rate", method="Diff-Feat"))
    assert (probe.id, probe.value, probe.paper.value) == ("error_a_probe", pytest.approx(0.1), 0.1208)
    low, high = accuracy.interval
    assert (
        probe.interval == pytest.approx((1 - high, 1 - low)) and probe.interval[0] < 0.1 < probe.interval[1]
    )
    again = numbers.error_rate("again", replace(probe, value=0.5, interval=(-0.1, 1.2)))
    assert (again.value, again.interval) == (0.5, (0.0, 1.0)), "no rate leaves 0 to 1"
    frame = rivals.errors(paper.table(7), 120_000, {9_000: [again, probe]}).frame
    assert frame["reader"].tolist()[2:] == ["L_MIXED", "a probe", "Diff-Feat", "again"]
    assert frame["training articles"].tolist()[2:] == ["120,000", "9,000", "120,000", "9,000"]
    assert frame["error rate"].tolist()[3:5] == [probe.text, "12.08%"]


def test_the_figure_of_printed_rows_says_who_reads_captions():
    figure = rivals.printed(baselines.rows(1), {"image feature alone": 0.605})
    assert "Diff-Feat with 98.6%, which reads captions" in figure.alt and "ADDS with 93.5%" in figure.alt
    assert figure.table.frame["reads"].tolist().count("captions too") == 1
    swapped = baselines.rows(1).assign(captions_at_test="no")
    assert "98.6%, which reads pictures alone" in rivals.printed(swapped).alt
    assert isinstance(rivals.published(baselines.rows(2)).frame, pd.DataFrame)


def test_a_small_cnn_learns_what_pictures_show_and_is_kept(tmp_path):
    splits = {}
    for part, count in (("train", 40), ("test", 20)):
        split = tiny.split(count, folder=tmp_path, name=part, first=1000 * (part == "test"))
        labels = np.array([[np.asarray(split.image(row)).mean() > 127] for row in range(count)])
        splits[part] = replace(split, labels=np.c_[labels, ~labels], names=("bright", "dark"))
    state = torch.get_rng_state()
    root = tmp_path / "features"
    scores = baseline.scores(splits, epochs=30, root=root)
    assert scores.shape == (20, 2) and ((scores > 0) & (scores < 1)).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(baseline.scores(splits, epochs=30, root=root), scores)
    assert not np.array_equal(baseline.scores(splits, epochs=1, root=root), scores)
    assert len(list((tmp_path / "baselines").glob("*.npz"))) == 2
    assert baseline.drawn(splits["test"]).shape == (20, 3, 64, 64)


def test_lowest_names_what_contradicts_it():
    given = [noisy(value, seed) for seed, value in enumerate((0.2, 0.5, 0.1))]
    found = training.lowest(*given, first=2, names=("a", "b", "c"))
    assert found.status == "differs" and found.contradiction.what == "c lies below b"
    assert found.value == pytest.approx(-0.4)
