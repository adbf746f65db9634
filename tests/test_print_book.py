"""The book as one PDF: what is printed is the one page that Sphinx makes, and what lacks is named."""

import runpy
import shutil

import pytest

from difffeat.base.files import ROOT

BROWSER = shutil.which("chromium")


@pytest.fixture
def printer():
    """The globals of the script."""
    return runpy.run_path(str(ROOT / "workflow" / "print_book.py"))["main"].__globals__


def test_without_a_browser_it_says_what_to_install(tmp_path, printer, monkeypatch):
    monkeypatch.setitem(printer, "BROWSERS", ("no-such-browser",))
    with pytest.raises(SystemExit, match="needs no-such-browser, which prints the book: apt-get install"):
        printer["main"](tmp_path)


@pytest.mark.skipif(not BROWSER, reason="no chromium, which prints the book")
def test_without_pages_it_says_what_makes_them(tmp_path, printer):
    with pytest.raises(SystemExit, match="has no pages yet: run `make book` first"):
        printer["main"](tmp_path)


@pytest.mark.skipif(not BROWSER, reason="no chromium, which prints the book")
def test_a_page_is_printed_and_takes_the_place_of_the_last(tmp_path, printer, monkeypatch):
    page, pdf = tmp_path / "intro.html", tmp_path / "_build" / "pdf" / "book.pdf"
    (tmp_path / "notebooks").mkdir()
    pdf.parent.mkdir(parents=True)
    pdf.write_text("of before")
    page.write_text("<h1>One</h1><p style='break-before: page'>Two</p>")
    monkeypatch.setitem(printer, "one_page", lambda _: page)
    printer["main"](tmp_path)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert [path.name for path in pdf.parent.iterdir()] == ["book.pdf"]
