"""Parameters of a notebook: what papermill injected, else what the profile sets, else the notebook's default.

A profile is a file `notebooks/profiles/<name>.yaml`, or any other `.yaml` by its path, with these keys, all
optional:

- `extends`: the name of a profile that it starts from; its own keys are merged into those of that one, except
  for `data`, which replaces them,
- `parameters`: values that replace defaults; each notebook takes those it declares,
- `notebooks`: for a notebook by name, values for it alone; it must declare them,
- `data`: where the data are and how to read them (the settings of `data_prep.splits`),
- `models`: for a backbone by name, how it is loaded (what `backbones.load` takes),
- `shards`: how many jobs of the workflow share one extraction,
- `pages`: the notebooks that the workflow runs, all unless it says which.

In `data` and `models`, `$NAME` stands for an environment variable.

A notebook declares its parameters in the cell tagged `parameters`, as literals, `profile` among them.
Papermill adds a cell of its own below it and lets any name pass; `parameters` below refuses one that the
notebook does not declare.
"""

import ast
import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace

import yaml

from difffeat._files import ROOT, cache_root

FOLDER = ROOT / "notebooks" / "profiles"
INJECTED = "# Parameters"  # first line of the cell that papermill adds


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


class Parameters(SimpleNamespace):
    """Every parameter of a notebook as an attribute, and beside them the following.

    Attributes
    ----------
    notebook : str, the notebook's name without `.ipynb`
    parameters : dict, the parameters alone, by name
    data : dict, the profile's data settings
    models : dict of backbone to how the profile loads it, empty for those it does not speak of
    root : Path, the project
    cache : Path, `cache/<profile>`; the environment variable DIFFFEAT_CACHE replaces `cache`
    dataset : str, the data setting `dataset`, else the reader: the paper's numbers go by it
    results : Path, `results/<profile>`; the environment variable DIFFFEAT_RESULTS replaces `results`
    """


def known():
    """Names of the profiles there are, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name):
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
        If there is no such profile (the message names those there are), it has a key that means nothing, or
        it extends itself.
    """
    files, settings = [], {}
    while name is not None:
        path = Path(name) if str(name).endswith(".yaml") else FOLDER / f"{name}.yaml"
        if not path.is_file():
            raise ValueError(
                f"unknown profile {str(name)!r}: there are {', '.join(known())} (files in {FOLDER}), or give "
                f"the path of a .yaml file"
            )
        if path.stem in known() and path.resolve() != (FOLDER / path.name).resolve():
            raise ValueError(f"{path} would write where the profile {path.stem} does: give it another name")
        if path in files:
            raise ValueError(f"{path.name} extends itself, through {' and '.join(p.name for p in files)}")
        files.append(path)
        own = _read(path)
        name = own.pop("extends", None)
        settings = _merged(own, settings) | {"data": settings.get("data") or own.get("data") or {}}
    return Profile(files[0].stem, tuple(files), **settings)


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


def parameters(namespace, notebook):
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
        value is of another type than the default, or if there is no such profile.
    """
    defaults, injected = _cells([*_stored(notebook), *namespace.get("In", ())])
    unknown = sorted(injected - defaults.keys())
    if unknown:
        raise ValueError(f"{notebook} does not take {', '.join(unknown)}; it takes {', '.join(defaults)}")

    profile = load(namespace["profile"])
    given = {name: namespace[name] for name in injected}
    values = {name: namespace[name] for name in defaults} | _set_by(profile, notebook, defaults) | given
    values = {name: _checked(name, value, defaults[name]) for name, value in values.items()}
    given_name = str(namespace["profile"])
    data = _expanded(profile.data, given_name)
    return Parameters(
        **values,
        notebook=notebook,
        parameters=values,
        data=data,
        dataset=data.get("dataset") or data.get("reader") or profile.name,
        models=defaultdict(dict, _expanded(profile.models, given_name)),
        root=ROOT,
        cache=cache_root() / profile.name,
        results=ROOT / os.environ.get("DIFFFEAT_RESULTS", "results") / profile.name,
    )


def planned(profile, notebook) -> dict:
    """The parameters that a notebook would have under a Profile, without running anything."""
    defaults, _ = _cells(_stored(notebook))
    return defaults | _set_by(profile, notebook, defaults)


def _set_by(profile, notebook, defaults):
    """What the profile sets of a notebook's parameters."""
    own = profile.notebooks.get(notebook, {})
    if unknown := sorted(own.keys() - defaults.keys()):
        raise ValueError(
            f"{profile.name}.yaml: {notebook} does not take {', '.join(unknown)}; "
            f"it takes {', '.join(defaults)}"
        )
    settings = profile.parameters | own
    return {name: settings[name] for name in settings.keys() & defaults.keys()}


def _expanded(settings, profile):
    """Settings with environment variables in their text replaced; one that is not set is an error."""
    if isinstance(settings, dict):
        return {key: _expanded(value, profile) for key, value in settings.items()}
    if not isinstance(settings, str):
        return settings
    lacking = [name for name in re.findall(r"\$\{?(\w+)", settings) if name not in os.environ]
    if lacking:
        raise ValueError(
            f"profile {profile} needs the environment variable {lacking[0]} for {settings!r}: "
            f"set it, as in `make book PROFILE={profile} {lacking[0]}=...`"
        )
    return os.path.expandvars(settings)


def _stored(notebook):
    """Source of the parameters cell of a notebook of ours, in a list; empty for any other."""
    paths = sorted(FOLDER.parent.rglob(f"{notebook}.ipynb"))
    cells = [cell for path in paths for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    return ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]


def _cells(history):
    """({parameter: default}, {names injected}) from the sources of the cells that ran."""
    defaults, injected = {}, set()
    for source in history:
        assigned = _assigned(source)
        if defaults and source.partition("\n")[0].strip() == INJECTED:
            injected = assigned.keys()
        elif "profile" in assigned:  # in Jupyter the cell may be edited and run again: the last one counts
            defaults = {name: ast.literal_eval(value) for name, value in assigned.items()}
    if not defaults:
        raise ValueError("no parameters cell has run: it holds only `name = literal`, `profile` among them")
    return defaults, injected


def _assigned(source):
    """{name: expression} of a cell that holds nothing but `name = expression`; empty for any other cell."""
    try:
        return {statement.targets[0].id: statement.value for statement in ast.parse(source).body}
    except (SyntaxError, AttributeError):
        return {}


def _checked(name, value, default):
    """The value, of the default's type; text from the command line is read as that type first."""
    if isinstance(value, str) and not isinstance(default, str | None):
        try:
            value = yaml.safe_load(value)  # `-p blocks '[8, 12]'` arrives as text
        except yaml.YAMLError:
            pass  # stays text, which the next line refuses
    if default is None or _alike(value, default):
        return value
    raise ValueError(f"{name} = {value!r}: expected {type(default).__name__}, as in {name} = {default!r}")


def _alike(value, default):
    """Same type; an int serves for a float; a list holds what the default's list holds."""
    if isinstance(value, list) and isinstance(default, list):
        return not default or all(_alike(item, default[0]) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
