"""What pages say and show of tasks on tokens, and the claims that are tested on them."""

import numpy as np
import pytest
from PIL import Image

from difffeat.evidence import claims
from difffeat.evidence import tasks as told
from difffeat.evidence.papers.activations.claims.tasks import TASKS, TASKS_INSIDE
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.features.points import Point
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.object_pairs import Pairs
from difffeat.probing.stats import Measured
from difffeat.probing.tasks import Comparison, Reached
from difffeat.show import tasks as figures

DRAWS = 200
PLACES = ("out", "attention", "hidden")


def grid(values, metric="mIoU", noise=0.01):
    """One timestep, two blocks, three places; `values` rises over all six, on val and on test."""
    values = np.asarray(values, float).reshape(1, 1, 6)
    random = np.random.default_rng(0)
    draws = values + noise * random.normal(size=(DRAWS, 1, 6))
    return Grid((50,), (6, 8), values, values, draws, draws, metric=metric, places=PLACES)


def reached(value, noise=0.01, seed=1):
    draws = value + noise * np.random.default_rng(seed).normal(size=DRAWS)
    return Reached({"mIoU": Measured(value, draws)}, {})


def comparison(inside=0.5, output=0.3, combined=0.6, combined_outputs=0.35, **how):
    values = [0.2, 0.25, inside, output, 0.1, 0.15]  # block 6: out, attention, hidden; block 8
    floor = Floor("pixels and position", Measured(0.1, np.full(DRAWS, 0.1)), "mIoU")
    points = (Point(50, 6, "hidden"), Point(50, 8)), (Point(50, 8), Point(50, 6))
    return Comparison(
        grid(values, **how), *points, reached(combined), reached(combined_outputs, seed=2), (floor,)
    )


def test_a_page_records_scores_where_they_are_and_what_lies_between_them():
    results = {one.id: one for one in told.results("segmentation", comparison())}
    assert results["segmentation_inside_score"].value == 0.5
    assert results["segmentation_outputs_score"].value == 0.3
    assert results["segmentation_best_score"].value == 0.6
    assert results["segmentation_inside_point"].value == "hidden of block 6 at t = 50"
    assert results["segmentation_outputs_point"].value == "out of block 8 at t = 50"
    assert results["segmentation_inside_less_outputs"].value == pytest.approx(0.2)
    assert results["segmentation_inside_less_best_outputs"].value == pytest.approx(0.15)
    assert results["segmentation_best_less_single"].value == pytest.approx(0.1)
    assert results["segmentation_over_outputs"].value == pytest.approx(0.25)
    assert results["segmentation_over_outputs"].unit == "points"
    assert results["segmentation_floor_pixels_and_position_score"].value == 0.1
    assert {one.metric for key, one in results.items() if key.endswith("_score")} == {"mIoU"}


def test_the_answer_follows_the_numbers():
    said = told.answer(comparison())
    assert "the best place inside a block is hidden of block 6 at t = 50" in said
    assert "Inside against outputs: +20.0 points" in said and "more than chance" in said
    assert "40.0 points" in said and "above pixels and position (10.0%)" in said
    turned = told.answer(comparison(inside=0.26, output=0.3, combined=0.2))
    assert "Inside against outputs: -4.0 points" in turned and ", less." in turned
    assert "more than chance" not in turned
    close = told.answer(comparison(inside=0.301, combined=0.301, combined_outputs=0.3))
    assert close.count("the two are not told apart") == 4


@pytest.mark.parametrize(
    ("value", "status"),
    [(0.1, "reproduced"), (-0.1, "differs"), (0.0, "inconclusive"), (0.03, "inconclusive")],
)
def test_a_difference_is_called_in_words_as_its_claim_is(value, status):
    """The last is above 0 by the percentiles of its skewed draws, and not told apart by the claim's test."""
    skewed = np.random.default_rng(0).exponential(size=2000)
    number = Measured(value, value + 0.02 * (skewed - skewed.mean()))
    found = claims.check("act_segmentation_inside_beats_outputs", number, Measured(0.0, np.zeros(2000)))
    assert found.status == status
    assert told.difference("a against b", number).endswith(f"{told.ENDS[status]}.")
    assert (number.interval.low > 0) == (value > 0)


def test_ways_are_what_dots_take():
    ways = told.ways(comparison())
    assert {name: value for name, (value, _) in ways.items()} == {
        "best output": 0.3,
        "best inside": 0.5,
        "outputs together": 0.35,
        "best together": 0.6,
    }
    assert all(low < value < high for value, (low, high) in ways.values())


def test_classes_that_no_pixel_is_of_are_left_out():
    names, series = told.classes(
        ["a", "b", "c"], {"inside": np.array([0.2, np.nan, 0.7]), "output": np.array([0.1, np.nan, 0.3])}
    )
    assert names == ["c", "a"]
    assert {name: held.tolist() for name, held in series.items()} == {
        "inside": [0.7, 0.2],
        "output": [0.3, 0.1],
    }


@pytest.mark.parametrize("task", TASKS)
def test_claims_of_the_tasks_follow_the_numbers(task):
    assert len(TASKS_INSIDE) == 2 * len(TASKS) and set(TASKS_INSIDE) <= set(CLAIMS)
    metric, page = TASKS[task][1:]
    for name, low, high in (
        (f"act_{task}_inside_beats_outputs", 0.3, 0.5),
        (f"act_{task}_combined_beats_single", 0.5, 0.6),
    ):
        more, less = reached(high).measured, reached(low, seed=3).measured
        for given, status in (
            ((more, less), "reproduced"),
            ((less, more), "differs"),
            ((more, more), "inconclusive"),
        ):
            found = claims.check(name, *given)
            assert found.status == status and found.unit == "points" and found.metric.startswith(metric)
        assert next(claim for claim in CLAIMS if claim.id == name).needs == page


def test_a_map_of_places_says_where_each_is_best():
    figure = figures.by_place(comparison().grid)
    assert "Best at hidden of block 6 at t = 50" in figure.alt
    assert "out 30.0% (block 8, t = 50)" in figure.alt
    assert figure.table.frame.shape == (6, 5) and figure.png.startswith(b"\x89PNG")
    assert figure.table.frame["mIoU"].tolist()[2] == "50.0%"


def test_label_maps_are_shown_with_the_share_of_pixels_that_are_right():
    true = np.zeros((3, 8, 8), np.uint8)
    true[0, :4] = 1
    true[1, 0, 0] = 255
    whole, coarse = true.copy(), np.zeros((2, 4, 4), np.uint8)
    whole[0, 0] = 2
    pictures = [Image.new("RGB", (8, 8), (9, 90, 200))] * 3
    figure = figures.label_maps(
        pictures, true, {"inside": whole, "output": coarse}, ["background", "cat", "dog"]
    )
    rows = figure.table.frame.to_dict("records")
    assert [row["inside"] for row in rows] == ["87.5%", "100.0%"]  # as many as all have
    assert [row["output"] for row in rows] == ["50.0%", "100.0%"]
    assert [row["shows"] for row in rows] == ["cat", ""]
    assert "picture 1 (cat): inside 87.5%, output 50.0%" in figure.alt and "picture 2 (nothing)" in figure.alt


def test_keypoints_that_were_found_are_counted():
    pairs = Pairs(
        np.array([[0, 1], [1, 0]]), ("cat", "dog"), np.array([10.0, 20.0]), np.array([0, 0, 1]),
        ("eye", "tail", "eye"), np.full((3, 2), 4.0), np.array([[4.0, 4.0], [8.0, 4.0], [2.0, 2.0]]),
    )  # fmt: skip
    found = np.array([[4.5, 4.0], [4.0, 4.0], [4.0, 2.0]])  # off by 0.05, 0.4 and 0.1 of the longer side
    pictures = {row: Image.new("RGB", (16, 16), (200, 90, 20)) for row in (0, 1)}
    figure = figures.found_points(pictures, pairs, found, [0, 1])
    rows = figure.table.frame.to_dict("records")
    assert [(row["category"], row["found within 0.1"]) for row in rows] == [("cat", "1"), ("dog", "1")]
    assert "cat 1 of 2; dog 1 of 1" in figure.alt
