"""Run the recorded pages again, those of `notebooks/recorded` and long ones, and keep what they make:

    python workflow/record.py                # all of them that are not up to date
    python workflow/record.py single_label   # these

A page that sums up others names their profiles in its metadata, under `profiles`: the workflow brings their
pages up to date first. What ran with the code and the profile that are there now is not run again, so what
was interrupted goes on with the next page. Pages on real data take a folder in DIFFFEAT_REFERENCE, and are
left out without it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parent))
import held
import keep
import made_by

from difffeat import pages, profiles
from difffeat.base.cells import cells
from difffeat.base.files import ROOT
from difffeat.base.format import duration


def main(names: list[str]) -> None:
    known = {path.stem: path for path in pages.recorded()}
    if unknown := set(names) - known.keys():
        sys.exit(f"no recorded page {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    planned = [path for name, path in known.items() if (not names or name in names) and due(path)]
    for path in planned:
        print(f"{path.stem}: profile {profile_of(path)}, {took(path)}", flush=True)
    for path in planned:
        run(path)
    print("All recorded pages are up to date." if not names else "Done.")


def profile_of(path: Path) -> str:
    """The profile that a recorded page runs with: its own default."""
    defaults, _ = cells(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
    return defaults["profile"]


def due(path: Path) -> bool:
    """Whether a page has to run: its data are there, and it did not with what is there now."""
    settings = profiles.load(profile_of(path))
    if "DIFFFEAT_REFERENCE" in json.dumps([settings.data, settings.models]) and not reference():
        print(f"{path.stem}: left out, DIFFFEAT_REFERENCE names no folder with its data")
        return False
    mark = marked(path)
    return not (mark.is_file() and mark.read_text() == digest(path))


def reference() -> str | None:
    """The folder of the real data."""
    return os.environ.get("DIFFFEAT_REFERENCE")


def marked(path: Path) -> Path:
    """Where it is written what a page ran with."""
    return ROOT / "build" / "notebooks" / profile_of(path) / f"{path.stem}.digest"


def digest(path: Path) -> str:
    """One hash of a page and those that it sums up, without their outputs, of the code behind them and of
    their profiles."""
    profile, run = profile_of(path), [path, *made_by.summed(path)]
    files = [file for one in made_by.told(path, profile) for file in one.files]
    return held.digest([*run, *made_by.behind(path, profile), *files], run=run)


def took(path: Path) -> str:
    """How long a page took when it was recorded."""
    stored = ROOT / "results" / profile_of(path) / f"{path.stem}.json"
    if not stored.is_file():
        return "never recorded"
    seconds = json.loads(stored.read_text(encoding="utf-8"))["run"]["seconds"]
    return f"took {duration(seconds)} the last time"


def run(path: Path) -> None:
    """Run a page, after those of the profiles that it sums up, and keep what they made."""
    started, profile = digest(path), profile_of(path)
    for summed in profiles.declared(path.stem).get("profiles", []):
        made = [f"build/results/{summed}/{page}.json" for page in profiles.load(summed).pages]
        command = ["snakemake", "--workflow-profile", "workflow/profiles/default", *made]
        subprocess.run(command, check=True, env=os.environ | {"DIFFFEAT_PROFILE": summed})
        keep.results(map(Path, made), summed)
    executed = marked(path).with_suffix(".ipynb")
    executed.parent.mkdir(parents=True, exist_ok=True)
    there = os.environ | {"DIFFFEAT_RESULTS": "build/results"}
    subprocess.run(["papermill", path, executed, "--kernel", "python3"], check=True, env=there)
    keep.outputs(executed, path)
    keep.results([ROOT / "build" / "results" / profile / f"{path.stem}.json"], profile)
    made_by.store(path, profile)
    marked(path).write_text(started)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1:])
