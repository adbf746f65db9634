"""The best block of every cell, and what a winner among few blocks can say."""

from types import SimpleNamespace

import numpy as np
import pytest

from difffeat.base.files import ROOT
from difffeat.evidence import claims, layers, sampled_peaks
from difffeat.show import layers as drawn

SAMPLED = (8, 12, 16, 20, 24)


def parabola(peak, sharp=0.5):
    return -sharp * (np.asarray(SAMPLED) - peak) ** 2


def test_the_top_of_a_parabola_is_found_between_its_points():
    assert sampled_peaks.vertex(SAMPLED, parabola(13.1)) == pytest.approx(13.1)
    assert sampled_peaks.sharpness(SAMPLED, parabola(13.1)) == pytest.approx(0.5)
    assert sampled_peaks.vertex(SAMPLED, parabola(3.0)) == 8  # at an end nothing shows it
    with pytest.raises(ValueError, match="lies at an end"):
        sampled_peaks.sharpness(SAMPLED, parabola(30.0))
    assert sampled_peaks.vertices(SAMPLED, parabola(11), parabola(11)[None]).draws == pytest.approx([11])


def test_without_noise_the_nearest_sampled_block_wins():
    peaks = sampled_peaks.uniform(6, 26, 500)
    won = sampled_peaks.winners(peaks, SAMPLED, 0.5, 0.0)
    nearest = np.abs(np.subtract.outer(peaks, SAMPLED)).argmin(axis=1)
    assert np.array_equal(won, np.asarray(SAMPLED)[nearest])


def test_noise_takes_wins_from_the_nearest():
    peaks = sampled_peaks.uniform(10, 14, 4000)
    quiet, noisy = (
        sampled_peaks.share(sampled_peaks.winners(peaks, SAMPLED, 0.5, noise), 12) for noise in (0.5, 20.0)
    )
    assert 0.9 < quiet.value < 1 and 0.2 < noisy.value < 0.5
    assert quiet.interval.low < quiet.value < quiet.interval.high


def test_the_noise_of_a_block_is_that_of_its_differences():
    random = np.random.default_rng(0)
    shared, own = random.normal(size=(4000, 1, 1)), 0.3 * random.normal(size=(4000, 1, 5))
    truth = parabola(12)[None] * 100
    grid = SimpleNamespace(blocks=SAMPLED, values=truth, draws=truth + shared + own)
    assert sampled_peaks.noise(grid) == pytest.approx(0.3, rel=0.05)


def test_the_papers_tables_as_cells():
    five, six = (layers.stacked(layers.printed(number)) for number in (5, 6))
    assert len(five.best) == len(six.best) == 42 and (five.best == 12).all()
    assert [cell for cell, best in zip(six.timesteps, six.best, strict=True) if best != 12] == [
        "100, OP",
        "150, OP",
    ]
    assert layers.best_blocks(layers.printed(6))[4] == {
        "metric": "OP", "t = 10": 12, "t = 20": 12, "t = 30": 12, "t = 50": 12, "t = 100": 8, "t = 150": 8,
    }  # fmt: skip


@pytest.mark.parametrize(("number", "status"), [(5, "reproduced"), (6, "differs")])
def test_the_claim_of_one_block_for_every_metric(number, status):
    cells = layers.stacked(layers.printed(number))
    found = claims.check("image_same_best_block_any_metric", cells, table=number)
    assert found.status == status and found.value == found.paper.value


def test_depths_are_shares_with_their_intervals():
    one = layers.Depth("this book", "scenes", "dit", 8, 12, (6, 10))
    assert one.relative == (8 / 12, (0.5, 10 / 12))
    assert {depth.block for depth in layers.of_paper()} == {12}
    assert [depth.depth for depth in layers.of_others()] == [other.depth for other in layers.OTHERS]
    rows = layers.told()
    assert [row["block"] for row in rows] == ["14 of 28", "24 of 37", "8 of 28", "8 of 28", "20 of 28"]
    assert all("its code" in row["source"] and "counted" in row["source"] for row in rows)


def test_the_book_is_read_from_results_and_a_run_counts_before_what_is_stored(tmp_path):
    stored = ROOT / "results" / "scenes"
    (again := tmp_path / "scenes").mkdir()
    text = (stored / f"{layers.PAGE}.json").read_text()
    (again / f"{layers.PAGE}.json").write_text(text.replace('"dit-scenes"', '"another"'))
    (first,) = layers.of_book([again, stored, tmp_path])
    assert first.model == "another" and first.data == "scenes"
    assert layers.of_book([tmp_path]) == []


def test_the_figure_says_who_wins():
    places = np.linspace(8, 16, 9)
    shares = sampled_peaks.by_peak(places, SAMPLED, 0.5, 0.5, 200)
    figure = drawn.wins(places, shares, SAMPLED, (11.0, 13.0))
    assert "block 12 100%" in figure.alt and "block 24" not in figure.alt
    assert list(figure.table.frame.columns) == ["peak at block", "block 8", "block 12", "block 16"]


def test_the_figure_of_depths_says_each_block_and_its_interval():
    found = [layers.Depth("this book", "scenes", "dit", 8, 12, (6, 10)), *layers.of_paper()]
    figure = drawn.depths(found)
    assert (
        "this book, scenes: block 8 of 12" in figure.alt and "the paper, VG500: block 12 of 28" in figure.alt
    )
    assert figure.table.frame["95 % interval"].tolist() == ["0.50 to 0.83", "–", "–"]
