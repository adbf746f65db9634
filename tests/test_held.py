"""What makes a page due: hashes of what files hold, and not of the outputs that a run renews."""

import runpy

import nbformat

from difffeat.base.files import ROOT


def digests(path, **run):
    """As the workflow asks in a process of its own."""
    return runpy.run_path(str(ROOT / "workflow" / "held.py"))["digest"]([path], **run)


def stored(path, source="a = 1", outputs=()):
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=len(outputs) or None)
    cell["id"] = "one"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_outputs_of_a_page_that_is_run_do_not_count_and_its_source_does(tmp_path):
    said = nbformat.v4.new_output("stream", text="1")
    path = stored(tmp_path / "page.ipynb")
    plain, run = digests(path), digests(path, run=[path])
    stored(path, outputs=[said])
    assert digests(path) != plain and digests(path, run=[path]) == run
    stored(path, source="a = 2")
    assert digests(path, run=[path]) != run


def test_name_and_content_of_a_file_count(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a")
    before = digests(path)
    assert digests(path.rename(tmp_path / "b.txt")) != before
    path.write_text("a")
    assert digests(path) == before
    path.write_text("b")
    assert digests(path) != before


def test_a_recorded_page_is_due_by_its_source_and_not_by_its_outputs(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "workflow"))
    record = runpy.run_path(str(ROOT / "workflow" / "record.py"))
    record["digest"].__globals__["profile_of"] = lambda path: "scenes"
    path, look = stored(tmp_path / "page.ipynb"), record["digest"]
    before = look(path)
    stored(path, outputs=[nbformat.v4.new_output("stream", text="1")])
    assert look(path) == before
    stored(path, source="from difffeat import cost")
    assert look(path) != before
