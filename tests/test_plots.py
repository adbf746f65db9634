"""Figures say in words what their values are, show them in a table, and are the same bytes every time."""

import base64
import io
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tiny
from PIL import Image

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.features.datasets import Split
from difffeat.probing import search
from difffeat.show import plots

SIZE = 150_000  # bytes a figure may have


def grid(timesteps=(0, 30, 50, 100), blocks=range(1, 9), draws=50):
    """A grid that is best at t = 50, block 5, where it is 44.5%."""
    timesteps, blocks = tuple(timesteps), tuple(blocks)
    t, b = np.meshgrid(np.arange(len(timesteps)), np.arange(len(blocks)), indexing="ij")
    mean = 0.445 - 0.03 * np.abs(t - 2) - 0.02 * np.abs(b - 4)
    noise = np.random.default_rng(0).normal(scale=0.004, size=(draws, *mean.shape))
    return SimpleNamespace(timesteps=timesteps, blocks=blocks, values=mean, draws=mean + noise)


def replayed():
    pairs = search.lookup(paper.pairs(5))
    return search.on_grids(paper.grid(5, "image"), paper.grid(5, "text"), pairs)


FLOORS = [
    SimpleNamespace(name="raw pixels", value=0.126),
    SimpleNamespace(name="untrained model", value=0.141),
]
LABELS = (np.random.default_rng(0).random((2000, 4)) < [0.3, 0.002, 0.1, 0.05]).astype(np.uint8)
FIGURES = {
    "heatmap": lambda: plots.heatmap(grid()),
    "heatmap of the paper": lambda: plots.heatmap(paper.grid(5, "image")),
    "curves over blocks": lambda: plots.curves(grid(), floors=FLOORS),
    "curves over timesteps": lambda: plots.curves(grid(), over="timestep", lines=[1, 5]),
    "dots": lambda: plots.dots({"addition": (0.58, (0.57, 0.59)), "concat": 0.56}, floors=FLOORS),
    "dots in groups": lambda: plots.dots(
        {(f"image {i}", f"text {t}"): v for (i, t), v in paper.pairs(5).items()}
    ),
    "bars": lambda: plots.bars(["1 to 15", "16 to 30"], {"paper": [0.008, 0.7], "scenes": [0.1, 0.6]}),
    "label frequency": lambda: plots.label_frequency(LABELS, ["cat", "moon", "dog", "car"]),
    "losses": lambda: plots.losses(
        {"addition": np.linspace(0.4, 0.1, 40), "concat": np.linspace(0.4, 0.2, 40)}
    ),
    "search path": lambda: plots.search_path(replayed()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_an_opaque_picture_with_words_and_values(name):
    figure = FIGURES[name]()
    assert len(figure.png) < SIZE
    with Image.open(io.BytesIO(figure.png)) as image:
        assert image.convert("RGBA").getextrema()[3] == (255, 255)
        assert image.width == 1040 and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    html = figure._repr_html_()
    alt = re.search(r'alt="([^"]+)"', html).group(1)
    assert html.startswith('<figure class="difffeat"><img src="data:image/png;base64,')
    assert len(alt) > 60 and re.search(r"\d", alt) and repr(figure) == figure.alt
    assert "<details><summary>Values</summary>" in html and html.count("<tr>") == len(figure.table.frame) + 1
    assert FIGURES[name]().png == figure.png


def test_alternative_texts_state_the_finding():
    words = {name: make().alt for name, make in FIGURES.items()}
    assert "Highest 44.5% at t = 50, block 5; lowest 30.5% at t = 0, block 1." in words["heatmap"]
    assert (
        "block 5 rises from 38.5% at t = 0 to 44.5% at t = 50, then falls to 41.5% at t = 100."
        in words["heatmap"]
    )
    assert "The best, t = 50, rises from 36.5% at block 1 to 44.5%" in words["curves over blocks"]
    assert words["curves over blocks"].endswith("Floors: raw pixels 12.6%, untrained model 14.1%.")
    assert "Highest: addition with 58.0%; lowest: concat with 56.0%." in words["dots"]
    assert "Highest: image (30, 12), text (0, 20) with 98.6%" in words["dots in groups"]
    assert "Labels in fewer than 1% of images: moon." in words["label frequency"]
    assert "addition from 0.4 to 0.1; concat from 0.4 to 0.2." in words["losses"]
    assert "images at t = 30, block 12 with text at t = 0, block 20, 98.57% mAP." in words["search path"]


@pytest.mark.parametrize(
    ("values", "course"),
    [
        ([0.1, 0.3, 0.2], "rises from 10.0% at t = 0 to 30.0% at t = 10, then falls to 20.0% at t = 20"),
        ([0.3, 0.2, 0.1], "falls from 30.0% at t = 0 to 10.0% at t = 20"),
        ([0.3, 0.1, 0.2], "falls from 30.0% at t = 0 to 20.0% at t = 20, with smaller turns in between"),
        ([0.1, 0.2, 0.3], "rises from 10.0% at t = 0 to 30.0% at t = 20"),
    ],
)
def test_the_course_of_a_curve_in_words(values, course):
    column = SimpleNamespace(timesteps=(0, 10, 20), blocks=(8,), values=np.array(values)[:, None])
    assert f"Over timesteps, block 8 {course}." in plots.heatmap(column).alt


def test_a_heatmap_leaves_out_what_was_not_measured():
    holes = grid()
    holes.values[0, :3] = np.nan
    table = plots.heatmap(holes).table.frame
    assert table["t = 0"].tolist()[:4] == ["–", "–", "–", "36.5%"]
    assert table.block.tolist()[0] == "1" and table["t = 50"].tolist()[4] == "44.5%"


def test_values_stand_in_the_table_with_their_intervals():
    frame = plots.curves(grid()).table.frame
    assert len(frame) == 4 * 8 and list(frame) == ["line", "point", "value", "95 % interval"]
    best = frame[(frame.line == "t = 50") & (frame.point == "block 5")].iloc[0]
    low, high = map(float, best["95 % interval"].split(" to "))
    assert best.value == "44.5%" and low < 44.5 < high
    without = plots.curves(paper.grid(5, "text")).table.frame
    assert set(without["95 % interval"]) == {"–"}


def test_lines_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"lines \[70\] are not on the grid; it has \[0, 30, 50, 100\]"):
        plots.curves(grid(), lines=[50, 70])
    with pytest.raises(ValueError, match="over must be 'block' or 'timestep', got 'layer'"):
        plots.curves(grid(), over="layer")


def test_many_lines_are_thinned_and_keep_the_best():
    figure = plots.curves(grid(timesteps=range(0, 200, 10), blocks=range(8)))
    assert "for 6 timesteps. The best, t = 20," in figure.alt
    assert len(figure.table.frame) == 20 * 8  # the table keeps them all


def test_pictures_come_with_captions_that_are_their_alternative_texts():
    random = np.random.default_rng(0)
    samples = [Image.fromarray(random.integers(0, 255, (64, 64, 3), np.uint8)), random.random((300, 500, 3))]
    gallery = plots.pictures(samples, ["A cat & a dog", "A car"])
    html = gallery._repr_html_()
    assert html.count("<img ") == 2 and 'alt="A cat &amp; a dog"' in html and "<figcaption>A car<" in html
    sizes = [Image.open(io.BytesIO(png)).size for png in gallery.pictures]
    assert sizes == [(64, 64), (224, 134)] and repr(gallery) == "A cat & a dog\nA car"
    assert repr(plots.pictures(samples)) == "sample 1\nsample 2"
    with pytest.raises(ValueError, match="2 pictures need as many captions, none empty; got 1"):
        plots.pictures(samples, ["A cat"])


def test_images_of_a_split_come_with_captions_and_labels(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    labels = [[1, 0], [1, 1], [0, 0]]
    split = Split("val", [4, 5, 6], ("cat", "car"), labels, ["A cat.", "A cat in a car.", "Fog."], paths)
    gallery = plots.images(split, 2)
    assert gallery.captions == ["A cat.", "A cat in a car."] and gallery.notes == ["cat", "cat, car"]
    assert 'alt="A cat in a car. (cat, car)"' in gallery._repr_html_()
    without = plots.images(Split("val", [4, 5, 6], ("cat", "car"), labels, (), paths))
    assert without.captions == ["Holds: cat", "Holds: cat, car", "Holds: none of the labels"]


def test_losses_leave_out_steps_without_a_value():
    log = {"training": [4.0, 3.0, 2.0], "validation": [np.nan, 3.5, 2.5]}
    figure = plots.losses(log, x=[100, 200, 300], x_label="images seen", logarithmic=True)
    assert "training from 4 to 2; validation from 3.5 to 2.5." in figure.alt
    assert figure.table.frame["images seen"].tolist() == ["100", "200", "300", "200", "300"]


def test_the_readers_own_style_is_neither_used_nor_changed():
    import matplotlib

    first = plots.heatmap(grid()).png
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 10}):
        before = dict(matplotlib.rcParams)
        assert plots.heatmap(grid()).png == first
        assert dict(matplotlib.rcParams) == before


def test_a_broken_picture_is_seen_to_be_broken(tmp_path):
    split = tiny.split(3, folder=tmp_path)
    split.images[1].write_bytes(b"no picture")
    shown = plots.images(split)
    assert len(shown.pictures) == 3
    assert [note.endswith("(cannot be decoded)") for note in shown.notes] == [False, True, False]


def test_a_figure_can_be_taken_away_as_values_and_as_lines():
    figure = plots.dots({"a": (0.5, (0.4, 0.6)), "b": 0.25})
    links = dict(
        re.findall(r'<a download="figure\.(\w+)" href="data:[^,]*;base64,([^"]+)"', figure._repr_html_())
    )
    rows = pd.read_csv(io.BytesIO(base64.b64decode(links["csv"])), dtype=str)
    pd.testing.assert_frame_equal(rows, figure.table.frame.astype(str), check_dtype=False)
    drawing = ElementTree.fromstring(base64.b64decode(links["svg"]))
    texts = [node.text for node in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg" and {"a", "b", "50%"} <= set(texts)
    assert figure.svg == plots.dots({"a": (0.5, (0.4, 0.6)), "b": 0.25}).svg
