"""Maps of points and of pairs, the slider over timesteps, the button for all code, tried in a browser."""

import re
from dataclasses import replace
from types import SimpleNamespace

import browser
import numpy as np
import pytest
import tiny
from book_checks import BARRIERS
from PIL import Image

from difffeat.backbones.noised import Noised, Word
from difffeat.evidence.numbers import result
from difffeat.features.datasets import Split
from difffeat.features.points import Point
from difffeat.features.recipe import Recipe
from difffeat.probing import floors, ranked, search
from difffeat.probing import grid as measured
from difffeat.probing.grid import Grid
from difffeat.probing.pairs import Pair
from difffeat.probing.ranked import Example, Ranked
from difffeat.profiles import ROOT
from difffeat.show import seen, slider, sortable
from difffeat.show.pair_map import pair_map

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium here: apt-get install chromium")
TIMESTEPS, BLOCKS = (0, 50, 100), (0, 4, 8)
VALUES = np.array([[0.10, 0.30, 0.20], [0.15, 0.50, 0.40], [0.05, 0.25, 0.35]])  # (T, B)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.started(tmp_path_factory.mktemp("chromium")) as tab:
        tab.screen(800)
        yield tab


def grid(values):
    noise = np.linspace(-0.02, 0.02, 41)[:, None, None]
    return Grid(TIMESTEPS, BLOCKS, values[None], values[None], values + noise, values + noise, others={})


def opened(tab, tmp_path, html, script):
    """The tab with a page of this HTML and one of the book's scripts."""
    page = tmp_path / "page.html"
    text = (ROOT / "book" / "static" / script).read_text(encoding="utf-8")
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><body>{html}<script>{text}</script>',
        encoding="utf-8",
    )
    tab.open(page)
    assert not tab.errors
    return tab


def said(tab):
    return tab.run("document.querySelector('output').value")


@pytest.fixture
def chosen(tab, tmp_path):
    """The tab with a map of points, its best cell in focus."""
    points = sortable.points(grid(VALUES), "image_points.csv")
    opened(tab, tmp_path, points._repr_html_(), "map.js")
    tab.run("document.querySelector('.explorer td[tabindex=\"0\"]').focus()")
    return tab


def test_the_map_starts_at_the_highest_point_and_says_its_interval(chosen):
    low, high = result("point", grid(VALUES).at(50, 4)).interval
    ends = f"{low:.1%} to {high:.1%}"
    assert said(chosen) == f"t = 50, block 4: mAP 50.0% ({ends}), rank 1 of 9"
    cells = "[...document.querySelectorAll('.explorer tbody tr')].map((row) => row.innerText.split(/\\s+/))"
    shown = [[float(text) for text in row] for row in chosen.run(cells)]
    expected = [[block, *(100 * VALUES[:, place])] for place, block in reversed(list(enumerate(BLOCKS)))]
    np.testing.assert_allclose(shown, expected)


def test_arrow_keys_move_over_the_map_and_stop_at_its_edge(chosen):
    for key, words in (
        ("ArrowRight", "t = 100, block 4: mAP 25.0%"),
        ("ArrowRight", "t = 100, block 4: mAP 25.0%"),
        ("ArrowUp", "t = 100, block 8: mAP 35.0%"),
        ("ArrowLeft", "t = 50, block 8: mAP 40.0%"),
        ("ArrowDown", "t = 50, block 4: mAP 50.0%"),
    ):
        chosen.press(key)
        assert said(chosen).startswith(words)
        focused = chosen.run("document.activeElement.getAttribute('aria-selected')")
        assert focused == "true"


def test_a_click_shows_the_curves_through_a_point(chosen):
    chosen.run("document.querySelectorAll('.explorer tbody tr')[2].cells[1].click()")
    assert said(chosen).startswith("t = 0, block 0: mAP 10.0%")
    labels = "[...document.querySelectorAll('.explorer svg')].map((svg) => svg.getAttribute('aria-label'))"
    assert chosen.run(labels) == [
        "mAP over the timestep, block 0. 0: 10.0%, 50: 15.0%, 100: 5.0%",
        "mAP over the block, t = 0. 0: 10.0%, 4: 30.0%, 8: 20.0%",
    ]


NAMES = ("cat", "a, b", "naïve", "dog", 'say "x"', "cow", "hen")  # by rising precision


def seen_page(tmp_path):
    """The map of points with the labels of each, and the samples of two: one stands on the page."""
    truth = np.zeros((40, len(NAMES)), dtype=np.uint8)
    truth[:12] = 1
    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 8), "red").save(path)
    split = Split("test", range(40), list(NAMES), truth, (), [path] * 40)
    rising = 0.2 + 0.1 * np.arange(len(NAMES))[:, None, None] * np.ones(VALUES.shape)
    rising[:, 0, 0] = 1 - rising[:, 0, 0]  # at the first point the order is the other way round
    of = replace(grid(VALUES), by_label={"AP": rising[None]})
    here, other = Point(0, 4), Point(50, 4)
    samples = {
        here: Ranked(here, split, (Example(3, 0, 1, 12),), (Example(4, 1, 30, 12),)),
        other: Ranked(other, split, (Example(4, 4, 2, 12), Example(5, 1, 3, 12)), ()),
    }
    shown = [
        sortable.points(of, "image_points.csv"),
        seen.labels(of, split, "image"),
        seen.Samples(samples, here, "image"),
    ]
    return "".join(one._repr_html_() for one in shown)


def listed(tab):
    return tab.run("[...document.querySelectorAll('.explorer .labels li')].map((one) => one.innerText)")


@pytest.fixture
def labelled(tab, tmp_path):
    opened(tab, tmp_path, seen_page(tmp_path), "map.js")
    tab.run("document.querySelector('.explorer td[tabindex=\"0\"]').focus()")
    return tab


def test_the_map_shows_the_best_and_worst_labels_of_the_chosen_point(labelled):
    assert listed(labelled) == [
        "hen 80.0% (12)",
        "cow 70.0% (12)",
        'say "x" 60.0% (12)',
        "naïve 40.0% (12)",
        "a, b 30.0% (12)",
        "cat 20.0% (12)",
    ]
    labelled.run("document.querySelectorAll('.explorer tbody tr')[2].cells[1].click()")
    assert listed(labelled)[:3] == ["cat 80.0% (12)", "a, b 70.0% (12)", "naïve 60.0% (12)"]
    assert listed(labelled)[3] == 'say "x" 40.0% (12)'


FIGURES = "[...document.querySelectorAll('.explorer .samples figure')]"


def test_the_map_shows_the_samples_of_the_chosen_point(labelled):
    words, shown = (
        "document.querySelector('.explorer .samples').innerText",
        f"{FIGURES}.map((one) => one.innerText.trim())",
    )
    assert said(labelled).startswith("t = 50, block 4")
    assert labelled.run(shown) == [
        'Found: say "x", rank 2 of 40; 12 hold it',
        "Found: a, b, rank 3 of 40; 12 hold it",
    ]
    assert labelled.run(words).startswith(
        "Ranked by the probe at t = 50, block 4, for labels that at least 10 "
    )
    assert "No such label is missed anywhere." in labelled.run(words)
    labelled.press("ArrowLeft")
    assert said(labelled).startswith("t = 0, block 4")
    assert labelled.run(shown) == [
        "Found: cat, rank 1 of 40; 12 hold it",
        "Missed: a, b, rank 30 of 40; 12 hold it",
    ]
    assert labelled.run(words).startswith(
        "Ranked by the probe at t = 0, block 4"
    ) and "No such" not in labelled.run(words)
    alts = f"{FIGURES}.map((one) => one.querySelector('img').alt)"
    assert labelled.run(alts)[0].startswith("Test picture 3, which holds cat, a, b, naïve")
    assert labelled.run(f"{FIGURES}.every((one) => one.querySelector('img').naturalWidth === 8)")


def test_without_its_script_a_page_shows_the_samples_of_one_point(tab, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><body>{seen_page(tmp_path)}', encoding="utf-8")
    tab.open(page)
    shown = tab.run("[...document.images].map((one) => [one.dataset.sample, one.naturalWidth])")
    assert shown == [["3", 8], ["4", 8]]


@pytest.mark.parametrize("modality", ["image", "text"])
def test_at_every_point_the_samples_are_those_that_its_probe_finds_and_misses(tab, tmp_path, modality):
    """What the browser shows of each point is ranked so by that point's probe, trained by itself."""
    splits = {part: tiny.split(60, folder=tmp_path, name=part) for part in ("train", "val", "test")}
    model = tiny.dit() if modality == "image" else tiny.plaid()
    recipe = Recipe(blocks=[1, 2], timesteps=[0, 50])
    root = tmp_path / "features"
    of = measured.measure(splits, model, recipe, root=root, resamples=5, probing=dict(steps=40))
    samples = seen.Samples(ranked.everywhere(splits, of, root=root, steps=40), of.best, modality)
    page = sortable.points(of, f"{modality}_points.csv")._repr_html_() + samples._repr_html_()
    opened(tab, tmp_path, page, "map.js")
    for column, timestep in enumerate(of.timesteps, start=1):
        for row, block in enumerate(reversed(of.blocks)):
            tab.run(f"document.querySelectorAll('.explorer tbody tr')[{row}].cells[{column}].click()")
            assert said(tab).startswith(f"t = {timestep}, block {block}")
            features = {part: of.features[0][part].read(Point(timestep, block)) for part in ("train", "test")}
            scores = floors.probe_scores(splits, features, steps=40)
            sample = "[one.querySelector('[data-sample]').dataset.sample, one.innerText.trim()]"
            shown = tab.run(f"{FIGURES}.map((one) => {sample})")
            assert shown
            for number, words in shown:
                place = splits["test"].ids.tolist().index(int(number))
                ranked_so(splits["test"], scores, place, words)
                assert modality == "image" or splits["test"].captions[place] in words


def ranked_so(test, scores, place, words):
    """What is said of a sample is so by these scores."""
    said = re.search(r"(Found|Missed): (\w+), rank (\d+) of 60; (\d+) hold it$", words)
    label, rank, positives = tiny.NAMES.index(said[2]), int(said[3]), int(said[4])
    assert test.labels[place, label] and positives == test.labels[:, label].sum()
    assert rank == 1 + (scores[:, label] > scores[place, label]).sum()
    assert (rank <= positives) == (said[1] == "Found")


IMAGES, TEXTS = [(0, 4), (0, 8), (50, 4), (50, 8)], [(0, 4), (0, 8), (100, 4), (100, 8)]


def search_page(left_out=0.9):
    """A search over 4 image and 4 text points that trains 9 pairs and leaves out one of this value."""
    images = {Point(*point): 0.1 * place for place, point in enumerate(IMAGES)}
    texts = {Point(*point): 0.4 - 0.1 * place for place, point in enumerate(TEXTS)}
    values = {(one, other): 0.5 * images[one] + 0.5 * texts[other] for one in images for other in texts}
    values[Point(0, 4), Point(100, 8)] = left_out
    noise = np.linspace(-0.02, 0.02, 41)
    pairs = {
        pair: Pair(value, value + 0.01, value + 0.01 + noise, value + noise, np.ones(1))
        for pair, value in values.items()
    }
    looks = [search.lookup(held) for held in (images, texts, values)]
    found = search.local_search(*looks, [4, 8], [0, 50], [4, 8], [0, 100])
    return pair_map(found, SimpleNamespace(measured=pairs), "search_path.csv")._repr_html_()


@pytest.fixture
def followed(tab, tmp_path):
    return opened(tab, tmp_path, search_page(), "map.js")


MARKED = "[...document.querySelectorAll('.explorer td[data-marked]')].length"


def test_the_search_is_followed_step_by_step(followed):
    steps = followed.run(
        "[...document.querySelectorAll('.explorer .steps button')].map((one) => one.innerText)"
    )
    assert steps == [
        "Images alone, 4 points: (50, 8) is the best, 30.0%.",
        "Text alone, 4 points: (0, 4) is the best, 40.0%.",
        "Those two and their neighbours, 3 and 3 points: 9 pairs are trained.",
        "The best of these pairs: image (50, 8), text (0, 4), 35.0%.",
        "The best of all 16 pairs: image (0, 4), text (100, 8), 90.0%, 55.0 points above that.",
    ]
    counts = []
    for step in range(5):
        followed.run(f"document.querySelectorAll('.explorer .steps button')[{step}].focus()")
        followed.press("Enter", "\r")
        counts.append(followed.run(MARKED))
        pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((one) => one.innerText)"
        assert followed.run(pressed) == [steps[step]]
    assert counts == [4, 4, 9, 1, 1]
    assert said(followed) == (
        "Chosen: image (0, 4), text (100, 8): mAP on validation 90.0%, rank 1 of 16; "
        "on test 91.0% (89.0% to 93.0%); left out by the search"
    )


def test_a_search_that_finds_the_best_pair_says_so(tab, tmp_path):
    opened(tab, tmp_path, search_page(left_out=0.1), "map.js")
    last = "document.querySelector('.explorer .steps li:last-child button')"
    assert tab.run(f"{last}.innerText") == "It is the best of all 16 pairs as well."
    tab.run(f"{last}.click()")
    assert tab.run(MARKED) == 1 and "rank 1 of 16" in said(tab)


def test_a_pair_is_chosen_by_the_arrow_keys_and_by_a_click(followed):
    assert said(followed).startswith(
        "Chosen: image (50, 8), text (0, 4): mAP on validation 35.0%, rank 2 of 16"
    )
    assert said(followed).endswith("trained by the search")
    followed.run("document.querySelector('.explorer td[tabindex=\"0\"]').focus()")
    for key, pair in (
        ("ArrowRight", "image (50, 8), text (0, 8)"),
        ("ArrowUp", "image (50, 4), text (0, 8)"),
    ):
        followed.press(key)
        assert pair in said(followed)
    followed.run("document.querySelectorAll('.explorer tbody tr')[0].cells[4].click()")
    assert "image (0, 4), text (100, 8)" in said(followed)
    followed.press("ArrowUp")  # at the edge
    assert "image (0, 4), text (100, 8)" in said(followed)


SCREENS = [(width, scheme) for scheme in ("light", "dark") for width in (1280, 400)]


@pytest.mark.parametrize(("width", "scheme"), SCREENS, ids=lambda value: str(value))
def test_the_maps_shut_nobody_out(tab, tmp_path, width, scheme):
    """axe-core finds nothing serious, with the colours that the theme has, and the page is no wider."""
    style = (ROOT / "book" / "static" / "difffeat.css").read_text(encoding="utf-8")
    colours = {"light": ("#323232", "#ffffff", "#f3f4f5"), "dark": ("#ced6dd", "#14181e", "#222832")}[scheme]
    names = ("--pst-color-text-base", "--pst-color-background", "--pst-color-surface")
    theme = "; ".join(f"{name}: {colour}" for name, colour in zip(names, colours, strict=True))
    page = f"html {{ {theme}; color: {colours[0]}; background: {colours[1]} }} a {{ color: inherit }}"
    head = "<title>Maps</title><meta name='viewport' content='width=device-width'>"
    head += f"<style>{style} {page}</style><main><h1>Maps</h1><h2>Here</h2>"
    tab.screen(width, scheme)
    opened(tab, tmp_path, head + seen_page(tmp_path) + search_page() + "</main>", "map.js")
    tab.run((ROOT / "tests" / "axe" / "axe.min.js").read_text(encoding="utf-8") + "; 0")
    tab.settle()
    assert tab.run("document.querySelectorAll('.explorer').length") == 2
    assert tab.run(f"{FIGURES}.length") == 2
    assert tab.run(BARRIERS % "") == []
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_the_slider_shows_one_timestep_at_a_time(tab, tmp_path):
    picture = Image.new("RGB", (8, 8), "red")
    kept, lost = [Word("cat", "cat")], [Word("cat", "dog")]
    frames = [Noised(t, picture, picture, {"random": lost, "mean": kept}, lost) for t in (0, 300)]
    opened(tab, tmp_path, slider.Slider(frames)._repr_html_(), "frames.js")
    seen = "[...document.querySelectorAll('section')].filter((one) => one.offsetHeight)"
    shown = f"{seen}.map((one) => one.dataset.timestep)"
    assert tab.run(shown) == ["0"] and said(tab) == "t = 0"
    tab.run("document.querySelector('input').focus()")
    tab.press("ArrowRight")
    assert tab.run(shown) == ["300"] and said(tab) == "t = 300"
    assert tab.run("document.querySelector('section:not([hidden]) del').innerText") == "cat"


def test_one_click_shows_all_code_and_another_hides_it(tab, tmp_path):
    cell = '<details class="hide above-input"><summary>Show</summary><pre>code</pre></details>'
    button = '<button type="button" class="show-code" hidden>Show all code</button>'
    opened(tab, tmp_path, button + 2 * cell, "pages.js")
    state = "[document.querySelector('button').innerText, document.querySelectorAll('details[open]').length]"
    click = "document.querySelector('button').click()"
    assert tab.run(state) == ["Show all code", 0]
    tab.run(click)
    assert tab.run(state) == ["Hide all code", 2]
    tab.run(click)
    assert tab.run(state) == ["Show all code", 0]
    opened(tab, tmp_path, button, "pages.js")
    assert tab.run("document.querySelector('button').hidden")
