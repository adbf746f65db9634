"""Compile the book from executed notebooks: `python workflow/compile_book.py book build/notebooks/scenes`.

Strict: a warning is an error. Needs no network. Everything is built anew, for an incremental build keeps
numbers that were glued from an older notebook.
"""

import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

STRICT = ["--warningiserror", "--nitpick", "--keep-going", "--all"]


def main(book, notebooks):
    """Fill `book/notebooks` and MathJax in and run jupyter-book; print complaints, return its exit status."""
    shutil.rmtree(book / "_build", ignore_errors=True)
    shutil.rmtree(book / "notebooks", ignore_errors=True)
    (book / "notebooks").mkdir()
    for notebook in sorted(notebooks.glob("*.ipynb")):
        shutil.copy(notebook, book / "notebooks")
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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
