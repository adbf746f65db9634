"""What a probe finds and misses: labels at either end, samples with their ranks, the steps of a search."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
from PIL import Image

from difffeat.features.datasets import Split
from difffeat.features.points import Point
from difffeat.features.recipe import Recipe
from difffeat.probing import floors, grid, probe, ranked, search
from difffeat.probing.pairs import Pair
from difffeat.probing.ranked import Example, Ranked
from difffeat.show import seen
from difffeat.show.pair_map import pair_map

TIMESTEPS, BLOCKS = (0, 50), (4, 8)


def ten(*positives, samples=40):
    """Labels (N, K) of which each holds the samples given."""
    labels = np.zeros((samples, len(positives)), dtype=np.uint8)
    for label, rows in enumerate(positives):
        labels[list(rows), label] = 1
    return labels


def test_found_are_the_first_of_the_best_labels_and_missed_the_last_of_all():
    labels = ten(range(10), range(20, 30), range(9))
    scores = np.zeros(labels.shape)
    scores[:, 0] = np.linspace(1, 0, 40)  # in order: nothing is missed
    scores[:, 1] = np.linspace(0, 1, 40)
    scores[20, 1] = 2  # found; the other nine at ranks 11 to 19
    scores[:, 2] = np.linspace(1, 0, 40)  # as good as the first, but of nine samples
    found, missed = ranked.extremes(labels, scores)
    assert found == (Example(0, 0, 1, 10), Example(20, 1, 1, 10))
    assert missed == (Example(21, 1, 20, 10),)
    assert ranked.extremes(labels[:, :1], scores[:, :1], each=1) == ((Example(0, 0, 1, 10),), ())


def test_equal_scores_share_the_better_rank_and_no_sample_comes_twice():
    labels = ten(range(12), range(12))
    found, missed = ranked.extremes(labels, np.full(labels.shape, 0.5), each=3)
    assert found == (Example(0, 0, 1, 12), Example(1, 1, 1, 12)) and missed == ()
    found, missed = ranked.extremes(labels, np.where(labels, 0.1, 0.5), each=3)
    assert found == () and missed == (Example(0, 0, 29, 12), Example(1, 1, 29, 12))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Splits of 60 pictures with captions, and a grid of them."""
    folder = tmp_path_factory.mktemp("seen")
    splits = {part: tiny.split(60, folder=folder, name=part) for part in ("train", "val", "test")}
    recipe = Recipe(blocks=[1, 2], timesteps=[0, 50])
    how = dict(root=folder / "features", resamples=5, probing=dict(steps=5))
    return splits, grid.measure(splits, tiny.dit(), recipe, **how), folder / "features"


def alone(splits, of, point):
    """Scores on test of the probe of one point, trained by itself."""
    read = {part: of.features[0][part].read(point) for part in ("train", "test")}
    return floors.probe_scores(splits, read, of.metric, steps=5)


def test_the_ranks_of_every_point_are_those_of_its_measured_probe(measured, monkeypatch):
    """A probe trained once more is the grid's own: its precisions are those that the grid keeps."""
    splits, of_images, root = measured
    found = ranked.everywhere(splits, of_images, root=root, steps=5)
    assert list(found) == of_images.points
    of_label = of_images.by_label["AP"][0].reshape(3, -1)
    for place, (point, here) in enumerate(found.items()):
        scores = alone(splits, of_images, point)
        precision = grid.metrics.average_precision(splits["test"].labels, scores)
        np.testing.assert_allclose(precision, of_label[:, place], atol=1e-5)
        assert here.point == point and len(here.found) == 2
        for one in here.found + here.missed:
            assert one.rank == 1 + (scores[:, one.label] > scores[one.row, one.label]).sum()
            assert splits["test"].labels[one.row, one.label]
        assert all(one.rank <= one.positives for one in here.found)
        assert all(one.rank > one.positives for one in here.missed)
    assert len({here.found for here in found.values()}) > 1
    monkeypatch.setattr(probe, "fit_grid", lambda *_, **__: pytest.fail("trained again"))
    again = ranked.everywhere(splits, of_images, root=root, steps=5)
    assert [(one.found, one.missed) for one in again.values()] == [
        (one.found, one.missed) for one in found.values()
    ]


def test_another_length_trains_other_probes(measured, monkeypatch):
    splits, of_images, root = measured
    ranked.everywhere(splits, of_images, root=root, steps=5)
    lengths = []
    fit = probe.fit_grid
    monkeypatch.setattr(probe, "fit_grid", lambda *a, **b: lengths.append(b["steps"]) or fit(*a, **b))
    ranked.everywhere(splits, of_images, root=root, steps=6)
    ranked.everywhere(splits, of_images, root=root, steps=6, each=1)
    assert lengths == [6, 6]


def test_labels_at_either_end_are_shown_and_all_of_them_are_in_the_file(measured):
    splits, of_images, _ = measured
    table = seen.labels(of_images, splits["test"], "image")
    best, mean = (
        f"t = {of_images.best.timestep}, block {of_images.best.block}",
        of_images.by_label["AP"].mean(0),
    )
    assert table.name == "image_labels.csv" and list(table.csv)[:2] == ["label", "test samples"]
    assert sorted(table.frame["label"]) == sorted(tiny.NAMES)
    assert table.csv[best].is_monotonic_decreasing and table.frame.columns[-1].endswith(best)
    row = table.csv.set_index("label").loc["dog"]
    assert (
        row["t = 50, block 1"] == mean[1, 1, 0] and row["test samples"] == splits["test"].labels[:, 1].sum()
    )


def test_labels_of_few_samples_are_left_out_and_of_many_the_ends_are_shown():
    names = list("abcdefgh")
    split = Split("test", range(40), names, ten(*[range(10)] * 7, range(9)), ["words"] * 40)
    values = np.linspace(0.9, 0.2, 8)[None, :, None, None] * np.ones((1, 8, 2, 2))
    whole = np.full((1, 2, 2), 0.5)
    of = grid.Grid(TIMESTEPS, BLOCKS, whole, whole, whole, whole, by_label={"AP": values})
    table = seen.labels(of, split, "text")
    assert table.frame["label"].tolist() == list("abcefg") and len(table.csv) == 7
    assert table.frame.iloc[0].tolist() == ["a", "10", "90.0%"]


def test_where_no_label_is_held_often_enough_nothing_is_ranked():
    split = Split("test", range(9), ["cat"], ten(range(9), samples=9), ["words"] * 9)
    whole, precision = np.full((1, 2, 2), 0.5), np.full((1, 1, 2, 2), 1.0)
    of = grid.Grid(TIMESTEPS, BLOCKS, whole, whole, whole, whole, by_label={"AP": precision})
    assert ranked.extremes(split.labels, np.zeros((9, 1))) == ((), ())
    table = seen.labels(of, split, "text")
    assert table.frame.empty and table.csv.empty and "text_labels.csv" in table._repr_html_()


def test_pairs_that_are_not_judged_count_for_nothing():
    truth, ignored = ten(range(12), range(12)), np.zeros((40, 2), dtype=bool)
    ignored[:3, 0] = True  # which leaves nine
    split = Split("test", range(40), ["cat", "dog"], truth, ["words"] * 40, ignored=ignored)
    found, missed = ranked.extremes(*split.judged(np.linspace(1, 0, 80).reshape(40, 2)))
    assert found == (Example(0, 1, 1, 12),) and missed == ()
    whole, precision = np.full((1, 2, 2), 0.5), np.full((1, 2, 2, 2), 1.0)
    of = grid.Grid(TIMESTEPS, BLOCKS, whole, whole, whole, whole, by_label={"AP": precision})
    assert seen.labels(of, split, "text").frame["label"].tolist() == ["dog"]


def test_pictures_are_small_jpegs_that_say_what_they_hold(measured):
    splits, *_ = measured
    row = int(np.flatnonzero(splits["test"].labels[:, [0, 2]].all(axis=1))[0])
    here, elsewhere = Point(50, 8), Point(0, 4)
    of = {
        elsewhere: Ranked(elsewhere, splits["test"], (Example(row, 0, 2, 12),), (Example(row, 2, 40, 12),)),
        here: Ranked(here, splits["test"], (Example(row, 2, 1, 12),), ()),
    }
    shown = seen.Samples(of, here, "image")
    html = shown._repr_html_()
    held = [name for name, on in zip(tiny.NAMES, splits["test"].labels[row], strict=True) if on]
    assert f'alt="Test picture {splits["test"].ids[row]}, which holds {", ".join(held)}"' in html
    assert "<span>t = 50, block 8</span>" in html and "No such label is missed anywhere." in html
    (address,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    with Image.open(io.BytesIO(base64.b64decode(address))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (16, 16))
    assert repr(shown) == "found, cow, rank 1 of 60; 12 hold it"
    assert shown.csv.drop(columns=["sample", "of", "held by"]).to_numpy().tolist() == [
        [0, 4, "found", "cat", 2],
        [0, 4, "missed", "cow", 40],
        [50, 8, "found", "cow", 1],
    ]
    assert set(shown.csv["sample"]) == {splits["test"].ids[row]} and set(shown.csv["of"]) == {60}


def test_a_sample_of_several_points_is_in_the_page_once_and_shown_where_it_belongs():
    split = Split("test", range(40), ["cat", "dog"], ten(range(12), range(12)), list("abcdefghij") * 4)
    first, last = Point(0, 4), Point(50, 8)
    of = {
        first: Ranked(first, split, (Example(1, 0, 1, 12),), (Example(2, 1, 30, 12),)),
        last: Ranked(last, split, (Example(2, 0, 1, 12),), (Example(3, 1, 30, 12),)),
    }
    shown, hidden = seen.Samples(of, first, "text")._repr_html_().split("<template>")
    samples = [re.findall(r'data-sample="(\d+)"', part) for part in (shown, hidden)]
    assert samples == [["1", "2"], ["3"]] and '<blockquote data-sample="3" style="margin: 0">d<' in hidden


def test_a_large_picture_is_reduced_and_a_caption_is_text(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (800, 400), "red").save(path)
    split = Split("test", [7], ["cat"], [[1]], ["a <b>cat</b>"], [path])
    of = {Point(0, 4): Ranked(Point(0, 4), split, (), (Example(0, 0, 1, 1),))}
    address = re.findall(r'jpeg;base64,([^"]+)"', seen.Samples(of, Point(0, 4), "image")._repr_html_())[0]
    with Image.open(io.BytesIO(base64.b64decode(address))) as picture:
        assert picture.size == (160, 80)
    html = seen.Samples(of, Point(0, 4), "text")._repr_html_()
    assert "a &lt;b&gt;cat&lt;/b&gt;</blockquote>" in html and "<img" not in html


def searched():
    """A search over 2 x 2 points of each modality that leaves pairs out, and its measured pairs."""
    image = {Point(t, b): 0.1 * place for place, (t, b) in enumerate([(0, 4), (0, 8), (50, 4), (50, 8)])}
    points = list(image)
    values = {
        (one, other): 0.5 + 0.1 * place + 0.01 * more
        for place, one in enumerate(points)
        for more, other in enumerate(points)
    }
    values[points[0], points[0]] = 0.95  # which the search does not see
    draws = np.linspace(-0.02, 0.02, 41)
    pairs = {
        pair: Pair(value, value + 0.01, value + 0.01 + draws, value + draws, np.ones(1))
        for pair, value in values.items()
    }
    alone = search.lookup(image)
    found = search.local_search(alone, alone, search.lookup(values), [4, 8], [0, 50], [4, 8], [0, 50])
    return found, SimpleNamespace(measured=pairs)


def test_the_steps_of_a_search_and_what_it_left_out():
    found, pairs = searched()
    table = pair_map(found, pairs, "search_path.csv")
    assert table.frame.to_numpy().tolist() == [
        ["images alone", "4", "image (50, 8)", "30.0%"],
        ["text alone", "4", "text (50, 8)", "30.0%"],
        ["pairs of the best points and their neighbours", "9", "image (50, 8), text (50, 8)", "83.0%"],
        ["pairs left out", "7", "image (0, 4), text (0, 4)", "95.0%"],
    ]
    held = pd.read_csv(io.StringIO(table.csv.to_csv(index=False)))
    assert held.groupby("stage").size().to_dict() == {"fusion": 9, "image": 4, "left out": 7, "text": 4}
    assert held.test.notna().sum() == 16 and held["text block"].isna().sum() == 4
    one = held[held.stage == "fusion"].iloc[0]
    assert one.low < one.test < one.high and one.test == pytest.approx(one.val + 0.01)
    pairs.measured = {pair: one for pair, one in pairs.measured.items() if pair in found.evaluated}
    assert len(pair_map(found, pairs, "search_path.csv").frame) == 3
