"""Tasks on tokens on several data sets: scores, tables and sentences from the results that pages stored."""

from types import SimpleNamespace

import numpy as np
import pytest

from difffeat.evidence import across, claims, results, tasks_across
from difffeat.evidence import tasks as told
from difffeat.evidence.papers.activations.claims.tasks import TASKS, TASKS_INSIDE
from difffeat.features.points import Point
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.stats import Measured
from difffeat.probing.tasks import Comparison, Reached
from difffeat.show import across as shown

NAMES = {"animals": "horses", "roads": "streets"}


def drawn(value, seed):
    return Measured(value, value + 0.01 * np.random.default_rng(seed).normal(size=200))


def comparison(metric, *, inside, output, untrained, pixels):
    """A block with two places, and all that stands beside the better one."""
    values = np.array([output, inside])[None, None]
    draws = np.stack([drawn(value, seed).draws for seed, value in enumerate(values.ravel())], axis=1)[:, None]
    grid = Grid((50,), (6,), values, values, draws, draws, metric=metric, places=("out", "hidden"))
    floors = {"pixels and position": pixels, "untrained copy": untrained}
    floors = [
        Floor(name, drawn(value, 7 + seed), metric) for seed, (name, value) in enumerate(floors.items())
    ]
    alone = Reached({metric: drawn(output, 5)}, {})
    return Comparison(grid, (Point(50, 6, "hidden"),), (Point(50, 6),), alone, alone, tuple(floors))


def store(folder, task, **values):
    """A page's results, as it stores them."""
    _, metric, page = TASKS[task]
    found = comparison(metric, **values)
    p = SimpleNamespace(profile=folder.name, notebook=page, dataset="other", results=folder)
    p.parameters = {"samples": [3, 2, 4]}
    claim = claims.check(f"act_{task}_inside_beats_outputs", found.inside.at_best, found.outputs.at_best)
    more = [told.gain("segmentation_small_inside_less_outputs", drawn(0.1, 9), metric)]
    results.record(p, claim, *told.results(task, found), *(more if task == "segmentation" else ()))


@pytest.fixture
def held(tmp_path):
    store(tmp_path / "animals", "label_scarce", inside=0.6, output=0.4, untrained=0.5, pixels=0.3)
    store(tmp_path / "roads", "segmentation", inside=0.3, output=0.3, untrained=0.305, pixels=0.5)
    return across.folders(tmp_path / "animals", tmp_path)


def test_every_task_of_every_data_set_is_found(held):
    found = tasks_across.found(held, NAMES)
    assert [(one.data, one.task) for one in found] == [
        ("horses", "label_scarce"),
        ("streets", "segmentation"),
    ]
    assert [one.name for one in tasks_across.found(held, {"roads": "streets", "absent": "x"})] == [
        "streets, mIoU"
    ]
    row = tasks_across.rows(found)[0]
    assert (row["train"], row["val"], row["test"]) == (3, 2, 4)
    assert (row["best inside"], row["best output"]) == (
        "hidden of block 6 at t = 50",
        "out of block 6 at t = 50",
    )


def test_scores_stand_beside_their_floors(held):
    found = tasks_across.found(held, NAMES)
    written = {row[""]: row["horses, mIoU"].split("%")[0] for row in tasks_across.scores(found)}
    assert written == {
        "pixels and position": "30.0", "untrained copy": "50.0", "best output": "40.0", "best inside": "60.0",
        "outputs together": "40.0", "best together": "40.0",
    }  # fmt: skip
    gaps = tasks_across.gaps(found)
    assert gaps["horses, mIoU", "untrained copy"][0] == pytest.approx(0.1)
    assert gaps["streets, mIoU", "pixels and position"][0] == pytest.approx(-0.2)
    assert all(low < value < high for value, (low, high) in gaps.values())


def test_words_follow_the_numbers(held):
    horses, streets = tasks_across.words(tasks_across.found(held, NAMES)).split("\n")
    assert horses.startswith("- **Horses**: the best place inside a block reaches 60.0%")
    assert (
        "30.0 points above pixels and position; 10.0 points above the untrained copy; 20.0 points" in horses
    )
    assert "20.0 points below pixels and position; not told apart from the untrained copy (" in streets
    assert streets.endswith("10.0 points above the best output where small heads read both.")
    assert "read both" not in horses, "that page reads them in one way alone"


def test_what_follows_is_said_only_where_it_does(held):
    found = tasks_across.found(held, NAMES)
    said = [text for holds, text in tasks_across.lesson(found) if holds]
    assert len(said) == 2 and "its untrained copy does not pass on, for horses." in said[0]
    assert "not beaten for streets" in said[1]
    said = [text for holds, text in tasks_across.lesson(found[1:]) if holds]
    assert "On none of them" in said[0] and not any("Training has taught" in text for text in said)
    assert not [text for holds, text in tasks_across.lesson([]) if holds]
    counted = {one.id: one.value for one in tasks_across.counts(found)}
    assert counted["real_inside_less_outputs"] == counted["real_inside_less_untrained_copy"] == 1


def test_claims_of_any_list_stand_side_by_side(held):
    frame = shown.statuses(held, NAMES, TASKS_INSIDE).frame.set_index("claim")
    first = next(claim for claim in frame.index if claim.startswith("Label-scarce segmentation: the best"))
    assert frame.loc[first].to_dict() | {"paper": ""} == {"paper": "", "horses": "reproduced", "streets": "–"}
    assert len(frame) == len(TASKS_INSIDE)
