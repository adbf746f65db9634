"""Checks of the paper's printed numbers: what they say of the tables as shipped, and of one wrong number."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.readers import coco_lists
from difffeat.evidence.papers.diff_feat import checks, checks_curves, checks_scores
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.verdicts import FAILS, HOLDS, UNKNOWN, Check, among

# What does not hold, or cannot be told, in the paper as printed: everything else holds.
FAILING = {
    "Text over timesteps, mAP, Table 6",
    "Peak of the image map, OP, Table 6",
    "Layer 12, the other metrics, Table 6",
    "Text over timesteps, the other metrics, Table 5",
    "Text over blocks, the other metrics, Table 5",
    "Images over timesteps, the other metrics, Table 6",
    "Text over timesteps, the other metrics, Table 6",
    "Text over blocks, the other metrics, Table 6",
    "CF1 is harmonic, Table 5",
    "CF1 is harmonic, Table 6",
    "CF1 means one thing in Table 1",
}
UNTOLD = {
    "Peaks are seen, Table 6",
    "CF1 is the mean over classes, Table 5",
    "CF1 is the mean over classes, Table 6",
    "Table 4's t",
    "Figure 8 from Table 4",
}
IMAGE, TEXT, FUSED = 0, 30, 50  # first rows of the three modalities in tables 5 and 6
# A check, and one wrong number: the table, the row, the column, what stands there then, the verdict then.
WRONG = [
    ("Images over timesteps, mAP, Table 5", 5, IMAGE + 6, "mAP", "59.28", FAILS),
    ("Images over blocks, mAP, Table 5", 5, IMAGE + 2, "mAP", "46.81", FAILS),
    ("Text over timesteps, mAP, Table 5", 5, TEXT + 5, "mAP", "82.73", FAILS),
    ("Text over blocks, mAP, Table 5", 5, TEXT + 2, "mAP", "88.27", FAILS),
    ("Images over timesteps, mAP, Table 6", 6, IMAGE + 6, "mAP", "28.32", FAILS),
    ("Images over blocks, mAP, Table 6", 6, IMAGE + 2, "mAP", "21.80", FAILS),
    ("Text over timesteps, mAP, Table 6", 6, TEXT + 5, "mAP", "25.22", HOLDS),
    ("Text over blocks, mAP, Table 6", 6, TEXT + 2, "mAP", "28.40", FAILS),
    ("Peaks are seen, Table 5", 5, IMAGE + 29, "mAP", "48.23", UNKNOWN),
    ("Peaks are seen, Table 6", 6, IMAGE + 29, "mAP", "23.72", HOLDS),
    ("Layer 12, mAP, Table 5", 5, IMAGE + 2, "mAP", "60.81", FAILS),
    ("Layer 12, mAP, Table 6", 6, IMAGE + 27, "mAP", "28.47", FAILS),
    ("Layer 12, the other metrics, Table 5", 5, IMAGE, "OP", "97.07", FAILS),
    ("Peak of the image map, mAP, Table 5", 5, IMAGE + 4, "mAP", "64.87", FAILS),
    ("Peak of the image map, OP, Table 5", 5, IMAGE + 4, "OP", "89.86", FAILS),
    ("Peak of the image map, mAP, Table 6", 6, IMAGE + 4, "mAP", "32.17", FAILS),
    ("Peak of the image map, OP, Table 6", 6, IMAGE + 16, "OP", "69.59", HOLDS),
    ("Best text, Table 5", 5, TEXT + 9, "mAP", "94.12", FAILS),
    ("Best text, Table 6", 6, TEXT + 9, "mAP", "48.88", FAILS),
    ("Images over timesteps, the other metrics, Table 5", 5, IMAGE + 5, "CR", "31.63", FAILS),
    ("Images over blocks, the other metrics, Table 5", 5, IMAGE + 3, "OP", "63.52", FAILS),
    ("Images over blocks, the other metrics, Table 6", 6, IMAGE + 3, "OP", "53.00", FAILS),
    ("OF1 from OP and OR, Table 1", 1, 0, "OF1", "75.6", FAILS),
    ("OF1 from OP and OR, Table 5", 5, FUSED, "OF1", "96.56", FAILS),
    ("OF1 from OP and OR, Table 6", 6, IMAGE, "OF1", "32.21", HOLDS),
    ("OF1 from OP and OR, Table 6", 6, IMAGE, "OR", "21.92", FAILS),
    ("CF1 is the mean over classes, Table 5", 5, FUSED, "CF1", "96.80", FAILS),
    ("CF1 is the mean over classes, Table 6", 6, FUSED, "CF1", "49.21", FAILS),
    ("Table 4's mean, deterministic noising", 4, 0, "mAP_mean", "88.24", FAILS),
    ("Table 4's standard deviation, deterministic noising", 5, TEXT, "mAP", "81.52", FAILS),
    ("Table 4's t", 4, 0, "t_value", "147.5", FAILS),
    ("Table 4's t", 4, 1, "mAP_std", "3.55", UNKNOWN),
    ("Figure 8 from Table 4", 4, 0, "t_value", "41.75", HOLDS),
    ("Neighbourhood of Algorithm 1, Table 5", 5, FUSED + 9, "image_block", "20", FAILS),
    ("Neighbourhood of Algorithm 1, Table 6", 6, IMAGE + 16, "mAP", "29.30", FAILS),
    ("Best pair of Table 5", 5, FUSED + 6, "mAP", "98.65", FAILS),
    ("Fusion, Table 5", 5, FUSED, "mAP", "89.40", FAILS),
    ("Fusion, Table 6", 6, FUSED, "mAP", "35.30", FAILS),
    ("Headline, MS-COCO-enhanced", 1, -1, "mAP", "98.5", FAILS),
    ("Headline, VG500", 2, -1, "mAP", "47.5", FAILS),
    ("Table 1 from Table 5", 1, -1, "CR", "98.5", FAILS),
    ("Highest of Table 1", 1, 0, "CP", "98.6", FAILS),
    ("Highest of Table 2", 2, 0, "mAP", "49.0", FAILS),
    ("Table 3's shares", 3, 0, "images", "812", FAILS),
    ("Table 3's threshold", 3, 0, "images", "828", FAILS),
    ("Table 8's counts", 8, 1, "samples", "57960", FAILS),
    ("Features of Table 10", 10, 0, "representation", "image (t = 30, b = 12)", FAILS),
    ("Clusters", 10, 2, "silhouette", "0.031", FAILS),
]
# Those that fail in print as well: the wrong number changes what is said of them.
FAILING_ALREADY = [
    ("Layer 12, the other metrics, Table 6", 6, IMAGE, "OP", "96.07"),
    ("Images over timesteps, the other metrics, Table 6", 6, IMAGE + 7, "CP", "41.93"),
    ("Text over timesteps, the other metrics, Table 5", 5, TEXT + 5, "CR", "52.90"),
    ("Text over blocks, the other metrics, Table 5", 5, TEXT + 2, "OP", "95.12"),
    ("Text over timesteps, the other metrics, Table 6", 6, TEXT + 5, "CR", "6.35"),
    ("Text over blocks, the other metrics, Table 6", 6, TEXT + 2, "OP", "74.53"),
    ("CF1 is harmonic, Table 5", 5, IMAGE, "CF1", "43.99"),
    ("CF1 is harmonic, Table 6", 6, IMAGE, "CF1", "18.61"),
    ("CF1 means one thing in Table 1", 1, 0, "CF1", "72.6"),
]


PARTS = (checks_curves.of_curves, checks_scores.of_scores, checks.of_summaries)


@pytest.fixture(scope="module")
def printed():
    """{what is checked: (its Check, the function that makes it and others)} of the tables as shipped."""
    return {check.what: (check, part) for part in PARTS for check in part()}


def again(name, printed):
    """The check of the tables as they are now."""
    (check,) = [check for check in printed[name][1]() if check.what == name]
    return check


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    """A function that puts a number in a copy of the tables, which the checks then read."""
    shutil.copytree(paper.FOLDER, tmp_path / "paper", ignore=shutil.ignore_patterns("*.py", "claims", "_*"))
    monkeypatch.setattr(paper, "FOLDER", tmp_path / "paper")

    def put(number, row, column, value):
        path = paper.FOLDER / f"table{number:02d}.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        assert table.loc[table.index[row], column] != value
        table.loc[table.index[row], column] = value
        table.to_csv(path, index=False)
        forget()

    yield put
    monkeypatch.undo()
    forget()


def forget():
    paper._read.cache_clear()
    paper._printed.cache_clear()


def test_what_holds_in_the_paper_as_printed(printed):
    every = checks.of_tables()
    verdicts = {check.what: check.verdict for check in every}
    assert len(verdicts) == len(every) and verdicts.keys() == printed.keys(), "two checks have one name"
    assert {name for name, verdict in verdicts.items() if verdict == FAILS} == FAILING
    assert {name for name, verdict in verdicts.items() if verdict == UNKNOWN} == UNTOLD
    assert checks.counts(every) == {HOLDS: len(verdicts) - 16, FAILS: 11, UNKNOWN: 5}


def test_every_check_has_a_wrong_number_below(printed):
    assert {case[0] for case in WRONG + FAILING_ALREADY} == printed.keys()


@pytest.mark.parametrize(("name", "table", "row", "column", "value", "verdict"), WRONG)
def test_a_wrong_number_changes_the_verdict(printed, wrong, name, table, row, column, value, verdict):
    before = printed[name][0]
    wrong(table, row, column, value)
    assert again(name, printed).verdict == verdict
    assert verdict != before.verdict or (column, value) in {("mAP_std", "3.55"), ("OF1", "32.21")}


@pytest.mark.parametrize(("name", "table", "row", "column", "value"), FAILING_ALREADY)
def test_a_wrong_number_changes_what_is_said(printed, wrong, name, table, row, column, value):
    before = printed[name][0]
    wrong(table, row, column, value)
    assert again(name, printed).given != before.given


def test_the_known_exceptions_are_named(printed):
    said = {name: check.given for name, (check, _) in printed.items()}
    assert said["Text over timesteps, mAP, Table 6"].endswith("block 8: 25.23% at t = 0, 25.24% at t = 10")
    assert "block 24 is highest at t = 150" in said["Peaks are seen, Table 6"]
    assert "OP at t = 150: block 8" in said["Layer 12, the other metrics, Table 6"]
    assert "correlation of 0.99" in said["Table 4's t"]
    for method in ("SRN", "SS-GRL", "IML-GCN", "MlTr-L"):  # as deviation 13 says
        assert method in said["CF1 means one thing in Table 1"]
    assert said["CF1 means one thing in Table 1"].startswith("10 of 14 rows")


@pytest.mark.parametrize(
    ("shape", "values", "steps"),
    [
        ("one peak", [1, 3, 3, 2], 0),
        ("one peak", [1, 3, 2, 2.5, 1], 1),
        ("one peak", [3, 2, 1], 0),
        ("falls", [3, 3, 1], 0),
        ("falls", [3, 1, 2], 1),
        ("rises", [1, 0, 2, 1], 2),
    ],
)
def test_steps_the_wrong_way(shape, values, steps):
    values = np.array(values, dtype=float)[:, None] / 100
    grid = paper.Grid(tuple(range(len(values))), (8,), values, values[None])
    assert len(list(checks_curves.turned(grid, 0, shape))) == steps
    turned = paper.Grid((0,), tuple(range(len(values))), values.T, values.T[None])
    assert len(list(checks_curves.turned(turned, 1, shape))) == steps


def test_rounding_reaches_as_far_as_it_can():
    random = np.random.default_rng(0)
    exact = random.uniform(0.05, 0.99, size=(2, 20_000))
    printed = exact.round(4)
    off = np.abs(checks_scores.harmonic(*printed) - checks_scores.harmonic(*exact).round(4))
    reach = checks_scores.reach(*printed, 5)
    assert (off <= reach * 1.001).all() and (off > 0.7 * reach).any()


def test_the_mean_over_classes_is_never_above_the_harmonic_mean():
    precision, recall = np.random.default_rng(1).uniform(0, 1, size=(2, 2000, 5))
    macro = checks_scores.harmonic(precision, recall).mean(axis=1)
    assert (macro <= checks_scores.harmonic(precision.mean(axis=1), recall.mean(axis=1)) + 1e-12).all()


def test_a_summary_names_what_does_not_hold():
    some = [Check(what, "", "", verdict, "") for what, verdict in [("a", HOLDS), ("b", FAILS), ("c", HOLDS)]]
    assert checks.summary(some) == (
        "Of 3 checks: 2 hold, 1 does not hold, 0 cannot be told. What does not hold: b."
    )
    assert [among(3, 3, "rows"), among(0, 3, "rows"), among(1, 1, "rows")] == [
        "all 3 rows",
        "none of 3 rows",
        "1 of 1 rows",
    ]


SETS = {
    ("clock",): 561,
    ("airplane",): 421,
    ("person", "tie"): 417,
    ("toilet",): 394,
    ("person", "horse"): 334,
}


def test_label_sets_are_counted_whole():
    assert checks.label_sets(Counter(SETS)).verdict == HOLDS
    assert checks.label_sets(Counter(SETS | {("clock", "person"): 9})).verdict == HOLDS
    short = checks.label_sets(Counter(SETS | {("clock",): 560}))
    assert short.verdict == FAILS and short.given.startswith("clock 560")


def test_the_commonest_label_sets_are_told_not_judged():
    sets = Counter({(f"label {place}",): 200 - place for place in range(100)} | {(): 5000})
    check = checks.commonest_sets(sets)
    covered = sum(200 - place for place in range(80))
    assert check.verdict == UNKNOWN and "the 80 commonest of 100 label sets" in check.given
    assert f"{covered:,} of {sum(sets.values()):,} images" in check.given and check.given.endswith("to 121")


def test_labels_make_label_sets(tmp_path):
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    first, second = checks.of_labels(labels, ["clock", "toilet"])
    assert "clock 2" in first.given and "toilet 0" in first.given and first.verdict == FAILS
    assert "the 2 commonest of 2 label sets are those of 3 of 4" in second.given


@pytest.mark.skipif("DIFFFEAT_REFERENCE" not in os.environ, reason="names the folder with the real labels")
def test_table_9_counts_the_label_sets_of_val2014():
    val = coco_lists.labels(Path(os.environ["DIFFFEAT_REFERENCE"]) / "data" / "coco2014", "val")
    sets, commonest = checks.of_labels(val.labels, val.names)
    assert len(val) == 40_504 and sets.verdict == HOLDS
    assert "the 80 commonest of" in commonest.given
