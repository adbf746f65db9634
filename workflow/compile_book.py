"""Compile the book: `python workflow/compile_book.py book build/notebooks/scenes build/results/scenes`.

Strict: a warning is an error. Needs no network. Everything is built anew, for an incremental build keeps
numbers that were glued from an older notebook, and the book that stands stays until the new one is whole.
Pages that a profile does not run go in as they are stored, those of `notebooks/recorded` always. What is made
from results alone, the picture of the first page, the cards of claims and the paper in its own order, goes to
`book/made`, which pages of prose include.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html import escape
from importlib.metadata import files
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).parent))
import made_by

from difffeat.base.format import duration
from difffeat.base.run import machine
from difffeat.evidence import results
from difffeat.profiles import ROOT
from difffeat.show import mended
from difffeat.show.cards import cards, command
from difffeat.show.paper_order import paper_order
from difffeat.show.verdict import verdict

STRICT = ["--warningiserror", "--nitpick", "--keep-going", "--all"]
LAUNCH = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
SHOWN = {"parameters", "injected-parameters"}  # tags of cells whose code is not folded


def main(book: Path, notebooks: Path, results: Path) -> int:
    """Fill `book/notebooks`, `book/made` and MathJax in, run jupyter-book and mend its pages;
    print complaints, return its exit status."""
    new = book / "_build" / "new"
    shutil.rmtree(new, ignore_errors=True)
    for filled in (book / "notebooks", book / "made"):
        shutil.rmtree(filled, ignore_errors=True)
        filled.mkdir()
    titles = {}
    for notebook, measured in sources(notebooks, results):
        page = nbformat.read(notebook, 4)
        titles[notebook.stem] = page.cells[0].source.partition("\n")[0].removeprefix("# ")
        place = book / "notebooks" / notebook.name
        nbformat.write(prepared(page, notebook, measured, book), place)
    made(book / "made", results, titles)
    # One file with all of TeX, drawn as SVG: other builds of MathJax load fonts or packages when needed.
    mathjax = next(path for path in files("sphinx-mathjax-offline") if path.name == "tex-svg-full.js")
    (book / "static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax.locate(), book / "static" / "mathjax")
    jupyter_book = [Path(sys.executable).with_name("jupyter-book"), "build", *STRICT, *configured(book)]
    jupyter_book += ["--path-output", new, book]
    done = subprocess.run(
        jupyter_book, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        lines = done.stdout.splitlines()
        print(*[line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-50:], sep="\n")
    else:
        for page in (new / "_build" / "html").rglob("*.html"):
            page.write_text(mended.page(page.read_text(encoding="utf-8")), encoding="utf-8")
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
            continue
        measured = next((ROOT / "results").glob(f"*/{name}.json"), None)
        if measured is None:
            sys.exit(f"{notebook} has not run, and no results of it are stored: run it, or `make record`")
        yield notebook, measured


def prepared(page: NotebookNode, notebook: Path, measured: Path, book: Path) -> NotebookNode:
    """A notebook as the book shows it: code folded, figures numbered, under its title where its numbers come
    from and how to run it, and at its end an exercise where there is one in `book/exercises`."""
    page.cells = [folded(cell) for cell in page.cells if not names_only_profile(cell)]
    number = mended.Numbered(notebook.stem)
    for output in [output for cell in page.cells for output in cell.get("outputs", [])]:
        if "text/html" in output.get("data", {}):
            output.data["text/html"] = number("".join(output.data["text/html"]))
    title, _, text = page.cells[0].source.partition("\n")
    told = f"{provenance(measured)}{stale(notebook, measured)}\n{tools(measured)}"
    page.cells[0].source = f"{title}\n\n{told}\n{text}"
    exercise = book / "exercises" / f"{notebook.stem}.md"
    if exercise.is_file():
        page.cells.append(nbformat.v4.new_markdown_cell(exercise.read_text(encoding="utf-8"), id="exercise"))
    return page


def folded(cell: NotebookNode) -> NotebookNode:
    """The cell; its code behind a click, unless that is the parameters."""
    tags = cell.metadata.get("tags", [])
    if cell.cell_type == "code" and not SHOWN & {*tags}:
        cell.metadata["tags"] = [*tags, "hide-input"]
    return cell


def tools(path: Path) -> str:
    """What a reader can do with a page: take it away, see its code, run it."""
    page = results.read(path)
    link = f'<a href="../_sources/notebooks/{page.notebook}.ipynb" download>Download the notebook</a>'
    button = '<button type="button" class="show-code" hidden>Show all code</button>'
    return f'<p class="tools">{link} {button} Run this page:</p>\n\n```sh\n{command(page)}\n```\n'


def made(folder: Path, measured: Path, titles: Mapping) -> None:
    """Write what pages of prose include: Markdown with headings, and HTML as it stands."""
    shown = {
        "verdict": html(verdict()._repr_html_()),
        "cards": headed(2, cards(measured, titles)),
        "paper_order": headed(2, paper_order(measured, titles)),
    }
    for name, text in shown.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def headed(level: int, parts: Mapping[str, str]) -> str:
    """Headings of this level with HTML under each, as Markdown."""
    return "\n\n".join(f"{'#' * level} {name}\n\n{html(text)}" for name, text in parts.items())


def html(text: str) -> str:
    """HTML that goes into a page of Markdown as it stands."""
    return f"```{{raw}} html\n{text}\n```\n"


def configured(book: Path) -> list:
    """Options for a book whose repository has an address: buttons that launch its pages elsewhere, and that
    lead to it. Without an address there are none."""
    config = yaml.safe_load((book / "_config.yml").read_text(encoding="utf-8"))
    if not config["repository"]["url"]:
        return []
    config |= {"launch_buttons": LAUNCH, "html": config["html"] | {"use_repository_button": True}}
    path = book / "made" / "_config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return ["--config", path]


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


def stale(notebook: Path, measured: Path) -> str:
    """What is said of a page that stands as other code than today's recorded it; nothing of one that ran."""
    profile = results.read(measured).profile
    stored = ROOT / "results" / profile / measured.name
    as_stored = stored.is_file() and stored.read_bytes() == measured.read_bytes()
    if not (as_stored and notebook.stem in made_by.stored() and made_by.changed(notebook, profile)):
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
