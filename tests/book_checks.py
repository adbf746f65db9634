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

import browser
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
# Every page is looked at in each of these: a wide screen and a phone, light and dark.
SCREENS = [(width, scheme) for scheme in ("light", "dark") for width in (1280, 400)]
BARRIERS = """
axe.run(document, {resultTypes: ["violations"], preload: false%s}).then(({violations}) => violations
  .filter(({impact}) => impact === "critical" || impact === "serious")
  .flatMap(({id, impact, nodes}) => nodes.map(({target}) => `${impact} ${id} ${target.join(" ")}`)))
"""
WIDER = """
[...document.body.querySelectorAll("*")].filter((tag) => tag.getBoundingClientRect().right > %d + 1)
  .slice(0, 3).map((tag) => `${tag.tagName} ${tag.className}`)
"""


@pytest.fixture(scope="session")
def html():
    """Folder of the compiled pages."""
    folder = ROOT / "build" / "test"
    shutil.rmtree(folder / "book", ignore_errors=True)
    shutil.copytree(
        ROOT / "book",
        folder / "book",
        ignore=shutil.ignore_patterns("_build", "made", "notebooks", "mathjax"),
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


@pytest.fixture(scope="session")
def seen(html, pages, tmp_path_factory):
    """{page: {screen: (theme, barriers, width, what is wider)}, "errors": errors of scripts} in a browser."""
    if browser.PROGRAM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    axe = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
    with browser.started(tmp_path_factory.mktemp("chromium")) as tab:
        return {name: look(tab, html / name, axe) for name in pages}


def look(tab, page, axe):
    """What one page shows on every screen, all that is folded in it opened."""
    tab.screen(*SCREENS[0])
    tab.open(page)
    tab.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    found = {"errors": list(tab.errors)}
    tab.run(axe + "; 0")
    for width, scheme in SCREENS:
        tab.screen(width, scheme)
        tab.settle()
        theme = tab.run("document.documentElement.dataset.theme")
        wide = tab.run("document.documentElement.scrollWidth")
        rules = ', runOnly: ["color-contrast"]' if scheme == "dark" else ""  # all else is as in light
        found[width, scheme] = theme, tab.run(BARRIERS % rules), wide, tab.run(WIDER % width)
    return found


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


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def test_nobody_is_shut_out(seen, screen):
    """axe-core finds nothing critical and nothing serious, and the page has the reader's colours."""
    assert {found[screen][0] for found in seen.values()} == {screen[1]}
    barriers = [f"{name}: {barrier}" for name, found in seen.items() for barrier in found[screen][1]]
    assert not barriers, "\n".join(barriers)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def test_no_page_is_wider_than_the_screen(seen, screen):
    wide = [f"{name}: {found[screen][2:]}" for name, found in seen.items() if found[screen][2] > screen[0]]
    assert not wide, "\n".join(wide)


def test_no_script_of_a_page_fails(seen):
    failed = {name: found["errors"] for name, found in seen.items() if found["errors"]}
    assert not failed, "\n".join(f"{name}: {errors}" for name, errors in failed.items())


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
    book = html.resolve()
    anchors, missing = {book / name: ids(page) for name, page in pages.items()}, []
    for name, page in pages.items():
        for element, attribute in [*LOADED.items(), ("a", "href")]:
            for tag in page(element):
                url = urlsplit(tag.get(attribute, ""))
                if url.scheme or url.netloc:
                    continue
                target = ((book / name).parent / unquote(url.path) if url.path else book / name).resolve()
                there = target.is_relative_to(book) and target.exists()
                # A file that is no page holds what it holds.
                fragment = unquote(url.fragment)
                if not there or fragment not in anchors.get(target, {fragment}):
                    missing.append(f"{name}: {tag[attribute]}")
    assert not missing, "\n".join(sorted(set(missing)))


def test_formulas_are_drawn_without_network(html, pages):
    scripts = [script["src"] for script in pages["method.html"]("script", src=True)]
    assert any("mathjax/tex-svg-full.js" in script for script in scripts)
    assert (html / "_static" / "mathjax" / "tex-svg-full.js").is_file()


def ids(page):
    """What a link to a page may name after its `#`: any of its elements, or nothing."""
    return {"", *(tag["id"] for tag in page(id=True))}
