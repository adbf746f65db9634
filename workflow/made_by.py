"""What makes the numbers of a recorded page, kept beside its results: a hash of code, the cards of weights.

A recorded page is not run by everybody who changes the code. So `results/recorded.json` says what it was made
by, the page says whether that code has changed since, and a test compares the weights.
"""

import json
import os
from pathlib import Path

import held
from imports import files_behind

from difffeat import profiles
from difffeat.backbones.shipped import SHIPPED, TO_TRAIN, weights_folder

STORED = Path("results", "recorded.json")
NUMBERS = ("data_prep/readers/", "difffeat/features/", "difffeat/backbones/", "difffeat/probing/")


def made_by(page: Path, profile: str) -> dict:
    """What makes a recorded page's numbers now.

    Parameters
    ----------
    page : path of the notebook
    profile : str, the one that it runs with

    Returns
    -------
    dict of "code", see `code`, and "weights", the card of each model by name
    """
    return {"code": code(page, profile), "weights": {name: card(name) for name in models(page, profile)}}


def code(page: Path, profile: str) -> str:
    """A hash of the modules behind a page that read data, extract features and probe them."""
    sources = behind(page, profile)
    return held.digest(file for file in sources if file.startswith(NUMBERS) and file.endswith(".py"))


def behind(page: Path, profile: str) -> list[str]:
    """Files of our packages behind a recorded page, sorted: what it imports, the pages that it sums up, and
    the readers of their data, which are imported by name."""
    named = [one.data["reader"] for one in told(page, profile) if "reader" in one.data]
    readers = [Path("data_prep", "readers", f"{name}.py") for name in named]
    sources = [os.path.relpath(page), *map(str, readers), *summed(page)]
    found = {file for source in sources for file in files_behind(source)} | set(map(str, readers))
    return sorted(found)


def told(page: Path, profile: str) -> list[profiles.Profile]:
    """The Profile that a recorded page runs with, and those that it sums up."""
    return [profiles.load(name) for name in (profile, *profiles.declared(page.stem).get("profiles", []))]


def summed(page: Path) -> list[str]:
    """Notebooks of the pages that a recorded page sums up."""
    named = profiles.declared(page.stem).get("profiles", [])
    return sorted({f"notebooks/{each}.ipynb" for name in named for each in profiles.load(name).pages})


def models(page: Path, profile: str) -> list[str]:
    """The models of this project that a recorded page, or a profile that it sums up, reads features of."""
    planned = [profiles.planned(one, page.stem) for one in told(page, profile)]
    found = {value for taken in planned for key, value in taken.items() if key.endswith("_backbone")}
    return sorted(found & {*SHIPPED, *TO_TRAIN})


def card(name: str) -> dict | None:
    """How a model was trained and what its weights hash to; None where they are not."""
    path = weights_folder(name) / "card.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def stored() -> dict:
    """{recorded page: what it was made by}."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}


def store(page: Path, profile: str) -> None:
    """Write down what a page that just ran was made by."""
    every = stored() | {page.stem: made_by(page, profile)}
    STORED.write_text(json.dumps(every, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def changed(page: Path, profile: str) -> bool:
    """Whether the code that makes a recorded page's numbers is another one than when it was recorded."""
    return stored()[page.stem]["code"] != code(page, profile)
