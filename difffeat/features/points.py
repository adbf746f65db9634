"""Points: where in a model, and at how much noise, features are read."""

from __future__ import annotations

from collections.abc import Sequence


class Point(tuple):
    """One place to read features from: (timestep, block), at the block's output unless `place` says more.

    Unpacks, compares and sorts as the pair (timestep, block), and equals that pair where the place is "out".

    Parameters
    ----------
    timestep, block : int
    place : str, "out" or what a backbone has inside a block
    """

    def __new__(cls, timestep: int, block: int, place: str = "out") -> Point:
        point = super().__new__(cls, (int(timestep), int(block)))
        point.place = place
        return point

    @classmethod
    def of(cls, given: Sequence[int]) -> Point:
        """A point of any pair (timestep, block)."""
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
    def name(self) -> str:
        """In files: b08/t0030; inside a block b08/attention/t0030."""
        inside = "" if self.place == "out" else f"{self.place}/"
        return f"b{self.block:02d}/{inside}t{self.timestep:04d}"

    @property
    def label(self) -> str:
        """On pages: (30, 8)."""
        inside = "" if self.place == "out" else f", {self.place}"
        return f"({self.timestep}, {self.block}{inside})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        return tuple.__eq__(self, other) and self.place == getattr(other, "place", "out")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(self)) if self.place == "out" else hash((*self, self.place))

    def __reduce__(self) -> tuple:
        return Point, (self.timestep, self.block, self.place)
