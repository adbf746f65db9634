"""What a change changes: the list that a pull request shows, and the workflow file that makes it."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from difffeat.profiles import ROOT
from difffeat.show.plots import dots

WORKFLOW = ROOT / ".github" / "workflows" / "book.yml"
changed = runpy.run_path(str(ROOT / "workflow" / "changed.py"))


@pytest.fixture
def before(tmp_path):
    """A copy of the stored results."""
    return shutil.copytree(ROOT / "results" / "scenes", tmp_path / "before")


def test_the_same_results_change_nothing(before):
    assert changed["statuses"](ROOT / "results" / "scenes", before) == ["No status changes."]


def test_a_status_that_changes_is_told_with_its_numbers(before):
    path = before / "31_search.json"
    content = json.loads(path.read_text())
    (result,) = [found for found in content["results"] if found["id"] == "search_finds_best"]
    now = result["status"]
    result["status"] = "differs" if now != "differs" else "inconclusive"
    path.write_text(json.dumps(content))
    rows = changed["statuses"](before, ROOT / "results" / "scenes")
    assert len(rows) == 3 and rows[2].startswith("| Search: Algorithm 1 finds the best pair")
    assert f"| {result['status']}: " in rows[2] and f"| {now}: " in rows[2]


def test_a_row_of_a_page_that_did_not_run_keeps_its_columns(before):
    (before / "31_search.json").unlink()
    rows = changed["statuses"](ROOT / "results" / "scenes", before)
    assert any("not run" in row for row in rows) and {row.count("|") for row in rows} == {4}


def page(folder, *figures):
    """An executed notebook with these figures."""
    cell = nbformat.v4.new_code_cell("draw()")
    for html in (figure._repr_html_() for figure in figures):
        cell.outputs.append(nbformat.v4.new_output("display_data", {"text/html": html}))
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "20_grid.ipynb")
    return folder


def test_figures_that_find_something_else_are_told(tmp_path):
    one, other = dots({"a": 0.1, "b": 0.2}), dots({"a": 0.3, "b": 0.2})
    old, new = page(tmp_path / "old", one), page(tmp_path / "new", other)
    assert changed["figures"](old, old) == ["No figure finds anything else."]
    assert changed["figures"](old, new) == [
        f"- 20_grid, no longer: {one.alt}",
        f"- 20_grid, now: {other.alt}",
    ]
    assert changed["figures"](tmp_path / "nothing", new) == [f"- 20_grid, now: {other.alt}"]


def test_the_workflow_file_is_clean():
    done = subprocess.run(
        [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", WORKFLOW],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
