"""Recorded pages: what they were made by is stored, and is what there is, as far as it is here."""

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import pytest

from difffeat import pages
from difffeat.backbones.shipped import SHIPPED, TO_TRAIN, weights_folder
from difffeat.profiles import ROOT, load, planned

sys.path.insert(0, str(ROOT / "workflow"))
import made_by

RECORDED = pages.recorded()
LONG = [page for page in RECORDED if page.parent.name == "notebooks"]
profile_of = runpy.run_path(str(ROOT / "workflow" / "record.py"))["profile_of"]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_each_recorded_page_says_what_it_was_made_by():
    stored = made_by.stored()
    assert set(stored) == {page.stem for page in RECORDED}
    assert {page.stem: set(stored[page.stem]["weights"]) for page in RECORDED} == {
        page.stem: set(made_by.models(page, profile_of(page))) for page in RECORDED
    }


def test_make_test_measures_each_page_once_but_takes_recorded_pages_as_they_are():
    done = subprocess.run(["make", "--dry-run", "test"], capture_output=True, text=True, check=True)
    measured = re.findall(r" notebooks/(\w+)\.ipynb", done.stdout)
    stand = [page.stem for page in LONG]
    assert sorted([*measured, *stand]) == sorted(page.stem for page in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", [*SHIPPED, *TO_TRAIN])
def test_recorded_pages_were_made_by_the_weights_that_are_here(name):
    cards = [held["weights"][name] for held in made_by.stored().values() if name in held["weights"]]
    here = made_by.card(name)
    if here is None:
        pytest.skip(f"{weights_folder(name)} is not here: these weights are trained, not shipped")
    assert all(card == here for card in cards)


def test_a_page_tells_that_its_code_has_changed(tmp_path, monkeypatch):
    stale = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))["stale"]
    page, stored = RECORDED[0], tmp_path / "recorded.json"
    monkeypatch.setattr(made_by, "STORED", stored)
    made_by.store(page, profile_of(page))
    measured = ROOT / "results" / profile_of(page) / f"{page.stem}.json"
    assert stale(page, measured) == ""
    stored.write_text(stored.read_text().replace(made_by.code(page, profile_of(page)), "0" * 64))
    assert "has changed since" in stale(page, measured)
    ran = tmp_path / measured.name
    ran.write_text(measured.read_text() + "\n")
    assert stale(page, ran) == "", "it ran just now, whoever recorded it before"
    claims = ROOT / "results" / "scenes" / "90_claims.json"
    assert stale(ROOT / "notebooks" / "90_claims.ipynb", claims) == ""


def test_readers_and_pages_that_are_summed_up_are_behind_a_page():
    page = ROOT / "notebooks" / "recorded" / "fashion.ipynb"
    found = made_by.behind(page, "fashion")
    assert {"data_prep/readers/fashion.py", "data_prep/readers/reading.py"} <= set(found)
    assert "data_prep/readers/cifar10.py" not in found
    assert "notebooks/20_probe_image_grid.ipynb" in made_by.summed(page)
    assert "difffeat/probing/search.py" in found
    lists = made_by.behind(ROOT / "notebooks" / "recorded" / "coco_captions.ipynb", "coco-lists")
    assert "difffeat/study.py" in lists, "whose profile names no reader"


@pytest.mark.parametrize("page", LONG, ids=lambda page: page.stem)
def test_a_long_page_stands_as_it_was_recorded_with_its_parameters_alone(page, tmp_path, monkeypatch):
    scenes = load("scenes")
    stored = pages.as_recorded(page.stem, scenes)
    assert stored == ROOT / "results" / "scenes" / f"{page.stem}.json"
    other = replace(scenes, parameters={"resamples": 100})
    assert planned(other, page.stem)["resamples"] == 100 and pages.as_recorded(page.stem, other) is None
    elsewhere = replace(scenes, files=(tmp_path / "scenes.yaml",))
    assert pages.as_recorded(page.stem, elsewhere) is None, "another profile of this name"
    assert pages.as_recorded(page.stem, load("scenes-single")) is None, "nothing is stored there"


def test_pages_that_are_not_recorded_run():
    assert pages.as_recorded("20_probe_image_grid", load("scenes")) is None


def test_a_page_that_sums_up_its_own_profile_is_recorded_again_after_an_edit(tmp_path, monkeypatch):
    """Beside the pages of a profile lies what the page itself ran as before: no copy of what it is now."""
    record = runpy.run_path(str(ROOT / "workflow" / "record.py"))["run"]
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "notebooks" / "recorded" / "inside_real.ipynb"
    page.parent.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("profile = 'horses'")])
    nbformat.write(notebook, page)
    before = tmp_path / "build" / "notebooks" / "horses" / page.name
    before.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("other = 1")]), before)
    ran = []

    def run(command, **_):
        ran.append(str(command[0]))
        made = [name for name in map(str, command) if name.endswith(".json")]
        if ran[-1] == "papermill":
            notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="said")]
            nbformat.write(notebook, command[2])
            made = ["build/results/horses/inside_real.json"]
        for name in made:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)

    stands = dict(ROOT=tmp_path, subprocess=SimpleNamespace(run=run), digest=str)
    stands |= dict(made_by=SimpleNamespace(store=lambda *_: None))
    for name, value in stands.items():
        monkeypatch.setitem(record.__globals__, name, value)
    record(page)
    assert ran == ["snakemake"] * 3 + ["papermill"]
    assert nbformat.read(page, 4).cells[0].outputs[0].text == "said"
    kept = {path.relative_to(tmp_path / "results").as_posix() for path in tmp_path.glob("results/*/*.json")}
    assert kept == {
        "horses/inside_real.json",
        "horses/54_label_scarce.json",
        "camvid/53_segmentation.json",
        "people/55_correspondence.json",
    }


def test_a_page_without_results_is_named(tmp_path, monkeypatch):
    sources = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))["sources"]
    monkeypatch.setitem(sources.__globals__, "ROOT", tmp_path)
    (tmp_path / "notebooks" / "recorded").mkdir(parents=True)
    (tmp_path / "notebooks" / "recorded" / "new.ipynb").touch()
    with pytest.raises(SystemExit, match=r"new\.ipynb has not run, and no results of it are stored"):
        list(sources(tmp_path / "none", tmp_path / "none"))
