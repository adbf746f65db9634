"""The files that describe the project agree with each other."""

import ast
import graphlib
import importlib
import inspect
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
from data_prep import sets
from difffeat import pages, profiles
from difffeat.base import cells
from difffeat.profiles import ROOT

# A wing imports only from those before it. Beside them stand profiles and pages, of base alone; extractions
# and cost, what features a page makes and what they take; the study, which brings all of it together.
WINGS = ["base", "features", "backbones", "probing", "evidence", "show"]
BESIDE = {
    "profiles": {"base"},
    "pages": {"base", "profiles"},
    "extractions": {"base", "features", "profiles"},
    "cost": {"base", "features", "backbones", "extractions"},
    "study": {*WINGS[:-1], "profiles"},
}
PACKAGE = ROOT / "difffeat"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
DATA_PREP = sorted((ROOT / "data_prep").rglob("*.py"))
HINTED = sorted({*PACKAGE.rglob("*.py"), *DATA_PREP, *(ROOT / "workflow").glob("*.py")})

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


def imported(path):
    """Names of our modules and of what is in them that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("difffeat", "data_prep")}


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_data_flow_from_wing_to_wing(path):
    wing = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = BESIDE.get(wing) or {*WINGS[: WINGS.index(wing) + 1]}
    reached = {name.split(".")[1] for name in imported(path) if name.startswith("difffeat.")}
    assert reached - {"__version__"} <= allowed
    if wing != "study":
        assert not {name for name in imported(path) if name.startswith("data_prep")}


def test_no_module_imports_itself_through_others():
    names = {name_of(path): path for path in MODULES}
    graph = {
        name: {other for said in imported(path) for other in names if f"{said}.".startswith(f"{other}.")}
        for name, path in names.items()
    }
    assert all(graph[name] for name in ("difffeat.study", "difffeat.show.plots"))
    graphlib.TopologicalSorter(graph).prepare()  # raises where there is a circle


def test_every_module_is_in_its_wing_and_in_the_reference():
    assert {path.name for path in PACKAGE.iterdir() if any(path.rglob("*.py"))} == set(WINGS)
    assert {path.stem for path in PACKAGE.glob("[!_]*.py")} == set(BESIDE)
    said = " ".join((PACKAGE / "__init__.py").read_text().split())
    assert ", ".join(WINGS) in said
    reference = (ROOT / "book" / "api.md").read_text()
    shown = re.findall(r"^### `(difffeat[\w.]+)`", reference, re.MULTILINE)
    assert sorted(shown) == sorted(name_of(path) for path in MODULES if path.parent.name != "base")


def test_there_is_one_progress_bar():
    using = [name_of(path) for path in [*MODULES, *DATA_PREP] if "tqdm" in path.read_text()]
    assert using == ["difffeat.base.progress"]


def test_modules_are_small_and_functions_fit_a_screen():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in [*MODULES, *DATA_PREP]}
    assert not {name: lines for name, lines in lengths.items() if lines > 350}
    functions = sorted(
        statements(node)
        for path in [*MODULES, *DATA_PREP]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    )
    assert functions[len(functions) // 2] <= 8 and functions[int(0.9 * len(functions))] <= 30


def statements(function):
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return 1 + (body[-1].end_lineno - body[0].lineno + 1 if body else 0)


@pytest.mark.parametrize("path", HINTED, ids=name_of)
def test_public_functions_say_the_types_of_what_they_take_and_give(path):
    said = hints(ast.parse(path.read_text()))
    assert not [f"{function}: {name}" for function, name, hint in said if hint is None]


def hints(node):
    """Yield (function, argument or "return", its type) of all that is public in a module or class."""
    for inner in node.body:
        if re.match(r"_(?!_)", getattr(inner, "name", "")):
            continue
        if isinstance(inner, ast.ClassDef):
            yield from hints(inner)
        elif isinstance(inner, ast.FunctionDef):
            takes, marks = inner.args, map(ast.unparse, inner.decorator_list)
            bound = isinstance(node, ast.ClassDef) and "staticmethod" not in marks  # has self or cls
            placed = [*takes.posonlyargs, *takes.args][bound:]
            for taken in [*placed, *takes.kwonlyargs, *filter(None, (takes.vararg, takes.kwarg))]:
                yield inner.name, taken.arg, taken.annotation
            yield inner.name, "return", inner.returns


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
    assert not tagged[0].startswith(cells.INJECTED + "\n"), "this line is papermill's"
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(tagged[0]).body}
    assert path in RECORDED or values["profile"] == "scenes"
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert f'study.open(vars(), "{path.stem}")' in code
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_reads_data_says_what_it_needs_of_them(path):
    notebook = nbformat.read(path, 4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    needs = notebook.metadata.get("difffeat", {}).get("needs", [])
    assert set(needs) <= set(profiles.NEEDS)
    reads = re.search(r"\bpage\.(data|original|splits|told|images|texts)\b", code)
    assert bool(needs) == bool(reads), "its metadata: difffeat, needs"


@pytest.mark.parametrize("path", NOTEBOOKS + RECORDED, ids=lambda path: path.stem)
def test_a_notebook_is_cells_that_a_screen_holds_and_no_functions(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert all(len(cell.source.splitlines()) <= 60 for cell in cells)
    for cell in cells:
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {ast.FunctionDef, ast.ClassDef}


@pytest.mark.parametrize("name", sorted(set(profiles.known()) - {"coco-lists"}))
def test_a_profile_gives_every_page_that_it_runs_what_it_takes(name):
    """As the workflow checks it before any job: names, types, and what pages need of the data."""
    profile, names = profiles.load(name), [path.stem for path in NOTEBOOKS]
    ran = pages.runs(profile, names, data_prep.gives(profile.data))
    assert set(ran) == set(profile.pages or names)
    for page in ran:
        assert profiles.planned(profile, page)["profile"] == "scenes", "the default, whatever the profile"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_profile_of_a_recorded_page_gives_it_what_it_takes(path):
    defaults, _ = cells.cells(
        [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    )
    assert profiles.planned(profiles.load(defaults["profile"]), path.stem)


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


@pytest.mark.parametrize("name", sets.known())
def test_readers_have_one_interface(name):
    """`sources` and `gives` take all settings of `read`, whose docstring says what each is."""
    reader = importlib.import_module(f"data_prep.readers.{name}")
    settings = list(inspect.signature(reader.read).parameters)
    assert settings[0] == "folder" and all(setting in reader.read.__doc__ for setting in settings)
    for function in (reader.sources, reader.gives):
        takes = inspect.signature(function).parameters
        open_to_all = any(taken.kind is taken.VAR_KEYWORD for taken in takes.values())
        assert open_to_all or set(settings) <= {"folder", *takes}


@pytest.mark.parametrize("name", sorted(set(profiles.known()) - {"coco-lists"}))
def test_a_profile_gives_its_reader_only_settings_that_it_takes(name, tmp_path):
    data = profiles.load(name).data
    absent = {key: tmp_path / "nothing" if key == "folder" else value for key, value in data.items()}
    if data["reader"] != "scenes":  # which draws what is not there
        with pytest.raises(FileNotFoundError, match="nothing"):
            data_prep.splits(absent)


def test_code_is_folded_and_parameters_are_not():
    folded = runpy.run_path(str(ROOT / "workflow" / "compile_book.py"))["folded"]
    for path in NOTEBOOKS:
        for cell in [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]:
            given = {*cell.metadata.get("tags", [])}
            assert ("hide-input" in folded(cell).metadata["tags"]) == ("parameters" not in given), path.stem
    text = nbformat.v4.new_markdown_cell("words")
    assert "tags" not in folded(text).metadata


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
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    chapters = {chapter["file"] for part in contents["parts"] for chapter in part["chapters"]}
    assert {page.removeprefix("notebooks/") for page in chapters if page.startswith("notebooks/")} == {
        path.stem for path in NOTEBOOKS + RECORDED
    }
    assert list(pages.after()) == [path.stem for path in NOTEBOOKS]
