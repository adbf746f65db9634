"""Compile the book: `python workflow/compile_book.py book build/notebooks/scenes build/results/scenes`.

Strict: a warning is an error. Needs no network. Everything is built anew, for an incremental build keeps
numbers that were glued from an older notebook, and the book that stands stays until the new one is whole.
Pages that a profile does not run go in as they are stored, those of `notebooks/recorded` always.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html import escape
from importlib.metadata import files
from pathlib import Path

import nbformat
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).parent))
import made_by

from difffeat.base.format import duration
from difffeat.base.run import machine
from difffeat.evidence import results
from difffeat.profiles import ROOT

STRICT = ["--warningiserror", "--nitpick", "--keep-going", "--all"]


def main(book: Path, notebooks: Path, results: Path) -> int:
    """Fill `book/notebooks` and MathJax in and run jupyter-book; print complaints, return its exit status."""
    new = book / "_build" / "new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(book / "notebooks", ignore_errors=True)
    (book / "notebooks").mkdir()
    for notebook, measured in sources(notebooks, results):
        page = nbformat.read(notebook, 4)
        page.cells = [folded(cell) for cell in page.cells if not names_only_profile(cell)]
        title, _, text = page.cells[0].source.partition("\n")
        page.cells[0].source = f"{title}\n\n{provenance(measured)}{stale(notebook)}\n{text}"
        nbformat.write(page, book / "notebooks" / notebook.name)
    # One file with all of TeX, drawn as SVG: other builds of MathJax load fonts or packages when needed.
    mathjax = next(path for path in files("sphinx-mathjax-offline") if path.name == "tex-svg-full.js")
    (book / "static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax.locate(), book / "static" / "mathjax")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", *STRICT, "--path-output", new, book]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = done.stdout.splitlines()
        print(*[line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-50:], sep="\n")
    else:
        put(new / "_build" / "html", book / "_build" / "html")
    shutil.rmtree(new, ignore_errors=True)  # what failed, or the book before
    return done.returncode


def put(new: Path, place: Path) -> None:
    """Let a folder stand in another's place. Where the system can exchange names, a kill leaves one of them
    there, whole; elsewhere it takes two renames, and a kill right between them leaves neither."""
    place.mkdir(exist_ok=True)
    exchange = getattr(ctypes.CDLL(None), "renameat2", lambda *_: -1)  # Linux
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if exchange(here, os.fsencode(new), here, os.fsencode(place), swap):
        place.rename(new.with_name("old"))
        new.rename(place)


def sources(notebooks: Path, results: Path) -> Iterator[tuple[Path, Path]]:
    """Yield (notebook, its results file) of every page: as it ran now, else as it is stored."""
    stored = {path.stem: path for path in (ROOT / "notebooks").rglob("*.ipynb")}
    ran = {path.stem: path for path in notebooks.glob("*.ipynb")}
    for name, notebook in sorted((stored | ran).items()):
        if name in ran and (results / f"{name}.json").is_file():
            yield notebook, results / f"{name}.json"
        else:
            yield notebook, next((ROOT / "results").glob(f"*/{name}.json"))


def folded(cell: NotebookNode) -> NotebookNode:
    """The cell; its code behind a click where it shows nothing, sets up a page or records."""
    tags = cell.metadata.get("tags", [])
    if cell.cell_type != "code" or {"parameters", "injected-parameters"} & {*tags}:
        return cell
    if not cell.outputs or re.search(r"^(from|import) |\.record\(", cell.source, re.MULTILINE):
        cell.metadata["tags"] = [*tags, "hide-input"]
    return cell


def names_only_profile(cell: NotebookNode) -> bool:
    """Whether a cell is papermill's and sets no parameter but the profile."""
    injected = "injected-parameters" in cell.metadata.get("tags", [])
    return injected and all(line.startswith(("#", "profile =")) for line in cell.source.splitlines() if line)


def provenance(path: Path | str) -> str:
    """The line under a page's title: which profile, code, features and libraries its numbers came from."""
    page = results.read(path)
    versions = ", ".join(f"{name} {version}" for name, version in page.versions.items())
    parts = [f"profile {page.profile}", f"commit {page.commit[:10]}" if page.commit else "no commit"]
    parts += [f"features {', '.join(page.cache)}"] if page.cache else []
    measured = escape(" · ".join([*parts, versions, *took(page.run)]))
    return f'<p class="provenance">Measured with {measured}</p>\n'


def stale(notebook: Path) -> str:
    """What is said of a page recorded from real data by other code than today's; nothing of any other."""
    recorded = notebook.stem in made_by.stored() and notebook.parent.name == "recorded"
    if not (recorded and made_by.changed(notebook)):
        return ""
    told = "The code that makes these numbers has changed since; <code>make record</code> measures them anew."
    return f'<p class="provenance">{told}</p>\n'


def took(run: Mapping) -> Iterator[str]:
    """When, how long, how much memory and where; nothing for a page recorded before that was kept."""
    if run:
        on_gpu = f" ({run['gpu_peak_gb']:.1f} GB there)" if "gpu" in run else ""
        took = f"{run['date']}, {duration(run['seconds'])} and {run['peak_gb']:.1f} GB"
        yield f"{took} on {machine(run)}{on_gpu}"


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
