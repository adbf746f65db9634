"""The numbers that the second paper prints of its three tasks, each with its source.

They stand in `headlines.csv` as printed: what is reached, and by how many points that is above the outputs
that were read before ("Legacy").
"""

from functools import cache
from pathlib import Path

import pandas as pd

from difffeat.evidence.papers.diff_feat.tables import Published

FOLDER = Path(__file__).parent
KEY_RESULTS = "key results"


def tasks() -> list[str]:
    """The tasks with a printed number, in print order."""
    return list(_rows().index)


def reached(task: str) -> Published:
    """What the paper's activations reach on a task, a fraction.

    Raises
    ------
    ValueError
        If it is none of `tasks`; the message gives them.
    """
    return _published(task, "reached")


def above(task: str) -> Published:
    """By how much that is above the outputs read before, a difference of fractions.

    Raises
    ------
    ValueError
        As `reached`, and if the paper prints none for the task.
    """
    return _published(task, "above")


def about(task: str) -> dict[str, str]:
    """What stands beside a task's number: metric, dataset, and what it is above."""
    return _row(task).drop(["reached", "above"]).to_dict()


@cache
def _rows():
    return pd.read_csv(FOLDER / "headlines.csv", dtype=str, keep_default_na=False).set_index("task")


def _row(task):
    if task not in _rows().index:
        raise ValueError(f"no number of {task!r}; the paper prints those of {', '.join(tasks())}")
    return _rows().loc[task]


def _published(task, column):
    printed = _row(task)[column]
    if not printed:
        raise ValueError(f"the paper prints no {column} of {task}")
    decimals = len(printed.partition(".")[2]) + 2
    return Published(round(float(printed) / 100, 8), 0.5 * 10**-decimals, KEY_RESULTS, _row(task)["dataset"])
