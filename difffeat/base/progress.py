"""One progress bar for everything that takes long: on the terminal, never in the output of a notebook."""

import os
import sys

from tqdm import tqdm

VARIABLE = "DIFFFEAT_PROGRESS"  # "1" shows bars also where there is no terminal (a cluster's log), "0" never


def shown(progress: bool = True) -> bool:
    """Whether to show a bar: `progress` is the caller's wish, environment and terminal have the last word."""
    setting = os.environ.get(VARIABLE)
    return progress and (sys.stderr.isatty() if setting is None else setting != "0")


def bar(total: int | None, what: str, unit: str, progress: bool = True, initial: int = 0) -> tqdm:
    """A bar on stderr with the rate in `unit`/s and the time left; `initial` is done already, in no time."""
    shape = {"total": total, "initial": initial, "desc": what, "unit": f" {unit}", "unit_scale": True}
    return tqdm(**shape, disable=not shown(progress), dynamic_ncols=True)
