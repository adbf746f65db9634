"""What the workflow runs again, what it leaves standing, and what a profile may be called.

A stand-in for papermill writes what it was given as results, one for the compiler a book of one page.
"""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import test_workflow as workflow

from difffeat.profiles import ROOT

OWN = "data: {reader: scenes}\npages: [00_data, 10_extract_image, 40_cost]\n"
COMPILER = """
import sys
from pathlib import Path

if Path("broken").exists():
    sys.exit("WARNING: no such reference")
Path("book/_build/html/index.html").write_text(" and ".join(sys.argv[2:]))
"""
HOSTILE = [
    'it\'s; touch ran & `touch ran` $(touch ran) "é" $HOME <b> <results>',
    "-x",
    "1",
    "[a]",
    "true",
    "a #b ",
]


@pytest.fixture
def project(tmp_path):
    copy = workflow.copied(tmp_path / "project", "weights")
    (copy / "snakemake_logger_plugin_jobs").mkdir()
    (copy / "snakemake_logger_plugin_jobs" / "__init__.py").write_text(workflow.LOGGER)
    (copy / "workflow" / "compile_book.py").write_text(COMPILER)
    (copy / "own.yaml").write_text(OWN)
    for folder in ("book", "difffeat"):  # of an editor: no file of ours
        (copy / folder / ".ipynb_checkpoints").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "papermill").write_text(workflow.PAPERMILL)
    (tmp_path / "bin" / "papermill").chmod(0o755)
    return copy


def run(project, profile="own.yaml", *options):
    return workflow.make_book(project, profile, *options, path=[project.parent / "bin"], run="default")


def ran(project, profile="own.yaml"):
    done = run(project, profile)
    assert done.returncode == 0, done.stdout + done.stderr


def planned(project):
    """The rules that a dry run plans."""
    notes = project / "planned.jsonl"
    notes.unlink(missing_ok=True)
    done = run(project, "own.yaml", "--dry-run", "--logger", "jobs")
    assert done.returncode == 0, done.stdout + done.stderr
    return {json.loads(line)["rule"] for line in notes.read_text().splitlines()} if notes.exists() else set()


def edit_long_ago(path, old, new):
    """Change a file while the clock is far behind."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    os.utime(path, (1e9, 1e9))


def test_an_edit_counts_whatever_the_clock_says_and_a_touch_does_not(project):
    every = {"00_data", "10_extract_image_shard", "10_extract_image", "40_cost", "book"}
    assert planned(project) == every
    ran(project)
    assert planned(project) == set()

    notebooks = project / "notebooks"
    touched = [*notebooks.glob("*.ipynb"), *(project / "difffeat").rglob("*.py"), project / "own.yaml"]
    for path in [*touched, project / "book" / "intro.md", project / "workflow" / "compile_book.py"]:
        path.touch()
    assert planned(project) == set()

    cost = notebooks / "40_cost.ipynb"
    notebook = nbformat.read(cost, 4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs = []
    nbformat.write(notebook, cost)
    os.utime(cost, (1e9, 1e9))
    assert planned(project) == set(), "as `make keep` does: another output, the same source and time"

    for path, old, new, expected in (
        (cost, '"source": [', '"source": ["\\n", ', {"40_cost", "book"}),
        (notebooks / "00_data.ipynb", '"source": [', '"source": ["\\n", ', {"00_data", "book"}),
        (project / "difffeat" / "probing" / "grid.py", '"""', '""" ', every),
        (
            project / "difffeat" / "show" / "charts.py",
            '"""',
            '""" ',
            {"00_data", "book"},
        ),  # it alone has figures
        (project / "own.yaml", "data:", "shards: 1\ndata:", every),
    ):
        before = path.read_bytes()
        edit_long_ago(path, old, new)
        assert planned(project) == expected, path.name
        path.write_bytes(before)
    assert planned(project) == set(), "what it was before"

    shutil.rmtree(project / "book" / "_build")
    (project / "build" / "notebooks" / "own" / "00_data.ipynb").unlink()
    assert planned(project) == {"00_data", "book"}


def test_a_new_page_costs_a_notebook_and_a_line_of_contents(project):
    """It runs and appears, in a book of which nothing else was changed."""
    parameters = nbformat.v4.new_code_cell('profile = "scenes"\nsize = 3', metadata={"tags": ["parameters"]})
    code = 'page = study.open(vars(), "41_new")\npage.record(Result("size", page.p.size, unit="count"))'
    cells = [
        nbformat.v4.new_markdown_cell("# A page that is new\n\nIt says its size."),
        parameters,
        nbformat.v4.new_code_cell(
            f"from difffeat import study\nfrom difffeat.evidence.results import Result\n\n{code}"
        ),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, project / "notebooks" / "41_new.ipynb")
    contents = project / "book" / "_toc.yml"
    line = "      - file: notebooks/40_cost\n"
    contents.write_text(contents.read_text().replace(line, line + line.replace("40_cost", "41_new")))
    (project / "own.yaml").write_text("data: {reader: scenes}\npages: [41_new]\nparameters: {size: 7}\n")
    shutil.copy(ROOT / "workflow" / "compile_book.py", project / "workflow")
    shutil.copytree(ROOT / "results", project / "results")  # of the pages that are shown as stored
    done = workflow.make_book(project, "own.yaml", run="default")  # no stand-ins
    assert done.returncode == 0, done.stdout + done.stderr
    (size,) = json.loads((project / "build" / "results" / "own" / "41_new.json").read_text())["results"]
    assert size["value"] == 7
    html = (project / "book" / "_build" / "html" / "notebooks" / "41_new.html").read_text(encoding="utf-8")
    assert "A page that is new" in html and "profile own" in html
    assert "41_new.html" in (project / "book" / "_build" / "html" / "intro.html").read_text(encoding="utf-8")


def test_an_edit_counts_when_the_records_of_the_last_run_are_gone(project):
    ran(project)
    shutil.rmtree(project / ".snakemake")
    (project / "notebooks" / "40_cost.ipynb").touch()
    assert planned(project) == {"40_cost", "book"}


def test_a_failed_compile_is_tried_again_and_leaves_the_old_book(project):
    ran(project)
    page = project / "book" / "_build" / "html" / "index.html"
    before = page.read_text()
    edit_long_ago(project / "book" / "intro.md", "# ", "# A ")
    (project / "broken").touch()
    failed = run(project)
    assert failed.returncode == 1 and "WARNING: no such reference" in failed.stdout + failed.stderr
    assert page.read_text() == before
    assert planned(project) == {"book"}
    (project / "broken").unlink()
    ran(project)
    assert planned(project) == set()


class Builder:
    """In place of `subprocess` in the compiler: jupyter-book writes some of it, then ends as it is told."""

    PIPE = STDOUT = None

    def __init__(self, ends):
        self.ends = ends

    def run(self, command, **_):
        html = Path(command[command.index("--path-output") + 1], "_build", "html")
        html.mkdir(parents=True)
        (html / "new.html").touch()
        if isinstance(self.ends, BaseException):
            raise self.ends
        return subprocess.CompletedProcess(command, self.ends, "a WARNING")


@pytest.mark.parametrize("exchanges", [True, False], ids=["names exchanged", "names moved"])
def test_a_book_takes_the_place_of_the_old_one_whole_or_not_at_all(tmp_path, monkeypatch, exchanges):
    compiler = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))["main"].__globals__
    if not exchanges:
        monkeypatch.setattr(compiler["ctypes"], "CDLL", lambda _: None)
    book, html = tmp_path, tmp_path / "_build" / "html"
    html.mkdir(parents=True)
    (html / "old.html").touch()
    (book / "_config.yml").write_text("repository: {url: ''}\n")

    def left(ends):
        monkeypatch.setitem(compiler, "subprocess", Builder(ends))
        compiler["main"](book, tmp_path / "none", tmp_path / "none")

    left(1)
    assert [path.name for path in html.iterdir()] == ["old.html"]
    monkeypatch.setitem(compiler, "made", lambda *_: None)  # what pages include takes seconds to draw
    with pytest.raises(KeyboardInterrupt):
        left(KeyboardInterrupt())
    assert [path.name for path in html.iterdir()] == ["old.html"]
    left(0)
    assert [path.name for path in html.iterdir()] == ["new.html"], "and nothing stale"
    assert [path.name for path in html.parent.iterdir()] == ["html"]


@pytest.mark.parametrize("name", HOSTILE[:4])
def test_a_profile_of_any_name_runs_and_runs_nothing_else(project, name):
    path = project / "notebooks" / "profiles" / f"{name}.yaml"
    path.write_text("shards: 2\ndata: {reader: scenes}\npages: [10_extract_image]\n")
    (project.parent / "bin" / "mended").touch()  # the stand-in fails no shard
    ran(project, name)
    build = project / "build"
    folders = [build / "results", *(build / "shards" / name / f"{i}-of-2" for i in (1, 2))]
    given = [json.loads((folder / name / "10_extract_image.json").read_text()) for folder in folders]
    assert [(of["profile"], of.get("shard")) for of in given] == [(name, None), (name, "1/2"), (name, "2/2")]
    assert (build / "log" / name / "10_extract_image.txt").is_file()
    page = (project / "book" / "_build" / "html" / "index.html").read_text()
    assert page == f"build/notebooks/{name} and build/results/{name}"
    assert not list(project.rglob("ran")), "a part of its name was run"


PAGE = """\
from difffeat import study
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import Result
from difffeat.show import tables
page = study.open(vars(), "40_cost")
best = Result("best", 0.5, what="best", paper=paper.best(5, "fusion"))
display(tables.compare(page.record(best)))
print(page.p.data["folder"][-4:])"""


def test_what_a_run_leaves_names_its_profile_and_no_path_of_this_machine(project):
    """Results, executed page and the line under its title, by papermill itself; the profile is elsewhere."""
    name = 'a <b> & "c"'
    elsewhere = project.parent / "else where"
    elsewhere.mkdir()
    own = elsewhere / f"{name}.yaml"
    own.write_text(f"data: {{reader: coco, folder: {elsewhere}/data, dataset: 'd <e>'}}\npages: [40_cost]\n")
    page = nbformat.read(project / "notebooks" / "40_cost.ipynb", 4)
    declared = nbformat.v4.new_code_cell('profile = "scenes"', metadata={"tags": ["parameters"]})
    page.cells = [nbformat.v4.new_markdown_cell("# Cost"), declared, nbformat.v4.new_code_cell(PAGE)]
    nbformat.write(page, project / "notebooks" / "40_cost.ipynb")
    (project.parent / "bin" / "papermill").unlink()
    ran(project, str(own))

    results = project / "build" / "results" / name / "40_cost.json"
    executed = project / "build" / "notebooks" / name / "40_cost.ipynb"
    for path in (results, executed):
        assert str(project.parent) not in path.read_text(encoding="utf-8")
    stored, papermill = json.loads(results.read_text()), nbformat.read(executed, 4).metadata.papermill
    assert stored["profile"] == stored["parameters"]["profile"] == papermill.parameters.profile == name
    assert stored["dataset"] == "d <e>"
    shown = [
        output.get("data", {}).get("text/html", "") for output in nbformat.read(executed, 4).cells[-1].outputs
    ]
    assert "d &lt;e&gt;" in "".join(shown) and "<e>" not in "".join(shown)

    line = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))["provenance"](results)
    assert "Measured with profile a &lt;b&gt; &amp; &quot;c&quot; · " in line


def test_a_profile_that_snakemake_would_misread_is_refused_with_the_way_to_give_it(project):
    command = ["snakemake", "--dry-run", "--cores", "1", "--config", "profile=1"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=100)
    assert done.returncode and "--config reads this profile as 1" in done.stdout + done.stderr
    assert "DIFFFEAT_PROFILE" in done.stdout + done.stderr


@pytest.fixture
def made(tmp_path):
    """Runs make in a folder with nothing but the Makefile and commands that note how they were called."""
    (tmp_path / "constraints.txt").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name in ("snakemake", "python"):
        (commands / name).write_text('#!/bin/bash\nprintf "%s\\0" "${DIFFFEAT_PROFILE-}" "$@" > called\n')
        (commands / name).chmod(0o755)
    number = subprocess.run(["cksum"], input="", capture_output=True, text=True)
    (tmp_path / ".venv" / f"installed-{number.stdout.split()[0]}").touch()

    def make(*arguments):
        done = subprocess.run(["make", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        called = tmp_path / "called"
        return called.read_text().split("\0")[:-1] if called.exists() else done.stdout

    return make


@pytest.mark.parametrize("name", [*HOSTILE, "$(shell touch ran)", "/a b/$c/d.yaml"])
def test_make_passes_a_name_on_as_it_was_typed(made, name, tmp_path):
    assert f"(now {name})" in made("help", f"PROFILE={name}")
    assert made("book", f"PROFILE={name}", "RUN=a b") == [name, "--workflow-profile", "workflow/profiles/a b"]
    for target in ("usage", "keep"):
        assert made(target, f"PROFILE={name}")[2:] == [name]
    assert made("plan", f"PROFILE={name}", "GPU=$x")[2:] == [name, "$x"]
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("name", [*HOSTILE, "v1.2", "$(shell touch ran)"])
def test_make_clean_removes_what_its_profile_made_and_no_more(made, name, tmp_path):
    for profile in (name, "other", "v1", "a", "b"):
        (tmp_path / "build" / "results" / profile).mkdir(parents=True)
    for given in (name, f"/some where/{name}.yaml"):
        (tmp_path / "build" / "results" / name).mkdir(exist_ok=True)
        made("clean", f"PROFILE={given}")
        left = {path.name for path in (tmp_path / "build" / "results").iterdir()}
        assert left == {"other", "v1", "a", "b"}
    assert not list(tmp_path.rglob("ran"))
