"""Parameters of a notebook: what papermill injected, else what the profile sets, else the notebook's default.

A profile is a file `notebooks/profiles/<name>.yaml`, or any other `.yaml` by its path, with these keys, all
optional (the environment variable DIFFFEAT_PROFILE may hold such a path: then the name alone finds it, and no
page needs to say where it lies):

- `extends`: the name of a profile that it starts from; its own keys are merged into those of that one, except
  for `data`, which replaces them,
- `parameters`: values that replace defaults; each notebook takes those it declares, and one that no notebook
  declares is an error,
- `notebooks`: for a notebook by name, values for it alone; it must declare them,
- `data`: where the data are and how to read them (the settings of `data_prep.splits`),
- `models`: for a backbone by name, how it is loaded (what `backbones.load` takes),
- `shards`: how many jobs of the workflow share one extraction,
- `pages`: the notebooks that the workflow runs; unless it says which, all whose needs the data meet.

In `data` and `models`, `$NAME` stands for an environment variable.

A notebook declares its parameters in the cell tagged `parameters`, as literals, `profile` among them.
Papermill adds a cell of its own below it and lets any name pass; `parameters` below refuses one that the
notebook does not declare. What it needs of the data stands in its metadata, under `difffeat`:

- `needs`: words out of `NEEDS`; a parameter `metric` of "top-1" or "top-5" adds "one class" by itself,
- `after`: the notebooks whose data, features or results it takes; ["all"] is all others,
- `samples`: for a part, the least number of its samples, or the parameter that holds it; a parameter
  `samples` counts by itself,
- `extracts`: the features that it extracts beyond those that pages before it leave: see `extractions`.
"""

import difflib
import json
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import yaml

from difffeat.base.cells import cells, checked
from difffeat.base.files import ROOT, cache_root

FOLDER = ROOT / "notebooks" / "profiles"
PARTS = ("train", "val", "test")  # in the order of a parameter `samples`
# What a notebook may need of the data; readers in `data_prep` say which of it they give.
NEEDS = ("images", "captions", "one class", "kinds", "scenes", "masks", "keypoints")


@dataclass(frozen=True)
class Profile:
    """One profile, with what it extends; `files` are those that it was read from."""

    name: str
    files: tuple = ()
    parameters: dict = field(default_factory=dict)
    notebooks: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    models: dict = field(default_factory=dict)
    shards: int = 1
    pages: list | None = None


class Data(dict):
    """Data settings that know what the page that reads them needs; `data_prep.splits` holds the data to it.

    Attributes
    ----------
    page : str, the notebook's name
    needs : tuple of str, out of `NEEDS`
    sizes : dict of part to the least number of its samples
    """

    def __init__(self, settings: Mapping, page: str, needs: Iterable[str], sizes: Mapping[str, int]) -> None:
        super().__init__(settings)
        self.page, self.needs, self.sizes = page, needs, sizes


class Parameters(SimpleNamespace):
    """Every parameter of a notebook as an attribute, and beside them the following.

    Attributes
    ----------
    profile : str, the profile's name, also where it was given by its path
    notebook : str, the notebook's name without `.ipynb`
    parameters : dict, the parameters alone, by name
    data : Data, the profile's data settings, and what the notebook needs of them
    models : dict of backbone to how the profile loads it, empty for those it does not speak of
    root : Path, the project
    cache : Path, `cache/<profile>`; the environment variable DIFFFEAT_CACHE replaces `cache`
    dataset : str, the data setting `dataset`, else the reader, with the `kind` of one that has several: the
        paper's numbers go by it
    results : Path, `results/<profile>`; the environment variable DIFFFEAT_RESULTS replaces `results`
    """


def known() -> list[str]:
    """Names of the profiles there are, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: Path | str) -> Profile:
    """Read a profile.

    Parameters
    ----------
    name : str, of a profile in `notebooks/profiles`, or a path that ends in `.yaml`

    Returns
    -------
    Profile

    Raises
    ------
    ValueError
        If there is no such profile (the message names those there are), its name cannot name a folder of
        results, it has a key that means nothing, or it extends itself.
    """
    files, settings = [], {}
    while name is not None:
        path = _file(str(name))
        if not path.is_file():
            raise ValueError(
                f"unknown profile {str(name)!r}: there are {', '.join(known())} (files in {FOLDER}), or give "
                f"the path of a .yaml file"
            )
        if _name(path) in known() and path.resolve() != (FOLDER / path.name).resolve():
            raise ValueError(f"{path} would write where the profile {_name(path)} does: give it another name")
        if path in files:
            raise ValueError(f"{path.name} extends itself, through {' and '.join(p.name for p in files)}")
        files.append(path)
        own = _read(path)
        name = own.pop("extends", None)
        settings = _merged(own, settings) | {"data": settings.get("data") or own.get("data") or {}}
    return Profile(_name(files[0]), tuple(files), **settings)


def _file(name):
    """The path of a profile's file, from its name or from that path."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    elsewhere = Path(os.environ.get("DIFFFEAT_PROFILE", ""))
    if f"{name}.yaml" == elsewhere.name and not path.is_file():
        path = elsewhere
    if _name(path) in ("", ".", "..") or not _name(path).isprintable() or set(_name(path)) & set("{}"):
        raise ValueError(
            f"profile {name!r}: its name, that of its file without .yaml, also names folders of results: it "
            f"may have any printable characters but {{ and }}, and be neither empty nor . nor .."
        )
    return path


def _name(path):
    return path.name.removesuffix(".yaml")


def _read(path):
    """The content of a profile, with its keys checked."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    known_keys = [
        "extends",
        *(field.name for field in fields(Profile) if field.name not in ("name", "files")),
    ]
    unknown = sorted(settings.keys() - set(known_keys))
    if unknown:
        raise ValueError(f"{path.name}: unknown keys {unknown}: a profile has {', '.join(known_keys)}")
    return {key: value for key, value in settings.items() if value is not None}


def _merged(base, own):
    """Two mappings as one, the mappings inside them as well; elsewhere the value of `own` counts."""
    both = {
        key: _merged(base[key], own[key])
        for key in base.keys() & own.keys()
        if isinstance(base[key], dict) and isinstance(own[key], dict)
    }
    return base | own | both


def parameters(namespace: Mapping, notebook: str) -> Parameters:
    """Parameters of the running notebook: injected by papermill, else set by the profile, else the default.

    Called right after the parameters cell, as `p = profiles.parameters(vars(), "20_probe_image_grid")`.
    What ran before is read from IPython's `In`; nbval keeps no history, so the stored notebook comes first.

    Parameters
    ----------
    namespace : dict, the notebook's `vars()`
    notebook : str, the notebook's name without `.ipynb`

    Returns
    -------
    Parameters

    Raises
    ------
    ValueError
        If a name was injected that the notebook does not declare (the message names those it takes), if a
        value is of another type than the default, if there is no such profile, or if that sets what no
        notebook takes.
    """
    defaults, injected = cells([*_stored(notebook), *namespace.get("In", ())])
    unknown = sorted(injected - defaults.keys())
    if unknown:
        raise ValueError(f"{notebook} does not take {', '.join(unknown)}; it takes {', '.join(defaults)}")

    if not isinstance(namespace["profile"], str):  # papermill reads -p profile 1 as a number
        raise ValueError(f"profile = {namespace['profile']!r}: expected text, as by papermill -r profile")
    profile = load(namespace["profile"])
    given = {name: namespace[name] for name in injected}
    values = {name: namespace[name] for name in defaults} | _set_by(profile, notebook, defaults) | given
    values = {name: checked(name, value, defaults[name]) for name, value in values.items()}
    values["profile"] = profile.name  # its path is this machine's, and nothing that a page should record
    given_as = profile.name if profile.name in known() else str(profile.files[0])
    data = Data(expanded(profile.data, given_as), notebook, *needed(notebook, values))
    reader = data.get("reader") or profile.name
    kind = [data["kind"]] if data.get("kind", reader) != reader else []
    return Parameters(
        **values,
        notebook=notebook,
        parameters=values,
        data=data,
        dataset=data.get("dataset") or "-".join([reader, *kind]),
        models=defaultdict(dict, expanded(profile.models, given_as)),
        root=ROOT,
        cache=cache_root() / profile.name,
        results=ROOT / os.environ.get("DIFFFEAT_RESULTS", "results") / profile.name,
    )


def planned(profile: Profile, notebook: str) -> dict:
    """The parameters that a notebook would have under a Profile, without running anything.

    Raises
    ------
    ValueError
        As `parameters` does.
    """
    defaults, _ = cells(_stored(notebook))
    return defaults | _set_by(profile, notebook, defaults)


def needed(notebook: str, taken: Mapping) -> tuple[tuple[str, ...], dict[str, int]]:
    """(what a notebook needs of the data, {part: least number of samples}) with these parameters."""
    said = declared(notebook)
    needs = list(said.get("needs", ()))
    if strange := sorted(set(needs) - set(NEEDS)):
        raise ValueError(f"{notebook} declares needs {strange}; there are {', '.join(NEEDS)}")
    if str(taken.get("metric", "")).startswith("top-"):
        needs.append("one class")
    sizes = dict(zip(PARTS, taken.get("samples", ()), strict=False))
    for part, least in said.get("samples", {}).items():
        sizes[part] = max(sizes.get(part, 0), taken.get(least, least))
    return tuple(needs), sizes


def _set_by(profile, notebook, defaults):
    """What the profile sets of a notebook's parameters, each of the type that the notebook declares."""
    _refuse_unknown(profile, notebook, defaults)
    settings = profile.parameters | profile.notebooks.get(notebook, {})
    found = {}
    for name in settings.keys() & defaults.keys():
        try:
            found[name] = checked(name, settings[name], defaults[name])
        except ValueError as error:
            raise ValueError(f"{profile.name}.yaml, for {notebook}: {error}") from error
    return found


def _refuse_unknown(profile, notebook, defaults):
    """Refuse names that nothing takes: of parameters, of notebooks, of parameters of one notebook."""
    taken = {page: cells(_stored(page))[0] for page in notebooks()} | {notebook: defaults}
    where, every = f"{profile.name}.yaml", set().union(*taken.values())
    if unknown := sorted(profile.parameters.keys() - every):
        raise ValueError(f"{where}: no page takes {_suggested(unknown, every)}")
    if unknown := sorted(profile.notebooks.keys() - taken.keys()):
        raise ValueError(f"{where}: there is no page {_suggested(unknown, taken)}")
    own = profile.notebooks.get(notebook, {})
    if unknown := sorted(own.keys() - defaults.keys()):
        raise ValueError(
            f"{where}: {notebook} does not take {', '.join(unknown)}; it takes {', '.join(defaults)}"
        )


def _suggested(unknown, known):
    """Unknown names, what may have been meant by them, and the names that there are."""
    near = [f"{name} (did you mean {' or '.join(_near(name, known))}?)" for name in unknown]
    return f"{', '.join(near)}; there are {', '.join(sorted(known))}".replace(" (did you mean ?)", "")


def _near(name, known):
    return difflib.get_close_matches(name, known, n=2)


def expanded(settings: object, profile: str) -> object:
    """Settings of a profile with environment variables in their text replaced.

    Raises
    ------
    ValueError
        If a variable is not set; the message names it and the way out.
    """
    if isinstance(settings, dict):
        return {key: expanded(value, profile) for key, value in settings.items()}
    if not isinstance(settings, str):
        return settings
    lacking = [name for name in re.findall(r"\$\{?(\w+)", settings) if name not in os.environ]
    if lacking:
        raise ValueError(
            f"profile {profile} needs the environment variable {lacking[0]} for {settings!r}: "
            f"set it, as in `make book PROFILE={shlex.quote(profile)} {lacking[0]}=...`"
        )
    return os.path.expandvars(settings)


def notebooks() -> list[str]:
    """Names of our notebooks that have a parameters cell."""
    paths = [path for path in FOLDER.parent.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    return [name for name in sorted(path.stem for path in paths) if _stored(name)]


def declared(notebook: str) -> dict:
    """What a notebook of ours says of itself in its metadata, under `difffeat`."""
    return _content(notebook).get("metadata", {}).get("difffeat", {})


def _stored(notebook):
    """Source of the parameters cell of a notebook of ours, in a list; empty for any other."""
    cells = _content(notebook).get("cells", ())
    return ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]


def _content(notebook):
    """A notebook of ours as it is stored; an empty one for any other name."""
    path = next(iter(sorted(FOLDER.parent.rglob(f"{notebook}.ipynb"))), None)
    return _read_notebook(path, path.stat().st_mtime_ns) if path else {}


@cache
def _read_notebook(path, _changed):
    """The content of a notebook, without the outputs, read once for as long as it does not change."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell.pop("outputs", None)
    return content
