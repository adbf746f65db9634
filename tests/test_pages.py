"""What pages say in one line is what the grids, pairs and searches behind it hold."""

import json

import numpy as np
import pytest

from difffeat import backbones, pages, paper, search
from difffeat.floors import Floor
from difffeat.grid import Grid
from difffeat.pairs import Pair
from difffeat.stats import Interval


@pytest.fixture
def grid():
    """Val prefers (100, 8), test would prefer (0, 4): a page must go by val."""
    val = np.array([[[0.3, 0.4], [0.35, 0.5]]])
    test = np.array([[[0.6, 0.4], [0.35, 0.48]]])
    draws = test + np.linspace(-0.02, 0.02, 101)[:, None, None]
    return Grid((0, 100), (4, 8), val, test, draws)


def test_the_best_point_is_that_of_val_with_the_number_of_test(grid):
    value, timestep, block = pages.best_point(
        "image_best", grid, "best", paper=paper.best(5, "image"), seeds=[0]
    )
    assert (value.id, timestep.id, block.id) == (
        "image_best_score",
        "image_best_timestep",
        "image_best_block",
    )
    assert (value.value, timestep.value, block.value) == (0.48, 100, 8)
    assert value.interval == pytest.approx((0.461, 0.499)) and value.draws == 101
    assert pages.at_best(grid)[0] == 0.48 and np.array_equal(pages.at_best(grid)[1], grid.draws[:, 1, 1])


def test_the_mean_of_a_grid_is_over_its_points(grid):
    result = pages.mean_result("all", grid, "mean")
    assert result.value == pytest.approx(np.mean([0.6, 0.4, 0.35, 0.48]))
    assert result.interval[0] < result.value < result.interval[1]


def test_floors_and_gains(grid):
    found = [Floor("raw pixels", 0.24, Interval(0.2, 0.3)), pages.floor("untrained copy", grid)]
    assert [result.id for result in pages.floors(found[:1])] == ["floor_raw_pixels_score"]
    gains = {result.id: result.value for result in pages.gains("image", grid, found)}
    assert gains == {"image_over_raw_pixels": pytest.approx(2.0), "image_over_untrained_copy": 1.0}


def test_pairs_as_dots():
    class Measured:
        measured = {((0, 4), (10, 8)): Pair(0.5, 0.4, np.array([0.39, 0.41]), np.array([1.0]))}

    dots = pages.dots(Measured)
    assert list(dots) == [("(0, 4)", "(10, 8)")] and dots["(0, 4)", "(10, 8)"][0] == 0.4


def test_a_replayed_search_as_a_table():
    found = search.on_grids(paper.grid(5, "image"), paper.grid(5, "text"), search.lookup(paper.pairs(5)))
    row = pages.searches({"Table 5": found}).frame.iloc[0]
    assert tuple(row) == ("Table 5", "(30, 12)", "(0, 20)", "98.57%", "65")


def test_a_mapping_as_a_table():
    frame = pages.listing({"blocks": [1, 2], "seed": None}, name="field").frame
    assert list(frame) == ["field", "value"] and frame.to_numpy().tolist() == [
        ["blocks", "1, 2"],
        ["seed", "None"],
    ]


@pytest.mark.parametrize("name", ["dit-scenes", "plaid-scenes"])
def test_cards_say_how_the_shipped_weights_were_made(name):
    card = dict(pages.card(name).frame.to_numpy())
    folder = backbones.weights_folder(name)
    assert card["model"] == name and int(card["samples"]) == int(card["steps"]) * int(card["batch"])
    assert card["sha256"] == backbones.load(name).sha256
    assert (
        "out" not in json.loads((folder / "card.json").read_text())["options"]
    )  # no folder of whoever trained it
    log = pages.training_log(name)
    assert (
        log.samples.iloc[-1] == int(card["samples"])
        and log.validation_loss.iloc[-1] < log.validation_loss.iloc[0]
    )


def test_rows_are_shown_as_text_with_their_columns():
    table = pages.rows({"name": name, "count": count} for name, count in (("cat", 3), ("<dog>", 12)))
    assert table.frame.to_dict("records") == [
        {"name": "cat", "count": "3"},
        {"name": "<dog>", "count": "12"},
    ]
    assert "&lt;dog&gt;" in table._repr_html_()
