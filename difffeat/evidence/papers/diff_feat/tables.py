"""The numbers printed in the paper: its tables 1 to 10 as CSV files, read as fractions, each with its source.

Numbers stand in the files as printed. In `table05.csv` and `table06.csv` a row is one modality at one point,
the point in the columns `image_timestep`, `image_block`, `text_timestep`, `text_block`. The text of the paper
drops one point of Table 5, (50, 16): its place in the order shows which it is.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
PERCENTAGES = (
    *("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1"),
    *("mAP_mean", "mAP_std", "percentage", "error_rate"),
)
SPEEDS = {"image": "363.52", "text": "104.32"}  # samples a second on one RTX 4090, as printed
BEST_LENGTH, USED_LENGTH = 45, 60  # tokens, as the text says: Figure 16, section 4.1
DATASETS = {2: "VG500", 3: "MS-COCO", 6: "VG500", 7: "AG News"}  # the other tables: MS-COCO-enhanced


class Published(NamedTuple):
    """One printed number.

    `value` is a fraction where a percentage is printed; `rounding` is half a unit of its last printed digit.
    """

    value: float | None
    rounding: float
    source: str
    dataset: str


class Grid(NamedTuple):
    """A printed (timestep, block) grid, with the attributes of a measured one.

    `values` is (T, B); `draws` is the same as (1, T, B), for the paper gives no spread.
    """

    timesteps: tuple
    blocks: tuple
    values: np.ndarray
    draws: np.ndarray


def table(number: int) -> pd.DataFrame:
    """One table of the paper.

    Parameters
    ----------
    number : int, 1 to 10

    Returns
    -------
    DataFrame
        Percentages as fractions; a cell that is empty in print is NaN.

    Raises
    ------
    ValueError
        If the paper has no such table.
    """
    return _read(number).copy()


def grid(number: int, modality: str, metric: str = "mAP") -> Grid:
    """The printed grid of one modality.

    Parameters
    ----------
    number : 5 (MS-COCO-enhanced) or 6 (VG500)
    modality : "image" or "text"
    metric : "mAP", "CP", "CR", "CF1", "OP", "OR" or "OF1"

    Returns
    -------
    Grid
    """
    rows = _of_modality(number, modality)
    values = rows.pivot(index=f"{modality}_timestep", columns=f"{modality}_block", values=metric)
    mean = values.to_numpy()
    return Grid(tuple(map(int, values.index)), tuple(map(int, values.columns)), mean, mean[None])


def pairs(number: int, metric: str = "mAP") -> dict[tuple, float]:
    """The printed fusion results: {((image t, b), (text t, b)): value}, in the order of the table.

    Parameters
    ----------
    number : 5 (MS-COCO-enhanced) or 6 (VG500)
    metric : as in `grid`
    """
    rows = _of_modality(number, "fusion")
    columns = ["image_timestep", "image_block", "text_timestep", "text_block"]
    points = rows[columns].astype(int).itertuples(index=False)
    return {((it, ib), (tt, tb)): value for (it, ib, tt, tb), value in zip(points, rows[metric], strict=True)}


def value(number: int, column: str, **where: object) -> Published:
    """One printed number, with its source and its rounding.

    Parameters
    ----------
    number : int, 1 to 10
    column : str
    **where : column=value, which together single out one row

    Returns
    -------
    Published

    Raises
    ------
    ValueError
        If the table or column does not exist, no row or more than one is singled out, or the cell is empty.

    Examples
    --------
    >>> value(5, "mAP", modality="text", text_timestep=0, text_block=24).value
    0.9341
    >>> value(3, "images", category="toaster")
    Published(value=151, rounding=0.5, source='Table 3', dataset='MS-COCO')
    """
    rows = table(number)
    unknown = [name for name in (column, *where) if name not in rows]
    if unknown:
        raise ValueError(f"Table {number} has no column {', '.join(unknown)}; it has {', '.join(rows)}")
    found = np.logical_and.reduce(
        [rows[name] == wanted for name, wanted in where.items()] or [rows.index >= 0]
    )
    if found.sum() != 1:
        raise ValueError(f"{found.sum()} rows of Table {number} have {where}; name what singles out one row")
    return _published(number, column, int(found.argmax()))


def best(number: int, modality: str, metric: str = "mAP") -> Published:
    """The highest printed number of one modality; see `value`.

    Parameters
    ----------
    number : 5 (MS-COCO-enhanced) or 6 (VG500)
    modality : "image", "text" or "fusion"
    metric : as in `grid`
    """
    return _published(number, metric, _of_modality(number, modality)[metric].idxmax())


def lead(number: int, modality: str, metric: str = "mAP") -> float:
    """How far the best printed point of a modality lies above the next, as a fraction: see `best`."""
    second, first = np.sort(_of_modality(number, modality)[metric])[-2:]
    return float(first - second)


def grid_table(dataset: str) -> int:
    """Number of the table that prints the grids of a data set: 6 for VG500, else 5, of MS-COCO-enhanced.

    Parameters
    ----------
    dataset : str, as `profiles.Parameters` names it
    """
    return 6 if dataset == "vg500" else 5


def headline(dataset: str, modality: str, metric: str = "mAP") -> Published | None:
    """What the paper's best feature of a modality reaches, to stand beside ours.

    Parameters
    ----------
    dataset : str, as in `grid_table`; where the paper prints nothing of it, MS-COCO-enhanced serves
    modality : "image", "text" or "fusion"
    metric : str, a name in `scoring.SCORINGS`

    Returns
    -------
    Published, or None where the paper prints no number by this metric
    """
    if metric == "mAP":
        return best(grid_table(dataset), modality)
    if (dataset, modality, metric) == ("ag_news", "text", "top-1"):
        error = value(7, "error_rate", method="Diff-Feat")
        return error._replace(value=round(1 - error.value, 8), source="Table 7, 100 % less the error rate")
    return None


def noising(metric: str = "mAP") -> tuple[dict[str, Published], Published | None]:
    """Table 4, means over the grid of text features with either kind of noise, where it is of this metric.

    Parameters
    ----------
    metric : str, a name in `scoring.SCORINGS`

    Returns
    -------
    means : dict of "deterministic" and "random" to Published; empty for another metric than mAP
    t : Published, the paired t test's; None for another metric
    """
    if metric != "mAP":
        return {}, None
    means = {kind: value(4, "mAP_mean", noising=kind) for kind in ("deterministic", "random")}
    return means, value(4, "t_value", noising="deterministic")


def best_length() -> Published:
    """The number of tokens that is best in Figure 16, of those that the paper measured.

    Returns
    -------
    Published
        Its rounding is half the distance of two measured lengths; these are the upper ends of Table 8.
    """
    measured = table(8)["longest"]
    return Published(BEST_LENGTH, float(measured.diff().min() / 2), "Figure 16", "MS-COCO-enhanced")


def speed(modality: str) -> Published:
    """Samples a second of the paper's extraction on one RTX 4090; it does not say of which data set.

    Parameters
    ----------
    modality : "image" or "text"

    Returns
    -------
    Published
    """
    printed = SPEEDS[modality]
    half_a_digit = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    return Published(float(printed), half_a_digit, "appendix B, training details", "not stated")


@cache
def _read(number):
    """Cells as numbers where they are some."""
    return pd.DataFrame({name: _converted(name, column) for name, column in _printed(number).items()})


@cache
def _printed(number):
    """Cells as text, exactly as printed."""
    path = FOLDER / f"table{number:02d}.csv"
    if not path.is_file():
        raise ValueError(f"the paper has no Table {number}; it has tables 1 to 10")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@cache
def _read(number):
    """A table as numbers where it has them; claims ask for the same tables hundreds of times."""
    return pd.DataFrame({name: _converted(name, column) for name, column in _printed(number).items()})


def _converted(name, column):
    """Text to numbers where all of a column are; percentages to fractions."""
    numbers = pd.to_numeric(column.mask(column == ""), errors="coerce")
    if numbers.isna().sum() > (column == "").sum() or (column == "").all():
        return column
    return (numbers / 100).round(8) if name in PERCENTAGES else numbers


def _of_modality(number, modality):
    if number not in (5, 6):
        raise ValueError(
            f"Table {number} has no grid; grids are in tables 5 (MS-COCO-enhanced) and 6 (VG500)"
        )
    rows = table(number)
    chosen = rows[rows["modality"] == modality]
    if chosen.empty:
        raise ValueError(f"unknown modality {modality!r}: there are image, text and fusion")
    return chosen


def _published(number, column, row):
    printed = _printed(number)[column][row]
    if not printed:
        raise ValueError(f"Table {number} prints no {column} in row {row + 1}")
    decimals = len(printed.partition(".")[2]) + (2 if column in PERCENTAGES else 0)
    dataset = table(number)["dataset"][row] if number == 1 else DATASETS.get(number, "MS-COCO-enhanced")
    return Published(table(number)[column][row].item(), 0.5 * 10**-decimals, f"Table {number}", dataset)
