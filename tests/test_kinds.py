"""What noise does to labels of each kind: gains against the lowest timestep, in words, drawn."""

import numpy as np
import pytest

from difffeat.evidence import kinds as told
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.kinds import agree, by_block, gains
from difffeat.probing.stats import Measured
from difffeat.show import kinds as shown

TIMESTEPS, BLOCKS = (0, 50, 300), (4, 8)


def grid(course, noise=0.002, seed=0, on_val=None):
    """A grid whose metric runs so over timesteps in block 8, and is lower and falls in block 4; on val as on
    test unless told otherwise."""
    of = {"test": course, "val": on_val or course}
    values = {part: np.stack([[0.3, 0.2, 0.1], run], axis=1) for part, run in of.items()}  # (T, B)
    random = np.random.default_rng(seed)
    draws = {part: of + random.normal(0, noise, size=(100, *of.shape)) for part, of in values.items()}
    return Grid(
        TIMESTEPS,
        BLOCKS,
        values["val"][None],
        values["test"][None],
        draws["test"],
        draws["val"],
        metric="mAP",
    )


def test_gains_are_paired_and_of_the_best_block():
    (gain,) = gains({"type": grid([0.5, 0.6, 0.4])})
    assert (gain.block, gain.best) == (8, 50)
    assert gain.values == pytest.approx([0, 0.1, -0.1])
    low, high = gain.at(50).interval
    assert low < 0.1 < high and (low, high) == pytest.approx((0.1, 0.1), abs=0.02)
    assert gain.draws[:, 0] == pytest.approx(0), "less itself, in every draw"


def test_a_timestep_is_chosen_on_val_and_what_it_gains_is_read_on_test():
    measured = grid([0.5, 0.51, 0.6], on_val=[0.3, 0.6, 0.55], noise=0.03)
    (gain,) = gains({"type": measured})
    assert gain.best == 50 and gain.at(gain.best).value == pytest.approx(0.01)
    assert set(gain.likely.tolist()) == {50, 300}, "where val is best in its draws"
    blocks = by_block(measured)
    assert blocks[8][0] == 50 and blocks[8][1].tolist() == gain.likely.tolist()
    assert blocks[4][0] == 0
    row = shown.best_timesteps({"type": measured}).frame.iloc[0]
    assert row["block 4"].startswith("0 (0 to ") and row["block 8"] == "50 (50 to 300)"
    assert row["best block"] == "8"
    said = "best at t = 50 (50 to 300), in block 8. Against t = 0, they gain 10.0 points at t = 300."
    assert f"Labels of type are {said}" in told.words([gain])
    flat = gains({"type": grid([0.5, 0.5, 0.5])})
    assert "No timestep moves them from t = 0 beyond noise." in told.words(flat)


def test_a_claim_on_timesteps_is_judged_for_labels_of_each_kind():
    grids = {"type": grid([0.5, 0.6, 0.4]), "colour": grid([0.5, 0.4, 0.3])}
    tested = told.judged(grids, gains(grids), seeds=[0])
    by = {result.id: result for result in tested}
    assert by["image_type_best_between_ends"].status == "reproduced"
    assert by["image_colour_best_between_ends"].status == "differs"
    assert by["image_type_best_between_ends"].paper.value == 50, "as Table 5 prints it"
    assert by["image_type_unimodal_in_timestep"].what.startswith("Labels of type: at every block, mAP rises")
    assert by["image_type_unimodal_in_timestep"].support is not None
    assert by["image_colour_timestep_varies"].what == (
        "Labels of colour: the best timestep is not the same at every block"
    )
    assert "reproduced for type; differs for colour." in told.statuses(tested)


def test_kinds_are_compared_at_the_papers_timestep_in_paired_draws():
    grids = {"type": grid([0.5, 0.6, 0.4]), "usage": grid([0.4, 0.5, 0.4]), "colour": grid([0.5, 0.4, 0.6])}
    said = told.compared(gains(grids))
    assert said.startswith(
        "At t = 50, the best of the paper's Table 5: labels of type and usage are not told apart"
    )
    assert "labels of type gain 20.0 points (" in said and "more than those of colour" in said
    other = Grid((0, 30), BLOCKS, *(2 * [np.ones((1, 2, 2))]), *(2 * [np.ones((10, 2, 2))]))
    assert told.compared(gains({"type": other})) == "", "not measured there"


def test_each_kind_stands_beside_its_own_floors():
    grids = {"type": grid([0.5, 0.6, 0.4]), "colour": grid([0.5, 0.4, 0.3])}
    low = {
        kind: [Floor("raw pixels", Measured(value, np.full(100, value)))]
        for kind, value in (("type", 0.2), ("colour", 0.7))
    }
    said = told.beside(grids, low)
    assert "The best feature for labels of type reaches 60.0%: 40.0 points" in said
    assert "above raw pixels (20.0%)" in said and "below raw pixels (70.0%)" in said


def test_kinds_part_where_one_gains_and_another_loses_at_one_timestep():
    up, down, flat = grid([0.5, 0.6, 0.6]), grid([0.5, 0.4, 0.3]), grid([0.5, 0.5, 0.5])
    assert not agree(gains({"type": up, "colour": down}))
    assert agree(gains({"type": up, "usage": flat}))
    assert agree(gains({"type": down, "usage": flat}))
    words = told.words(gains({"type": up, "colour": down}))
    assert "in block 8. Against t = 0, they gain 10.0 points at t = 50, 10.0 at t = 300." in words
    assert "Labels of colour are best at t = 0 (0 to 0), in block 8. Against t = 0, they lose" in words
    assert "lose 10.0 points at t = 50, 20.0 at t = 300." in words
    assert "one number over all labels hides it" in words
    assert "No timestep helps" in told.words(gains({"type": up, "usage": flat}))


def test_results_and_figure_hold_the_numbers():
    found = gains({"type": grid([0.5, 0.6, 0.4]), "colour": grid([0.5, 0.4, 0.3])})
    by = {result.id: result.value for result in told.results(found)}
    assert told.results(found)[0].interval == (50, 50)
    assert by["image_type_best_timestep"] == 50 and by["image_colour_best_timestep"] == 0
    assert by["image_type_noise_gain"] == pytest.approx(0.1) and by["image_colour_noise_gain"] == 0
    assert by["image_colour_gain_t300"] == pytest.approx(-0.2) and "image_colour_gain_t0" not in by
    figure = shown.by_timestep(found)
    assert "type rises" in figure.alt and "colour falls" in figure.alt
    frame = figure.table.frame
    assert len(frame) == 6 and frame["95 % interval"].str.len().min() > 2
