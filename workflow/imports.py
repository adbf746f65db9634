"""Which files of this project a notebook or a module is made of: what it imports, and what that imports."""

import ast
import json
from functools import cache
from pathlib import Path

PACKAGES = ("difffeat", "data_prep")


def files_behind(source: Path | str) -> list[str]:
    """Files of our packages that a source imports anywhere in it, directly or through others, sorted.

    Files that are no code lie beside the module that reads them: those of the folders of all that is imported
    count as well.

    Parameters
    ----------
    source : path of a notebook or a Python file, relative to the project
    """
    found, new = set(), _imported(Path(source))
    while new:
        found |= new
        new = set().union(*map(_imported, new)) - found
    folders = {path.parent for path in found}
    return sorted(map(str, found | {path for folder in folders for path in _data(folder)}))


@cache
def _imported(path) -> frozenset:
    """The files of our packages that one file imports, with the packages that they lie in."""
    names = set()
    for node in ast.walk(ast.parse(_code(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ours = [name.split(".") for name in names if name.split(".")[0] in PACKAGES]
    return frozenset(
        file for parts in ours for depth in range(len(parts)) for file in _file(parts[: depth + 1])
    )


def _file(parts):
    """The file of a module or package; none for what is a name inside one."""
    place = Path(*parts)
    return [path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()]


@cache
def _data(folder):
    """Files of a package that are no code, those in folders without code among them."""
    inside = [path for path in folder.iterdir() if path.name != "__pycache__"]
    found = [path for path in inside if path.is_file() and path.suffix != ".py"]
    below = [path for path in inside if path.is_dir() and not any(path.rglob("*.py"))]
    return found + [path for held in below for path in held.rglob("*") if path.is_file()]


def _code(path):
    """Python source; of a notebook its code cells, without lines that only IPython reads."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
