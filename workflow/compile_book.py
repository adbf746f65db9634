"""Compile the book: `python workflow/compile_book.py book build/notebooks/scenes build/results/scenes`.

Strict: a warning is an error. Needs no network. Everything is built anew, for an incremental build keeps
numbers that were glued from an older notebook. Pages that a profile does not run go in as they are stored,
those of `notebooks/recorded` always.
"""

import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import nbformat

from difffeat.base.run import machine
from difffeat.evidence import results
from difffeat.profiles import ROOT

STRICT = ["--warningiserror", "--nitpick", "--keep-going", "--all"]


def main(book, notebooks, results):
    """Fill `book/notebooks` and MathJax in and run jupyter-book; print complaints, return its exit status."""
    shutil.rmtree(book / "_build", ignore_errors=True)
    shutil.rmtree(book / "notebooks", ignore_errors=True)
    (book / "notebooks").mkdir()
    for notebook, measured in sources(notebooks, results):
        page = nbformat.read(notebook, 4)
        page.cells = [cell for cell in page.cells if not names_only_profile(cell)]
        title, _, text = page.cells[0].source.partition("\n")
        page.cells[0].source = f"{title}\n\n{provenance(measured)}\n{text}"
        nbformat.write(page, book / "notebooks" / notebook.name)
    # One file with all of TeX, drawn as SVG: other builds of MathJax load fonts or packages when needed.
    mathjax = next(path for path in files("sphinx-mathjax-offline") if path.name == "tex-svg-full.js")
    (book / "static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax.locate(), book / "static" / "mathjax")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", *STRICT, book]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = done.stdout.splitlines()
        print(*[line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-50:], sep="\n")
    return done.returncode


def sources(notebooks, results):
    """Yield (notebook, its results file) of every page: as it ran now, else as it is stored."""
    stored = {path.stem: path for path in (ROOT / "notebooks").rglob("*.ipynb")}
    ran = {path.stem: path for path in notebooks.glob("*.ipynb")}
    for name, notebook in sorted((stored | ran).items()):
        if name in ran and (results / f"{name}.json").is_file():
            yield notebook, results / f"{name}.json"
        else:
            yield notebook, next((ROOT / "results").glob(f"*/{name}.json"))


def names_only_profile(cell):
    """Whether a cell is papermill's and sets no parameter but the profile."""
    injected = "injected-parameters" in cell.metadata.get("tags", [])
    return injected and all(line.startswith(("#", "profile =")) for line in cell.source.splitlines() if line)


def provenance(path):
    """The line under a page's title: which profile, code, features and libraries its numbers came from."""
    page = results.read(path)
    versions = ", ".join(f"{name} {version}" for name, version in page.versions.items())
    parts = [f"profile {page.profile}", f"commit {page.commit[:10]}" if page.commit else "no commit"]
    parts += [f"features {', '.join(page.cache)}"] if page.cache else []
    return f'<p class="provenance">Measured with {" · ".join([*parts, versions, *took(page.run)])}</p>\n'


def took(run):
    """When, how long, how much memory and where; nothing for a page recorded before that was kept."""
    if run:
        on_gpu = f" ({run['gpu_peak_gb']:.1f} GB there)" if "gpu" in run else ""
        took = f"{run['date']}, {duration(run['seconds'])} and {run['peak_gb']:.1f} GB"
        yield f"{took} on {machine(run)}{on_gpu}"


def duration(seconds):
    """41 s, 3 min, 5.2 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
