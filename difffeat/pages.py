"""The pages there are: which runs after which, and which run under a profile."""

import json
from collections.abc import Sequence, Set
from pathlib import Path

from difffeat import profiles
from difffeat.base.files import ROOT
from difffeat.profiles import declared, needed, notebooks, planned

FOLDER = profiles.FOLDER.parent


def after() -> dict[str, list]:
    """{page: the pages that it runs after} of all pages that a workflow runs, as their metadata says.

    Raises
    ------
    ValueError
        If one runs after a page that there is not.
    """
    pages = [name for name in notebooks() if (FOLDER / f"{name}.ipynb").is_file()]
    found = {}
    for page in pages:
        named = declared(page).get("after", [])
        found[page] = [other for other in pages if other != page] if named == ["all"] else list(named)
        if strange := sorted(set(found[page]) - set(pages)):
            raise ValueError(f"{page} runs after {', '.join(strange)}; there are {', '.join(pages)}")
    return found


def runs(profile: profiles.Profile, pages: Sequence[str], gives: Set[str]) -> list[str]:
    """The pages that a workflow runs under a Profile, after a check of all that can be known beforehand.

    Parameters
    ----------
    profile : Profile
    pages : sequence of str, the notebooks there are
    gives : set of str, what the data give: see `data_prep.gives`

    Returns
    -------
    list of str
        Those that the profile names, or where it names none all that need no more than the data give.

    Raises
    ------
    ValueError
        If the profile sets a parameter that no notebook takes or that is of another type in one of the pages,
        names a page that there is not, or one that needs what the data do not give; the message says which.
    """
    if unknown := sorted(set(profile.pages or ()) - set(pages)):
        raise ValueError(
            f"{profile.name}.yaml: there is no page {', '.join(unknown)}; there are {', '.join(pages)}"
        )
    chosen = list(pages if profile.pages is None else profile.pages)
    needs = {page: needed(page, planned(profile, page))[0] for page in chosen}
    short = {page: [need for need in needs[page] if need not in gives] for page in chosen}
    refused = [f"{page} needs {' and '.join(lacks)}" for page, lacks in short.items() if lacks]
    if refused and profile.pages is not None:
        raise ValueError(
            f"{profile.name}.yaml names pages that its data cannot serve: {'; '.join(refused)}. Reader "
            f"{profile.data.get('reader')!r} gives {', '.join(sorted(gives))}; leave these pages out"
        )
    return [page for page in chosen if not short[page]]


def recorded() -> list[Path]:
    """Notebooks that `make record` runs and that keep their outputs: all of `notebooks/recorded`, which no
    workflow runs, and those that say so in their metadata, for they take long."""
    long = [path for path in FOLDER.glob("*.ipynb") if declared(path.stem).get("recorded")]
    return sorted([*long, *(FOLDER / "recorded").glob("*.ipynb")], key=lambda path: path.stem)


def as_recorded(page: str, profile: profiles.Profile) -> Path | None:
    """The results that stand for a run of a page under a Profile: it is recorded, under this profile of the
    project and with the parameters that it would have now. None where it has to run."""
    stored = ROOT / "results" / profile.name / f"{page}.json"
    own = all(Path(file).parent == profiles.FOLDER for file in profile.files)
    if not (declared(page).get("recorded") and own and stored.is_file()):
        return None
    measured = json.loads(stored.read_text(encoding="utf-8"))["parameters"]
    return stored if measured == json.loads(json.dumps(planned(profile, page))) else None
