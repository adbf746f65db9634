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
    """Fill `book/notebooks` and MathJax in, then run jupyter-book; its exit status is ours."""
    shutil.rmtree(book / "_build", ignore_errors=True)
    shutil.rmtree(book / "notebooks", ignore_errors=True)
    (book / "notebooks").mkdir()
    for notebook in sorted(notebooks.glob("*.ipynb")):
        shutil.copy(notebook, book / "notebooks")
    # One file with all of TeX, drawn as SVG: other builds of MathJax load fonts or packages when needed.
    mathjax = next(path for path in files("sphinx-mathjax-offline") if path.name == "tex-svg-full.js")
    (book / "static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax.locate(), book / "static" / "mathjax")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    return subprocess.run([jupyter_book, "build", *STRICT, str(book)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
