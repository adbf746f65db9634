"""The paper's maps beside ours, and tables that a reader sorts and takes away."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.readers import coco_lists
from difffeat.evidence import claims, numbers, shapes
from difffeat.evidence.claims import check
from difffeat.evidence.papers.diff_feat import checks_scores
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims import CLAIMS
from difffeat.features.points import Point
from difffeat.probing import search
from difffeat.probing.grid import Grid
from difffeat.probing.metrics import DECIDED
from difffeat.probing.pairs import Pair, Pairs
from difffeat.probing.stats import Measured
from difffeat.show import beside, f1, sortable

TIMESTEPS, BLOCKS = (0, 50, 100), (0, 2, 4, 6)
NOISE = np.linspace(-0.02, 0.02, 41)


def measured(best=(1, 2), metric="mAP", noise=0.001, others=()):
    """A grid that falls away from its best place, with draws around it."""
    t, b = np.meshgrid(np.arange(len(TIMESTEPS)), np.arange(len(BLOCKS)), indexing="ij")
    values = 0.6 - 0.05 * np.abs(t - best[0]) - 0.03 * np.abs(b - best[1])
    draws = values + np.random.default_rng(0).normal(scale=noise, size=(200, *values.shape))
    return Grid(
        TIMESTEPS, BLOCKS, values[None], values[None], draws, draws, metric=metric, others=dict(others)
    )


def with_others(**best):
    """A measured grid with the paper's other metrics, best at (1, 2) unless said otherwise."""
    names = ("CP", "CR", "CF1_macro", "CF1_harmonic", "OP", "OR", "OF1")
    return measured(others={name: measured(best.get(name, (1, 2)), name) for name in names})


def test_maps_stand_in_turn_and_say_where_they_peak():
    maps = beside.maps(5, "image", with_others(OP=(0, 3)), depth=8)
    assert [(one.of, one.metric, one.depth) for one in maps] == [
        ("paper, MS-COCO-enhanced", "mAP", 28),
        ("here", "mAP", 8),
        ("paper, MS-COCO-enhanced", "OP", 28),
        ("here", "OP", 8),
    ]
    said = beside.words(maps)
    assert "mAP, paper, MS-COCO-enhanced: highest 60.48% at t = 50, block 12, 43% of the depth." in said
    assert "mAP, here: highest 60.0% at t = 50, block 4, 50% of the depth." in said
    edge = "the first timestep of the map and the last block of the map"
    assert f"OP, here: highest 60.0% at t = 0, block 6, 75% of the depth, {edge}." in said
    figure = beside.draw(maps)
    assert said in figure.alt and len(figure.png) < 150_000
    pixels = np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB"))
    assert pixels.std() > 20  # something is drawn
    rows = figure.table.frame
    assert list(rows) == ["map", "block", *(f"t = {t}" for t in (0, 10, 20, 30, 50, 100, 150))]
    assert len(rows) == 2 * (5 + 4)
    ours = rows[(rows["map"] == "mAP, here") & (rows["block"] == "4")].iloc[0]
    assert ours["t = 50"] == "60.0%" and ours["t = 30"] == "–"


def test_vg500_peaks_by_op_at_the_edge():
    said = beside.words(beside.published("image"))
    assert "OP, paper, VG500: highest 66.73% at t = 150, block 8, 29% of the depth, the last timestep" in said


def test_the_second_metric_is_the_one_that_the_paper_maps():
    assert beside.second(with_others()).metric == "OP"
    assert beside.second(measured(others={"top-5": measured(metric="top-5")})).metric == "top-5"


def test_pairs_of_a_search_stand_below_the_papers():
    found = search.on_grids(paper.grid(5, "image"), paper.grid(5, "text"), search.lookup(paper.pairs(5)))
    pairs = beside.pairs(found)
    assert list(pairs) == ["paper, MS-COCO-enhanced", "paper, VG500", "here"]
    assert pairs["here"] == paper.pairs(5) == pairs["paper, MS-COCO-enhanced"]
    said = beside.pair_words(pairs)
    assert "VG500: of 15 pairs the highest is 45.71%, image (30, 12) with text (0, 24)." in said
    figure = beside.draw_pairs(pairs)
    assert said in figure.alt and len(figure.table.frame) == 45
    assert list(beside.pairs()) == list(pairs)[:2]


def test_every_point_with_every_metric_and_a_file():
    table = sortable.points(with_others(), "points.csv")
    assert list(table.frame) == [
        *(
            "timestep",
            "block",
            "mAP",
            "mAP, 95 %",
            "CP",
            "CR",
            "CF1 (macro)",
            "CF1 (harmonic)",
            "OP",
            "OR",
            "OF1",
        )
    ]
    assert len(table.frame) == 12 and table.frame.iloc[6]["mAP"] == "60.0%"
    html = table._repr_html_()
    (held,) = re.findall(r'download="points.csv" href="data:text/csv;base64,([^"]+)"', html)
    rows = pd.read_csv(io.BytesIO(base64.b64decode(held)))
    assert len(rows) == 12 and rows.loc[6, "mAP"] == pytest.approx(0.6)
    assert (rows["OP, low"] < rows["OP"]).all() and (rows["OP"] < rows["OP, high"]).all()
    assert html.count("<script>") == 1 and "src=" not in html
    before = html.partition("<script>")[0]
    assert before.count("<tr>") == 13 and "<button" not in before  # whole without JavaScript


SORTED = """
const column = (n) => [...document.querySelectorAll("tbody tr")].map((row) => row.cells[n].textContent);
const seen = [];
for (const n of [2, 2, 0, 1]) {
  document.querySelectorAll("th")[n].querySelector("button").click();
  seen.push(column(n));
}
const pre = document.createElement("pre");
pre.id = "log"; pre.textContent = JSON.stringify(seen); document.body.append(pre);
"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium: heads are tried in a browser")
def test_heads_sort_numbers_and_text_in_a_browser(tmp_path):
    frame = pd.DataFrame(
        {"words": ["one", "Two", "three"], "mixed": ["9 of 10", "none", "2"], "mAP": ["9.5%", "1,000%", "–"]}
    )
    html = sortable.Sortable(frame, "a.csv")._repr_html_()
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><body>{html}<script>{SORTED}</script>')
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command += ["--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    (log,) = re.findall(r'<pre id="log">(.+)</pre>', done.stdout)
    assert json.loads(log) == [
        ["9.5%", "1,000%", "–"],
        ["1,000%", "9.5%", "–"],
        ["one", "three", "Two"],
        ["2", "9 of 10", "none"],
    ]


def test_the_best_point_beside_the_papers():
    rows = sortable.at_best(with_others(), 5, "image").frame.set_index("metric")
    there, here = list(rows)
    assert there == "paper, Table 5 (t = 50, block 12)" and here == "here (t = 50, block 4)"
    assert rows.loc["CF1 (macro)", there] == "54.98%" and rows.loc["CF1 (harmonic)", there] == "–"
    assert rows.loc["OP", there] == "79.65%" and rows.loc["OP", here].startswith("60.0")


def test_verdicts_show_a_mark_and_words():
    table = sortable.verdicts(checks_scores.of_scores(), "checks.csv")
    html = table._repr_html_()
    assert '<span aria-hidden="true">✗ </span>does not hold' in html and "✓ </span>holds" in html
    assert "CF1 is harmonic, Table 5" in repr(table)


@pytest.mark.parametrize(
    ("other", "noise", "status", "value"),
    [((2, 2), 0.001, "reproduced", 1), ((1, 1), 0.001, "differs", 0.5), ((1, 1), 0.3, "inconclusive", 0.5)],
)
def test_the_same_block_by_two_metrics(other, noise, status, value):
    grid, by_op = measured(noise=noise), measured(other, "OP", noise)
    found = check("image_same_block_by_both", grid, by_op)
    assert (found.status, found.value) == (status, value)
    if status == "differs":
        assert found.contradiction.what.startswith("by ")
        assert "lies above block" in found.contradiction.what
        assert found.contradiction.value == pytest.approx(0.03)
    else:
        assert found.paper.value == 1


def test_a_peak_at_an_end_is_no_block_in_common():
    found = shapes.same_under(measured((1, 3)), measured((1, 3), "OP"), 1)
    assert found.value == 1 and found.status == "inconclusive"


@pytest.mark.parametrize(
    ("name", "table", "status"),
    [
        ("image_same_block_by_both", 5, "reproduced"),
        ("image_same_block_by_both", 6, "differs"),  # OP is highest at block 8
        ("image_second_same_best_block", 5, "reproduced"),
        ("image_second_same_best_block", 6, "differs"),
        ("text_second_falls_with_timestep", 5, "differs"),  # block 8 at t = 10
        ("text_second_rises_with_block", 5, "differs"),  # block 12 above block 16
        ("text_second_rises_with_block", 6, "differs"),
    ],
)
def test_the_papers_own_maps_by_op(name, table, status):
    claim = next(claim for claim in CLAIMS if claim.id == name)
    assert claim.test(*claim.published(table)).status == status
    assert claims.published(claim, table).value is not None


def test_the_papers_number_stands_beside_its_own_metric_alone():
    by_op, by_top = (measured(metric=metric) for metric in ("OP", "top-5"))
    assert check("image_second_same_best_block", by_op).paper.value == 1
    assert check("image_second_same_best_block", by_top).paper.value is None
    assert "OP, one block" in check("image_second_same_best_block", by_op).what
    claim = next(claim for claim in CLAIMS if claim.id == "image_second_same_best_block")
    assert "OP, one block" in claim.said() and "top-5" in claim.said("top-5")


def test_labels_of_images_without_a_caption_are_read_too(tmp_path):
    from test_coco_lists import write

    (tmp_path / "categories.txt").write_text("cat\ndog\n")
    write(tmp_path / "val2014_labels.tsv.gz", "3\t1\n4\t\n5\t0 1\n")
    found = coco_lists.labels(tmp_path, "val")
    assert found.ids.tolist() == [3, 4, 5] and found.labels.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert found.names == ("cat", "dog") and found.captions == ()


def test_every_row_of_f1_is_shown_below_the_harmonic_mean():
    rows, figure = f1.rows(), f1.draw()
    assert len(rows) == len(figure.table.frame) == 130 and (rows.above < 0).all()
    assert f1.words() == figure.alt
    assert "in 130 of 130 rows of Tables 5 and 6, by 0.03 to 5.40 points" in figure.alt
    first = figure.table.frame.iloc[0]
    assert first.tolist() == ["Table 5", "image", "41.75%", "43.99%", "-2.24"]


@pytest.fixture
def fused():
    """Two measured pairs; the second has the higher mAP on val."""
    others = {
        name: Measured(0.6 + 0.01 * place, 0.6 + 0.01 * place + NOISE) for place, name in enumerate(DECIDED)
    }
    pairs = Pairs.__new__(Pairs)
    pairs.measured = {
        (Point(50, 8), Point(0, 4)): Pair(0.5, 0.7, 0.7 + NOISE, 0.5 + NOISE, np.ones(1), others),
        (Point(50, 4), Point(10, 8)): Pair(0.6, 0.8, 0.8 + NOISE, 0.6 + NOISE, np.ones(1), others),
    }
    return pairs


def test_every_pair_with_every_metric_and_a_file(fused):
    table = sortable.fused(fused, "pairs.csv")
    row = table.frame.iloc[1].to_dict()
    assert list(row)[:6] == [
        "image timestep", "image block", "text timestep", "text block", "mAP", "mAP, 95 %",
    ]  # fmt: skip
    assert list(row.values())[:5] == ["50", "4", "10", "8", "80.0%"] and row["OR"] == "65.0%"
    assert table.csv.loc[1, "CF1 (macro)"] == pytest.approx(0.62)
    assert (table.csv["OP, low"] < table.csv["OP"]).all() and "pairs.csv" in table._repr_html_()
    fused.measured = {
        pair: replace(one, test=0.99, draws=0.99 + NOISE) for pair, one in fused.measured.items()
    }
    high = sortable.fused(fused, "pairs.csv")  # no metric is above 1, whatever its draws
    assert high.frame["mAP, 95 %"][0] == "97.0 to 100.0" and high.csv["mAP, high"][0] == 1


@pytest.mark.parametrize(
    ("number", "there", "cf1"),
    [
        (5, "image (30, 12), text (0, 20)", "96.58%"),
        (6, "image (30, 12), text (0, 24)", "39.96%"),
    ],
)
def test_the_best_pair_beside_the_papers(fused, number, there, cf1):
    rows = sortable.fused_at_best(fused, number).frame.set_index("metric")
    assert list(rows) == [f"paper, Table {number} ({there})", "here (image (50, 4), text (10, 8))"]
    assert rows.iloc[:, 0]["CF1 (macro)"] == cf1 and rows.iloc[:, 0]["CF1 (harmonic)"] == "–"
    assert rows.iloc[:, 1]["mAP"].startswith("80.0") and rows.iloc[:, 1]["OF1"].startswith("66.0")


def test_the_papers_own_row_of_table_1_is_its_best_pair():
    best = paper.table(5).query("modality == 'fusion'").nlargest(1, "mAP").iloc[0]
    for metric in ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1"):
        printed = paper.value(1, metric, method="Diff-Feat")
        assert abs(printed.value - best[metric]) <= printed.rounding + 1e-9


def test_what_pages_record_by_every_metric_is_what_claims_read(fused):
    found = numbers.by_metric("fusion_addition", fused.others_at_best, seeds=[0])
    assert [result.metric for result in found] == list(DECIDED) and found[0].interval[0] < 0.6
    read = {claim.result for claim in CLAIMS if claim.id.startswith("fusion_") and claim.result}
    assert read - {"fusion_addition_score"} <= {result.id for result in found}
    assert len(read) == 7


def test_one_class_an_image_has_top_1_and_top_5_in_their_place():
    grid = measured(metric="top-1", others={"top-5": measured((2, 1), "top-5")})
    maps = beside.maps(5, "image", grid, depth=8)
    assert [one.metric for one in maps] == ["mAP", "top-1 accuracy", "OP", "top-5 accuracy"]
    assert "top-5 accuracy, here: highest 60.0% at t = 100, block 2" in beside.draw(maps).alt
    assert {"top-1 accuracy", "top-1 accuracy, 95 %", "top-5 accuracy"} <= set(
        sortable.points(grid, "a.csv").frame
    )
    rows = sortable.at_best(grid, 5, "image").frame
    assert rows.iloc[:, 1].tolist() == ["–", "–"] and rows["metric"].tolist()[1] == "top-5 accuracy"
    flat = np.ones((1, len(TIMESTEPS), len(BLOCKS)))  # top-5 of four classes
    always = Grid(TIMESTEPS, BLOCKS, flat, flat, flat, flat, metric="top-5")
    assert check("text_second_falls_with_timestep", always).status == "inconclusive"
    assert beside.draw([beside.Map("here", "top-5 accuracy", always, 8)] * 2).png
