"""What pages say in one line is what the grids, pairs and searches behind it hold."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from difffeat import backbones
from difffeat.backbones import shipped
from difffeat.evidence import numbers
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing import floors, search
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.pairs import Pair, Pairs
from difffeat.probing.stats import Measured
from difffeat.show import tables


@pytest.fixture
def grid():
    """Val prefers (100, 8), test would prefer (0, 4): a page must go by val. In 5 of 101 draws val prefers
    (0, 8), where test is lower."""
    val = np.array([[[0.3, 0.4], [0.35, 0.5]]])
    test = np.array([[[0.6, 0.4], [0.35, 0.48]]])
    draws = test + np.linspace(-0.02, 0.02, 101)[:, None, None]
    val_draws = np.repeat(val, 101, axis=0)
    val_draws[10:60:10, 0, 1] = 0.6
    return Grid((0, 100), (4, 8), val, test, draws, val_draws)


def test_the_best_point_is_that_of_val_with_the_number_of_test(grid):
    value, timestep, block = numbers.best_point(
        "image_best", grid, "best", paper=paper.best(5, "image"), seeds=[0]
    )
    assert (value.id, timestep.id, block.id) == (
        "image_best_score",
        "image_best_timestep",
        "image_best_block",
    )
    assert (value.value, timestep.value, block.value) == (0.48, 100, 8)
    assert value.draws == 101
    places = np.where(grid.val_draws[:, 0, 1] > 0.5, 1, 3)  # among the four points
    drawn = grid.draws.reshape(101, 4)[np.arange(101), places]
    drawn += 0.48 - drawn.mean()  # choosing on resamples does worse: their draws are moved around the value
    assert value.interval == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975], method="weibull")))
    assert value.interval[0] < 0.4 < grid.at(100, 8).interval.low  # the choice is in it
    assert timestep.interval == (0, 100) and block.interval == (8, 8)  # 5 of 101 draws are more than 2.5 %
    assert value.paper == paper.best(5, "image") and value.seeds == (0,) and value.metric == "mAP"


def test_ends_of_positions_are_positions(grid):
    """Of two timesteps the interval is never between them."""
    rare = replace(
        grid, val_draws=np.concatenate([grid.val_draws[[10]], np.repeat(grid.val_draws[:1], 100, 0)])
    )
    _, timestep, _ = numbers.best_point("image", rare)
    assert timestep.interval == (100, 100)  # one of 101 draws is fewer than 2.5 %
    for result in numbers.best_point("image", grid)[1:]:
        assert set(result.interval) <= {*grid.timesteps, *grid.blocks}


def test_floors_and_gains(grid):
    pixels = Floor("raw pixels", Measured(0.24, 0.5 * grid.draws[:, 1, 1]))
    found = [pixels, floors.reached("untrained copy", grid)]
    (floor,) = numbers.floors(found[:1])
    assert (floor.id, floor.value, floor.draws) == ("floor_raw_pixels_score", 0.24, 101)
    assert floor.interval == pytest.approx((0.23031, 0.24969), abs=1e-6)
    gains = {result.id: result for result in numbers.gains("image", grid.at(100, 8), found)}
    assert {name: result.value for name, result in gains.items()} == {
        "image_less_raw_pixels": pytest.approx(0.24),
        "image_over_raw_pixels": pytest.approx(2.0),
        "image_less_untrained_copy": 0.0,
        "image_over_untrained_copy": 1.0,
    }
    less = gains["image_less_raw_pixels"]  # paired: half of what moves in both is gone
    assert less.interval == pytest.approx((0.23031, 0.24969), abs=1e-6) and less.unit == "points"
    nothing = Floor("nothing", Measured(0.0, np.zeros(101)))
    assert [result.id for result in numbers.gains("image", grid.at(100, 8), [nothing])] == [
        "image_less_nothing"
    ]


def test_pairs_as_dots():
    class Measured:
        measured = {
            ((0, 4), (10, 8)): Pair(0.5, 0.4, np.array([0.39, 0.41]), np.array([0.5, 0.5]), np.array([1.0]))
        }

    dots = Pairs.by_label.fget(Measured)
    assert list(dots) == [("(0, 4)", "(10, 8)")] and dots["(0, 4)", "(10, 8)"][0] == 0.4
    assert dots["(0, 4)", "(10, 8)"][1] == pytest.approx((0.39, 0.41))


def test_a_replayed_search_as_a_table():
    found = search.on_grids(paper.grid(5, "image"), paper.grid(5, "text"), search.lookup(paper.pairs(5)))
    row = tables.searches({"Table 5": found}).frame.iloc[0]
    assert tuple(row) == ("Table 5", "(30, 12)", "(0, 20)", "98.57%", "65")


def test_a_mapping_as_a_table():
    frame = tables.listing({"blocks": [1, 2], "seed": None}, name="field").frame
    assert list(frame) == ["field", "value"] and frame.to_numpy().tolist() == [
        ["blocks", "1, 2"],
        ["seed", "None"],
    ]


@pytest.mark.parametrize("name", ["dit-scenes", "plaid-scenes"])
def test_cards_say_how_the_shipped_weights_were_made(name):
    card = dict(tables.card(name).frame.to_numpy())
    folder = backbones.weights_folder(name)
    assert card["model"] == name and int(card["samples"]) == int(card["steps"]) * int(card["batch"])
    assert card["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (
        "out" not in json.loads((folder / "card.json").read_text())["options"]
    )  # no folder of whoever trained it
    log = shipped.training_log(name)
    assert (
        log.samples.iloc[-1] == int(card["samples"])
        and log.validation_loss.iloc[-1] < log.validation_loss.iloc[0]
    )


def test_rows_are_shown_as_text_with_their_columns():
    table = tables.rows({"name": name, "count": count} for name, count in (("cat", 3), ("<dog>", 12)))
    assert table.frame.to_dict("records") == [
        {"name": "cat", "count": "3"},
        {"name": "<dog>", "count": "12"},
    ]
    assert "&lt;dog&gt;" in table._repr_html_()
