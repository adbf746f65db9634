"""The map of points, the slider over timesteps and the button for all code, tried in a browser."""

import browser
import numpy as np
import pytest
from PIL import Image

from difffeat.backbones.noised import Noised, Word
from difffeat.evidence.numbers import result
from difffeat.probing.grid import Grid
from difffeat.profiles import ROOT
from difffeat.show import slider, sortable

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
