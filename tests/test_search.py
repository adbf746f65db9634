"""Algorithm 1 replayed on the published tables, and on grids small enough to see through."""

import numpy as np
import pytest

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing import search
from difffeat.probing.search import (
    Point,
    full_search,
    local_search,
    lookup,
    neighbours,
    on_grids,
    points_of,
    regret,
)


def replay(number):
    """Algorithm 1 on the printed values of Table 5 or 6."""
    return on_grids(paper.grid(number, "image"), paper.grid(number, "text"), lookup(paper.pairs(number)))


@pytest.mark.parametrize(("number", "text", "value"), [(5, (0, 20), 0.9857), (6, (0, 24), 0.4571)])
def test_replayed_on_the_published_tables_it_finds_the_published_pair(number, text, value):
    found = replay(number)
    assert found.best_image == (50, 12) and found.best_text == (0, 24)
    assert found.best_pair == ((30, 12), text) and found.value == value
    assert found.evaluations == {"image": 30, "text": 20, "fusion": 15} and found.total == 65
    pairs = found.history[found.history.stage == "fusion"].iloc[:, 1:5].itertuples(index=False)
    assert {((i, ib), (t, tb)) for i, ib, t, tb in pairs} == set(paper.pairs(number))


def test_the_full_grid_of_the_paper_has_600_pairs():
    image, text = paper.grid(5, "image"), paper.grid(5, "text")
    full = full_search(
        lambda pairs: [0.0] * len(pairs), image.blocks, image.timesteps, text.blocks, text.timesteps
    )
    assert full.total == 600 and full.evaluations == {"fusion": 600}
    assert full.best_pair == ((10, 8), (0, 8))  # all equal: the first of the grid


def test_evaluations_are_what_the_functions_were_asked_for():
    asked = {"image": [], "text": [], "fusion": []}

    def evaluate(stage):
        def values(points):
            asked[stage] += points
            return np.arange(len(points))

        return values

    found = local_search(*map(evaluate, asked), [1, 2, 3], [0, 50], [4, 8], [0])
    assert found.evaluations == {stage: len(points) for stage, points in asked.items()}
    assert found.best_image == (50, 3) and found.best_text == (0, 8)
    assert asked["fusion"] == [
        (image, text) for image in [(0, 3), (50, 2), (50, 3)] for text in [(0, 4), (0, 8)]
    ]
    assert isinstance(asked["fusion"][0][0], Point) and len(found.history) == found.total == 14


def test_neighbours_inside_at_an_edge_in_a_corner_and_of_a_single_point():
    blocks, timesteps = [12, 8, 16], [0, 50, 10]  # the order in which values are sampled does not matter
    inside = [(0, 12), (10, 8), (10, 12), (10, 16), (50, 12)]
    assert neighbours((10, 12), blocks, timesteps) == inside
    assert neighbours((0, 12), blocks, timesteps) == [(0, 8), (0, 12), (0, 16), (10, 12)]
    assert neighbours((50, 16), blocks, timesteps) == [(10, 16), (50, 12), (50, 16)]
    assert neighbours((0, 8), [8], [0]) == [(0, 8)]
    assert neighbours((0, 8), [8, 12], [0]) == [(0, 8), (0, 12)]
    with pytest.raises(ValueError, match=r"\(10, 9\) is not on the grid"):
        neighbours((10, 9), blocks, timesteps)


def test_equal_values_choose_the_least_noise_then_the_fewest_blocks_in_any_order():
    def flat(points):
        return [1.0] * len(points)

    for blocks, timesteps in (([8, 12], [0, 10]), ([12, 8], [10, 0])):
        found = local_search(flat, flat, flat, blocks, timesteps, blocks, timesteps)
        assert found.best_image == found.best_text == (0, 8)
        assert found.best_pair == ((0, 8), (0, 8))


def test_a_grid_of_one_point_needs_three_evaluations():
    found = local_search(*[lambda points: [0.5] * len(points)] * 3, [12], [50], [24], [0])
    assert found.best_pair == ((50, 12), (0, 24)) and found.total == 3


def test_regret_is_what_the_neighbourhood_cannot_see():
    blocks, timesteps = [1, 2, 3], [0, 10]
    alone = {point: float(point == (0, 1)) for point in points_of(blocks, timesteps)}
    pairs = {(i, t): 0.5 for i in alone for t in alone}
    pairs[(10, 3), (10, 3)] = 0.9  # the far corner: not a neighbour of (0, 1)
    pairs[(0, 2), (0, 1)] = 0.7
    sides = blocks, timesteps, blocks, timesteps
    found = local_search(lookup(alone), lookup(alone), lookup(pairs), *sides)
    full = full_search(lookup(pairs), *sides)
    assert found.best_pair == ((0, 2), (0, 1)) and full.best_pair == ((10, 3), (10, 3))
    assert regret(found, full) == pytest.approx(0.2) and regret(full, full) == 0
    with pytest.raises(ValueError, match="does not hold the pair"):
        regret(full, full_search(lookup(pairs), [1], [0], [1], [0]))


def test_history_keeps_the_best_so_far():
    history = replay(5).history
    assert history.groupby("stage", sort=False).size().to_dict() == {"image": 30, "text": 20, "fusion": 15}
    for _, rows in history.groupby("stage"):
        assert rows.best.is_monotonic_increasing and rows.best.iloc[-1] == rows.value.max()
    image = history[history.stage == "image"]
    assert image.text_block.isna().all() and image.image_block.notna().all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda points: [1.0], "image: asked for 4 values, got an array of shape"),
        (lambda points: [0.5, np.nan, 0.5, 0.5], r"image: the value at \(0, 12\) is not finite"),
    ],
)
def test_a_wrong_evaluation_is_an_error(values, message):
    with pytest.raises(ValueError, match=message):
        local_search(values, values, values, [8, 12], [0, 10], [8], [0])


def test_a_wrong_grid_is_an_error():
    with pytest.raises(ValueError, match="blocks must be one or more values"):
        search.points_of([], [0])
    with pytest.raises(ValueError, match="timesteps must be one or more values, each once"):
        search.points_of([1], [0, 0])
