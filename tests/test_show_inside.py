"""Figures of activations say what they show, from the values that they are given."""

import io

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from difffeat.probing import components
from difffeat.probing.stats import Measured
from difffeat.show import inside

BLOCKS, PLACES = [1, 4], ["q", "mlp-increment", "out"]


def drawn(figure):
    """The page as an array of colours."""
    with Image.open(io.BytesIO(figure.png)) as image:
        return np.asarray(image.convert("RGB"))


def test_tiles_stand_where_the_network_has_them():
    """Every tile has a colour of its own; down the page places follow each other, to the right blocks."""
    shades = {
        (block, place): (40 + 80 * column, 40 + 80 * row, 200)
        for column, block in enumerate(BLOCKS)
        for row, place in enumerate(PLACES)
    }
    found = {at: np.full((4, 4, 3), shade) / 255 for at, shade in shades.items()}
    figure = inside.pictured(found, Image.new("RGB", (8, 8), (250, 10, 10)), BLOCKS, PLACES)
    page, middle = drawn(figure), {}
    for at, shade in shades.items():
        rows, columns = np.nonzero((np.abs(page.astype(int) - shade) < 12).all(axis=2))
        assert len(rows) > 400, at
        middle[at] = np.median(rows), np.median(columns)
    for place in PLACES:
        assert middle[1, place][1] < middle[4, place][1]
        assert middle[1, place][0] == pytest.approx(middle[4, place][0], abs=2)
    assert middle[1, "q"][0] < middle[1, "mlp-increment"][0] < middle[1, "out"][0]
    assert "2 blocks (1 to 4)" in figure.alt and "q, mlp-increment, out" in figure.alt


def test_a_map_of_numbers_names_its_ends():
    values = np.array([[0.1, 0.2], [0.9, 0.8], [0.3, 0.05]])
    draws = values + 0.01 * np.random.default_rng(0).normal(size=(100, 3, 2))
    figure = inside.number_map(Measured(values, draws), PLACES, BLOCKS, "noise share", "percent")
    assert "Highest 90.0% at mlp-increment of block 1; lowest 5.0% at out of block 4." in figure.alt
    assert "q 15.0%, mlp-increment 85.0%, out 17.5%" in figure.alt
    frame = figure.table.frame
    assert frame.shape == (6, 4) and frame.iloc[3].tolist()[:3] == ["mlp-increment", "4", "80.0%"]
    low, high = map(float, frame.iloc[3, 3].split(" to "))
    assert 76 < low < 79 and 81 < high < 84


def test_spectra_and_what_survives_say_their_values():
    figure = inside.spectra({"out": [0.1, 0.4, 0.8], "q": [0.5, 0.4, 0.3]})
    assert "out rises from 10.0% at cycles 0 to 80.0% at cycles 2" in figure.alt
    assert figure.table.frame.to_numpy().tolist()[1] == ["1", "40.0%", "40.0%"]
    counts = {"noise share": np.array([1, 2, 2, 2]), "reach": np.array([0, 0, 1, 2])}
    figure = inside.survival(counts, 2, (0.5, 2.0))
    assert "The filter keeps 50% of all and 2 of the best." in figure.alt
    assert "noise share 2, reach 0; chance would keep 1" in figure.alt
    assert figure.table.frame.iloc[2].tolist() == ["noise share", "50%", "2"]
    assert figure.table.frame.iloc[9].tolist() == ["reach", "100%", "2"]


def test_colours_are_the_directions_in_which_tokens_vary_most():
    """Of fields that vary along three known directions, each becomes one colour, whatever else is small."""
    torch.manual_seed(0)
    strengths, directions = torch.tensor([9.0, 4.0, 2.0]), torch.linalg.qr(torch.randn(10, 3))[0]
    hidden = torch.randn(5, 16, 3)
    tokens = (hidden * strengths) @ directions.T + 0.01 * torch.randn(5, 16, 10) + 3
    seen = components.colours(tokens, row=2)
    assert seen.shape == (4, 4, 3) and seen.min() == 0 and seen.max() == 1
    for colour in range(3):
        related = np.corrcoef(seen[..., colour].ravel(), hidden[2, :, colour].numpy())[0, 1]
        assert abs(related) > 0.95
    narrow = components.colours(tokens[..., :2], row=0)
    assert narrow.shape == (4, 4, 3) and (narrow[..., 2] == 0).all()


def test_one_picture_as_every_place_has_it(tmp_path):
    model, split = tiny.dit(), tiny.split(4, folder=tmp_path)
    found = components.coloured(split, model, timestep=10, blocks=[1, 3], places=["v", "hidden"], row=1)
    assert {at: tile.shape for at, tile in found.items()} == {
        (block, place): (4, 4, 3) for block in (1, 3) for place in ("v", "hidden")
    }
    assert not np.allclose(found[1, "v"], found[3, "v"])
