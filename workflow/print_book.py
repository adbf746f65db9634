"""The whole book as one PDF: `python workflow/print_book.py book`, once `make book` has filled it.

Sphinx writes all pages into one, from the same sources, and Chromium prints that: pictures, formulas and
links among pages stay as they are in the browser, heads become the outline. Needs no network.
"""

import shutil
import subprocess
import sys
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120_000  # milliseconds of a page's own clock, in which formulas are set
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
]


def main(book: Path) -> None:
    """Write `book/_build/pdf/book.pdf`."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"needs {BROWSERS[0]}, which prints the book: apt-get install chromium")
    if not (book / "notebooks").is_dir():
        sys.exit(f"{book} has no pages yet: run `make book` first")
    page, pdf = one_page(book), book / "_build" / "pdf" / "book.pdf"
    pdf.parent.mkdir(parents=True, exist_ok=True)
    new = pdf.with_suffix(".new")
    printed = [browser, *FLAGS, f"--virtual-time-budget={PATIENCE}", f"--print-to-pdf={new.resolve()}"]
    done = subprocess.run([*printed, page.resolve().as_uri()], check=False, capture_output=True, text=True)
    if done.returncode or not new.is_file():
        sys.exit(f"{browser} printed nothing:\n{done.stderr[-2000:]}")
    new.replace(pdf)
    print(f"The book is printed: {pdf}, {pdf.stat().st_size / 2**20:.0f} MB.")


def one_page(book: Path) -> Path:
    """The book as a single page of HTML."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    folder = book / "_build" / "print"
    shutil.rmtree(folder, ignore_errors=True)
    command = [jupyter_book, "build", "--builder", "singlehtml", "--path-output", folder, book]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit("\n".join(done.stdout.splitlines()[-50:]))
    return folder / "_build" / "singlehtml" / "intro.html"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
