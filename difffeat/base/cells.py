"""Parameters cells of notebooks: what they declare, what papermill put below, values of the same kind."""

import ast
from collections.abc import Iterable, Set

import yaml

INJECTED = "# Parameters"  # first line of the cell that papermill adds


def cells(history: Iterable[str]) -> tuple[dict, Set[str]]:
    """({parameter: default}, {names injected}) from the sources of the cells that ran."""
    defaults, injected = {}, set()
    for source in history:
        assigned = assignments(source)
        if defaults and source.partition("\n")[0].strip() == INJECTED:
            injected = assigned.keys()
        elif "profile" in assigned:  # in Jupyter the cell may be edited and run again: the last one counts
            defaults = {name: ast.literal_eval(value) for name, value in assigned.items()}
    if not defaults:
        raise ValueError("no parameters cell has run: it holds only `name = literal`, `profile` among them")
    return defaults, injected


def assignments(source: str) -> dict[str, ast.expr]:
    """{name: expression} of a cell that holds nothing but `name = expression`; empty for any other cell."""
    try:
        return {statement.targets[0].id: statement.value for statement in ast.parse(source).body}
    except (SyntaxError, AttributeError):
        return {}


def checked(name: str, value: object, default: object) -> object:
    """The value, of the default's type; text from the command line is read as that type first."""
    if isinstance(value, str) and not isinstance(default, str | None):
        try:
            value = yaml.safe_load(value)  # `-p blocks '[8, 12]'` arrives as text
        except yaml.YAMLError:
            pass  # stays text, which the next line refuses
    if default is None or _alike(value, default):
        return value
    raise ValueError(f"{name} = {value!r}: expected {type(default).__name__}, as in {name} = {default!r}")


def _alike(value, default):
    """Same type; an int serves for a float; a list holds what the default's list holds."""
    if isinstance(value, list) and isinstance(default, list):
        return not default or all(_alike(item, default[0]) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float)
    return type(value) is type(default)
