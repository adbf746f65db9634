"""The book, compiled strictly from the stored notebooks, and what its pages must be; run by `make test`.

jupyter-book passes notebooks with errors or without outputs, so the pages are checked, not its log.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

from difffeat.profiles import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
# What a reader should never meet: a warning, a traceback, a path of the machine that ran it, a progress bar.
UNWANTED = {
    "a warning": re.compile(r"\w*Warning:|Traceback \(most recent"),
    "a path": re.compile(
        "|".join(map(re.escape, {str(ROOT), f"{Path.home()}/", f"{gettempdir()}/", "site-packages"}))
    ),
    "a progress bar": re.compile(r"\d+%\||\d(it|s|samples)/s\b|[█▏▎▍▌▋▊▉]"),
    "a placeholder": re.compile(r"TODO|FIXME|\bnan\b|<\w+ object at"),
}
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="session")
def html():
    """Folder of the compiled pages."""
    folder = ROOT / "build" / "test"
    shutil.rmtree(folder / "book", ignore_errors=True)
    shutil.copytree(
        ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("_build", "notebooks", "mathjax")
    )
    sources = [folder / "book", ROOT / "notebooks", ROOT / "results" / "scenes"]
    command = [sys.executable, ROOT / "workflow" / "compile_book.py", *sources]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return folder / "book" / "_build" / "html"


@pytest.fixture(scope="session")
def pages(html):
    """{path relative to the book: parsed page}"""
    return {
        path.relative_to(html).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.parts and path.name != "index.html"  # which only sends on to the first page
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_ran_and_none_failed(path):
    cells = [
        cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code" and cell.source.strip()
    ]
    assert all(cell.execution_count for cell in cells), "a cell was not run"
    assert any(cell.outputs for cell in cells), "no cell has an output"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output.ename for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("what", UNWANTED)
def test_no_page_shows(pages, what):
    found = [
        f"{name}: {match.group()!r} in {line.strip()[:120]!r}"
        for name, page in pages.items()
        for line in page.find("body").get_text("\n").splitlines()
        if (match := UNWANTED[what].search(line))
    ]
    assert not found, "\n".join(found)


def test_every_image_has_alt_text(pages):
    bare = [
        f"{name}: {img}"[:200]
        for name, page in pages.items()
        for img in page("img")
        if not img.get("alt", "").strip()
    ]
    assert not bare, "\n".join(bare)


def test_pages_load_nothing_from_a_server(html, pages):
    loaded = [
        f"{name}: {tag[attribute]}"
        for name, page in pages.items()
        for element, attribute in LOADED.items()
        for tag in page(element)
        if urlsplit(tag.get(attribute, "")).netloc
    ]
    styles = {path.name: path.read_text(encoding="utf-8") for path in html.rglob("*.css")}
    loaded += [
        f"{name}: {url}"
        for name, css in styles.items()
        for url in re.findall(r"url\([\"']?((?:https?:)?//[^)]+)", css)
    ]
    assert not loaded, "\n".join(loaded)


def test_what_pages_load_and_link_to_is_there(html, pages):
    missing = []
    for name, page in pages.items():
        for element, attribute in [*LOADED.items(), ("a", "href")]:
            for tag in page(element):
                url = urlsplit(tag.get(attribute, ""))
                if url.scheme or url.netloc:
                    continue
                target = (html / name).parent / unquote(url.path) if url.path else html / name
                if not target.exists() or not _has_anchor(pages, html, target, unquote(url.fragment)):
                    missing.append(f"{name}: {tag[attribute]}")
    assert not missing, "\n".join(sorted(set(missing)))


def test_formulas_are_drawn_without_network(html, pages):
    scripts = [script["src"] for script in pages["method.html"]("script", src=True)]
    assert any("mathjax/tex-svg-full.js" in script for script in scripts)
    assert (html / "_static" / "mathjax" / "tex-svg-full.js").is_file()


def _has_anchor(pages, html, target, fragment):
    """Whether a page holds the element that a link points to; files that are no pages hold what they hold."""
    name = target.resolve().relative_to(html.resolve()).as_posix()
    return not fragment or name not in pages or pages[name].find(id=fragment) is not None
