"""The best block of an image model, wherever it was measured or printed: every metric, timestep and data set.

Letters: R draws, T timesteps, B blocks, C cells, each one metric at one timestep.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import read
from difffeat.probing.grid import Grid
from difffeat.probing.scoring import name_of

METRICS = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1")  # of the paper's tables 5 and 6
DEPTH = 28  # blocks of DiT-XL/2
PAGE = "20_probe_image_grid"


@dataclass(frozen=True)
class Cells:
    """Curves over blocks of several metrics at several timesteps, with the attributes of a grid.

    Attributes
    ----------
    timesteps : tuple of C str, what each cell is: "50, CF1"
    blocks : tuple of B int
    values : array of shape (C, B)
    draws : array of shape (R, C, B)
    """

    timesteps: tuple
    blocks: tuple
    values: np.ndarray
    draws: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """The best block of each cell, (C,)."""
        return np.asarray(self.blocks)[self.values.argmax(axis=1)]

    @property
    def commonest(self) -> int:
        """The block that is best in most cells."""
        blocks, counts = np.unique(self.best, return_counts=True)
        return int(blocks[counts.argmax()])


class Reported(NamedTuple):
    """A block that somebody else reports: of which model, how deep that is, what it is, and its source."""

    who: str
    model: str
    depth: int
    block: int
    what: str
    source: str


# Blocks counted as here: how many have run.
OTHERS = (
    Reported(
        "DDAE",
        "DiT-XL/2",
        28,
        14,
        "read by linear probes, CIFAR-10 and Tiny-ImageNet",
        "its code, FutureXiang/ddae: DiT/linear.py, layer-13, counted from 0 in DiT/models.py",
    ),
    Reported(
        "Mukhopadhyay et al.",
        "guided diffusion, U-Net",
        37,
        24,
        "read by classifiers, ImageNet-50, t = 90",
        "Figure 1; the blocks: its code, soumik-kanad/diffssl, ssl_diff/const.py, counted from 1",
    ),
    Reported(
        "REPA",
        "SiT-XL/2",
        28,
        8,
        "trained to be like features of another model",
        "README of its code, sihyun-yu/REPA; counted from 1 in models/sit.py",
    ),
    Reported(
        "SRA, taught",
        "SiT-XL/2",
        28,
        8,
        "trained to be like a deeper one",
        "README of its code, vvvvvjdy/SRA; counted from 1 in SiT-SRA/models/sit.py",
    ),
    Reported(
        "SRA, teaching",
        "SiT-XL/2",
        28,
        20,
        "the deeper one",
        "README of its code, vvvvvjdy/SRA; counted likewise",
    ),
)


def every_metric(grid: Grid) -> dict[str, Grid]:
    """{metric as tables print it: grid} of a measured grid and of the others of the same probes."""
    return {name_of(grid.metric): grid, **grid.others}


def printed(number: int) -> dict[str, Any]:
    """{metric: printed grid of images} of the paper's Table 5 or 6."""
    return {metric: paper.grid(number, "image", metric) for metric in METRICS}


def stacked(grids: Mapping[str, Any]) -> Cells:
    """All metrics of one set of probes as cells.

    Parameters
    ----------
    grids : dict of metric to grids of the same timesteps and blocks

    Returns
    -------
    Cells
    """
    first = next(iter(grids.values()))
    names = tuple(f"{timestep}, {metric}" for metric, grid in grids.items() for timestep in grid.timesteps)
    return Cells(
        names,
        tuple(first.blocks),
        np.concatenate([grid.values for grid in grids.values()]),
        np.concatenate([grid.draws for grid in grids.values()], axis=1),
    )


def best_blocks(grids: Mapping[str, Any]) -> list[dict[str, object]]:
    """The best block of each metric at each timestep, a row for each metric."""
    return [
        {"metric": metric}
        | {
            f"t = {timestep}": grid.blocks[int(place)]
            for timestep, place in zip(grid.timesteps, grid.values.argmax(axis=1), strict=True)
        }
        for metric, grid in grids.items()
    ]


class Depth(NamedTuple):
    """A best block as a share of its model's depth, with its interval where there is one."""

    source: str
    data: str
    model: str
    block: int
    depth: int
    interval: tuple | None = None

    @property
    def relative(self) -> tuple[float, tuple | None]:
        """The block divided by the depth, and its interval likewise."""
        ends = self.interval and tuple(end / self.depth for end in self.interval)
        return self.block / self.depth, ends


def of_paper() -> list[Depth]:
    """The best block of mAP in the paper's Tables 5 and 6."""
    found = []
    for number, data in ((5, "MS-COCO-enhanced"), (6, "VG500")):
        grid = paper.grid(number, "image")
        best = grid.blocks[grid.values.max(axis=0).argmax()]
        found.append(Depth("the paper", data, "DiT-XL/2", best, DEPTH))
    return found


def told() -> list[dict[str, object]]:
    """`OTHERS` in words, a row for each, with its source."""
    return [
        {
            "who": one.who,
            "model": one.model,
            "block": f"{one.block} of {one.depth}",
            "what it is": one.what,
            "source": one.source,
        }
        for one in OTHERS
    ]


def of_others() -> list[Depth]:
    """`OTHERS` as depths."""
    return [Depth("others", one.who, one.model, one.block, one.depth) for one in OTHERS]


def of_book(folders: Iterable[Path | str]) -> list[Depth]:
    """The best block of images in every results folder that holds that page, each data set once.

    Parameters
    ----------
    folders : results folders of profiles; of two with the same name the first counts
    """
    found = {}
    for folder in map(Path, folders):
        path = folder / f"{PAGE}.json"
        if path.is_file() and folder.name not in found:
            page = read(path)
            block, depth = page["image_best_block"], page["image_depth"].value
            about = "this book", folder.name, page.parameters["image_backbone"]
            found[folder.name] = Depth(*about, block.value, depth, block.interval)
    return list(found.values())
