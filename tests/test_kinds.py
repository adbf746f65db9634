"""What noise does to labels of each kind: gains against the lowest timestep, in words, drawn."""

import numpy as np
import pytest

from difffeat.evidence import kinds as told
from difffeat.probing.grid import Grid
from difffeat.probing.kinds import agree, gains
from difffeat.show import kinds as shown

TIMESTEPS, BLOCKS = (0, 50, 300), (4, 8)


def grid(course, noise=0.002, seed=0):
    """A grid whose metric runs so over timesteps in block 8, and is lower in block 4."""
    values = np.stack([np.array(course) - 0.2, np.array(course)], axis=1)  # (T, B)
    draws = values + np.random.default_rng(seed).normal(0, noise, size=(100, *values.shape))
    return Grid(TIMESTEPS, BLOCKS, values[None], values[None], draws, draws)


def test_gains_are_paired_and_of_the_best_block():
    (gain,) = gains({"type": grid([0.5, 0.6, 0.4])})
    assert (gain.block, gain.best) == (8, 50)
    assert gain.values == pytest.approx([0, 0.1, -0.1])
    low, high = gain.at(50).interval
    assert low < 0.1 < high and (low, high) == pytest.approx((0.1, 0.1), abs=0.02)
    assert gain.draws[:, 0] == pytest.approx(0), "less itself, in every draw"


def test_kinds_part_where_one_gains_and_another_loses_at_one_timestep():
    up, down, flat = grid([0.5, 0.6, 0.6]), grid([0.5, 0.4, 0.3]), grid([0.5, 0.5, 0.5])
    assert not agree(gains({"type": up, "colour": down}))
    assert agree(gains({"type": up, "usage": flat}))
    assert agree(gains({"type": down, "usage": flat}))
    words = told.words(gains({"type": up, "colour": down}))
    assert "Labels of type are best at t = 50, +10.0 points" in words
    assert "Labels of colour are best at t = 0, and lose 20.0 points by t = 300." in words
    assert "one number over all labels hides it" in words
    assert "No timestep helps" in told.words(gains({"type": up, "usage": flat}))


def test_results_and_figure_hold_the_numbers():
    found = gains({"type": grid([0.5, 0.6, 0.4]), "colour": grid([0.5, 0.4, 0.3])})
    by = {result.id: result.value for result in told.results(found)}
    assert by["image_type_best_timestep"] == 50 and by["image_colour_best_timestep"] == 0
    assert by["image_type_noise_gain"] == pytest.approx(0.1) and by["image_colour_noise_gain"] == 0
    figure = shown.by_timestep(found)
    assert "type rises" in figure.alt and "colour falls" in figure.alt
    frame = figure.table.frame
    assert len(frame) == 6 and frame["95 % interval"].str.len().min() > 2
