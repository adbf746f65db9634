"""Points: where in a model, and at how much noise, features are read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

OUT = "out"  # the place of a block's output; others, inside a block, go by the names that a backbone gives


class Point(tuple):
    """One place to read features from: (timestep, block), at the block's output unless `place` says more.

    At a block's output it is the pair (timestep, block): it unpacks, compares and sorts as that, and is
    written as that in JSON. Inside a block it is (timestep, block, place), which no pair equals.

    Parameters
    ----------
    timestep, block : int
    place : str, "out" or what a backbone has inside a block
    """

    __slots__ = ()

    def __new__(cls, timestep: int, block: int, place: str = OUT) -> Point:
        inside = () if place == OUT else (place,)
        return super().__new__(cls, (int(timestep), int(block), *inside))

    @classmethod
    def of(cls, given: Sequence) -> Point:
        """A point of any pair (timestep, block), or of (timestep, block, place)."""
        return given if isinstance(given, cls) else cls(*given)

    @property
    def timestep(self) -> int:
        """The noise, from 0 to 999."""
        return self[0]

    @property
    def block(self) -> int:
        """How many blocks have run."""
        return self[1]

    @property
    def place(self) -> str:
        """Where in the block."""
        return self[2] if len(self) > 2 else OUT

    @property
    def name(self) -> str:
        """In files: b08/t0030; inside a block b08/attention/t0030."""
        inside = "" if self.place == OUT else f"{self.place}/"
        return f"b{self.block:02d}/{inside}t{self.timestep:04d}"

    @property
    def label(self) -> str:
        """On pages: (30, 8); inside a block (30, 8, attention)."""
        return f"({', '.join(map(str, self))})"

    def __reduce__(self) -> tuple:
        return Point, tuple(self)


def points_of(blocks: Sequence[int], timesteps: Sequence[int], places: Sequence[str] = (OUT,)) -> list[Point]:
    """All points of a grid in rising order: timestep first, then block, then place in the order given.

    Raises
    ------
    ValueError
        If there is no block, no timestep or no place, or one is given twice.
    """
    for what, values in (("blocks", blocks), ("timesteps", timesteps), ("places", places)):
        if not len(values) or len(set(values)) != len(values):
            raise ValueError(f"{what} must be one or more values, each once; got {list(values)}")
    return [Point(*point) for point in product(sorted(timesteps), sorted(blocks), places)]
