"""The files that describe the project agree with each other."""

import ast
import json
import re
import runpy
import tomllib
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import data_prep
from difffeat import profiles
from difffeat.profiles import ROOT

# A module imports only from those before it, itself and through its private parts (names with an underscore).
ORDER = [
    *[
        "metrics",
        "stats",
        "measures",
        "schedule",
        "datasets",
        "backbones",
        "cost",
        "cache",
        "extract",
        "probe",
        "floors",
    ],
    *["grid", "fusion", "pairs", "search", "paper", "claims", "plots", "pages", "answers", "protocols"],
]
ALONE = ["profiles"]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = PROJECT["optional-dependencies"]
RECORDED = sorted((ROOT / "notebooks" / "recorded").glob("*.ipynb"))  # shown as stored
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def pins():
    """{canonical name: version} of constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): pinned for name, pinned in (line.split("==") for line in lines)}


def test_constraints_are_plain_versions_in_order():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    assert list(pins()) == sorted(pins())


def test_every_dependency_is_pinned_once_and_only_there():
    needed = [Requirement(line) for line in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]]
    assert not [str(requirement) for requirement in needed if requirement.specifier], (
        "versions: constraints.txt"
    )
    assert {canonicalize_name(requirement.name) for requirement in needed} <= pins().keys()


def test_what_is_installed_is_what_is_pinned():
    differing = {}
    for name, pinned in pins().items():
        try:
            installed = Version(version(name)).public  # torch adds +cpu to its version
        except PackageNotFoundError:
            continue  # not needed on this platform
        if installed != pinned:
            differing[name] = (pinned, installed)
    assert not differing


def test_conda_installs_the_same_through_the_same_pins():
    *conda, pip = ENVIRONMENT["dependencies"]
    extras = ",".join(sorted(EXTRAS))
    assert pip == {"pip": ["-c constraints.txt", f"-e .[{extras}]"]}
    assert f"-c constraints.txt -e '.[{extras}]'" in (ROOT / "Makefile").read_text()
    (python,) = [Requirement(line.replace("=", "==")) for line in conda if line.startswith("python")]
    assert PROJECT["requires-python"] == str(python.specifier).replace("==", ">=")


def imported(module):
    """Modules of difffeat that a module or package imports anywhere in it; data_prep counts as one."""
    files = [ROOT / "difffeat" / f"{module}.py", *(ROOT / "difffeat" / module).rglob("*.py")]
    names = set()
    for node in [node for path in files if path.is_file() for node in ast.walk(ast.parse(path.read_text()))]:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    found = {name.split(".")[1] for name in names if name.startswith("difffeat.")}
    return found | {"data_prep" for name in names if name.startswith("data_prep")}


def reached(module, seen=()):
    """Public modules that a module imports, itself or through private ones."""
    found = set()
    for name in imported(module) - {module, *seen, "__version__"}:
        found |= reached(name, (*seen, module)) if name.startswith("_") else {name}
    return found


def test_every_module_has_its_place():
    public = {path.stem for path in (ROOT / "difffeat").glob("*") if not path.name.startswith("_")}
    assert public == {*ORDER, *ALONE}
    said = (ROOT / "difffeat" / "__init__.py").read_text()
    assert ", ".join(ORDER) in " ".join(said.split())
    reference = (ROOT / "book" / "api.md").read_text()
    assert [name for name in re.findall(r"^## `difffeat\.(\w+)`", reference, re.MULTILINE)] == [
        *ORDER,
        *ALONE,
    ]


@pytest.mark.parametrize("module", [*ORDER, *ALONE])
def test_data_flows_one_way(module):
    above = ORDER[: ORDER.index(module)] if module in ORDER else []
    below = reached(module) - {*above}
    assert not below, f"{module} imports {sorted(below)}, which stand below it"


def test_deviations_are_numbered_in_order():
    text = (ROOT / "book" / "deviations.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\(dev-[a-z0-9]+\)=\n### (\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(re.findall(r"^### ", text, re.MULTILINE)) + 1))
    for part in ("Paper.", "It changes.", "The other choice."):
        assert text.count(f"**{part}**") == len(numbers), part
    cited = {
        (label, int(number))
        for page in (ROOT / "book").glob("*.md")
        for number, label in re.findall(r"\{ref\}`(\d+) <(dev-[a-z0-9]+)>`", page.read_text(encoding="utf-8"))
    }
    labels = re.findall(r"^\((dev-[a-z0-9]+)\)=", text, re.MULTILINE)
    assert cited <= set(zip(labels, numbers, strict=True))


def test_the_embedded_profile_is_the_notebooks_own_defaults():
    assert profiles.load("scenes").parameters == {}


@pytest.mark.parametrize("path", NOTEBOOKS + RECORDED, ids=lambda path: path.stem)
def test_a_notebook_has_one_parameters_cell_and_says_its_own_name(path):
    notebook = nbformat.read(path, 4)
    tagged = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert not tagged[0].startswith(profiles.INJECTED + "\n"), "this line is papermill's"
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(tagged[0]).body}
    assert values["profile"] == ("coco-lists" if path in RECORDED else "scenes")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert f'profiles.parameters(vars(), "{path.stem}")' in code
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_reads_data_says_what_it_needs_of_them(path):
    notebook = nbformat.read(path, 4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    needs = notebook.metadata.get("difffeat", {}).get("needs", [])
    assert set(needs) <= set(profiles.NEEDS)
    assert bool(needs) == ("data_prep.splits(" in code), "its metadata: difffeat, needs"


@pytest.mark.parametrize("name", sorted(set(profiles.known()) - {"coco-lists"}))
def test_a_profile_gives_every_page_that_it_runs_what_it_takes(name):
    """As the workflow checks it before any job: names, types, and what pages need of the data."""
    profile, pages = profiles.load(name), [path.stem for path in NOTEBOOKS]
    ran = profiles.runs(profile, pages, data_prep.gives(profile.data))
    assert set(ran) == set(profile.pages or pages)
    for page in ran:
        assert profiles.planned(profile, page)["profile"] == "scenes", "the default, whatever the profile"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_profile_of_a_recorded_page_gives_it_what_it_takes(path):
    assert profiles.planned(profiles.load("coco-lists"), path.stem)


def test_a_parameter_means_one_thing_on_all_pages():
    """Of one type wherever it is declared; a profile that sets it sets it on every page."""
    kinds = defaultdict(lambda: defaultdict(list))
    for path in NOTEBOOKS + RECORDED:
        (cell,) = [c for c in nbformat.read(path, 4).cells if "parameters" in c.metadata.get("tags", [])]
        for node in ast.parse(cell.source).body:
            default = ast.literal_eval(node.value)
            items = {type(item).__name__ for item in default} if isinstance(default, list) else ()
            kinds[node.targets[0].id][type(default).__name__, *sorted(items)].append(path.stem)
    clashes = {name: dict(found) for name, found in kinds.items() if len(found) > 1}
    assert not clashes


@pytest.mark.parametrize("name", sorted(set(profiles.known()) - {"coco-lists"}))
def test_a_profile_gives_its_reader_only_settings_that_it_takes(name, tmp_path):
    data = profiles.load(name).data
    absent = {key: tmp_path / "nothing" if key == "folder" else value for key, value in data.items()}
    if name != "scenes":
        with pytest.raises(FileNotFoundError, match="nothing"):
            data_prep.splits(absent)


def test_a_run_says_what_it_took():
    page = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))
    run = dict(seconds=41.2, peak_gb=0.93, processor="AMD EPYC", threads=2, date="2026-11-21")
    assert list(page["took"](run)) == ["2026-11-21, 41 s and 0.9 GB on 2 threads of AMD EPYC"]
    on_gpu = run | dict(seconds=9000, gpu="NVIDIA H100", gpu_peak_gb=5.14)
    assert list(page["took"](on_gpu)) == ["2026-11-21, 2.5 h and 0.9 GB on NVIDIA H100 (5.1 GB there)"]
    assert list(page["took"]({})) == []


def test_usage_prints_what_pages_and_shards_took(tmp_path, monkeypatch, capsys):
    usage = runpy.run_path(str(ROOT / "workflow" / "usage.py"))["main"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="nothing of scenes has run here: make book PROFILE=scenes"):
        usage("scenes")
    stored = json.loads((ROOT / "results" / "scenes" / "40_cost.json").read_text())
    run = dict(seconds=41.2, peak_gb=0.93, processor="AMD EPYC", threads=2, date="2026-11-21")
    took = {
        "results/scenes": run,
        "shards/scenes/2-of-4/scenes": run | dict(gpu="NVIDIA H100", gpu_peak_gb=5.14),
    }
    for folder, what in took.items():
        (tmp_path / "build" / folder).mkdir(parents=True)
        (tmp_path / "build" / folder / "40_cost.json").write_text(json.dumps(stored | {"run": what}))
    usage("scenes")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| 40_cost | 41 | 0.9 | 2 threads of AMD EPYC |",
        "| 40_cost, shard 2-of-4 | 41 | 0.9 + 5.1 GPU | NVIDIA H100 |",
    ]


def test_the_readme_shows_the_stored_results():
    with_glance = runpy.run_path(str(ROOT / "workflow" / "keep.py"))["with_glance"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == with_glance(readme, ROOT / "results" / "scenes"), "run `make keep`"


def test_workflow_and_book_know_every_notebook():
    workflow = (ROOT / "workflow" / "Snakefile").read_text()
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    pages = {chapter["file"] for part in contents["parts"] for chapter in part["chapters"]}
    assert {page.removeprefix("notebooks/") for page in pages if page.startswith("notebooks/")} == {
        path.stem for path in NOTEBOOKS + RECORDED
    }
    assert not [path.stem for path in NOTEBOOKS if f'"{path.stem}"' not in workflow]
